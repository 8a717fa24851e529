"""Regular expressions with RE2, which has Go's syntax, matches and linear time."""

from __future__ import annotations

import re
from typing import Any

from ami_bakery.template.expression import cty
from ami_bakery.template.expression.budget import MOST_TEXT, spend
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.cty_types import STRING, Type, object_of, tuple_of

_ONLY_ONE = re.compile(r"\\C|\(\?<|\\pN|\\p\{\^")
"""Syntax that Go's RE2 and C++'s RE2, or their versions, read differently."""
_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


def _compiled(pattern: str) -> Any:
    re2: Any
    try:
        import re2
    except ImportError:
        raise Unsure("regular expressions cannot be evaluated without google-re2") from None
    if _ONLY_ONE.search(pattern) or not pattern.isprintable() or len(pattern) > 2000:
        raise Unsure("only Packer can read the regular expression")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error:
        raise EvaluationError("the regular expression is not valid") from None


def _shape(compiled: Any) -> Type:
    names = {number: name for name, number in compiled.groupindex.items()}
    if names and len(names) < compiled.groups:
        raise EvaluationError("the regular expression has both named and unnamed groups")
    if names:
        return object_of(dict.fromkeys(names.values(), STRING))
    return tuple_of(*[STRING] * compiled.groups) if compiled.groups else STRING


def _match_value(found: Any, shape: Type) -> Cty:
    def text(group: str | None) -> Cty:
        return cty.null(STRING) if group is None else cty.text(group)

    if shape.kind == "object":
        return cty.object_value({name: text(found.group(name)) for name in shape.names})
    if shape.kind == "tuple":
        return cty.tuple_value(text(group) for group in found.groups())
    return cty.text(found.group(0))


def _matches(compiled: Any, text: str, *, replacing: bool) -> list[Any]:
    """Returns all matches as Go does: an empty one directly after another does not count."""
    result: list[Any] = []
    position, last_end, searched = 0, -1, 0
    while position <= len(text):
        searched += len(text)  # each search reads the whole string
        if searched > MOST_TEXT:
            raise Unsure("the string is too long for so many matches of a regular expression")
        found = compiled.search(text, position)
        if found is None:
            break
        start, end = found.span()
        if (end > last_end or (replacing and start == 0)) and not (start == end and start == last_end):
            result.append(found)
        last_end = end
        position = end if end > position else position + 1
        spend(steps=1)
    return result


def regex(pattern: Cty, value: Cty) -> Cty:
    compiled = _compiled(pattern.raw)
    shape = _shape(compiled)
    found = compiled.search(value.raw)
    if found is None:
        raise EvaluationError("the regular expression does not match")
    return _match_value(found, shape)


def regexall(pattern: Cty, value: Cty) -> Cty:
    compiled = _compiled(pattern.raw)
    shape = _shape(compiled)
    found = _matches(compiled, value.raw, replacing=False)
    return cty.list_value([_match_value(match, shape) for match in found], shape)


def regex_replace(value: Cty, pattern: Cty, replacement: Cty) -> Cty:
    compiled = _compiled(pattern.raw)
    text, result, end = value.raw, [], 0
    for found in _matches(compiled, text, replacing=True):
        start, after = found.span()
        result += [text[end:start], _expanded(found, replacement.raw, compiled)]
        end = after
        spend(text=len(result[-1]))
    result.append(text[end:])
    return cty.text("".join(result), value.location)


def _expanded(found: Any, template: str, compiled: Any) -> str:
    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        if name.isdigit():
            number = int(name[:9])
            if len(name) > 1 and name[0] == "0":
                raise Unsure("only Packer can read the replacement")
            return (found.group(number) or "") if number <= compiled.groups else ""
        return (found.group(name) or "") if name in compiled.groupindex else ""

    if re.search(r"\$(?:\{[^\w}]|\{\w*[^\w}]|[^\x00-\x7f])", template):
        raise Unsure("only Packer can read the replacement")
    return _REFERENCE.sub(group, template)
