"""Sorts types by generality, as cty does before it unifies them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ami_bakery.template.expression.cty_types import Type

_BEFORE = {("tuple", "list"), ("object", "map"), ("set", "tuple"), ("set", "list")}


def by_generality(kinds: tuple[Type, ...]) -> list[Type]:
    """Sorts types as cty does: the more general first."""
    size = len(kinds)
    edges: list[list[int]] = [[] for _ in kinds]
    degree = [0] * size
    for i in range(size - 1):
        for j in range(i + 1, size):
            order = _compared(kinds[i], kinds[j])
            if order:
                first, second = (i, j) if order < 0 else (j, i)
                edges[first].append(second)
                degree[second] += 1
    queue = [number for number in range(size) if degree[number] == 0]
    for number in queue:
        for other in edges[number]:
            degree[other] -= 1
            if degree[other] == 0:
                queue.append(other)
    return [kinds[number] for number in queue]


def _compared(a: Type, b: Type) -> int:
    """Negative if `a` is more general."""
    if "dynamic" in (a.kind, b.kind):
        return 0 if a == b else (-1 if b.kind == "dynamic" else 1)
    if a.is_primitive and b.is_primitive:
        return (b.kind == "string") - (a.kind == "string")
    if a.kind == b.kind and a.is_collection:
        return _compared(a.element, b.element)
    if (a.kind, b.kind) in _BEFORE:
        return -_ranked(b, a)
    return _ranked(a, b)


def _ranked(a: Type, b: Type) -> int:
    if (b.kind == "set" and a.kind in ("tuple", "list")) or (a.kind, b.kind) in (("list", "tuple"), ("map", "object")):
        return -1
    if a.kind != b.kind or a.kind not in ("object", "tuple") or len(a.of) != len(b.of) or a.names != b.names:
        return 0
    orders = [_compared(x, y) for x, y in zip(a.of, b.of, strict=True)]
    general, special = any(order < 0 for order in orders), any(order > 0 for order in orders)
    return 0 if general == special else (-1 if general else 1)
