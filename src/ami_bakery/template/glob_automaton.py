"""Matches globs in linear time, with a nondeterministic automaton."""

from __future__ import annotations

import re


class Automaton:
    """States and the transitions between them.

    A transition has a regular expression for one character, or None if it consumes none.

    any_one   regular expression for the characters that `?` and `*` match: `.` or `[^/]`
    negation  the character that negates a class
    """

    def __init__(self, pattern: str, *, any_one: str, negation: str) -> None:
        self._pattern, self._position, self._negation = pattern, 0, negation
        self._any_one = re.compile(any_one, re.DOTALL)
        self._moves: list[list[tuple[re.Pattern[str] | None, int]]] = []
        self._start = self._state()
        self._end = self._sequence(self._start, depth=0)

    def matches(self, text: str) -> bool:
        current = self._reached({self._start})
        for character in text:
            current = self._reached(
                {
                    to
                    for state in current
                    for test, to in self._moves[state]
                    if test is not None and test.match(character)
                }
            )
            if not current:
                return False
        return self._end in current

    def _reached(self, states: set[int]) -> set[int]:
        """Adds all states that are reachable without consuming a character."""
        waiting = list(states)
        while waiting:
            for test, to in self._moves[waiting.pop()]:
                if test is None and to not in states:
                    states.add(to)
                    waiting.append(to)
        return states

    # --- building

    def _state(self) -> int:
        self._moves.append([])
        return len(self._moves) - 1

    def _move(self, start: int, test: re.Pattern[str] | None, end: int | None = None) -> int:
        end = self._state() if end is None else end
        self._moves[start].append((test, end))
        return end

    def _sequence(self, start: int, *, depth: int) -> int:
        """Parses to the end of the pattern or the current alternative."""
        state = start
        while self._position < len(self._pattern):
            sign = self._pattern[self._position]
            if depth and sign in ",}":
                break
            self._position += 1
            state = self._braces(state, depth) if sign == "{" else self._one(sign, state)
        return state

    def _braces(self, start: int, depth: int) -> int:
        end = self._state()
        while True:
            self._move(self._sequence(self._move(start, None), depth=depth + 1), None, end)
            closing = self._pattern[self._position : self._position + 1]
            self._position += 1
            if closing != ",":
                return end

    def _one(self, sign: str, state: int) -> int:
        rest = self._pattern[self._position :]
        if sign == "*":
            return self._star(state, rest)
        if sign == "?":
            return self._move(state, self._any_one)
        if sign == "[" and "]" in rest[1:]:
            inside = rest[: rest.index("]", 1)]
            self._position += len(inside) + 1
            return self._move(state, self._class(inside))
        if sign == "\\" and rest:
            self._position += 1
            sign = rest[0]
        return self._move(state, re.compile(re.escape(sign)))

    def _class(self, inside: str) -> re.Pattern[str]:
        negated = inside.startswith(self._negation)
        members = re.sub(r"[\\^\[&~|]", r"\\\g<0>", inside[negated:])
        try:
            return re.compile(f"[{'^' if negated else ''}{members}]", re.DOTALL)
        except re.error:
            return re.compile("(?!)")  # such as `[b-a]`, which matches nothing

    def _star(self, state: int, rest: str) -> int:
        anything = re.compile(".", re.DOTALL)
        if rest.startswith("*/"):
            self._position += 2
            inner = self._move(state, None)
            self._move(inner, anything, inner)
            end = self._move(inner, re.compile("/"))
            self._move(state, None, end)
            return end
        consumed = self._any_one
        if rest.startswith("*"):
            self._position += 1
            consumed = anything
        inner = self._move(state, None)
        self._move(inner, consumed, inner)
        return self._move(inner, None)
