"""What a word that nobody knows was meant to be."""

from __future__ import annotations

from collections.abc import Iterable

_NEAR = 0.6


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'regions'?`, or nothing where no known word is near."""
    found = _closest(word, known, _NEAR)
    return f"; did you mean {found!r}?" if found else ""


def nearest_always(word: str, known: Iterable[str]) -> str:
    """The same for a word out of a short list: where none is near, the one that is least far."""
    words = tuple(known)
    found = _closest(word, words, _NEAR) or _begun_alike(word, words)
    return f"; did you mean {found!r}?" if found else f"; the nearest that is known is {_closest(word, words, 0.0)!r}"


def _closest(word: str, known: Iterable[str], cutoff: float) -> str:
    import difflib

    matches = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=cutoff)
    return matches[0] if matches else ""


def _begun_alike(word: str, known: Iterable[str]) -> str:
    """A known word that is the beginning of this one (`environment`), which counting letters does not see."""
    return max((each for each in known if len(each) > 2 and word.lower().startswith(each)), key=len, default="")
