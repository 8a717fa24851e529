"""The types of cty."""

from __future__ import annotations

from typing import NamedTuple


class Type(NamedTuple):
    """A type.

    kind      "string", "number", "bool", "list", "set", "map", "tuple", "object", "dynamic" or "unknown"
    of        the element type of a collection, the types of a tuple's elements, or of an object's attributes by name
    names     an object's attributes, sorted
    optional  attributes that a conversion adds if they are absent
    """

    kind: str
    of: tuple[Type, ...] = ()
    names: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def element(self) -> Type:
        return self.of[0]

    @property
    def is_primitive(self) -> bool:
        return self.kind in ("string", "number", "bool")

    @property
    def is_collection(self) -> bool:
        return self.kind in ("list", "set", "map")

    @property
    def is_sequence(self) -> bool:
        return self.kind in ("list", "set", "tuple")

    @property
    def is_mapping(self) -> bool:
        return self.kind in ("map", "object")

    @property
    def attributes(self) -> dict[str, Type]:
        return dict(zip(self.names, self.of, strict=True))


STRING = Type("string")
NUMBER = Type("number")
BOOL = Type("bool")
DYNAMIC = Type("dynamic")
"""A type that cty does not know yet: of `null`, and of the elements of an empty list."""
UNKNOWN = Type("unknown")
"""A type that only Packer knows."""


def list_of(element: Type) -> Type:
    return Type("list", (element,))


def set_of(element: Type) -> Type:
    return Type("set", (element,))


def map_of(element: Type) -> Type:
    return Type("map", (element,))


def tuple_of(*elements: Type) -> Type:
    return Type("tuple", elements)


def object_of(attributes: dict[str, Type], optional: tuple[str, ...] = ()) -> Type:
    names = tuple(sorted(attributes))
    return Type("object", tuple(attributes[name] for name in names), names, tuple(sorted(optional)))


def has_unknown(wanted: Type) -> bool:
    return wanted.kind == "unknown" or any(has_unknown(inner) for inner in wanted.of)


def has_dynamic(wanted: Type) -> bool:
    return wanted.kind == "dynamic" or any(has_dynamic(inner) for inner in wanted.of)


def without_optional(wanted: Type) -> Type:
    if not wanted.of:
        return wanted
    return Type(wanted.kind, tuple(without_optional(inner) for inner in wanted.of), wanted.names)


def friendly(wanted: Type) -> str:
    """Returns the name of a type for messages."""
    if wanted.is_collection:
        return f"{wanted.kind} of {friendly(wanted.element)}"
    return "any type" if wanted.kind in ("dynamic", "unknown") else wanted.kind
