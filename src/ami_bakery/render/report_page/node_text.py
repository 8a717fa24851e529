"""Estimates the width of text without fonts, and shortens text to a width."""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"
_NARROW = frozenset("fijlrtI.,:;'|!()[]{}/\\- `")
_WIDE = frozenset("mwMW@%&")
_INVISIBLE = ("Mn", "Me", "Cf")
_JOINER = "\u200d"
_SKIN_COLORS = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
_FLAG_HALVES = frozenset(map(chr, range(0x1F1E6, 0x1F200)))


def text_width(text: str) -> float:
    """Returns an estimate of a text's width in em, rather too large for usual fonts."""
    return sum(map(_cluster_width, _clusters(text)))


def _cluster_width(cluster: str) -> float:
    return max(map(_letter_width, cluster))


def _letter_width(letter: str) -> float:
    if letter.isascii():
        return 0.42 if letter in _NARROW else 1.0 if letter in _WIDE else 0.74 if letter.isupper() else 0.64
    if unicodedata.category(letter) in _INVISIBLE:
        return 0
    if unicodedata.east_asian_width(letter) in "WF" or letter in _FLAG_HALVES:
        return 1.3 if unicodedata.category(letter) == "So" else 1.0
    return 0.8


def shorten(text: str, width: float) -> str:
    """Replaces the middle of a text that is wider than `width` (in em) with an ellipsis.

    Names often differ at their end only. Letters stay together with their accents, and emoji with their modifiers.
    """
    if text_width(text) <= width:
        return text
    clusters = _clusters(text)
    head: list[str] = []
    tail: list[str] = []
    room = width - 1  # of the ellipsis
    while clusters:
        end, at = (head, 0) if len(head) <= len(tail) else (tail, -1)
        room -= _cluster_width(clusters[at])
        if room < 0:
            break
        end.append(clusters.pop(at))
    return "".join([*head, ELLIPSIS, *reversed(tail)])


def _clusters(text: str) -> list[str]:
    """Splits a text into letters with their accents, and emoji with their modifiers."""
    clusters: list[str] = []
    for letter in text:
        if clusters and _continues(clusters[-1], letter):
            clusters[-1] += letter
        else:
            clusters.append(letter)
    return clusters


def _continues(cluster: str, letter: str) -> bool:
    if letter.isascii():
        return False
    return (
        unicodedata.category(letter) in (*_INVISIBLE, "Mc")
        or letter in _SKIN_COLORS
        or cluster.endswith(_JOINER)
        or (letter in _FLAG_HALVES and len(cluster) == 1 and cluster in _FLAG_HALVES)
    )
