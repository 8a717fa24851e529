"""Parsers of values in `bakery.toml`; they raise `InvalidValue`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ami_bakery.core.text.durations import parse_duration
from ami_bakery.core.text.suggestions import nearest

if TYPE_CHECKING:
    import re
    from datetime import timedelta

_Parsed: TypeAlias = Any


class InvalidValue(Exception):
    """A value that cannot be used. `path` leads to it, relative to the key's value."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


def parse_string(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"expected a string, got {type_name(value)}")
    if "\0" in value:
        raise InvalidValue("a program's argument cannot contain a NUL character")
    return value


def matching(pattern: re.Pattern[str], expected: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        text = parse_string(value)
        if not pattern.fullmatch(text):
            raise InvalidValue(f"expected {expected}, got {text!r}")
        return text

    return parse


def parse_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue(f"expected true or false, got {type_name(value)}")
    return value


def parse_path(value: Any) -> str:
    text = parse_string(value)
    if not text:
        raise InvalidValue("expected a path, got an empty string")
    return text


def parse_list_of(parse: Callable[[Any], str]) -> Callable[[Any], tuple[str, ...]]:
    def parse_list(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise InvalidValue(f"expected a list, got {type_name(value)}")
        items = []
        for index, item in enumerate(value):
            try:
                items.append(parse(item))
            except InvalidValue as wrong:
                raise InvalidValue(wrong.message, index, *wrong.path) from None
        return tuple(items)

    return parse_list


def distinct_values(parse: Callable[[Any], tuple[str, ...]]) -> Callable[[Any], tuple[str, ...]]:
    return lambda value: tuple(dict.fromkeys(parse(value)))


def non_empty(parse: Callable[[Any], tuple[str, ...]]) -> Callable[[Any], tuple[str, ...]]:
    def parse_list(value: Any) -> tuple[str, ...]:
        items = parse(value)
        if not items:
            raise InvalidValue("expected at least one entry")
        return items

    return parse_list


def one_of(known: Iterable[str]) -> Callable[[Any], str]:
    choices = tuple(known)

    def parse(value: Any) -> str:
        text = parse_string(value)
        if text not in choices:
            raise InvalidValue(f"{text!r} is not one of {', '.join(choices)}{nearest(text, choices)}")
        return text

    return parse


def duration_of(units: str, examples: str) -> Callable[[Any], timedelta]:
    """Returns the parser of a key: a duration in one of these units."""

    def parse(value: Any) -> timedelta:
        try:
            return parse_duration(parse_string(value), units=units, examples=examples)
        except ValueError as wrong:
            raise InvalidValue(str(wrong)) from None

    return parse


def is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(is_plain(item) for item in value.values())
    return isinstance(value, str | int | float | bool)


def parse_table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidValue(f"expected a table, got {type_name(value)}")
    return value


def parse_within(key: str, parse: Callable[[Any], _Parsed], table: Mapping[str, Any]) -> _Parsed:
    try:
        return parse(table[key])
    except InvalidValue as wrong:
        raise InvalidValue(wrong.message, key, *wrong.path) from None


def type_name(value: Any) -> str:
    match value:
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return f"a {type(value).__name__}"
