"""Packer's functions of lists, sets, tuples, maps and objects."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ami_bakery.template.expression import cty, cty_types, graphemes
from ami_bakery.template.expression.budget import spend
from ami_bakery.template.expression.convert import convert, unify
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.cty_types import BOOL, DYNAMIC, STRING, Type
from ami_bakery.template.expression.functions.text_functions import int_of


def _list_or_tuple(value: Cty) -> Cty:
    if value.type.kind not in ("list", "tuple"):
        raise _unless_unknown(value, "expected a list")
    return value


def _unless_unknown(value: Cty, why: str) -> Exception:
    return Unsure(cty.why_of(value)) if value.type.kind in ("unknown", "dynamic") else EvaluationError(why)


def _items(value: Cty) -> list[Cty]:
    return [item for _, item in value.items()]


def concat(*lists: Cty) -> Cty:
    if not lists:
        raise EvaluationError("expected a list")
    for each in lists:
        _list_or_tuple(each)
    spend(steps=sum(len(each.raw) for each in lists))
    items = [item for each in lists for item in _items(each)]
    if all(each.type.kind == "list" for each in lists):
        common = unify(tuple(each.type for each in lists), unsafe=True)
        if common is not None:
            return cty.list_value([convert(item, common.element) for item in items], common.element)
    return cty.tuple_value(items)


def coalesce(*arguments: Cty) -> Cty:
    if not arguments:
        raise EvaluationError("all arguments must have the same type")
    unknown = next((argument for argument in arguments if cty_types.has_unknown(argument.type)), None)
    if unknown is not None:
        return _first_unless_unknown(arguments, unknown)
    kind = unify(tuple(argument.type for argument in arguments), unsafe=True)
    if kind is None:
        raise EvaluationError("all arguments must have the same type")
    converted = [_as(argument, kind) for argument in arguments]
    candidates = [value for value in converted if not value.is_null and not (kind == STRING and value.raw == "")]
    if not candidates:
        raise EvaluationError("every argument is null or empty")
    first = candidates[0]
    tainted = any(value.is_dirty for value in converted[: converted.index(first)])
    if not first.is_known:
        first = cty.unknown(
            first.raw.why, kind, pattern=first.raw.pattern, known=first.raw.known, tainted=first.tainted
        )
    result = first.with_others([*first.others, *candidates[1:]])
    return result.copy_with(tainted=True) if tainted else result


def _as(value: Cty, kind: Type) -> Cty:
    return value if value.type == kind else convert(value, kind)


def _first_unless_unknown(arguments: Sequence[Cty], unknown: Cty) -> Cty:
    """Returns the first argument if it is a string: unknown types of the others do not change it."""
    first = next((value for value in arguments if not value.is_null and value.raw != ""), None)
    if first is not None and first.is_known and first.type == STRING:
        return first.with_others([*first.others, *arguments])
    return cty.unknown(cty.why_of(unknown)).with_others(arguments).taint_by(*arguments)


def coalescelist(*lists: Cty) -> Cty:
    if not lists:
        raise EvaluationError("expected a list")
    for number, each in enumerate(lists):
        if not each.is_known:
            return cty.unknown(each.raw.why, tainted=each.tainted).with_others(lists[number + 1 :])
        if each.type.kind not in ("list", "tuple"):
            raise EvaluationError("expected a list")
    found = [each for each in lists if not each.is_null and each.raw]
    if not found:
        raise EvaluationError("every list is empty")
    return found[0].with_others([*found[0].others, *found[1:]])


def compact(items: Cty) -> Cty:
    return cty.list_value([item for item in items.raw if item.raw not in ("", None)], STRING)


def contains(items: Cty, wanted: Cty) -> Cty:
    if not items.type.is_sequence:
        raise EvaluationError("expected a list")
    return Cty(BOOL, _among(wanted, items.raw))


def _among(value: Cty, items: Sequence[Cty]) -> bool:
    spend(steps=len(items))
    unsure: Unsure | None = None
    for item in items:
        try:
            if cty.equals(value, item):
                return True
        except Unsure as error:
            unsure = error
    if unsure:
        raise unsure
    return False


def distinct(items: Cty) -> Cty:
    kept: list[Cty] = []
    buckets: dict[str, list[Cty]] = {}
    for item in items.raw:
        bucket = buckets.setdefault(_bucket(item), [])
        if not _among(item, bucket):
            bucket.append(item)
            kept.append(item)
    return cty.list_value(kept, items.type.element)


def _bucket(value: Cty) -> str:
    """Returns the same key for all values that may be equal."""
    return value.raw if value.type == STRING and isinstance(value.raw, str) and not value.has_checkout_path else "\0"


def chunklist(items: Cty, size: Cty) -> Cty:
    step = int_of(size)
    if step < 0:
        raise EvaluationError("the size is negative")
    if not items.raw:
        return cty.list_value((), items.type)
    if step == 0:
        return cty.list_value([items])
    chunks = [items.raw[start : start + step] for start in range(0, len(items.raw), step)]
    return cty.list_value([cty.list_value(chunk, items.type.element) for chunk in chunks])


def element(items: Cty, position: Cty) -> Cty:
    _list_or_tuple(items)
    number = int_of(position)
    if number < 0 or not items.raw:
        raise EvaluationError("there is no such element")
    return _items(items)[number % len(items.raw)]


def flatten(items: Cty) -> Cty:
    if not items.type.is_sequence:
        raise _unless_unknown(items, "expected a list")
    return cty.tuple_value(_flat(items))


def _flat(items: Cty) -> list[Cty]:
    result: list[Cty] = []
    for item in _items(items):
        spend(steps=1)
        if item.type.is_sequence and not item.is_null:
            result.extend(_flat(item))
        else:
            result.append(item)
    return result


def _mapping(value: Cty) -> Cty:
    if not value.type.is_mapping:
        raise _unless_unknown(value, "expected a map or an object")
    return value


def keys(mapping: Cty) -> Cty:
    names = [key for key, _ in _mapping(mapping).items()]
    return cty.tuple_value(names) if mapping.type.kind == "object" else cty.list_value(names, STRING)


def values(mapping: Cty) -> Cty:
    items = _items(_mapping(mapping))
    return cty.tuple_value(items) if mapping.type.kind == "object" else cty.list_value(items, mapping.type.element)


def lookup(mapping: Cty, key: Cty, default: Cty) -> Cty:
    _mapping(mapping)
    if mapping.type.kind == "map":
        fallback = convert(default, mapping.type.element)
        if not mapping.is_whole and key.raw not in mapping.raw:
            raise Unsure(cty.why_of(mapping))
        return mapping.raw.get(key.raw, fallback)  # type: ignore[no-any-return]
    return mapping.raw.get(key.raw, default)  # type: ignore[no-any-return]


def merge(*mappings: Cty) -> Cty:
    if not mappings:
        return cty.object_value({})
    attributes: dict[str, Cty] = {}
    for mapping in mappings:
        if mapping.type.kind == "unknown":
            raise Unsure(cty.why_of(mapping))
        if not mapping.type.is_mapping and mapping.type.kind != "dynamic":
            raise EvaluationError("expected a map or an object")
        for name, value in () if mapping.is_null else mapping.raw.items():
            attributes[name] = value.taint_by(*([mapping] if mapping.tainted else []))
    first = mappings[0].type
    if first.kind == "map" and all(mapping.type == first for mapping in mappings):
        return cty.map_value(attributes, first.element)
    return cty.object_value(attributes)


def reverse(items: Cty) -> Cty:
    if not items.type.is_sequence:
        raise _unless_unknown(items, "expected a list")
    turned = _items(items)[::-1]
    return cty.tuple_value(turned) if items.type.kind == "tuple" else cty.list_value(turned, items.type.element)


def slice_(items: Cty, start: Cty, end: Cty) -> Cty:
    _list_or_tuple(items)
    first, last = int_of(start), int_of(end)
    if not 0 <= first <= last <= len(items.raw):
        raise EvaluationError("there are no such elements")
    kept = _items(items)[first:last]
    return cty.tuple_value(kept) if items.type.kind == "tuple" else cty.list_value(kept, items.type.element)


def sort(items: Cty) -> Cty:
    if any(item.is_null for item in items.raw):
        raise EvaluationError("null cannot be sorted")
    return cty.list_value(sorted(items.raw, key=lambda item: item.raw), STRING)


def zipmap(names: Cty, items: Cty) -> Cty:
    _list_or_tuple(items)
    if not names.is_whole:
        raise Unsure(cty.why_of(names))
    if len(names.raw) != len(items.raw):
        raise EvaluationError("the numbers of keys and values differ")
    if any(name.is_null for name in names.raw):
        raise EvaluationError("a key is null")
    attributes = {name.raw: item for name, item in zip(names.raw, _items(items), strict=True)}
    tainted = names.is_dirty
    result = (
        cty.object_value(attributes) if items.type.kind == "tuple" else cty.map_value(attributes, items.type.element)
    )
    return result.copy_with(tainted=True) if tainted else result


def index(items: Cty, wanted: Cty) -> Cty:
    """Returns the index of an item; in Packer 1.6.6, the item at an index."""
    older = _item_at(items, wanted)
    if items.type.kind in ("list", "tuple"):
        for number, item in enumerate(items.raw):
            if cty.equals(item, wanted):
                return cty.whole(number).with_others([older] if older else [])
    if older:
        raise Unsure("the result depends on the version of Packer")
    raise EvaluationError("there is no such element")


def _item_at(items: Cty, key: Cty) -> Cty | None:
    if items.type.kind == "map" and key.type == STRING:
        return items.raw.get(key.raw)  # type: ignore[no-any-return]
    if items.type.kind not in ("list", "tuple") or key.type.kind != "number" or not key.raw.is_whole:
        return None
    at = key.raw.truncated()
    return items.raw[at] if 0 <= at < len(items.raw) else None


def length(value: Cty) -> Cty:
    if value.type == STRING:
        if value.has_checkout_path:
            raise Unsure("it depends on the path of the checkout")
        return cty.whole(len(graphemes.clusters(value.raw)))
    if value.type.kind in ("unknown", "dynamic"):
        raise Unsure(cty.why_of(value))
    if isinstance(value.raw, tuple | dict):
        return cty.whole(len(value.raw))
    raise EvaluationError("expected a string, a list or a map")


def _sets(sets: Sequence[Cty], combine: Callable[[list[Cty], list[Cty]], list[Cty]]) -> Cty:
    elements = [each.type.element for each in sets if each.raw or each.type.element.kind != "dynamic"]
    element = unify(tuple(elements), unsafe=True) if elements else DYNAMIC
    if element is None:
        raise EvaluationError("the sets have elements of different types")
    converted = [list(convert(each, cty_types.set_of(element)).raw) for each in sets]
    result = converted[0]
    for other in converted[1:]:
        result = combine(result, other)
    return cty.set_value(result, element)


def setunion(*sets: Cty) -> Cty:
    return _sets(sets, lambda first, second: first + second)


def setintersection(*sets: Cty) -> Cty:
    return _sets(sets, _common)


def _common(first: list[Cty], second: list[Cty]) -> list[Cty]:
    buckets: dict[str, list[Cty]] = {}
    for item in second:
        buckets.setdefault(_bucket(item), []).append(item)
    return [item for item in first if _among(item, buckets.get(_bucket(item), []))]


def setproduct(*sets: Cty) -> Cty:
    if len(sets) < 2:
        raise EvaluationError("expected at least two sets")
    elements = [_element_of(each) for each in sets]
    as_list = all(each.type.kind != "set" for each in sets)
    size = math.prod(len(each.raw) for each in sets)
    spend(steps=size * len(sets))
    kind = cty_types.tuple_of(*elements)
    if size == 0:
        return cty.list_value((), kind) if as_list else cty.set_value((), kind)
    columns = [[_as(item, kind) for item in _items(each)] for each, kind in zip(sets, elements, strict=True)]
    rows: list[tuple[Cty, ...]] = [()]
    for column in columns:
        rows = [(*row, item) for row in rows for item in column]
    result = [cty.tuple_value(row) for row in rows]
    return cty.list_value(result, kind) if as_list else cty.set_value(result, kind)


def _element_of(value: Cty) -> Type:
    if value.type.kind in ("list", "set"):
        return value.type.element
    if value.type.kind != "tuple":
        raise _unless_unknown(value, "expected a set or a list")
    if not value.type.of:
        return DYNAMIC
    found = unify(value.type.of, unsafe=True)
    if found is None:
        raise EvaluationError("the elements have different types")
    return found


def _truths(items: Cty) -> list[bool | None]:
    return [item.raw for item in items.raw]


def alltrue(items: Cty) -> Cty:
    return Cty(BOOL, all(truth is True for truth in _truths(items)))


def anytrue(items: Cty) -> Cty:
    return Cty(BOOL, any(truth is True for truth in _truths(items)))
