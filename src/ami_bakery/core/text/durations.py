"""Parses durations, such as `90s`, `15m`, `2h`, `30d` and `8w`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(rf"(\d{{1,6}})([{''.join(_UNITS)}])", re.ASCII)


def parse_duration(text: str, *, examples: str, units: str = "smhdw", zero: bool = False) -> timedelta:
    """Parses a number with a unit. Raises `ValueError` with a message.

    examples  for the message: ``90s, 10m or 2h``
    units     those that make sense for this value
    zero      whether the duration may be zero, which needs no unit
    """
    if zero and text == "0":
        return timedelta()
    match = _DURATION.fullmatch(text)
    if match is None or (int(match[1]) == 0 and not zero):
        raise ValueError(f"expected a duration such as {examples}, got {text!r}")
    count, unit = int(match[1]), match[2]
    if unit not in units:
        raise ValueError(f"expected a duration such as {examples}, got {text!r}: {_UNITS[unit]} make no sense here")
    return timedelta(**{_UNITS[unit]: count})
