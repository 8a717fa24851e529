"""Suggests a known word for an unknown one."""

from __future__ import annotations

from collections.abc import Iterable

_NEAR = 0.6
_COMPARED = 8
"""The number of difflib's matches that are compared by edit distance: difflib ignores swapped letters."""


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'regions'?`; empty if no known word is similar."""
    found = _closest(word, known, _NEAR)
    return f"; did you mean {found!r}?" if found else ""


def nearest_always(word: str, known: Iterable[str]) -> str:
    """Like `nearest` for a short list: if no word is similar, suggests the closest one."""
    words = tuple(known)
    found = _closest(word, words, _NEAR) or _begun_alike(word, words)
    return f"; did you mean {found!r}?" if found else f"; the nearest known word is {_closest(word, words, 0.0)!r}"


def _closest(word: str, known: Iterable[str], cutoff: float) -> str:
    import difflib

    wanted = word.lower()
    matches = difflib.get_close_matches(wanted, list(known), n=_COMPARED, cutoff=cutoff)
    # A word that starts with the unknown word is preferred over a smaller edit distance.
    return min(matches, key=lambda each: (not each.startswith(wanted), distance(wanted, each)), default="")


def distance(one: str, other: str) -> int:
    """The number of inserted, deleted, replaced or swapped letters (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        line = [i]
        for j, right in enumerate(other, 1):
            cost = min(last[j] + 1, line[j - 1] + 1, last[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, before[j - 2] + 1)
            line.append(cost)
        before, last = last, line
    return last[-1]


def _begun_alike(word: str, known: Iterable[str]) -> str:
    """The longest known word that the unknown word starts with: `env` for `environment`."""
    return max((each for each in known if len(each) > 2 and word.lower().startswith(each)), key=len, default="")
