"""Converts values between types, and unifies types, as cty does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ami_bakery.template.expression import cty, cty_types
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.cty_types import BOOL, DYNAMIC, NUMBER, STRING, UNKNOWN, Type, friendly
from ami_bakery.template.expression.numbers import Number
from ami_bakery.template.expression.type_order import by_generality

Conversion: TypeAlias = Callable[[Cty], Cty]


def convert(value: Cty, wanted: Type) -> Cty:
    """Converts the value to another type; raises `EvaluationError` if cty fails."""
    if value.type == cty_types.without_optional(wanted):
        return value
    if value.type.kind == "unknown":
        if isinstance(value.raw, cty.Missing):
            concrete = not cty_types.has_dynamic(wanted)
            return value.copy_with(
                kind=cty_types.without_optional(wanted) if concrete else UNKNOWN, others=_each(value, wanted)
            )
        return value
    if cty_types.has_unknown(value.type) and cty_types.has_dynamic(wanted) and wanted.kind != "dynamic":
        raise Unsure("the type of an element is unknown")
    converter = conversion(value.type, wanted, unsafe=True)
    if converter is None:
        raise EvaluationError(f"{friendly(wanted)} is needed, and it is {friendly(value.type)}")
    return converter(value)


def _each(value: Cty, wanted: Type) -> tuple[Cty, ...]:
    converted = []
    for other in value.others:
        try:
            converted.append(convert(other, wanted))
        except (EvaluationError, Unsure):
            continue
    return tuple(converted)


def conversion(given: Type, wanted: Type, *, unsafe: bool) -> Conversion | None:
    """Returns the function that converts values of one type to another; None if there is none."""
    found = _conversion(given, wanted, unsafe)
    if found is None:
        return None
    convert_known = found

    def converted(value: Cty) -> Cty:
        if wanted.kind == "dynamic":
            return value
        if not value.is_known:
            return value.copy_with(
                kind=_filled(value.type, cty_types.without_optional(wanted)), others=_each(value, wanted)
            )
        if value.is_null:
            return cty.null(_filled(value.type, cty_types.without_optional(wanted))).taint_by(value)
        result = convert_known(value)
        return result.copy_with(
            tainted=value.tainted or result.tainted,
            location=result.location or value.location,
            others=_each(value, wanted) if value.others else result.others,
        )

    return converted


def _conversion(given: Type, wanted: Type, unsafe: bool) -> Conversion | None:
    match given.kind, wanted.kind:
        case _, "dynamic":
            return lambda value: value
        case "unknown", _:
            return lambda value: convert(value, wanted)
        case "dynamic", _:
            return (lambda value: convert(value, wanted)) if unsafe else None
        case (("string" | "number" | "bool"), ("string" | "number" | "bool")):
            return _PRIMITIVES.get((given.kind, wanted.kind, unsafe)) or _PRIMITIVES.get(
                (given.kind, wanted.kind, False)
            )
        case "object", "object":
            return _object_to_object(given, wanted, unsafe)
        case "tuple", "tuple":
            return _tuple_to_tuple(given, wanted, unsafe)
        case (("list" | "set"), ("list" | "set")):
            return _collection(given, wanted, unsafe)
        case "map", "map":
            inner = conversion(given.element, wanted.element, unsafe=unsafe)
            return _map_to_map(wanted, inner) if inner or given.element == wanted.element else None
        case "tuple", ("list" | "set"):
            return _from_tuple(given, wanted, unsafe)
        case "object", "map":
            return _object_to_map(given, wanted, unsafe)
        case "map", "object":
            return _map_to_object(given, wanted) if unsafe else None
    return None


# --- primitives


def number_text(value: Cty) -> Cty:
    return cty.text(value.raw.text())


def _text_to_number(value: Cty) -> Cty:
    parsed = Number.parse(value.raw)
    if parsed is None:
        if value.raw.lower().lstrip("+-") in ("inf", "infinity"):
            raise Unsure("infinite numbers are not evaluated")
        raise EvaluationError("expected a number, got a string that is not a number")
    return cty.number(parsed)


def _text_to_bool(value: Cty) -> Cty:
    if value.raw in ("true", "1", "false", "0"):
        return Cty(BOOL, value.raw in ("true", "1"))
    raise EvaluationError("expected a bool, got a string that is not a bool")


_PRIMITIVES: dict[tuple[str, str, bool], Conversion] = {
    ("number", "string", False): number_text,
    ("bool", "string", False): lambda value: cty.text("true" if value.raw else "false"),
    ("string", "number", True): _text_to_number,
    ("string", "bool", True): _text_to_bool,
    ("string", "string", False): lambda value: value,
    ("number", "number", False): lambda value: value,
    ("bool", "bool", False): lambda value: value,
}


# --- structures


def _object_to_object(given: Type, wanted: Type, unsafe: bool) -> Conversion | None:
    before, inner = given.attributes, {}
    for name, kind in wanted.attributes.items():
        if name not in before:
            if name in wanted.optional:
                continue
            return None
        converter = None if before[name] == kind else conversion(before[name], kind, unsafe=unsafe)
        if converter is None and before[name] != kind:
            return None
        inner[name] = converter

    def work(value: Cty) -> Cty:
        kept = {name: converter(value.raw[name]) if converter else value.raw[name] for name, converter in inner.items()}
        for name in wanted.optional:
            kept.setdefault(name, cty.null(wanted.attributes[name]))
        return cty.object_value(kept)

    return work


def _tuple_to_tuple(given: Type, wanted: Type, unsafe: bool) -> Conversion | None:
    if len(given.of) != len(wanted.of):
        return None
    inner = [None if a == b else conversion(a, b, unsafe=unsafe) for a, b in zip(given.of, wanted.of, strict=True)]
    if any(converter is None and a != b for converter, a, b in zip(inner, given.of, wanted.of, strict=True)):
        return None
    return lambda value: cty.tuple_value(
        converter(item) if converter else item for converter, item in zip(inner, value.raw, strict=True)
    )


def _collection(given: Type, wanted: Type, unsafe: bool) -> Conversion | None:
    if given.kind == "list" and wanted.kind == "set" and not unsafe:
        return None
    inner = conversion(given.element, wanted.element, unsafe=unsafe)
    if given.element == wanted.element:
        inner = None
    elif inner is None:
        return None
    build = cty.list_value if wanted.kind == "list" else cty.set_value

    def work(value: Cty) -> Cty:
        items = [inner(item) if inner else item for item in value.raw]
        empty = given.element if wanted.element.kind == "dynamic" else cty_types.without_optional(wanted.element)
        return build(items, empty)

    return work


def _map_to_map(wanted: Type, inner: Conversion | None) -> Conversion:
    def work(value: Cty) -> Cty:
        items = {name: inner(item) if inner else item for name, item in value.raw.items()}
        if not items:
            empty = value.type.element if wanted.element.kind == "dynamic" else wanted.element
            return cty.map_value({}, empty)
        if wanted.element.is_collection or wanted.element.kind == "object":
            items = dict(zip(items, unified(list(items.values()), unsafe=False), strict=True))
        return cty.map_value(items)

    return work


def _element_of(given: Type, wanted: Type, unsafe: bool) -> Type | None:
    """Returns the element type for a dynamic collection: the type that all elements convert to."""
    if wanted.element.kind != "dynamic":
        return wanted.element
    found = unify(given.of, unsafe=unsafe)
    if found is None or (found.kind == "dynamic" and any(inner.kind != "dynamic" for inner in given.of)):
        return None
    return found


def _from_tuple(given: Type, wanted: Type, unsafe: bool) -> Conversion | None:
    build = cty.list_value if wanted.kind == "list" else cty.set_value
    if not given.of:
        return lambda _: build((), cty_types.without_optional(wanted.element))
    element = _element_of(given, wanted, unsafe)
    if element is None:
        return None
    inner = [None if kind == element else conversion(kind, element, unsafe=unsafe) for kind in given.of]
    if any(converter is None and kind != element for converter, kind in zip(inner, given.of, strict=True)):
        return None

    def work(value: Cty) -> Cty:
        items = [converter(item) if converter else item for converter, item in zip(inner, value.raw, strict=True)]
        return build(unified(items, unsafe=unsafe) if wanted.kind == "list" else items)

    return work


def _object_to_map(given: Type, wanted: Type, unsafe: bool) -> Conversion | None:
    if not given.of:
        return lambda _: cty.map_value({}, cty_types.without_optional(wanted.element))
    element: Type | None = wanted.element
    if wanted.element.kind == "dynamic":
        element = unify(given.of, unsafe=unsafe)
    if element is None:
        return None
    inner = {
        name: None if kind == element else conversion(kind, element, unsafe=unsafe)
        for name, kind in given.attributes.items()
    }
    if any(converter is None and given.attributes[name] != element for name, converter in inner.items()):
        return None
    structured = element.is_collection or element.kind == "object"

    def work(value: Cty) -> Cty:
        items = {
            name: converter(value.raw[name]) if converter else value.raw[name] for name, converter in inner.items()
        }
        if structured:
            items = dict(zip(items, unified(list(items.values()), unsafe=unsafe), strict=True))
        return cty.map_value(items)

    return work


def _map_to_object(given: Type, wanted: Type) -> Conversion | None:
    inner: dict[str, Conversion | None] = {}
    for name, kind in wanted.attributes.items():
        if kind != given.element:
            inner[name] = conversion(given.element, kind, unsafe=True)
            if inner[name] is None and name not in wanted.optional:
                return None

    def work(value: Cty) -> Cty:
        kept = {}
        for name, kind in wanted.attributes.items():
            if name in value.raw:
                converter = inner.get(name)
                if converter is None and name in inner:
                    raise EvaluationError(f"an attribute has to be {friendly(kind)}")
                kept[name] = converter(value.raw[name]) if converter else value.raw[name]
            elif name in wanted.optional:
                kept[name] = cty.null(kind)
            else:
                raise EvaluationError("the map lacks a required attribute")
        return cty.object_value(kept)

    return work


# --- one type for several


def unified(items: Sequence[Cty], *, unsafe: bool) -> list[Cty]:
    """Converts the values to the one type that all convert to."""
    if len({item.type for item in items}) <= 1:
        return list(items)
    wanted = unify(tuple(item.type for item in items), unsafe=unsafe)
    if wanted is None:
        raise EvaluationError("the elements have no common type")
    return [item if item.type == wanted else _must(item, wanted, unsafe) for item in items]


def _must(value: Cty, wanted: Type, unsafe: bool) -> Cty:
    converter = conversion(value.type, wanted, unsafe=unsafe)
    if converter is None:
        raise EvaluationError("the elements have no common type")
    return converter(value)


def unify(kinds: tuple[Type, ...], *, unsafe: bool) -> Type | None:
    """Returns the most general type that all convert to, as `convert.Unify` does."""
    if not kinds:
        return None
    if any(cty_types.has_unknown(kind) for kind in kinds):
        raise Unsure("the type of a value is unknown")
    return _unify(kinds, unsafe)


def _unify(kinds: tuple[Type, ...], unsafe: bool) -> Type | None:
    if all(kind == kinds[0] for kind in kinds) and kinds[0].is_primitive:
        return kinds[0]
    count = dict.fromkeys(("map", "list", "set", "object", "tuple", "dynamic"), 0)
    for kind in kinds:
        if kind.kind in count:
            count[kind.kind] += 1
    found = _unify_structures(kinds, unsafe, count)
    if found is not NotImplemented:
        return found  # type: ignore[return-value]
    if count["object"] and count["tuple"] and not _as_collections(kinds, count):
        return None
    return _general(kinds, unsafe)


def _as_collections(kinds: tuple[Type, ...], count: dict[str, int]) -> bool:
    """Whether only maps and objects, or only lists and tuples, occur: cases that cty tries first."""
    total = len(kinds)
    maps = count["map"] and count["map"] + count["object"] + count["dynamic"] == total
    lists = count["list"] and count["list"] + count["tuple"] + count["dynamic"] == total
    return bool(maps or lists)


def _unify_structures(kinds: tuple[Type, ...], unsafe: bool, count: dict[str, int]) -> object:
    total, dynamic = len(kinds), count["dynamic"]
    for kind in ("map", "list", "set"):
        if count[kind] and count[kind] + dynamic == total:
            return _unify_collections(kind, kinds, unsafe, dynamic > 0)
        partner = {"map": "object", "list": "tuple"}.get(kind, "")
        if partner and count[kind] and count[kind] + count[partner] + dynamic == total:
            found = _unify_with(kind, partner, kinds, unsafe)
            return found if found and found.kind == kind else NotImplemented
    if count["object"] and count["object"] + dynamic == total:
        return DYNAMIC if dynamic else _unify_objects(kinds, unsafe)
    if count["tuple"] and count["tuple"] + dynamic == total:
        return DYNAMIC if dynamic else _unify_tuples(kinds, unsafe)
    return NotImplemented


def _general(kinds: tuple[Type, ...], unsafe: bool) -> Type | None:
    for wanted in by_generality(kinds):
        if all(kind == wanted or conversion(kind, wanted, unsafe=unsafe) for kind in kinds):
            return wanted
    return None


def _unify_collections(kind: str, kinds: tuple[Type, ...], unsafe: bool, dynamic: bool) -> Type | None:
    if dynamic:
        return DYNAMIC
    element = _unify(tuple(inner.element for inner in kinds), unsafe)
    if element is None:
        return None
    wanted = Type(kind, (element,))
    return wanted if _reachable(kinds, wanted, unsafe) else None


def _unify_with(kind: str, partner: str, kinds: tuple[Type, ...], unsafe: bool) -> Type | None:
    """Unifies objects with maps to maps, and tuples with lists to lists."""
    loose = tuple(inner for inner in kinds if inner.kind == partner)
    found = _unify_to(kind, loose, unsafe)
    if found is None:
        return None
    return _unify(tuple(found if inner.kind == partner else inner for inner in kinds), unsafe)


def _unify_to(kind: str, kinds: tuple[Type, ...], unsafe: bool) -> Type | None:
    """Returns a map type for all attributes of objects. For tuples, returns a list type for all elements."""
    inner = tuple(each for outer in kinds for each in outer.of)
    element = _unify(inner, unsafe) if inner else None
    if element is None:
        return None
    wanted = Type(kind, (element,))
    return wanted if _reachable(kinds, wanted, unsafe) else None


def _unify_objects(kinds: tuple[Type, ...], unsafe: bool) -> Type | None:
    if any(kind.names != kinds[0].names for kind in kinds):
        return _unify_to("map", kinds, unsafe)
    attributes = {}
    for name in kinds[0].names:
        found = _unify(tuple(kind.attributes[name] for kind in kinds), unsafe)
        if found is None:
            return None
        attributes[name] = found
    wanted = cty_types.object_of(attributes)
    return wanted if _reachable(kinds, wanted, unsafe) else _unify_to("map", kinds, unsafe)


def _unify_tuples(kinds: tuple[Type, ...], unsafe: bool) -> Type | None:
    if any(len(kind.of) != len(kinds[0].of) for kind in kinds):
        return _unify_to("list", kinds, unsafe)
    elements = []
    for column in zip(*(kind.of for kind in kinds), strict=True):
        found = _unify(tuple(column), unsafe)
        if found is None:
            return None
        elements.append(found)
    wanted = cty_types.tuple_of(*elements)
    return wanted if _reachable(kinds, wanted, unsafe) else _unify_to("list", kinds, unsafe)


def _reachable(kinds: tuple[Type, ...], wanted: Type, unsafe: bool) -> bool:
    return all(kind == wanted or conversion(kind, wanted, unsafe=unsafe) is not None for kind in kinds)


def _filled(given: Type, wanted: Type) -> Type:
    """Returns the wanted type without dynamic parts. The parts of the given type replace them."""
    if given.kind in ("dynamic", "unknown") or wanted.is_primitive:
        return UNKNOWN if given.kind == "unknown" and cty_types.has_dynamic(wanted) else wanted
    if wanted.kind == "dynamic":
        return given
    if not cty_types.has_dynamic(wanted):
        return wanted
    if wanted.is_collection:
        inside = given.element if given.is_collection else (unify(given.of, unsafe=True) or DYNAMIC)
        return Type(wanted.kind, (_filled(inside, wanted.element),))
    if wanted.kind == "object":
        known = given.attributes if given.kind == "object" else dict.fromkeys(wanted.names, given.of[0])
        return cty_types.object_of(
            {name: _filled(known.get(name, DYNAMIC), kind) for name, kind in wanted.attributes.items()}
        )
    return cty_types.tuple_of(*(_filled(a, b) for a, b in zip(given.of, wanted.of, strict=True)))


__all__ = ["BOOL", "NUMBER", "STRING", "conversion", "convert", "unified", "unify"]
