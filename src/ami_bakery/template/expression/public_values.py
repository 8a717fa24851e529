"""Converts between the evaluator's values and the rest of the program's values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.template.expression import cty
from ami_bakery.template.expression.alternatives import alternatives
from ami_bakery.template.expression.cty import Cty, Missing
from ami_bakery.template.expression.cty_types import BOOL, NUMBER
from ami_bakery.template.expression.known_values import Flag, Real, Text, Unknown, Value, Whole, is_mapping, is_tainted
from ami_bakery.template.expression.numbers import Number

if TYPE_CHECKING:
    from ami_bakery.template.location import SourceLocation


def to_value(value: Cty, location: SourceLocation, *, tainted: bool = False, candidates: bool = True) -> Value:
    """Converts a value. `location`: for strings without one. `candidates`: include possible values of unknowns."""
    tainted = tainted or value.tainted
    raw = value.raw
    if isinstance(raw, str):
        return Text(raw, value.location or location, tainted=tainted)
    if isinstance(raw, Number):
        return _number(raw, tainted)
    if isinstance(raw, bool):
        return Flag(raw) if tainted else raw
    if isinstance(raw, Missing):
        given = alternatives(value) if candidates else []
        found = tuple(to_value(other, location, tainted=tainted, candidates=False) for other in given)
        return Unknown(why=raw.why, pattern=raw.pattern, candidates=found, tainted=tainted, known=raw.known)
    if isinstance(raw, tuple):
        return tuple(to_value(child, location, tainted=tainted) for child in raw)
    if isinstance(raw, dict):
        return {name: to_value(child, location, tainted=tainted) for name, child in raw.items()}
    return None


def _number(number: Number, tainted: bool) -> Value:
    if number.is_whole:
        return Whole(number.truncated()) if tainted else number.truncated()
    return Real(number.as_float(), number.text(), tainted=tainted)


def from_value(value: Value) -> Cty:
    """Converts to an evaluator's value: sequences become tuples, mappings become objects."""
    tainted = not isinstance(value, tuple | dict) and is_tainted(value)
    if isinstance(value, Unknown):
        result = cty.unknown(value.why, pattern=value.pattern, known=value.known, tainted=tainted)
        return result.with_others(from_value(candidate) for candidate in value.candidates)
    if isinstance(value, str):
        return cty.text(value, value.location if isinstance(value, Text) else None, tainted=tainted)
    if isinstance(value, bool | Flag):
        return Cty(BOOL, bool(value), tainted=tainted)
    if isinstance(value, float):
        written = value.text if isinstance(value, Real) and value.text else repr(value)
        return Cty(NUMBER, Number.parse(written), tainted=tainted)
    if isinstance(value, int):
        return Cty(NUMBER, Number.whole(value), tainted=tainted)
    if is_mapping(value):
        return cty.object_value({str(name): from_value(child) for name, child in value.items()})
    if isinstance(value, tuple):
        return cty.tuple_value(from_value(child) for child in value)
    return cty.null()
