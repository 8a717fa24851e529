"""cty's numbers: Go's `big.Float`, binary with its own precision, rounded half to even."""

from __future__ import annotations

import re

_WRITTEN = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:([eEpP])([+-]?\d+))?")
_LARGEST = 4000
"""Limit for the bits of an exponent and the digits of a string."""


class NumberTooLarge(ValueError):
    """A number that takes too long to evaluate."""


class Number:
    """`sign * mantissa * 2**exponent`; the mantissa is odd or zero. `precision` in bits decides how results round."""

    __slots__ = ("exponent", "mantissa", "negative", "precision")

    def __init__(self, negative: bool, mantissa: int, exponent: int, precision: int) -> None:
        if mantissa:
            zeros = (mantissa & -mantissa).bit_length() - 1
            mantissa >>= zeros
            exponent += zeros
            length = mantissa.bit_length()
            if length > precision:
                mantissa, exponent = _rounded(mantissa, exponent, length - precision)
            if abs(exponent) + mantissa.bit_length() > _LARGEST:
                raise NumberTooLarge
        else:
            exponent = 0
        self.negative, self.mantissa, self.exponent, self.precision = negative, mantissa, exponent, precision

    @staticmethod
    def whole(value: int) -> Number:
        """Returns the number of Go's `SetInt`."""
        return Number(value < 0, abs(value), 0, max(64, abs(value).bit_length()))

    @staticmethod
    def of_float(value: float) -> Number:
        top, bottom = value.as_integer_ratio()
        return Number(str(value).startswith("-"), abs(top), 1 - bottom.bit_length(), 53)

    @staticmethod
    def parse(text: str) -> Number | None:
        """Parses a string as cty does; None if it is not a number."""
        found = _WRITTEN.fullmatch(text)
        if not found or not text.isascii():
            return None
        sign, before, after, kind, power = found.groups()
        digits = (before or "") + (after or "")
        if not digits:
            return None
        if len(digits) > _LARGEST or len(power or "") > 9 or abs(int(power or 0)) > _LARGEST:
            raise NumberTooLarge
        mantissa, ten, two = int(digits), -len(after or ""), 0
        if kind:
            ten, two = (ten + int(power), 0) if kind in "eE" else (ten, int(power))
        if ten >= 0:
            return Number(sign == "-", mantissa * 10**ten, two, 512)
        return _quotient(sign == "-", mantissa, 10**-ten, two, 512)

    # --- arithmetic

    def __add__(self, other: Number) -> Number:
        precision = max(self.precision, other.precision)
        if not self.mantissa and not other.mantissa:
            return Number(self.negative and other.negative, 0, 0, precision)
        low = min(self.exponent, other.exponent)
        total = self._scaled(low) + other._scaled(low)
        return Number(total < 0, abs(total), low, precision)

    def __neg__(self) -> Number:
        return Number(not self.negative, self.mantissa, self.exponent, self.precision)

    def __sub__(self, other: Number) -> Number:
        return self + -other

    def __mul__(self, other: Number) -> Number:
        negative = self.negative != other.negative
        exponent = self.exponent + other.exponent
        exact = Number(negative, self.mantissa * other.mantissa, exponent, 512)
        precision = max(self.precision, other.precision, exact.mantissa.bit_length())
        return Number(negative, exact.mantissa, exact.exponent, precision)

    def __truediv__(self, other: Number) -> Number:
        if not other.mantissa:
            raise ZeroDivisionError
        precision = max(self.precision, other.precision)
        negative = self.negative != other.negative
        return _quotient(negative, self.mantissa, other.mantissa, self.exponent - other.exponent, precision)

    def __mod__(self, other: Number) -> Number:
        if not other.mantissa:
            return self
        floor = (self / other).truncated()
        work = Number(floor < 0, abs(floor), 0, self.precision)
        product = Number(
            other.negative != work.negative,
            other.mantissa * work.mantissa,
            other.exponent + work.exponent,
            work.precision,
        )
        result = self + -product
        return Number(result.negative, result.mantissa, result.exponent, work.precision)

    def __abs__(self) -> Number:
        return Number(False, self.mantissa, self.exponent, self.precision)

    # --- comparison

    def compare(self, other: Number) -> int:
        low = min(self.exponent, other.exponent)
        difference = self._scaled(low) - other._scaled(low)
        return (difference > 0) - (difference < 0)

    def _scaled(self, exponent: int) -> int:
        scaled = self.mantissa << (self.exponent - exponent)
        return -scaled if self.negative else scaled

    # --- conversion

    @property
    def is_whole(self) -> bool:
        return self.exponent >= 0

    def truncated(self) -> int:
        size = self.mantissa << self.exponent if self.exponent >= 0 else self.mantissa >> -self.exponent
        return -size if self.negative else size

    def as_float(self) -> float:
        if self.exponent >= 0:
            return float(self.truncated())
        value = self.mantissa / (1 << -self.exponent)
        return -value if self.negative else value

    def text(self) -> str:
        """Formats as cty does: all significant digits, no exponent."""
        if self.exponent >= 0 and self.mantissa and self.mantissa.bit_length() + self.exponent <= self.precision:
            return str(self.truncated())
        return self.formatted("f", -1)

    def formatted(self, form: str, digits: int) -> str:
        """Go's `big.Float.Text`."""
        sign = "-" if self.negative else ""
        decimal = _Decimal.of(self.mantissa, self.exponent)
        shortest = digits < 0
        if shortest:
            _round_shortest(decimal, self)
            digits = {"e": len(decimal.digits) - 1, "f": max(len(decimal.digits) - decimal.point, 0)}.get(
                form.lower(), len(decimal.digits)
            )
        elif form in "eE":
            decimal.round(1 + digits)
        elif form == "f":
            decimal.round(decimal.point + digits)
        else:
            digits = digits or 1
            decimal.round(digits)
        if form in "eE":
            return sign + decimal.with_exponent(form, digits)
        if form == "f":
            return sign + decimal.plain(digits)
        return sign + _general(decimal, form, digits, shortest)


def _rounded(mantissa: int, exponent: int, surplus: int) -> tuple[int, int]:
    kept, dropped, half = mantissa >> surplus, mantissa & ((1 << surplus) - 1), 1 << (surplus - 1)
    if dropped > half or (dropped == half and kept & 1):
        kept += 1
    zeros = (kept & -kept).bit_length() - 1
    return kept >> zeros, exponent + surplus + zeros


def _quotient(negative: bool, top: int, bottom: int, exponent: int, precision: int) -> Number:
    shift = max(0, precision + 2 + bottom.bit_length() - top.bit_length())
    whole, rest = divmod(top << shift, bottom)
    # A sticky last bit decides which way a half is rounded.
    return Number(negative, whole << 1 | (rest != 0), exponent - shift - 1, precision)


class _Decimal:
    """`0.digits * 10**point`; the digits have no trailing zero."""

    def __init__(self, digits: str, point: int) -> None:
        self.digits = digits.rstrip("0")
        self.point = point if self.digits else 0

    @staticmethod
    def of(mantissa: int, exponent: int) -> _Decimal:
        if not mantissa:
            return _Decimal("", 0)
        if exponent >= 0:
            digits = str(mantissa << exponent)
            return _Decimal(digits, len(digits))
        digits = str(mantissa * 5**-exponent)
        return _Decimal(digits, len(digits) + exponent)

    def at(self, position: int) -> str:
        return self.digits[position] if 0 <= position < len(self.digits) else "0"

    def round(self, length: int) -> None:
        if length < 0 or length >= len(self.digits):
            return
        if self.digits[length] == "5" and length + 1 == len(self.digits):
            up = length > 0 and int(self.digits[length - 1]) % 2 == 1
        else:
            up = self.digits[length] >= "5"
        self.round_up(length) if up else self.round_down(length)

    def round_up(self, length: int) -> None:
        if length < 0 or length >= len(self.digits):
            return
        kept = self.digits[:length].rstrip("9")
        if kept:
            self.digits = kept[:-1] + str(int(kept[-1]) + 1)
        else:
            self.digits, self.point = "1", self.point + 1

    def round_down(self, length: int) -> None:
        if 0 <= length < len(self.digits):
            self.digits = self.digits[:length].rstrip("0")
            self.point = self.point if self.digits else 0

    def plain(self, after: int) -> str:
        whole = self.digits[: max(self.point, 0)].ljust(self.point, "0") if self.point > 0 else "0"
        if after <= 0:
            return whole
        return whole + "." + "".join(self.at(self.point + number) for number in range(after))

    def with_exponent(self, letter: str, after: int) -> str:
        result = self.digits[:1] or "0"
        if after > 0:
            result += "." + self.digits[1 : after + 1].ljust(after, "0")
        power = self.point - 1 if self.digits else 0
        return f"{result}{letter}{'-' if power < 0 else '+'}{abs(power):02d}"


def _general(decimal: _Decimal, form: str, digits: int, shortest: bool) -> str:
    length = len(decimal.digits)
    limit = length if digits > length and length >= decimal.point else digits
    limit = 6 if shortest else limit
    power = decimal.point - 1
    if power < -4 or power >= limit:
        return decimal.with_exponent("e" if form == "g" else "E", min(digits, length) - 1)
    digits = length if digits > decimal.point else digits
    return decimal.plain(max(digits - decimal.point, 0))


def _round_shortest(decimal: _Decimal, number: Number) -> None:
    """Rounds to the fewest digits that distinguish the number from its neighbours. These have the same precision."""
    if not decimal.digits:
        return
    shift = number.mantissa.bit_length() - (number.precision + 1)
    mantissa = number.mantissa << -shift if shift < 0 else number.mantissa >> shift
    exponent = number.exponent + shift
    lower, upper = _Decimal.of(mantissa - 1, exponent), _Decimal.of(mantissa + 1, exponent)
    inclusive = mantissa & 2 == 0
    for position, digit in enumerate(decimal.digits):
        low, high = lower.at(position), upper.at(position)
        down = low != digit or (inclusive and position + 1 == len(lower.digits))
        up = digit != high and (inclusive or chr(ord(digit) + 1) < high or position + 1 < len(upper.digits))
        if down and up:
            decimal.round(position + 1)
        elif down:
            decimal.round_down(position + 1)
        elif up:
            decimal.round_up(position + 1)
        if down or up:
            return
