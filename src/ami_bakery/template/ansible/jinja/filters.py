"""Jinja filters whose results depend only on names: returns all possible results."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ami_bakery.template.ansible.jinja.holes import HOLE, MOST, join_with_holes

_SAME = frozenset(
    """string trim mandatory quote list flatten unique sort reverse select reject selectattr rejectattr difference
    intersect shuffle int bool expanduser community_flatten dictsort batch slice random_order safe""".split()  # noqa: SIM905
)
"""Filters that return their input or a part of it. Here they return the complete input."""


def _basename(text: str) -> str:
    return text.rsplit("/", 1)[-1]


def _dirname(text: str) -> str:
    return text.rpartition("/")[0]


_OF_TEXTS: Mapping[str, Callable[[str], Any]] = {
    "lower": str.lower,
    "upper": str.upper,
    "capitalize": str.capitalize,
    "basename": _basename,
    "dirname": _dirname,
    "win_basename": lambda text: text.replace("\\", "/").rsplit("/", 1)[-1],
    "splitext": lambda text: list(posixpath.splitext(text)),
}


def apply_filter(
    name: str, given: Sequence[Any], arguments: Sequence[Sequence[Any]], named: Mapping[str, Sequence[Any]]
) -> list[Any]:
    """Returns all possible values of `given | name(arguments)`.

    given      all alternatives of the input
    arguments  all alternatives of each argument
    """
    if name in ("default", "d"):
        return [*given, *(arguments[0] if arguments else [""])]
    if name == "ternary":
        return [value for argument in arguments[:2] for value in argument]
    if name in _SAME:
        return list(given)
    if name in _OF_TEXTS:
        return [_OF_TEXTS[name](value) if isinstance(value, str) else HOLE for value in given]
    if name in _OTHERS:
        return _OTHERS[name](given, arguments, named)
    return [HOLE]


def _elements(given: Sequence[Any]) -> list[Any]:
    return [each for value in given for each in (value if isinstance(value, list | tuple) else [value])]


def _firsts(given: Sequence[Any], _arguments: Any, _named: Any) -> list[Any]:
    """`first`, `last`, `random`, `min`, `max`: returns all elements, because any may be selected."""
    return _elements(given)


def _join(given: Sequence[Any], arguments: Sequence[Sequence[Any]], _named: Any) -> list[Any]:
    separator = str(arguments[0][0]) if arguments and arguments[0] else ""
    rows = (
        [part for each in value for part in (separator, str(each))][1:] for value in given if isinstance(value, list)
    )
    return [join_with_holes(row) for row in rows] or [HOLE]


def _path_join(given: Sequence[Any], _arguments: Any, _named: Any) -> list[Any]:
    return [posixpath.join(*map(str, value)) if isinstance(value, list) and value else value for value in given]


def _replace(given: Sequence[Any], arguments: Sequence[Sequence[Any]], _named: Any) -> list[Any]:
    if len(arguments) < 2:
        return [HOLE]
    made = []
    for value, old, new in itertools.islice(itertools.product(given, arguments[0], arguments[1]), MOST):
        known = all(isinstance(each, str) and HOLE not in each for each in (value, old, new)) and old
        made.append(value.replace(old, new) if known and len(new) < 256 and len(value) < 4096 else HOLE)
    return made


def _union(given: Sequence[Any], arguments: Sequence[Sequence[Any]], _named: Any) -> list[Any]:
    return [_elements(given) + [each for argument in arguments for each in _elements(argument)]]


def _combine(given: Sequence[Any], arguments: Sequence[Sequence[Any]], _named: Any) -> list[Any]:
    """`combine`: returns all dictionaries, so that a key has all of its values."""
    return _elements([*given, *(each for argument in arguments for each in argument)])


def _dict2items(given: Sequence[Any], _arguments: Any, named: Mapping[str, Sequence[Any]]) -> list[Any]:
    key, value = (str((named.get(f"{name}_name") or [name])[0]) for name in ("key", "value"))
    return [
        [{key: name, value: child} for name, child in each.items()] if isinstance(each, Mapping) else [HOLE]
        for each in given
    ]


def _product(given: Sequence[Any], arguments: Sequence[Sequence[Any]], _named: Any) -> list[Any]:
    rows = itertools.product(_elements(given), *(_elements(argument) for argument in arguments))
    return [[list(row) for row in itertools.islice(rows, MOST)]]


def _subelements(given: Sequence[Any], arguments: Sequence[Sequence[Any]], _named: Any) -> list[Any]:
    name = str(arguments[0][0]) if arguments and arguments[0] else ""
    pairs: Iterable[tuple[Any, Any]] = (
        (each, child)
        for each in _elements(given)
        for child in (_elements([each.get(name, [])]) if isinstance(each, Mapping) else [HOLE])
    )
    return [[list(pair) for pair in itertools.islice(pairs, MOST)]]


def _map(given: Sequence[Any], arguments: Sequence[Sequence[Any]], named: Mapping[str, Sequence[Any]]) -> list[Any]:
    """`map(attribute='x')`, and `map('basename')` if the filter is known."""
    elements = _elements(given)
    if named.get("attribute"):
        parts = str(named["attribute"][0]).split(".")
        for part in parts:
            elements = [each.get(part, HOLE) if isinstance(each, Mapping) else HOLE for each in elements]
        return [elements + list(named.get("default", ()))]
    if arguments and arguments[0] and isinstance(arguments[0][0], str):
        name = arguments[0][0].rpartition(".")[2]
        return [[value for each in elements for value in apply_filter(name, [each], arguments[1:], named)]]
    return [[HOLE]]


_OTHERS: Mapping[str, Callable[[Sequence[Any], Sequence[Sequence[Any]], Mapping[str, Sequence[Any]]], list[Any]]] = {
    "first": _firsts,
    "last": _firsts,
    "random": _firsts,
    "min": _firsts,
    "max": _firsts,
    "join": _join,
    "path_join": _path_join,
    "replace": _replace,
    "union": _union,
    "symmetric_difference": _union,
    "combine": _combine,
    "dict2items": _dict2items,
    "product": _product,
    "zip": _product,
    "zip_longest": _product,
    "subelements": _subelements,
    "map": _map,
}
