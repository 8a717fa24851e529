"""Masks secrets in other programs' output: in common encodings, and across line breaks.

The time is linear in the length of the output, for any number of secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ami_bakery.core.text.secret_forms import ENCODED_MARKS, decoded_views, loose_forms, secret_forms
from ami_bakery.core.text.text_search import TextSearch

MASK = "<sensitive>"
_HELD_BACK = 4
"""A line that ends with this many characters of a secret is held back until the next line arrives."""
_PREFIX = re.compile(r"(?:\S+: )?(?:==>|-->|   ) (?P<builder>[^:]+): ")
"""The prefix of each line of a build; with -timestamp-ui, it starts with the time."""


class Masker:
    """Finds secrets in text. It has no state, and may be shared.

    loosely  also find single words of secrets, reversed, and in other cases, which other programs may print
    """

    def __init__(self, secrets: Iterable[str], *, loosely: bool = False) -> None:
        forms = frozenset(loose_forms(secrets)) if loosely else secret_forms(secrets)
        self._secrets = TextSearch(forms, fold=loosely)
        self._suspicion = _Suspicion(forms)

    def mask(self, text: str) -> str:
        """Masks a complete text, which may have several lines."""
        stream = Stream(self)
        shown = [part for line in text.split("\n") for part in stream.add(line)]
        return "\n".join([*shown, *stream.end()])

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Returns the positions of secrets in a line, in all encodings."""
        if not self._secrets.ends:
            return []
        return [
            view.original(start, end) for view in decoded_views(line) for start, end in self._secrets.matches(view.text)
        ]

    def may_go_on(self, text: str) -> bool:
        """Whether a secret may start at the end of `text`."""
        return self._secrets.begun(self._secrets.run(0, text)) > 0


class Stream:
    """Masks one program's output line by line.

    A line that ends with the start of a secret is held back until the next line arrives. `end` returns the lines that
    are still held back.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._secrets = masker._secrets
        self._held: list[_Held] = []
        self._builder = ""
        self._state = 0

    def add(self, line: str) -> list[str]:
        """Adds a line, and returns the lines that can be shown now."""
        if not self._secrets.ends:
            return [line]
        prefix = _PREFIX.match(line)
        builder, start = (prefix["builder"], prefix.end()) if prefix else ("", 0)
        shown = []
        if builder != self._builder:
            shown = self.end()
            self._builder = builder
        start += len(line[start:]) - len(line[start:].lstrip())
        stop = max(len(line.rstrip()), start)
        held = _Held(line, start, stop, self._masker.spans(line))
        self._held.append(held)
        self._search(held)
        return shown + self._released()

    def add_all(self, lines: list[str]) -> list[str]:
        """Adds many lines. Only suspicious lines are searched character by character."""
        if not self._secrets.ends:
            return lines
        suspicious = self._masker._suspicion.of(lines)
        if not suspicious and not self._goes_on():
            return lines
        shown: list[str] = []
        for number, line in enumerate(lines):
            if number in suspicious or self._goes_on():
                shown += self.add(line)
            else:
                shown.append(line)
        return shown

    def _goes_on(self) -> bool:
        """Whether a secret may have started in previous lines."""
        return bool(self._held) or self._secrets.begun(self._state) > 0

    def end(self) -> list[str]:
        """Returns the lines that were held back."""
        lines = [held.masked() for held in self._held]
        self._held, self._state = [], 0
        return lines

    def _search(self, held: _Held) -> None:
        """Finds secrets that start in previous lines and end in this one."""
        for at in range(held.start, held.stop):
            self._state = self._secrets.step(self._state, held.line[at])
            length = self._secrets.ends[self._state]
            for other in reversed(self._held):
                if length <= 0:
                    break
                end = at + 1 if other is held else other.stop
                start = max(other.start, end - length)
                other.spans.append((start, end))
                length -= end - start

    def _released(self) -> list[str]:
        """Releases all lines before those that may contain a secret's start."""
        begun = self._secrets.begun(self._state)
        at = len(self._held)
        while begun >= _HELD_BACK and at > 0:
            at -= 1
            length = self._held[at].stop - self._held[at].start
            if begun <= length:
                break
            begun -= length
        released, self._held = self._held[:at], self._held[at:]
        return [held.masked() for held in released]


class _Suspicion:
    """Finds lines that may contain a secret or its start. Uses fast searches."""

    def __init__(self, forms: Iterable[str]) -> None:
        known = frozenset(forms)
        self._marks = tuple({form[:_HEAD] for form in known}) + ENCODED_MARKS
        self._tails = tuple({form[:length] for form in known for length in range(1, _HEAD)})

    def of(self, lines: list[str]) -> set[int]:
        """Returns the numbers of suspicious lines."""
        tails = self._tails
        found = {number for number, line in enumerate(lines) if line.endswith(tails) or line[-1:].isspace()}
        text = "\n".join(lines)
        places = sorted(place for mark in self._marks for place in _lines_with(mark, text))
        number, at = 0, 0
        for place in places:
            number += text.count("\n", at, place)
            at = place
            found.add(number)
        return found


_HEAD = 4
"""The number of characters of a secret that are searched first."""


def _lines_with(mark: str, text: str) -> Iterator[int]:
    """Yields one position for each line that contains `mark`."""
    at = text.find(mark)
    while at >= 0:
        yield at
        after = text.find("\n", at)
        at = text.find(mark, after) if after >= 0 else -1


class _Held(NamedTuple):
    """A held-back line. A secret between `start` and `stop` may continue on the next line. `spans` are masked."""

    line: str
    start: int
    stop: int
    spans: list[tuple[int, int]]

    def masked(self) -> str:
        parts, at = [], 0
        for start, end in _merged(self.spans):
            parts += [self.line[at:start], MASK]
            at = end
        return "".join((*parts, self.line[at:]))


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Merges overlapping spans; adjacent spans stay separate."""
    last: tuple[int, int] | None = None
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if last is None:
            last = start, end
        elif start < last[1]:
            last = last[0], max(last[1], end)
        else:
            yield last
            last = start, end
    if last is not None:
        yield last
