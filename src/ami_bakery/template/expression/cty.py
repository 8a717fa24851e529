"""The evaluator's values: typed, possibly unknown or tainted, with alternatives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from unicodedata import combining, normalize

from ami_bakery.template.expression import cty_types
from ami_bakery.template.expression.budget import MOST_PARTS, TooCostly
from ami_bakery.template.expression.cty_types import DYNAMIC, NUMBER, STRING, UNKNOWN, Type
from ami_bakery.template.expression.known_values import CHECKOUT
from ami_bakery.template.expression.numbers import Number

if TYPE_CHECKING:
    from ami_bakery.template.location import SourceLocation

MOST_ALTERNATIVES = 48
"""Alternatives per value; further ones are dropped."""


class EvaluationError(Exception):
    """Packer fails here. The reason has types, functions and expressions, never a value."""


class Unsure(Exception):
    """Packer's result is unknown, or whether it fails. The reason has no values."""


class Missing:
    """Replaces an unknown value. `why`, `pattern` and `known`: see `known_values.Unknown`."""

    __slots__ = ("known", "pattern", "why")

    def __init__(self, why: str, pattern: str = "", known: str = "") -> None:
        self.why, self.pattern, self.known = why, pattern, known


class Cty:
    """A value of the evaluator.

    type        its type; `cty_types.UNKNOWN` if it is unknown
    raw         str, Number, bool, tuple (list, set, tuple), dict (map, object), None (null), or Missing (unknown)
    tainted     it depends on a secret, a file or the environment; of a collection: all of it does
    location    where a string was written
    others      known alternative values; there may be more
    is_whole    it has no unknown part
    is_dirty    it has a tainted part
    has_others  it has a part with alternatives
    has_checkout_path  it contains the path of the checkout
    size        the number of values in it, itself included
    """

    __slots__ = (
        *("type", "raw", "tainted", "location", "others"),
        *("is_whole", "is_dirty", "has_others", "has_checkout_path", "size"),
    )

    def __init__(
        self,
        kind: Type,
        raw: Any,
        *,
        tainted: bool = False,
        location: SourceLocation | None = None,
        others: tuple[Cty, ...] = (),
    ) -> None:
        self.type, self.raw, self.tainted, self.location, self.others = kind, raw, tainted, location, others
        self.is_whole, self.is_dirty, self.has_others, self.has_checkout_path = True, tainted, bool(others), False
        self.size = 1
        if isinstance(raw, str):
            self.has_checkout_path = CHECKOUT[1] in raw
        elif isinstance(raw, tuple):
            self._add_children(raw)
        elif isinstance(raw, dict):
            self._add_children(raw.values())
            self.has_checkout_path = self.has_checkout_path or any(CHECKOUT[1] in name for name in raw)
        elif isinstance(raw, Missing):
            self.is_whole = False

    def _add_children(self, children: Iterable[Cty]) -> None:
        for child in children:
            self.is_whole = self.is_whole and child.is_whole
            self.is_dirty = self.is_dirty or child.is_dirty
            self.has_others = self.has_others or child.has_others
            self.has_checkout_path = self.has_checkout_path or child.has_checkout_path
            self.size += child.size
        if self.size > MOST_PARTS:
            raise TooCostly(f"it creates a value of more than {MOST_PARTS:,} parts")

    @property
    def is_known(self) -> bool:
        return not isinstance(self.raw, Missing)

    @property
    def is_null(self) -> bool:
        return self.raw is None

    def copy_with(self, **changes: Any) -> Cty:
        """Returns a copy with some attributes replaced."""
        given: dict[str, Any] = {
            "raw": self.raw,
            "tainted": self.tainted,
            "location": self.location,
            "others": self.others,
            **changes,
        }
        return Cty(given.pop("kind", self.type), **given)

    def taint_by(self, *sources: Cty) -> Cty:
        """Returns this value, tainted if a source is tainted at any depth."""
        if self.tainted or not any(source.is_dirty for source in sources):
            return self
        return self.copy_with(tainted=True)

    def with_others(self, others: Iterable[Cty]) -> Cty:
        kept = _distinct(others, self)
        return self.copy_with(others=kept) if kept else self

    def items(self) -> Iterator[tuple[Cty, Cty]]:
        """Yields key and value in cty's order: maps and objects by key; an item of a set is its own key."""
        if isinstance(self.raw, dict):
            for name in sorted(self.raw):
                yield text(name, self.location, tainted=self.tainted), self.raw[name].taint_by(self._own)
        else:
            for number, child in enumerate(self.raw):
                child = child.taint_by(self._own)
                yield (child if self.type.kind == "set" else whole(number)), child

    @property
    def _own(self) -> Cty:
        return _TAINTED if self.tainted else _CLEAN


def hidden(value: Cty) -> Cty:
    """Returns the value tainted, and without its written form: for secrets."""
    raw = value.raw
    if isinstance(raw, Missing):
        raw = Missing(raw.why, "", raw.known)
    elif isinstance(raw, tuple):
        raw = tuple(hidden(child) for child in raw)
    elif isinstance(raw, dict):
        raw = {name: hidden(child) for name, child in raw.items()}
    return value.copy_with(raw=raw, tainted=True, others=tuple(hidden(other) for other in value.others))


def text(value: str, location: SourceLocation | None = None, *, tainted: bool = False) -> Cty:
    """Returns a string, normalised as by Packer; unknown if it has very many combining marks in a row."""
    if not value.isascii():
        if _has_long_run_of_marks(value):
            return unknown("only Packer can normalise more than 30 combining marks in a row", STRING, tainted=tainted)
        value = normalize("NFC", value)
    return Cty(STRING, value, location=location, tainted=tainted)


_MOST_MARKS = 30
"""The limit of Unicode's stream-safe text format, which Go's `norm` writes."""
_MARKS = re.compile(rf"[^\x00-\u02ff]{{{_MOST_MARKS // 4},}}")


def _has_long_run_of_marks(value: str) -> bool:
    if not _MARKS.search(value):
        return False
    run = 0
    for letter in normalize("NFD", value):
        run = run + 1 if combining(letter) else 0
        if run > _MOST_MARKS:
            return True
    return False


def number(value: Number) -> Cty:
    return Cty(NUMBER, value)


def whole(value: int) -> Cty:
    return Cty(NUMBER, Number.whole(value))


def null(kind: Type = DYNAMIC) -> Cty:
    return Cty(cty_types.without_optional(kind), None)


def unknown(why: str, kind: Type = UNKNOWN, *, pattern: str = "", known: str = "", tainted: bool = False) -> Cty:
    return Cty(kind, Missing(why, pattern, known), tainted=tainted)


_TAINTED = Cty(DYNAMIC, None, tainted=True)
_CLEAN = Cty(DYNAMIC, None)


def _check_size(items: Iterable[Cty]) -> None:
    """Checks the size before the type is created. The type is as large as the value."""
    if sum(item.size for item in items) > MOST_PARTS:
        raise TooCostly(f"it creates a value of more than {MOST_PARTS:,} parts")


def tuple_value(items: Iterable[Cty]) -> Cty:
    result = tuple(items)
    _check_size(result)
    return Cty(Type("tuple", tuple(item.type for item in result)), result)


def object_value(attributes: Mapping[str, Cty]) -> Cty:
    names = tuple(sorted(attributes))
    _check_size(attributes.values())
    kind = Type("object", tuple(attributes[name].type for name in names), names)
    return Cty(kind, {name: attributes[name] for name in names})


def list_value(items: Sequence[Cty], otherwise: Type = DYNAMIC) -> Cty:
    """Returns a list of items of one type. `otherwise`: the element type of an empty list."""
    return Cty(cty_types.list_of(_one_type(items, otherwise)), tuple(items))


def map_value(items: Mapping[str, Cty], otherwise: Type = DYNAMIC) -> Cty:
    kind = cty_types.map_of(_one_type(list(items.values()), otherwise))
    return Cty(kind, {name: items[name] for name in sorted(items)})


def set_value(items: Sequence[Cty], otherwise: Type = DYNAMIC) -> Cty:
    """Returns a set: each item once, in cty's order. Unknown if an item has an unknown part."""
    kind = cty_types.set_of(_one_type(items, otherwise))
    tainted = any(item.is_dirty for item in items)
    missing = next((item for item in items if not item.is_whole), None)
    if missing is not None:
        known = [item for item in items if item.is_whole]
        result = unknown(why_of(missing), kind, tainted=tainted)
        return result.with_others([set_value(known, kind.element)] if known else [])
    kept: dict[str, list[Cty]] = {}
    for item in items:
        bucket = kept.setdefault(_hashed(item), [])
        if not any(equals(item, other) for other in bucket):
            bucket.append(item)
    unique = [item for bucket in kept.values() for item in bucket]
    if len(unique) > 1 and any(item.has_checkout_path for item in unique):
        raise Unsure("the order of the set depends on the path of the checkout")
    return Cty(kind, tuple(_in_order(unique, kind.element)), tainted=tainted)


def _one_type(items: Sequence[Cty], otherwise: Type) -> Type:
    if not items:
        return otherwise
    kinds = {item.type for item in items}
    if any(cty_types.has_unknown(kind) for kind in kinds):
        raise Unsure("the type of an element is unknown")
    if len(kinds) > 1:
        raise EvaluationError("the elements have different types")
    return items[0].type


def _in_order(items: list[Cty], kind: Type) -> list[Cty]:
    if kind.kind in ("string", "bool"):
        return sorted(items, key=lambda item: (item.is_null, item.raw if item.raw is not None else ""))
    if kind.kind == "number":
        from functools import cmp_to_key

        nulls = [item for item in items if item.is_null]
        numbers = [item for item in items if not item.is_null]
        return [*sorted(numbers, key=cmp_to_key(_compared)), *nulls]
    return sorted(items, key=lambda item: (item.is_null, _hashed(item).encode("utf-8", "surrogatepass")))


def _compared(a: Cty, b: Cty) -> int:
    order: int = a.raw.compare(b.raw)
    return order


def _hashed(value: Cty) -> str:
    """Returns the bytes by which cty sets distinguish elements. They also sort elements that are not primitive."""
    raw = value.raw
    if raw is None:
        return "~"
    if isinstance(raw, Number):
        return raw.formatted("g", 10)
    if isinstance(raw, bool):
        return "T" if raw else "F"
    if isinstance(raw, str):
        from ami_bakery.template.expression.go_text import quoted

        return quoted(raw)
    if isinstance(raw, dict) and value.type.kind == "map":
        return "{" + "".join(f"{_hashed(text(name))}:{_hashed(raw[name])};" for name in sorted(raw)) + "}"
    children = [raw[name] for name in sorted(raw)] if isinstance(raw, dict) else raw
    inside = "".join(f"{_hashed(child)};" for child in children)
    return f"<{inside}>" if value.type.kind in ("tuple", "object") else f"[{inside}]"


def equals(left: Cty, right: Cty) -> bool:
    """Compares two fully known values as cty does.

    Raises `Unsure` if the result depends on the checkout or on the version of Packer.
    """
    if left.is_null or right.is_null:
        return left.is_null and right.is_null
    if left.type != right.type:
        return False
    if isinstance(left.raw, Number):
        same, exactly = _same_number(left.raw, right.raw), left.raw.compare(right.raw) == 0
        if same != exactly:
            raise Unsure("whether the numbers are equal depends on the version of Packer")
        return same
    if isinstance(left.raw, str):
        return _same_text(left.raw, right.raw)
    if isinstance(left.raw, bool):
        return bool(left.raw == right.raw)
    if isinstance(left.raw, dict):
        if left.raw.keys() != right.raw.keys():
            return False
        return all(equals(child, right.raw[name]) for name, child in left.raw.items())
    if len(left.raw) != len(right.raw):
        return False
    return all(equals(a, b) for a, b in zip(left.raw, right.raw, strict=True))


def _same_number(left: Number, right: Number) -> bool:
    if left.is_whole and right.is_whole and max(left.exponent, right.exponent) == 0:
        return left.compare(right) == 0
    a, b = left.text(), right.text()
    return a == b or {a, b} == {"0", "-0"}


def _same_text(left: str, right: str) -> bool:
    if left == right:
        return True
    if (CHECKOUT[1] in left or CHECKOUT[1] in right) and left and right:
        raise Unsure("it depends on the path of the checkout")
    return False


def same(left: Cty, right: Cty) -> bool:
    """Whether both are fully known, of one type, and certainly equal."""
    if not left.is_whole or not right.is_whole or left.type != right.type:
        return False
    try:
        return equals(left, right)
    except Unsure:
        return False


def why_of(value: Cty) -> str:
    """Returns why the first unknown part of a value is unknown."""
    found = first_missing(value)
    return found.why if found else ""


def first_missing(value: Cty) -> Missing | None:
    if isinstance(value.raw, Missing):
        return value.raw
    if value.is_whole:
        return None
    children = value.raw.values() if isinstance(value.raw, dict) else value.raw
    return next((found for child in children if (found := first_missing(child))), None)


def _distinct(values: Iterable[Cty], main: Cty) -> tuple[Cty, ...]:
    kept: list[Cty] = []
    for value in values:
        if len(kept) == MOST_ALTERNATIVES:
            break
        if not value.is_known and not value.has_others:
            continue
        if not any(same(value, other) for other in (main, *kept)):
            kept.append(value)
    return tuple(kept)
