"""Searches for many texts at once, in linear time. The algorithm is that of Aho and Corasick (1975)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator


class TextSearch:
    """Finds many texts in one pass.

    fold   ignore case; the texts are in lower case
    ends   by state: the length of the longest text that ends there, or 0; empty if there are no texts
    """

    def __init__(self, texts: Iterable[str], *, fold: bool = False) -> None:
        self._fold = fold
        self._next: dict[int, int] = {}
        self._fail = [0]
        self._depth = [0]
        self._has_next = [False]
        self.ends = [0]
        for text in texts:
            self._add(text)
        self._link()
        if len(self.ends) == 1:
            self.ends = []

    def _add(self, text: str) -> None:
        state = 0
        for character in text:
            key = state << 21 | ord(character)
            known = self._next.get(key)
            if known is None:
                known = self._next[key] = len(self.ends)
                self._has_next[state] = True
                self._fail.append(0)
                self._depth.append(self._depth[state] + 1)
                self._has_next.append(False)
                self.ends.append(0)
            state = known
        self.ends[state] = len(text)

    def _link(self) -> None:
        children: dict[int, list[tuple[int, int]]] = {}
        for key, state in self._next.items():
            children.setdefault(key >> 21, []).append((key & 0x1FFFFF, state))
        waiting = deque(state for _, state in children.get(0, ()))
        while waiting:
            parent = waiting.popleft()
            self.ends[parent] = self.ends[parent] or self.ends[self._fail[parent]]
            for code, state in children.get(parent, ()):
                fail = self._fail[parent]
                while fail and fail << 21 | code not in self._next:
                    fail = self._fail[fail]
                self._fail[state] = self._next.get(fail << 21 | code, 0)
                waiting.append(state)

    def step(self, state: int, character: str) -> int:
        code = ord(character.lower()[0]) if self._fold else ord(character)
        while (following := self._next.get(state << 21 | code)) is None:
            if state == 0:
                return 0
            state = self._fail[state]
        return following

    def run(self, state: int, text: str) -> int:
        for character in text:
            state = self.step(state, character)
        return state

    def matches(self, text: str) -> Iterator[tuple[int, int]]:
        state = 0
        for at, character in enumerate(text, 1):
            state = self.step(state, character)
            if length := self.ends[state]:
                yield at - length, at

    def begun(self, state: int) -> int:
        """The number of last characters that are the start of a text."""
        while state and not self._has_next[state]:
            state = self._fail[state]
        return self._depth[state]
