"""The key `keep` of an image: a table."""

from __future__ import annotations

from typing import Any

from ami_bakery.core.config.model import RetentionPolicy
from ami_bakery.core.config.value_parsers import InvalidValue, duration_of, parse_table, parse_within, type_name
from ami_bakery.core.text.suggestions import nearest_always


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidValue(f"expected a number without decimals, got {_shown(value)}")
    if value < 0:
        raise InvalidValue(f"expected 0 or more, got {value}")
    return value


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, float) else type_name(value)


_KEEP_PARSERS = {"last": _count, "within": duration_of("mhdw", "12h, 30d or 8w")}


def parse_keep(value: Any) -> RetentionPolicy:
    """Parses the table. Raises `InvalidValue` for its first problem."""
    table = parse_table(value)
    for name in table:
        if name not in _KEEP_PARSERS:
            raise InvalidValue(f"unknown key{nearest_always(name, _KEEP_PARSERS)}", name)
    if not table:
        raise InvalidValue("expected `last`, `within` or both")
    return RetentionPolicy(**{name: parse_within(name, _KEEP_PARSERS[name], table) for name in table})
