"""What an expression of a template comes to: a value, or the reason why only Packer can know it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from ami_bakery.template.expression.budget import spend
from ami_bakery.values import Frozen, field, replace

if TYPE_CHECKING:
    from ami_bakery.template.location import SourceLocation

CHECKOUT = "/\ufdd0"
"""Stands for the absolute path of the root, which is no part of any answer: a digest is the same in every checkout."""

HOLE = "\ufdd1"
"""Stands in `Unknown.known` for a part that only Packer knows."""


def shown(text: str) -> str:
    """`text` as people may read it: paths relative to the root, and no internal mark."""
    if "\ufdd0" not in text and HOLE not in text:
        return text
    relative = text.replace(f"{CHECKOUT}/", "").replace(CHECKOUT, ".")
    return relative.replace(CHECKOUT[1], "<repository>").replace(HOLE, "...")


class Text(str):
    """A string with the line it was written on. `tainted`: see `is_tainted`."""

    location: SourceLocation
    tainted: bool

    def __new__(cls, text: str, location: SourceLocation, *, tainted: bool = False) -> Text:
        made = super().__new__(cls, text)
        made.location = location
        made.tainted = tainted
        return made


class Whole(int):
    """A tainted whole number."""

    tainted = True


class Real(float):
    """A number that is not whole. `text`: all its digits, as Packer writes them; a float holds only some of them."""

    text: str
    tainted: bool

    def __new__(cls, number: float, text: str = "", *, tainted: bool = False) -> Real:
        made = super().__new__(cls, number)
        made.text = text
        made.tainted = tainted
        return made


class Flag(int):
    """A tainted bool; `bool` cannot carry a mark."""

    tainted = True


class Unknown(Frozen):
    """A value that cannot be worked out before Packer runs.

    why         the reason, as a clause; it names types, functions and expressions, never a value
    pattern     the text with what is unknown or tainted left as written; empty where the value may be no text
    candidates  values that it may turn out to have, as far as some are known; there may be others
    known       the text with `HOLE` for each unknown part; it may hold secrets, and no message shows it
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
    """The first thing in `value`, however deep, that is not known."""
    if isinstance(value, Unknown):
        return value
    children: Iterable[Value] = ()
    if is_mapping(value):
        children = value.values()
    elif is_sequence(value):
        children = value
    return next((found for child in children if (found := first_unknown(child))), None)


def is_tainted(value: Value) -> bool:
    """Whether a file, the environment, a data source or a sensitive value had a part in `value`, however deep.

    No message may show such a value: show the expression as written.
    """
    if is_mapping(value):
        return any(is_tainted(key) or is_tainted(child) for key, child in value.items())
    if is_sequence(value):
        return any(is_tainted(child) for child in value)
    return bool(getattr(value, "tainted", False))


def taint(value: Value, location: SourceLocation) -> Value:
    """The same value, tainted however deep. `location`: of a text that has none."""
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
    """Whether the location of the checkout shows anywhere in `value`."""
    if isinstance(value, str):
        return CHECKOUT[1] in value
    if is_mapping(value):
        return any(names_checkout(key) or names_checkout(child) for key, child in value.items())
    return is_sequence(value) and any(names_checkout(child) for child in value)


def as_text(value: Value) -> str | Unknown:
    """The string that HCL converts a primitive to; anything else has no text."""
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
    return Unknown(why="a value that is not a text stands where a text is needed")


def as_bool(value: Value) -> bool | Unknown:
    if isinstance(value, bool | Unknown):
        return value
    if isinstance(value, Flag):
        return bool(value)
    if isinstance(value, str) and value in ("true", "false", "1", "0"):
        return value in ("true", "1")
    return Unknown(why="a condition is neither true nor false")


def as_number(value: Value) -> int | float | Unknown:
    if isinstance(value, Unknown):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return Unknown(why="a text that is not a number stands where a number is needed")
        try:
            return int(value) if number.is_integer() else number
        except (ValueError, OverflowError):
            return number
    return Unknown(why="a value that is not a number stands where a number is needed")


def location_of(value: Value, otherwise: SourceLocation) -> SourceLocation:
    return value.location if isinstance(value, Text) else otherwise


def concatenate(parts: Iterable[tuple[Value, str]]) -> str | Unknown:
    """Joins parts, each with how it is written, to one text; a part that is not known makes the whole not known."""
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
        return Unknown(why="it depends on where the checkout lies")
    return False
