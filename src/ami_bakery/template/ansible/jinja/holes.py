"""Marks for the parts of a text that are not known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

HOLE = "\x00"
"""Something that only Ansible or Packer knows, and that may be a whole path."""
FACT = "\x01"
"""Something that only the machine knows, such as its distribution: a word, never a path."""
MOST = 64
"""Alternatives of one text, at most."""
LONGEST = 4096
"""Characters of a path, and elements of a list that is put together: what is longer is not worked out."""


def is_static(text: str) -> bool:
    return "{{" not in text and "{%" not in text and "{#" not in text and not text.startswith("#jinja2:")


def has_hole(text: str) -> bool:
    return HOLE in text or FACT in text


def join_with_holes(parts: Sequence[str]) -> str:
    """The parts as one text; a hole where that is longer than any path."""
    return HOLE if sum(map(len, parts)) > LONGEST else "".join(parts)


def merged_texts(values: Iterable[Any], *, texts_only: bool = True) -> list[Any]:
    """The elements of values that may be lists; by default only texts."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, list | tuple):
            found += merged_texts(value, texts_only=texts_only)
        elif isinstance(value, str) or not texts_only:
            found.append(value)
    return found
