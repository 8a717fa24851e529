"""Evaluates expressions: known values are exact, unknown ones are never guessed."""

from __future__ import annotations

import json
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.template.expression.evaluate import Scope, evaluate, scope_of
from ami_bakery.template.expression.functions.catalogue import FUNCTIONS
from ami_bakery.template.expression.go_template import render
from ami_bakery.template.expression.known_values import CHECKOUT, Text, Unknown, Value, concatenate, first_unknown
from ami_bakery.template.hcl.hcl_parser import parse_expression, parse_template
from ami_bakery.template.location import SourceLocation

HERE = SourceLocation(file="a.pkr.hcl", line=7)
UNKNOWN = Unknown(why="only Packer knows it")

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | texts | st.just(UNKNOWN),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
known_documents = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def evaluated(text: str, **names: Value) -> Value:
    return evaluate(parse_expression(text, HERE), scope_of(names))


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{").replace("\x7f", "\\u007f")


@given(known_documents)
def test_a_document_written_as_hcl_evaluates_to_itself(document: Any) -> None:
    def hcl(value: Any) -> str:
        if isinstance(value, str):
            return quoted(value).replace("\\b", "\\u0008").replace("\\f", "\\u000c")
        if isinstance(value, list):
            return "[" + ", ".join(hcl(item) for item in value) + "]"
        if isinstance(value, dict):
            return "{" + ", ".join(f"({hcl(name)}) = {hcl(item)}" for name, item in value.items()) + "}"
        return json.dumps(value)

    def composed(value: Any) -> Any:
        if isinstance(value, str):
            return normalize("NFC", value)
        if isinstance(value, list):
            return tuple(composed(item) for item in value)
        return {composed(name): composed(item) for name, item in value.items()} if isinstance(value, dict) else value

    assert evaluated(hcl(document)) == composed(document)


@given(texts.filter(lambda text: "${" not in text and "%{" not in text))
def test_a_string_without_interpolation_evaluates_to_itself(text: str) -> None:
    assert evaluate(parse_template(text, HERE), Scope()) == normalize("NFC", text)


def called(name: str, arguments: list[Value]) -> Value:
    names = {f"a{number}": argument for number, argument in enumerate(arguments)}
    return evaluated(f"{name}({', '.join(names)})", **names)


@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(values, max_size=3))
def test_a_function_returns_a_value_or_a_reason(name: str, arguments: list[Value]) -> None:
    result = called(name, arguments)

    if isinstance(result, Unknown):
        assert result.why
    elif not FUNCTIONS[name].structural:
        assert first_unknown(tuple(arguments)) is None


@given(
    st.sampled_from(sorted(name for name in FUNCTIONS if not FUNCTIONS[name].any_checkout)),
    st.lists(texts, max_size=2),
)
def test_functions_do_not_reveal_the_path_of_the_checkout(name: str, arguments: list[str]) -> None:
    assert isinstance(called(name, [*arguments, CHECKOUT + "/x"]), Unknown)


@given(st.lists(st.tuples(values, texts), max_size=5))
def test_joined_parts_are_known_only_if_every_part_is_known(parts: list[tuple[Value, str]]) -> None:
    joined = concatenate(parts)
    all_known = all(isinstance(value, str | bool | int) for value, _ in parts)

    assert isinstance(joined, str) == all_known


@pytest.mark.parametrize(
    "text",
    [
        '"a-${x}"',
        "x.y[0]",
        "x[*].y",
        "[for v in x : v]",
        '{ for v in x : v => "y" }',
        'x == "a"',
        "x + 1",
        '!x || x == "b"',
        'x ? "a" : "b"',
        '"%{ if x }a%{ endif }"',
        '"%{ for v in x }a%{ endfor }"',
        "upper(x)",
        "join(x, [])",
        "try(x, 1)",
        "nosuch(1)",
        "merge({}, x)",
    ],
)
def test_an_expression_that_depends_on_an_unknown_is_unknown(text: str) -> None:
    assert isinstance(evaluated(text, x=UNKNOWN), Unknown)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('x == "b" || true', True),
        ("x == 1 && false", False),
        ('x ? "same" : "same"', "same"),
        ("concat([x], [1])[1]", 1),
        ('merge({ a = x }, { a = "known" }).a', "known"),
        ("length([x, x])", 2),
        ('[for v in ["a"] : v if true || x]', ("a",)),
        ('lookup({ a = "b", c = x }, "a", "z")', "b"),
        ('coalesce("", "b")', "b"),
    ],
)
def test_an_expression_that_does_not_depend_on_an_unknown_is_known(text: str, value: Value) -> None:
    assert evaluated(text, x=UNKNOWN) == value


def test_a_string_keeps_the_line_it_was_written_on() -> None:
    value = evaluated('concat(["a"], [lower("B")])')

    assert isinstance(value, tuple)
    assert [item.location for item in value if isinstance(item, Text)] == [HERE, HERE]


def test_an_unknown_string_keeps_its_known_parts() -> None:
    value = evaluated('"files/${x}/${upper("y")}.sh"', x=UNKNOWN)

    assert value == Unknown(why="only Packer knows it")
    assert isinstance(value, Unknown)
    assert value.pattern == "files/${x}/Y.sh"


@given(texts.filter(lambda text: "{{" not in text))
def test_a_go_template_without_actions_renders_to_itself(text: str) -> None:
    assert render(text, {}) == text


@given(texts, texts, texts)
def test_raw_strings_and_calls_render_to_their_values(before: str, inside: str, after: str) -> None:
    before, after = before.replace("{", ""), after.replace("{", "")
    inside = inside.replace("`", "")

    assert render(f"{before}{{{{say `{inside}`}}}}{after}", {"say": lambda text: text}) == before + inside + after


@given(texts)
def test_no_go_template_makes_the_renderer_fail(text: str) -> None:
    for template in (f"{{{{{text}}}}}", f"{{{{ {text}", f"{text}}}}}", f"{{{{if {text}}}}}x{{{{end}}}}"):
        result = render(template, {"user": lambda name: name})
        assert isinstance(result, str | Unknown)


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("a {{- say `b` -}} c", "abc"),
        ("{{/* nothing */}}x", "x"),
        ("{{ say `a` | up }}", "A"),
        ("{{ up (say `a`) }}", "A"),
        ('{{ say "a\\"}}b" }}', 'a"}}b'),
        ("{{say `}}`}}", "}}"),
    ],
)
def test_go_templates_render_as_in_go(template: str, rendered: str) -> None:
    assert render(template, {"say": lambda text: text, "up": lambda text: text.upper()}) == rendered


@pytest.mark.parametrize(
    "template", ["{{.Vars}} x", "{{if x}}a{{end}}", "{{timestamp}}", "{{ open", "{{ $x }}", "{{ say }}"]
)
def test_a_template_that_only_packer_can_render_is_unknown_and_kept_as_written(template: str) -> None:
    result = render(template, {"say": lambda text: text})

    assert isinstance(result, Unknown)
    assert result.pattern == template


MARKS = ("\u0301", "\u0316", "\u0301\u0316", "\u0344")


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("before", ["e", "é", "", "한"])
def test_a_string_with_very_many_combining_marks_is_unknown(before: str, mark: str) -> None:
    """Packer inserts a joiner (U+034F) after every 30 of them."""
    value = evaluated(f'"{before}{mark * 31}z"')
    assert isinstance(value, Unknown)
    assert "more than 30 combining marks" in value.why
    assert isinstance(evaluated(f"jsondecode({quoted(quoted(before + mark * 31))})"), Unknown)
    key = json.dumps({before + mark * 31: 1}, ensure_ascii=False)
    assert isinstance(evaluated(f"jsondecode({quoted(key)})"), Unknown)
    assert isinstance(evaluated("lower(v)", v=f"{before}{mark * 31}"), Unknown)


@pytest.mark.parametrize("text", ["e" + "\u0316" * 30, "e\u0316" * 100, "\u0301".join("abc" * 40), "日本語" * 40])
def test_fewer_combining_marks_are_normalised(text: str) -> None:
    assert evaluated(f'"{text}"') == normalize("NFC", text)
