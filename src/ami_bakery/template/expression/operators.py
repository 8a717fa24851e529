"""HCL's operators: arithmetic, comparison and logic on possibly unknown values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ami_bakery.template.expression import cty
from ami_bakery.template.expression.convert import convert
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.cty_types import BOOL, NUMBER, Type

if TYPE_CHECKING:
    from ami_bakery.template.expression.numbers import Number

_ARITHMETIC: dict[str, Callable[[Number, Number], Number]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
}
_COMPARISON: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    ">": lambda order: order > 0,
    "<=": lambda order: order <= 0,
    ">=": lambda order: order >= 0,
}


def unary(sign: str, value: Cty) -> Cty:
    if sign == "!":
        truth = _operand(value, BOOL)
        return truth if not truth.is_known else Cty(BOOL, not truth.raw, tainted=value.is_dirty)
    number = _operand(value, NUMBER)
    return number if not number.is_known else Cty(NUMBER, -number.raw, tainted=value.is_dirty)


def _operand(value: Cty, kind: Type) -> Cty:
    if value.is_null:
        raise EvaluationError("null is an operand")
    return convert(value, kind).copy_with(others=())


def binary(sign: str, left: Cty, right: Cty) -> Cty:
    if sign in ("==", "!="):
        return _equality(sign, left, right)
    if sign in ("&&", "||"):
        return _logic(sign, _operand(left, BOOL), _operand(right, BOOL))
    a, b = _operand(left, NUMBER), _operand(right, NUMBER)
    kind = BOOL if sign in _COMPARISON else NUMBER
    for value in (a, b):
        if not value.is_known:
            return cty.unknown(value.raw.why, kind).taint_by(a, b)
    return Cty(kind, _compute(sign, a.raw, b.raw)).taint_by(a, b)


def _compute(sign: str, a: Number, b: Number) -> Number | bool:
    if sign in _COMPARISON:
        order = a.compare(b)
        if sign in ("<=", ">=") and (order == 0) != cty.equals(cty.number(a), cty.number(b)):
            raise Unsure("whether the numbers are equal depends on the version of Packer")
        return _COMPARISON[sign](order)
    if sign not in _ARITHMETIC:
        raise Unsure(f"the operator `{sign}` is unknown")
    if sign in "/%" and not b.mantissa:
        raise Unsure("division by zero")
    if sign == "%" and not (a.is_whole and b.is_whole):
        raise Unsure("the remainder of numbers that are not whole depends on the version of Packer")
    return _ARITHMETIC[sign](a, b)


def _equality(sign: str, left: Cty, right: Cty) -> Cty:
    for value in (left, right):
        if not value.is_whole:
            return cty.unknown(cty.why_of(value) or cty.why_of(right), BOOL).taint_by(left, right)
    return Cty(BOOL, cty.equals(left, right) == (sign == "==")).taint_by(left, right)


def _logic(sign: str, left: Cty, right: Cty) -> Cty:
    decisive = sign == "||"
    for value, other in ((left, right), (right, left)):
        if value.is_known and value.raw is decisive:
            return Cty(BOOL, decisive, tainted=value.is_dirty or other.is_dirty)
    unknown = next((value for value in (left, right) if not value.is_known), None)
    if unknown is not None:
        return cty.unknown(unknown.raw.why, BOOL).taint_by(left, right)
    return Cty(BOOL, not decisive).taint_by(left, right)


def with_failure(sign: str, left: Cty | EvaluationError, right: Cty | EvaluationError) -> Cty:
    """Returns the result if one side fails: newer versions ignore that if the other side decides."""
    fault = left if isinstance(left, EvaluationError) else right
    assert isinstance(fault, EvaluationError)
    other = right if isinstance(left, EvaluationError) else left
    if sign not in ("&&", "||") or isinstance(other, EvaluationError):
        raise fault
    truth = _operand(other, BOOL)
    if not truth.is_known:
        raise Unsure(truth.raw.why)
    if truth.raw is (sign == "||"):
        return truth
    raise fault
