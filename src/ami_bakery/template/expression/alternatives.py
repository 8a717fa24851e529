"""Computes with all values that an expression may have."""

from __future__ import annotations

from itertools import islice, product
from typing import TYPE_CHECKING, Any

from ami_bakery.template.expression.cty import (
    MOST_ALTERNATIVES,
    Cty,
    EvaluationError,
    Unsure,
    object_value,
    tuple_value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LONGEST_WITH_ALTERNATIVES = 1 << 16
"""Characters of a string that is compared as an alternative."""


def alternatives(value: Cty) -> list[Cty]:
    """Returns alternatives of the whole value, also with one part replaced."""
    if not value.has_others:
        return []
    result = list(value.others)
    for other in value.others:
        if len(result) < MOST_ALTERNATIVES:
            result.extend(alternatives(other))
    children = value.raw if isinstance(value.raw, dict | tuple) else ()
    for key in children if isinstance(children, dict) else range(len(children)):
        child: Cty = children[key]
        for other in alternatives(child) if child.has_others else ():
            if len(result) >= MOST_ALTERNATIVES:
                return result
            result.append(_with_part(value, key, other))
    return result


def _with_part(value: Cty, key: Any, child: Cty) -> Cty:
    if value.type.kind == "object":
        return object_value({**value.raw, key: child})
    if value.type.kind == "map":
        return value.copy_with(raw={**value.raw, key: child}, others=())
    items = (*value.raw[:key], child, *value.raw[key + 1 :])
    return tuple_value(items) if value.type.kind == "tuple" else value.copy_with(raw=items, others=())


def without_unknown(value: Cty) -> Cty | None:
    """Returns the collection without its unknown elements; None if none remain."""
    if value.is_whole:
        return value
    if not value.is_known:
        return None
    if isinstance(value.raw, dict):
        kept = {name: left for name, child in value.raw.items() if (left := without_unknown(child)) is not None}
        if value.type.kind == "object":
            return object_value(kept) if kept else None
        return value.copy_with(raw=kept) if kept else None
    items = [left for child in value.raw if (left := without_unknown(child)) is not None]
    if not items:
        return None
    return tuple_value(items) if value.type.kind == "tuple" else value.copy_with(raw=tuple(items))


def map_alternatives(work: Callable[[Sequence[Cty]], Cty], arguments: Sequence[Cty]) -> Cty:
    """Applies `work` to the arguments, and to their alternatives. The alternatives give those of the result."""
    main = work(arguments)
    if not any(argument.has_others for argument in arguments):
        return main
    if isinstance(main.raw, str) and len(main.raw) > LONGEST_WITH_ALTERNATIVES:
        return main  # It is too long for a path or a command.
    others = list(main.others)
    for row in _rows(arguments):
        try:
            alternative = work(row)
        except (EvaluationError, Unsure):
            continue
        others.extend((alternative, *alternative.others))
    return main.with_others(others)


def _rows(arguments: Sequence[Cty]) -> Iterator[list[Cty]]:
    """Yields combinations of alternatives, except the first.

    If there are too many, yields those with one replaced value.
    """
    choices = [[argument, *alternatives(argument)] for argument in arguments]
    size = 1
    for choice in choices:
        size *= len(choice)
    if size <= MOST_ALTERNATIVES:
        for row in islice(product(*choices), 1, None):
            yield list(row)
        return
    left = MOST_ALTERNATIVES
    for number, choice in enumerate(choices):
        for other in choice[1 : left + 1]:
            left -= 1
            yield [*arguments[:number], other, *arguments[number + 1 :]]
