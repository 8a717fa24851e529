"""A parser of canonical S-expressions (RFC 9804, section 6.1), independent of the program's writer."""

from __future__ import annotations

from typing import TypeAlias

Node: TypeAlias = "bytes | list[Node]"


def parse(data: bytes) -> list[Node]:
    """Returns the only expression in `data`, which must be a list."""
    open_lists: list[list[Node]] = [[]]
    at = 0
    while at < len(data):
        if data[at : at + 1] == b"(":
            open_lists.append([])
            at += 1
        elif data[at : at + 1] == b")":
            closed = open_lists.pop()
            open_lists[-1].append(closed)
            at += 1
        else:
            colon = data.index(b":", at)
            end = colon + 1 + int(data[at:colon])
            assert end <= len(data)
            open_lists[-1].append(data[colon + 1 : end])
            at = end
    (top,) = open_lists
    (only,) = top
    assert isinstance(only, list)
    return only
