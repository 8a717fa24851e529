"""HCL2's functions of lists, sets and maps; a set is a list in order, each item once."""

from __future__ import annotations

import itertools
import math

from ami_bakery.core.expression.operators import whole_number
from ami_bakery.core.expression.values import (
    Unknown,
    Value,
    as_bool,
    as_number,
    equal,
    first_unknown,
    is_mapping,
    is_sequence,
)

from .text_functions import sequence, text, whole


def _number(value: Value) -> int | float:
    number = as_number(value)
    if isinstance(number, Unknown):
        raise ValueError(number.why)
    return number


def _among(value: Value, items: list[Value] | tuple[Value, ...]) -> bool:
    unsure: Unknown | None = None
    for item in items:
        alike = equal(value, item)
        if alike is True:
            return True
        if isinstance(alike, Unknown):
            unsure = alike
    if unsure:
        raise ValueError(unsure.why)
    return False


def concat(*lists: Value) -> Value:
    return tuple(item for each in lists for item in sequence(each))


def coalesce(*arguments: Value) -> Value:
    for argument in arguments:
        if argument is not None and argument != "":
            return argument
    raise ValueError("there is no argument that is not empty")


def coalescelist(*lists: Value) -> Value:
    for each in lists:
        if sequence(each):
            return each
    raise ValueError("there is no list that is not empty")


def lookup(mapping: Value, key: Value, *default: Value) -> Value:
    if not is_mapping(mapping):
        raise ValueError("a map is needed")
    if text(key) in mapping:
        return mapping[text(key)]
    if not default:
        raise ValueError(f"there is no key {text(key)!r}")
    return default[0]


def element(items: Value, position: Value) -> Value:
    listed = sequence(items)
    if not listed or whole(position) < 0:
        raise ValueError("there is no such item")
    return listed[whole(position) % len(listed)]


def merge(*mappings: Value) -> Value:
    merged: dict[str, Value] = {}
    for mapping in mappings:
        if mapping is None:
            continue
        if not is_mapping(mapping):
            raise ValueError("a map is needed")
        merged.update(mapping)
    return merged


def keys(mapping: Value) -> Value:
    if not is_mapping(mapping):
        raise ValueError("a map is needed")
    return tuple(sorted(mapping))


def values(mapping: Value) -> Value:
    if not is_mapping(mapping):
        raise ValueError("a map is needed")
    return tuple(mapping[key] for key in sorted(mapping))


def flatten(items: Value) -> Value:
    flat: list[Value] = []
    for item in sequence(items):
        if is_sequence(item):
            nested = flatten(item)
            flat.extend(sequence(nested))
        else:
            flat.append(item)
    return tuple(flat)


def distinct(items: Value) -> Value:
    kept: list[Value] = []
    for item in sequence(items):
        if not _among(item, kept):
            kept.append(item)
    return tuple(kept)


def toset(items: Value) -> Value:
    once = sequence(distinct(items))
    return tuple(sorted(once, key=text)) if all(isinstance(item, str) for item in once) else once


def tolist(items: Value) -> Value:
    return sequence(items)


def tomap(mapping: Value) -> Value:
    if not is_mapping(mapping):
        raise ValueError("a map is needed")
    return mapping


def tonumber(value: Value) -> Value:
    return None if value is None else _number(value)


def tobool(value: Value) -> Value:
    truth = as_bool(value)
    if isinstance(truth, Unknown):
        raise ValueError(truth.why)
    return truth


def compact(items: Value) -> Value:
    return tuple(item for item in sequence(items) if item not in ("", None))


def sort(items: Value) -> Value:
    return tuple(sorted(sequence(items), key=text))


def reverse(items: Value) -> Value:
    return sequence(items)[::-1]


def contains(items: Value, wanted: Value) -> Value:
    return _among(wanted, sequence(items))


def index(items: Value, wanted: Value) -> Value:
    if is_mapping(items):
        return items[text(wanted)]
    # Newer versions of Packer give the place of an item, older ones the item of a place.
    listed, number = sequence(items), whole_number(wanted)
    position = next((place for place, item in enumerate(listed) if equal(item, wanted) is True), None)
    at_number = isinstance(number, int) and 0 <= number < len(listed)
    if position is not None and not at_number:
        return position
    if position is None and isinstance(number, int) and at_number:
        return listed[number]
    raise ValueError("what it gives depends on the version of Packer")


def length(value: Value) -> Value:
    if isinstance(value, str):
        if "\ufdd0" in value:
            raise ValueError("it depends on where the checkout lies")
        return len(value)
    return len(value) if is_mapping(value) else len(sequence(value))


def slice_(items: Value, start: Value, end: Value) -> Value:
    listed, first, last = sequence(items), whole(start), whole(end)
    if not 0 <= first <= last <= len(listed):
        raise ValueError("there are no such items")
    return listed[first:last]


def chunklist(items: Value, size: Value) -> Value:
    listed, step = sequence(items), whole(size)
    if step <= 0:
        return (listed,) if listed else ()
    return tuple(listed[start : start + step] for start in range(0, len(listed), step))


def setunion(*sets: Value) -> Value:
    return toset(concat(*sets))


def setintersection(*sets: Value) -> Value:
    first, *others = (sequence(each) for each in sets)
    return toset(tuple(item for item in first if all(_among(item, other) for other in others)))


def setsubtract(items: Value, without: Value) -> Value:
    return toset(tuple(item for item in sequence(items) if not _among(item, sequence(without))))


def setproduct(*sets: Value) -> Value:
    return tuple(itertools.product(*(sequence(each) for each in sets)))


def zipmap(names: Value, items: Value) -> Value:
    return {text(name): item for name, item in zip(sequence(names), sequence(items), strict=True)}


def range_(*limits: Value) -> Value:
    numbers = [whole(limit) for limit in limits]
    start, end = (0, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])
    step = numbers[2] if len(numbers) > 2 else (1 if end >= start else -1)
    if abs(end - start) > 1024 * abs(step):
        raise ValueError("more than 1024 items")
    return tuple(range(start, end, step))


def _numbers(arguments: tuple[Value, ...]) -> list[int | float]:
    return [_number(argument) for argument in arguments]


def minimum(*arguments: Value) -> Value:
    return min(_numbers(arguments))


def maximum(*arguments: Value) -> Value:
    return max(_numbers(arguments))


def total(items: Value) -> Value:
    return sum(_numbers(sequence(items)))


def absolute(value: Value) -> Value:
    return abs(_number(value))


def ceil(value: Value) -> Value:
    return math.ceil(_number(value))


def floor(value: Value) -> Value:
    return math.floor(_number(value))


def signum(value: Value) -> Value:
    number = _number(value)
    return (number > 0) - (number < 0)


def power(value: Value, exponent: Value) -> Value:
    result = _number(value) ** _number(exponent)
    return int(result) if isinstance(result, float) and result.is_integer() else float(result)


def _truths(items: Value) -> list[bool]:
    unknown = first_unknown(items)
    if unknown:
        raise ValueError(unknown.why)
    return [as_bool(item) is True for item in sequence(items)]


def alltrue(items: Value) -> Value:
    return all(_truths(items))


def anytrue(items: Value) -> Value:
    return any(_truths(items))
