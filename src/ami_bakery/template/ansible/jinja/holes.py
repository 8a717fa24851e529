"""Marks for unknown parts of a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

HOLE = "\x00"
"""A value that only Ansible or Packer knows. It may be a complete path."""
FACT = "\x01"
"""A fact that only the instance knows, such as its distribution: a word, never a path."""
MOST = 64
"""Maximum number of alternatives of one text."""
LONGEST = 4096
"""Maximum number of characters of a path, and of elements of a list. Longer ones are not evaluated."""


def is_static(text: str) -> bool:
    return "{{" not in text and "{%" not in text and "{#" not in text and not text.startswith("#jinja2:")


def has_hole(text: str) -> bool:
    return HOLE in text or FACT in text


def join_with_holes(parts: Sequence[str]) -> str:
    """Joins the parts; returns a hole if the result is longer than any path."""
    return HOLE if sum(map(len, parts)) > LONGEST else "".join(parts)


def merged_texts(values: Iterable[Any], *, texts_only: bool = True) -> list[Any]:
    """Returns the values and the elements of lists, at any depth; by default only texts."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, list | tuple):
            found += merged_texts(value, texts_only=texts_only)
        elif isinstance(value, str) or not texts_only:
            found.append(value)
    return found
