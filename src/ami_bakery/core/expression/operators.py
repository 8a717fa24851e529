"""The operators of HCL: arithmetic, comparison and logic on values that may be unknown."""

from __future__ import annotations

import operator
from collections.abc import Callable

from ami_bakery.core.expression.values import Unknown, Value, as_bool, as_number, equal, first_unknown

_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_COMPARISON: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def whole_number(value: Value) -> int | Unknown:
    number = as_number(value)
    if isinstance(number, float) and number.is_integer():
        return int(number)
    return Unknown(why="a whole number is needed") if isinstance(number, float) else number


def same(left: Value, right: Value) -> bool:
    """Whether both are known, and equal."""
    return first_unknown(left) is None and first_unknown(right) is None and equal(left, right) is True


def unary(sign: str, value: Value) -> Value:
    if sign == "!":
        truth = as_bool(value)
        return truth if isinstance(truth, Unknown) else not truth
    number = as_number(value)
    return number if isinstance(number, Unknown) else -number


def binary(sign: str, left: Value, right: Value) -> Value:
    if sign in ("==", "!="):
        alike = equal(left, right)
        return alike if isinstance(alike, Unknown) else alike == (sign == "==")
    if sign in ("&&", "||"):
        return _logic(sign, as_bool(left), as_bool(right))
    a, b = as_number(left), as_number(right)
    if isinstance(a, Unknown):
        return a
    if isinstance(b, Unknown):
        return b
    if sign in _COMPARISON:
        return _COMPARISON[sign](a, b)
    return _compute(sign, a, b)


def _logic(sign: str, left: bool | Unknown, right: bool | Unknown) -> Value:
    decisive = sign == "||"
    if left is decisive or right is decisive:
        return decisive
    if isinstance(left, Unknown):
        return left
    return right


def _compute(sign: str, left: float, right: float) -> Value:
    if sign in "/%" and right == 0:
        return Unknown(why="it divides by zero")
    if sign == "%":
        remainder = abs(left) % abs(right)
        result = -remainder if left < 0 else remainder
    elif sign in _ARITHMETIC:
        result = _ARITHMETIC[sign](left, right)
    else:
        return Unknown(why=f"the operator `{sign}` is not known")
    return int(result) if isinstance(result, float) and result.is_integer() else result
