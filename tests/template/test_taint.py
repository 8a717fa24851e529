"""Values that depend on a file, the environment or a secret are tainted, and messages hide them."""

from __future__ import annotations

import pytest

from ami_bakery.template.expression.evaluate import evaluate, scope_of
from ami_bakery.template.expression.known_values import (
    HOLE,
    Text,
    Unknown,
    Value,
    concatenate,
    first_unknown,
    is_tainted,
)
from ami_bakery.template.hcl.hcl_parser import parse_expression
from ami_bakery.template.location import SourceLocation

HERE = SourceLocation(file="a.pkr.hcl", line=7)
SECRET = Text("hunter2", HERE, tainted=True)


def evaluated(text: str) -> Value:
    names: dict[str, Value] = {"s": SECRET, "plain": "a", "u": Unknown(why="later")}
    return evaluate(parse_expression(text, HERE), scope_of(names))


@pytest.mark.parametrize(
    "text",
    [
        "s",
        '"a-${s}"',
        '"%{ if true }${s}%{ endif }"',
        "base64encode(strrev(s))",
        "length(s)",
        "[for c in [s] : upper(c)]",
        "{ for c in [s] : c => 1 }",
        's == "hunter2"',
        's == "hunter2" ? "a" : "b"',
        'true ? s : "b"',
        '["a", "b"][length(s) - 7]',
        'split("t", s)[0]',
        "jsonencode({ a = s })",
        'length(split("t", s)) + 1',
        "-length(s)",
        '!(s == "x")',
        'concat([s], ["a"])',
        "merge({ a = s }, {})",
        "[s][*]",
        "try(s, 1)",
        'coalesce("", s)',
        '"${s}-${u}"',
        '"%{ if s == "x" }a%{ else }b%{ endif }"',
        '"%{ for c in split("t", s) }x%{ endfor }"',
        "[for c in [1] : c if s != 2]",
        "lookup({ hunter2 = 1 }, s, 2)",
        'contains(["hunter2"], s)',
        "max(length(s), 1)",
        'format("%s", s)',
        "u == s",
    ],
)
def test_a_value_computed_from_a_secret_is_tainted(text: str) -> None:
    assert is_tainted(evaluated(text)), text


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        '"${plain}b"',
        'plain == "a" ? "b" : "c"',
        '[s, "b"][1]',
        "{ a = s, b = plain }.b",
        'concat([s], ["b"])[1]',
    ],
)
def test_a_value_that_depends_on_no_secret_is_not_tainted(text: str) -> None:
    assert not is_tainted(evaluated(text)), text


@pytest.mark.parametrize(
    "text",
    [
        "s + 1",
        "max(s, 1)",
        "s.x",
        "{ a = 1 }[s]",
        "[1][s]",
        "{ for v in [1, 2] : s => v }",
        '"a-${s}-${u}"',
        "parseint(s, 10)",
        "lookup(s, s, 1)",
        'regex(s, "a")',
        "format(s, 1)",
        "s ? 1 : 2",
        "jsondecode(s)",
        "[for v in s : v]",
        "element([], s)",
    ],
)
def test_the_reason_of_an_unknown_never_shows_the_value(text: str) -> None:
    unknown = first_unknown(evaluated(text))

    assert unknown is not None, text
    assert "hunter2" not in unknown.why + unknown.pattern


def test_an_unknown_string_shows_the_expression_of_a_secret() -> None:
    value = evaluated('"files/${s}/${u}.sh"')

    assert isinstance(value, Unknown)
    assert (value.pattern, value.tainted) == ("files/${s}/${u}.sh", True)


def test_an_unknown_condition_gives_both_arms_as_candidates() -> None:
    value = evaluated('u ? "a.sh" : "b.sh"')

    assert isinstance(value, Unknown)
    assert value.candidates == ("a.sh", "b.sh")


def test_the_known_parts_of_an_unknown_string_are_kept_but_hidden() -> None:
    joined = concatenate([("cat ", "cat "), (SECRET, "${var.s}"), ("/x ", "/x "), (Unknown(why="w"), "${build.ID}")])

    for made in (joined, evaluated('"cat ${s}/x ${u}"')):
        assert isinstance(made, Unknown)
        assert made.known == f"cat hunter2/x {HOLE}"
        assert "hunter2" not in made.pattern + repr(made)
