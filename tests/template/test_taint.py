"""A value that a file, the environment or a secret had a part in is marked, so that no message shows it."""

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


def work_out(text: str) -> Value:
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
def test_what_is_made_of_a_secret_is_tainted(text: str) -> None:
    assert is_tainted(work_out(text)), text


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
def test_what_no_secret_had_a_part_in_is_not_tainted(text: str) -> None:
    assert not is_tainted(work_out(text)), text


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
def test_why_something_is_unknown_never_shows_the_value(text: str) -> None:
    unknown = first_unknown(work_out(text))

    assert unknown is not None, text
    assert "hunter2" not in unknown.why + unknown.pattern


def test_an_unknown_text_shows_a_secret_as_it_is_written() -> None:
    value = work_out('"files/${s}/${u}.sh"')

    assert isinstance(value, Unknown)
    assert (value.pattern, value.tainted) == ("files/${s}/${u}.sh", True)


def test_an_unknown_condition_gives_both_arms_as_candidates() -> None:
    value = work_out('u ? "a.sh" : "b.sh"')

    assert isinstance(value, Unknown)
    assert value.candidates == ("a.sh", "b.sh")


def test_what_is_known_of_an_unknown_text_is_kept_and_never_shown() -> None:
    joined = concatenate([("cat ", "cat "), (SECRET, "${var.s}"), ("/x ", "/x "), (Unknown(why="w"), "${build.ID}")])

    for made in (joined, work_out('"cat ${s}/x ${u}"')):
        assert isinstance(made, Unknown)
        assert made.known == f"cat hunter2/x {HOLE}"
        assert "hunter2" not in made.pattern + repr(made)
