"""Values of template expressions: known, or unknown with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from ami_bakery.template.expression.budget import spend
from ami_bakery.values import Frozen, field, replace

if TYPE_CHECKING:
    from ami_bakery.template.location import SourceLocation

CHECKOUT = "/\ufdd0"
"""Marks the absolute path of the root, which must not influence a digest."""

HOLE = "\ufdd1"
"""Marks a part in `Unknown.known` that only Packer knows."""


def shown(text: str) -> str:
    """Returns the text for messages: paths relative to the root, without internal marks."""
    if "\ufdd0" not in text and HOLE not in text:
        return text
    relative = text.replace(f"{CHECKOUT}/", "").replace(CHECKOUT, ".")
    return relative.replace(CHECKOUT[1], "<repository>").replace(HOLE, "...")


class Text(str):
    """A string with its location. `tainted`: see `is_tainted`."""

    location: SourceLocation
    tainted: bool

    def __new__(cls, text: str, location: SourceLocation, *, tainted: bool = False) -> Text:
        result = super().__new__(cls, text)
        result.location = location
        result.tainted = tainted
        return result


class Whole(int):
    """A tainted whole number."""

    tainted = True


class Real(float):
    """A number that is not whole. `text`: all its digits, as Packer writes them; a float has fewer."""

    text: str
    tainted: bool

    def __new__(cls, number: float, text: str = "", *, tainted: bool = False) -> Real:
        result = super().__new__(cls, number)
        result.text = text
        result.tainted = tainted
        return result


class Flag(int):
    """A tainted bool; `bool` cannot carry a mark."""

    tainted = True


class Unknown(Frozen):
    """A value that is unknown before Packer runs.

    why         the reason, as a clause; it has types, functions and expressions, never a value
    pattern     the string with unknown and tainted parts as written; empty if the value may not be a string
    candidates  known possible values; there may be others
    known       the string with `HOLE` for each unknown part; it may contain secrets: messages must hide it
    tainted     see `is_tainted`
    """

    why: str
    pattern: str = field(default="", compare=False)
    candidates: tuple[Value, ...] = field(default=(), compare=False)
    tainted: bool = field(default=False, compare=False)
    known: str = field(default="", compare=False, repr=False)


Value: TypeAlias = "bool | int | float | str | Unknown | tuple[Value, ...] | Mapping[str, Value] | None"


def is_mapping(value: Any) -> TypeGuard[Mapping[str, Value]]:
    return isinstance(value, Mapping)


def is_sequence(value: Value) -> TypeGuard[tuple[Value, ...]]:
    return isinstance(value, tuple)


def first_unknown(value: Value) -> Unknown | None:
    """Returns the first unknown part of `value`, at any depth."""
    if isinstance(value, Unknown):
        return value
    children: Iterable[Value] = ()
    if is_mapping(value):
        children = value.values()
    elif is_sequence(value):
        children = value
    return next((found for child in children if (found := first_unknown(child))), None)


def is_tainted(value: Value) -> bool:
    """Whether `value` depends, at any depth, on data that messages must hide.

    Such data is a file, the environment, a data source or a sensitive value. Messages must hide the value: show the
    expression as written.
    """
    if is_mapping(value):
        return any(is_tainted(key) or is_tainted(child) for key, child in value.items())
    if is_sequence(value):
        return any(is_tainted(child) for child in value)
    return bool(getattr(value, "tainted", False))


def taint(value: Value, location: SourceLocation) -> Value:
    """Returns the value tainted at every depth. `location`: for strings that have none."""
    match value:
        case str():
            return Text(value, location_of(value, location), tainted=True)
        case Unknown():
            return replace(value, tainted=True, pattern="")
        case bool() | Flag():
            return Flag(value)
        case float():
            return Real(value, value.text if isinstance(value, Real) else "", tainted=True)
        case int():
            return Whole(value)
        case tuple():
            return tuple(taint(child, location) for child in value)
        case Mapping():
            return {name: taint(child, location) for name, child in value.items()}
        case _:
            return value


def names_checkout(value: Value) -> bool:
    """Whether `value` contains the path of the checkout."""
    if isinstance(value, str):
        return CHECKOUT[1] in value
    if is_mapping(value):
        return any(names_checkout(key) or names_checkout(child) for key, child in value.items())
    return is_sequence(value) and any(names_checkout(child) for child in value)


def as_text(value: Value) -> str | Unknown:
    """Converts a primitive to a string as HCL does; other values are unknown."""
    if isinstance(value, str | Unknown):
        return value
    if isinstance(value, bool | Flag):
        return "true" if value else "false"
    if isinstance(value, Real) and value.text:
        return value.text
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return Unknown(why="expected a string, got another type")


def as_bool(value: Value) -> bool | Unknown:
    if isinstance(value, bool | Unknown):
        return value
    if isinstance(value, Flag):
        return bool(value)
    if isinstance(value, str) and value in ("true", "false", "1", "0"):
        return value in ("true", "1")
    return Unknown(why="expected a bool, got another value")


def location_of(value: Value, otherwise: SourceLocation) -> SourceLocation:
    return value.location if isinstance(value, Text) else otherwise


def concatenate(parts: Iterable[tuple[Value, str]]) -> str | Unknown:
    """Joins parts to one string, each given with its written form. One unknown part makes the result unknown."""
    text = pattern = known = ""
    length = 0
    unknown: Unknown | None = None
    source: Text | None = None
    tainted = False
    for value, written in parts:
        piece = as_text(value)
        tainted = tainted or is_tainted(value)
        length += len(piece) if isinstance(piece, str) else max(len(piece.known), len(piece.pattern))
        spend(text=length)
        if isinstance(piece, str):
            source = value if source is None and isinstance(value, Text) and value.tainted else source
            text, pattern = text + piece, pattern + (written if is_tainted(value) else piece)
            known += piece
            continue
        unknown = unknown or piece
        pattern += piece.pattern or written
        known += piece.known or HOLE
    if unknown:
        return Unknown(why=unknown.why, pattern=pattern, tainted=tainted, known=known)
    return Text(text, source.location, tainted=True) if source else text


def equal(left: Value, right: Value) -> bool | Unknown:
    unknown = first_unknown(left) or first_unknown(right)
    if unknown:
        return unknown
    if left == right and isinstance(left, bool) == isinstance(right, bool):
        return True
    if (names_checkout(left) or names_checkout(right)) and left not in ("", None) and right not in ("", None):
        return Unknown(why="it depends on the path of the checkout")
    return False
