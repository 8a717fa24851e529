"""Renders Go templates in `{{...}}`: calls, pipes, fields. Control flow stays unknown."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ami_bakery.template.expression.known_values import (
    HOLE,
    Text,
    Unknown,
    Value,
    as_text,
    concatenate,
    first_unknown,
    is_tainted,
    taint,
)

GoFunctions: TypeAlias = Mapping[str, Callable[..., Value]]
"""By name; a function raises `ValueError` or `TypeError` if Go's fails."""

_CONTROL = frozenset({"if", "range", "with", "define", "template", "block", "else", "end", "break", "continue"})
_ACTION = re.compile(r"""\{\{(?>/\*.*?\*/|`[^`]*`|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?!\}\}).)*+\}\}""", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<raw>`[^`]*`)|(?P<string>"(?:\\.|[^"\\])*")|(?P<number>[-+]?\d[\w.]*)
    |(?P<field>(?:\.\w+)+|\.)|(?P<variable>\$\w*)|(?P<word>\w+)|(?P<sign>[|()]|:?=))""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str


def has_actions(text: str) -> bool:
    return "{{" in text


def render(text: str, functions: GoFunctions, *, fields_as_written: bool = False) -> str | Unknown:
    """Renders the template.

    fields_as_written  keep `{{ .Name }}` unchanged, as Packer does while it evaluates variables
    """
    return concatenate(_pieces(text, functions, fields_as_written))


def _pieces(text: str, functions: GoFunctions, fields_as_written: bool) -> Iterator[tuple[Value, str]]:
    position, trim_next = 0, False
    for found in _actions(text):
        action = found[0]
        before = text[position : found.start()]
        before = before.lstrip() if trim_next else before
        trim_before, trim_next = re.match(r"\{\{-\s", action) is not None, re.search(r"\s-\}\}$", action) is not None
        yield (before.rstrip() if trim_before else before), before
        position = found.end()
        inside = action[3 if trim_before else 2 : -3 if trim_next else -2].strip()
        if inside.startswith("/*"):
            continue
        if fields_as_written and re.fullmatch(r"\.[\w.]*", inside):
            yield action, action
            continue
        words = inside.split(None, 1)
        if words and words[0] in _CONTROL:
            why = f"only Packer evaluates `{{{{{words[0]}}}}}`"
            rest = text[found.start() :]
            yield Unknown(why=why, pattern=rest, known=_ACTION.sub(HOLE, rest)), action
            return
        yield _value(inside, functions), action
    rest = text[position:]
    if "{{" in rest:
        yield Unknown(why="a `{{` is not closed", pattern=rest), rest
    else:
        yield (rest.lstrip() if trim_next else rest), rest


def _actions(text: str) -> Iterator[re.Match[str]]:
    """Yields the actions before the first unclosed one, in linear time."""
    position = text.find("{{")
    while position >= 0 and (found := _ACTION.match(text, position)):
        yield found
        position = text.find("{{", found.end())


def _value(inside: str, functions: GoFunctions) -> Value:
    try:
        tokens = list(_tokens(inside))
        value, end = _pipeline(tokens, 0, functions)
    except (ValueError, TypeError, AttributeError, LookupError, SyntaxError):
        return Unknown(why=f"`{{{{{inside}}}}}` cannot be evaluated")
    if end != len(tokens):
        return Unknown(why=f"`{{{{{inside}}}}}` is not a valid template")
    return value


def _tokens(inside: str) -> Iterator[_Token]:
    position = 0
    while inside[position:].strip():
        found = _TOKEN.match(inside, position)
        if not found or not found.lastgroup:
            raise ValueError(f"`{inside[position:]}` is not valid")
        yield _Token(kind=found.lastgroup, text=found[found.lastgroup])
        position = found.end()


def _pipeline(tokens: Sequence[_Token], position: int, functions: GoFunctions) -> tuple[Value, int]:
    value, position = _command(tokens, position, functions, ())
    while position < len(tokens) and tokens[position].text == "|":
        value, position = _command(tokens, position + 1, functions, (value,))
    return value, position


def _command(
    tokens: Sequence[_Token], position: int, functions: GoFunctions, piped: tuple[Value, ...]
) -> tuple[Value, int]:
    head = tokens[position]
    if head.kind != "word" or head.text in ("true", "false", "nil"):
        return _operand(tokens, position, functions)
    arguments: list[Value] = []
    position += 1
    while position < len(tokens) and tokens[position].text not in ("|", ")"):
        argument, position = _operand(tokens, position, functions)
        arguments.append(argument)
    return _call(head.text, (*arguments, *piped), functions), position


def _operand(tokens: Sequence[_Token], position: int, functions: GoFunctions) -> tuple[Value, int]:
    token = tokens[position]
    match token.kind:
        case "raw":
            return token.text[1:-1], position + 1
        case "string":
            return str(ast.literal_eval(token.text)), position + 1
        case "number":
            return int(token.text, 0), position + 1
        case "field" | "variable":
            return Unknown(why=f"`{token.text}` is known only when Packer runs"), position + 1
        case "word" if token.text in ("true", "false"):
            return token.text == "true", position + 1
        case "word":
            return _call(token.text, (), functions), position + 1
        case _ if token.text == "(":
            value, end = _pipeline(tokens, position + 1, functions)
            if end >= len(tokens) or tokens[end].text != ")":
                raise ValueError("a parenthesis is not closed")
            return value, end + 1
    raise ValueError(f"`{token.text}` is not expected here")


def _call(name: str, arguments: Sequence[Value], functions: GoFunctions) -> Value:
    function = functions.get(name)
    if function is None:
        return Unknown(why=f"`{{{{{name}}}}}` is known only when Packer runs")
    unknown = next((found for argument in arguments if (found := first_unknown(argument))), None)
    tainted = next((argument for argument in arguments if is_tainted(argument)), None)
    if unknown:
        return Unknown(why=unknown.why, tainted=tainted is not None)
    given = function(*(argument if isinstance(argument, int) else as_text(argument) for argument in arguments))
    return taint(given, tainted.location) if isinstance(tainted, Text) else given
