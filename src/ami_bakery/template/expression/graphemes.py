"""Splits strings into grapheme clusters. Packer does so to count, cut and reverse strings."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cache

_PLAIN = re.compile(r"[^\r\u0300-\U0010ffff]*")
"""Strings in which every character is its own cluster."""
_EXTENSION = "(?:[ES]|Z(?:XE*)?)*"
_ONE = (
    f"(?:(?:L+(?:A?V+T*|BT*|A)?|AV*T*|V+T*|BT*|T+){_EXTENSION}"  # Hangul
    f"|X{_EXTENSION}|Z[ZES]*|RR?{_EXTENSION}|[OES][EZS]*)"
)
_CLUSTER = re.compile(f"rn|[rnC]|P+{_ONE}?|{_ONE}", re.DOTALL)


def clusters(text: str) -> list[str]:
    if _PLAIN.fullmatch(text):
        return list(text)
    kinds = "".join(map(_kind, text))
    return [text[found.start() : found.end()] for found in _CLUSTER.finditer(kinds)]


def _kind(letter: str) -> str:
    code = ord(letter)
    if letter in "\r\n":
        return "r" if letter == "\r" else "n"
    if 0xAC00 <= code <= 0xD7A3:
        return "B" if (code - 0xAC00) % 28 else "A"
    starts, ends, kinds = _table()
    number = bisect_right(starts, code) - 1
    return kinds[number] if number >= 0 and code <= ends[number] else "O"


@cache
def _table() -> tuple[list[int], list[int], str]:
    from ami_bakery.template.expression.grapheme_ranges import RANGES

    starts, ends, kinds = [], [], ""
    end = 0
    for entry in RANGES.split():
        found = re.fullmatch(r"([0-9a-f]+)([A-Z])([0-9a-f]*)", entry)
        assert found is not None
        start = end + int(found[1], 16)
        end = start + int(found[3] or "0", 16)
        starts.append(start)
        ends.append(end)
        kinds += found[2]
    return starts, ends, kinds
