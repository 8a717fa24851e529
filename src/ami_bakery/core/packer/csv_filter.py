"""The value of a filter as the Amazon plugin reads it: a line of comma-separated values."""

from __future__ import annotations

import re
from collections.abc import Iterator


def listed(value: str) -> tuple[str, ...]:
    """As Go's `encoding/csv` does with `TrimLeadingSpace` and `LazyQuotes`: the first line that is not empty. A field
    in quotes ends at a quote before a comma or the line's end alone, and may go on over lines. Packer refuses a value
    of nothing but empty lines; here it stays as it is.
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
    """What is in the quotes, the rest of the line, and whether there is another field."""
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
