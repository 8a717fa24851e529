"""Splits a filter's value into comma-separated values, as the Amazon plugin does."""

from __future__ import annotations

import re
from collections.abc import Iterator


def listed(value: str) -> tuple[str, ...]:
    """Splits the first line that is not empty, as Go's `encoding/csv` does.

    The reader has `TrimLeadingSpace` and `LazyQuotes`. A quoted field only ends at a quote before a comma or the end
    of the line, and may span lines. Packer refuses a value with only empty lines; here it is returned unchanged.
    """
    lines = iter(re.findall(r"[^\n]*\n|[^\n]+", value.replace("\r\n", "\n")))
    line = next((line for line in lines if line.rstrip("\n")), None)
    if line is None:
        return (value,)
    fields = []
    more = True
    while more:
        line = line.lstrip()
        if line.startswith('"'):
            field, line, more = _quoted(line[1:], lines)
        else:
            field, comma, line = line.partition(",")
            more = bool(comma)
            field = field if more else field.removesuffix("\n")
        fields.append(field)
    return tuple(fields)


def _quoted(line: str, lines: Iterator[str]) -> tuple[str, str, bool]:
    """Returns the quoted text, the line's rest, and whether another field follows."""
    field = ""
    while line:
        before, quote, after = line.partition('"')
        field += before
        if not quote:
            line = next(lines, "")
        elif after.startswith('"'):
            field, line = f'{field}"', after[1:]
        elif after.startswith(","):
            return field, after[1:], True
        elif not after.removesuffix("\n"):
            return field, "", False
        else:
            field, line = f'{field}"', after
    return field, "", False
