"""Packer's functions of numbers."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from ami_bakery.template.expression import cty
from ami_bakery.template.expression.convert import convert
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.cty_types import NUMBER
from ami_bakery.template.expression.functions.text_functions import int_of
from ami_bakery.template.expression.numbers import Number

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def absolute(value: Cty) -> Cty:
    return cty.number(abs(value.raw))


def _whole(value: Cty, size: int) -> Cty:
    if abs(size) >= 1 << 53:
        raise Unsure("the rounding of such a large number depends on the version of Packer")
    # Go stores the whole number in the existing float, with its precision.
    return cty.number(Number(size < 0, abs(size), 0, value.raw.precision))


def ceil(value: Cty) -> Cty:
    number = value.raw
    size = number.truncated()
    if not number.is_whole and not number.negative:
        size += 1
    return _whole(value, size)


def floor(value: Cty) -> Cty:
    number = value.raw
    size = number.truncated()
    if not number.is_whole and number.negative:
        size -= 1
    return _whole(value, size)


def _of_float(result: float) -> Cty:
    if math.isinf(result) or math.isnan(result):
        raise Unsure("the result is infinite or not a number")
    return cty.number(Number.of_float(result))


def log(value: Cty, base: Cty) -> Cty:
    a, b = value.raw.as_float(), base.raw.as_float()
    if a == 1 and b > 1:
        return _of_float(0.0)
    raise Unsure("the last digits of a logarithm differ between machines")


def power(value: Cty, exponent: Cty) -> Cty:
    a, b = value.raw.as_float(), exponent.raw.as_float()
    try:
        result = math.pow(a, b)
    except (OverflowError, ValueError):
        raise Unsure("the power is infinite or not a number") from None
    if _is_exact(a, b):
        return _of_float(result)
    raise Unsure("the digits of a power differ between machines")


def _is_exact(base: float, exponent: float) -> bool:
    """Whether a float holds the power exactly, without rounding."""
    if not exponent.is_integer() or abs(exponent) > 64:
        return False
    power = Fraction(base) ** int(exponent) if base or exponent >= 0 else None
    return power is not None and power.numerator.bit_length() <= 53 and power.denominator.bit_count() == 1


def signum(value: Cty) -> Cty:
    number = int_of(value)
    return cty.whole((number > 0) - (number < 0))


def maximum(*arguments: Cty) -> Cty:
    return _extreme(arguments, 1)


def minimum(*arguments: Cty) -> Cty:
    return _extreme(arguments, -1)


def _extreme(arguments: tuple[Cty, ...], wanted: int) -> Cty:
    if not arguments:
        raise EvaluationError("expected a number")
    found = arguments[0]
    for argument in arguments[1:]:
        if argument.raw.compare(found.raw) == wanted:
            found = argument
    return cty.number(found.raw)


def total(items: Cty) -> Cty:
    if not items.type.is_sequence and not items.type.is_mapping:
        raise EvaluationError("expected a list of numbers")
    if not items.raw or not items.type.is_sequence:
        raise EvaluationError("expected a list of numbers")
    numbers = [convert(item, NUMBER) for item in items.raw]
    if any(number.is_null for number in numbers):
        raise EvaluationError("null is not a number")
    result = numbers[0].raw
    for number in numbers[1:]:
        result = result + number.raw
    return cty.number(result)


def parseint(value: Cty, base: Cty) -> Cty:
    if value.type.kind != "string":
        raise EvaluationError("expected a string")
    radix = int_of(base)
    if not 2 <= radix <= 62:
        raise EvaluationError("the base is not between 2 and 62")
    found = re.fullmatch(r"([+-]?)([0-9a-zA-Z]+)", value.raw)
    if not found or not value.raw.isascii():
        raise EvaluationError("the string is not a whole number of that base")
    if len(found[2]) > 1000:
        raise Unsure("the number is too long")
    digits = found[2].lower() if radix <= 36 else found[2]
    size = 0
    for digit in digits:
        worth = _DIGITS.index(digit)
        if worth >= radix:
            raise EvaluationError("the string is not a whole number of that base")
        size = size * radix + worth
    return cty.whole(-size if found[1] == "-" else size)


def range_(*limits: Cty) -> Cty:
    if not 1 <= len(limits) <= 3:
        raise EvaluationError("expected one, two or three numbers")
    numbers = [limit.raw for limit in limits]
    start, end = (Number.whole(0), numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])
    step = numbers[2] if len(numbers) == 3 else Number.whole(-1 if end.compare(start) < 0 else 1)
    if not step.mantissa:
        raise Unsure("the step is zero")
    down = step.negative
    if end.compare(start) == (1 if down else -1):
        raise EvaluationError("the end is on the wrong side of the start")
    result: list[Cty] = []
    number = start
    while number.compare(end) == (1 if down else -1):
        if len(result) >= 1024:
            raise EvaluationError("there are more than 1024 values")
        result.append(cty.number(number))
        number = number + step
    return cty.list_value(result, NUMBER)
