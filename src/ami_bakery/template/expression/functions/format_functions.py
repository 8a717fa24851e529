"""`format()` and `formatlist()`, with cty's verbs and Go's formats of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ami_bakery.template.expression import cty, graphemes
from ami_bakery.template.expression.budget import spend
from ami_bakery.template.expression.convert import convert
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.cty_types import BOOL, NUMBER, STRING
from ami_bakery.template.expression.functions.json_and_csv import json_text

_VERB = re.compile(
    r"%(?:(?P<percent>%)|(?P<flags>[-+ 0#]*)(?P<width>[1-9][0-9]*)?(?P<precision>\.[0-9]*)?"
    r"(?:\[(?P<number>[1-9][0-9]*)\])?(?P<mode>[a-zA-Z]))",
)


class _Verb:
    def __init__(self, found: re.Match[str]) -> None:
        self.flags: str = found["flags"]
        self.width = int(found["width"]) if found["width"] else -1
        self.precision = int(found["precision"][1:] or 0) if found["precision"] is not None else -1
        self.mode: str = found["mode"]


def format_(form: Cty, *arguments: Cty) -> Cty:
    location = form.location or next((argument.location for argument in arguments if argument.location), None)
    return cty.text(_formatted(form.raw, arguments), location)


def formatlist(form: Cty, *arguments: Cty) -> Cty:
    lists = [argument for argument in arguments if argument.type.is_sequence and not argument.is_null]
    if len({len(each.raw) for each in lists}) > 1:
        raise EvaluationError("the lists have different lengths")
    count = len(lists[0].raw) if lists else 1
    result = []
    for number in range(count):
        row = [
            [item for _, item in argument.items()][number] if any(argument is each for each in lists) else argument
            for argument in arguments
        ]
        result.append(cty.text(_formatted(form.raw, row), form.location))
    return cty.list_value(result, STRING)


def _formatted(template: str, arguments: Sequence[Cty]) -> str:
    if any(argument.type.kind == "dynamic" for argument in arguments):
        raise Unsure("only Packer can format null without a type")
    result: list[str] = []
    position = highest = 0
    following = 1
    while position < len(template):
        if template[position] != "%":
            end = template.find("%", position)
            end = len(template) if end < 0 else end
            result.append(template[position:end])
            position = end
            continue
        found = _VERB.match(template, position)
        if found is None:
            raise EvaluationError("the format is not valid")
        position = found.end()
        if found["percent"]:
            result.append("%")
            continue
        number = int(found["number"]) if found["number"] else following
        highest, following = max(highest, number), number + 1
        if number > len(arguments):
            raise EvaluationError("too few arguments for the format")
        result.append(_one(_Verb(found), arguments[number - 1]))
    if highest < len(arguments):
        raise EvaluationError("too many arguments for the format")
    spend(text=sum(map(len, result)))
    return "".join(result)


def _one(verb: _Verb, value: Cty) -> str:
    if verb.mode != "v" and value.is_null:
        raise EvaluationError("null cannot be formatted")
    spend(text=max(verb.width, 0) + max(verb.precision, 0))
    match verb.mode:
        case "v":
            return _padded(verb, _as_is(verb, value))
        case "t":
            return "true" if convert(value, BOOL).raw else "false"
        case "s" | "q":
            return _text(verb, convert(value, STRING))
        case "b" | "d" | "o" | "x" | "X":
            return _integer(verb, convert(value, NUMBER))
        case "e" | "E" | "f" | "g" | "G":
            return _float(verb, convert(value, NUMBER))
    raise EvaluationError("the format has an unknown verb")


def _as_is(verb: _Verb, value: Cty) -> str:
    if "#" not in verb.flags and not value.is_null:
        if value.type == STRING:
            return str(value.raw)
        if value.type == NUMBER:
            return str(value.raw.formatted("g", -1))
    return json_text(value)


def _text(verb: _Verb, value: Cty) -> str:
    shown = value.raw
    if verb.precision > 0:
        if value.has_checkout_path:
            raise Unsure("it depends on the path of the checkout")
        shown = "".join(graphemes.clusters(shown)[: verb.precision])
    return _padded(verb, shown if verb.mode == "s" else json_text(cty.text(shown)))


def _padded(verb: _Verb, shown: str) -> str:
    if verb.width < 0:
        return shown
    if "\ufdd0" in shown:
        raise Unsure("it depends on the path of the checkout")
    missing = verb.width - len(graphemes.clusters(shown))
    padding = ("0" if "0" in verb.flags else " ") * max(missing, 0)
    return shown + padding if "-" in verb.flags else padding + shown


def _sign(verb: _Verb, negative: bool) -> str:
    return "-" if negative else "+" if "+" in verb.flags else " " if " " in verb.flags else ""


def _integer(verb: _Verb, value: Cty) -> str:
    number = value.raw
    if not number.is_whole:
        raise EvaluationError("expected a whole number")
    size = number.truncated()
    digits: str = format(abs(size), verb.mode)
    prefix = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}.get(verb.mode, "") if "#" in verb.flags else ""
    sign: str = _sign(verb, size < 0)
    if verb.precision == 0 and size == 0:
        return ""
    digits = digits.rjust(verb.precision, "0")
    missing = verb.width - len(sign) - len(prefix) - len(digits)
    if missing <= 0:
        return sign + prefix + digits
    if "-" in verb.flags:
        return sign + prefix + digits + " " * missing
    if "0" in verb.flags and verb.precision < 0:
        return sign + prefix + "0" * missing + digits
    return " " * missing + sign + prefix + digits


def _float(verb: _Verb, value: Cty) -> str:
    precision = verb.precision
    if precision < 0:
        precision = -1 if verb.mode in "gG" else 6
    shown: str = value.raw.formatted(verb.mode, precision)
    negative = shown.startswith("-")
    shown = shown.lstrip("-")
    sign = _sign(verb, negative)
    missing = max(verb.width - len(sign) - len(shown), 0)
    # Since Go 1.23, a minus flag overrides a zero flag.
    if "0" in verb.flags and "-" in verb.flags and missing:
        raise Unsure("how the number is padded depends on the version of Packer")
    if "0" in verb.flags:
        return sign + "0" * missing + shown
    return sign + shown + " " * missing if "-" in verb.flags else " " * missing + sign + shown
