"""Masks secrets in other programs' output: in common encodings, and across line breaks.

The time is linear in the length of the output, for any number of secrets (Aho and Corasick, 1975). Encodings with many
spellings (escapes, entities, percent signs) are decoded in a copy of the line, which is searched; those with few
(base64, hex) are searched directly.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

MASK = "<sensitive>"
_SHORTEST_LINE = 4
"""Characters. A shorter line of a secret, for example `}`, is only masked together with adjacent lines."""
_LONG = 256
_WORD = re.compile(r"[^\W_]{4,}")
_SHORTEST_ENCODED = 6
"""Bytes. The base64 or hex form of a shorter secret would match by chance."""
_HELD_BACK = 4
"""A line that ends with this many characters of a secret is held back until the next line arrives."""
_PREFIX = re.compile(r"(?:\S+: )?(?:==>|-->|   ) (?P<builder>[^:]+): ")
"""The prefix of each line of a build; with -timestamp-ui, it starts with the time."""


class Masker:
    """Finds secrets in text. It has no state, and may be shared.

    loosely  also find single words of secrets, reversed, and in other cases, which other programs may print
    """

    def __init__(self, secrets: Iterable[str], *, loosely: bool = False) -> None:
        forms = frozenset(_loose_forms(secrets)) if loosely else _forms(secrets)
        self._machine = _Machine(forms, fold=loosely)
        self._suspicion = _Suspicion(forms)

    def mask(self, text: str) -> str:
        """Masks a complete text, which may have several lines."""
        stream = Stream(self)
        shown = [part for line in text.split("\n") for part in stream.add(line)]
        return "\n".join([*shown, *stream.end()])

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Returns the positions of secrets in a line, in all encodings."""
        if not self._machine.ends:
            return []
        return [view.original(start, end) for view in _views(line) for start, end in self._machine.matches(view.text)]

    def may_go_on(self, text: str) -> bool:
        """Whether a secret may start at the end of `text`."""
        return self._machine.begun(self._machine.run(0, text)) > 0


class Stream:
    """Masks one program's output line by line.

    A line that ends with the start of a secret is held back until the next line arrives. `end` returns the lines that
    are still held back.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._machine = masker._machine
        self._held: list[_Held] = []
        self._builder = ""
        self._state = 0

    def add(self, line: str) -> list[str]:
        """Adds a line, and returns the lines that can be shown now."""
        if not self._machine.ends:
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
        if not self._machine.ends:
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
        return bool(self._held) or self._machine.begun(self._state) > 0

    def end(self) -> list[str]:
        """Returns the lines that were held back."""
        lines = [held.masked() for held in self._held]
        self._held, self._state = [], 0
        return lines

    def _search(self, held: _Held) -> None:
        """Finds secrets that start in a previous line and end in this one."""
        for at in range(held.start, held.stop):
            self._state = self._machine.step(self._state, held.line[at])
            length = self._machine.ends[self._state]
            for other in reversed(self._held):
                if length <= 0:
                    break
                end = at + 1 if other is held else other.stop
                start = max(other.start, end - length)
                other.spans.append((start, end))
                length -= end - start

    def _released(self) -> list[str]:
        """Releases all lines except the last ones that may contain the start of a secret."""
        begun = self._machine.begun(self._state)
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
    """Finds lines that may contain a secret or its start, by fast searches."""

    def __init__(self, forms: Iterable[str]) -> None:
        known = frozenset(forms)
        self._marks = tuple({form[:_HEAD] for form in known}) + _ENCODED_MARKS
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
_ENCODED_MARKS = ("\\", "%", "+", "&", "''", '""', "'\"", "$${")
"""Every text that `_views` decodes contains one of these."""


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


class _Machine:
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


# --- forms of secrets


def _forms(secrets: Iterable[str]) -> frozenset[str]:
    """Returns all forms that are searched, without empty ones, which would match everywhere."""
    whole = {secret.strip("\r\n") for secret in secrets if secret.strip()}
    lines = {line.strip() for secret in whole for line in secret.splitlines()}
    # Line breaks between lines of the output are not searched, so they are removed here, too.
    joined = {joint for secret in whole for joint in ("".join(secret.splitlines()), _stripped(secret))}
    plain = whole | joined | {line for line in lines if len(line) >= _SHORTEST_LINE}
    encoded = {form for secret in whole | {f"{secret}\n" for secret in whole} for form in _encoded(secret)}
    return frozenset(form for form in plain | encoded if form.strip())


def _loose_forms(secrets: Iterable[str]) -> Iterator[str]:
    """Yields loose forms; of a long text, for example a file's content, only lines and words."""
    for secret in secrets:
        forms = _forms([secret]) if len(secret) <= _LONG else frozenset(map(str.strip, secret.splitlines()))
        for form in forms:
            for part in (form, *_WORD.findall(form)):
                yield from (text.lower() for text in (part, part[::-1]) if len(text) >= _SHORTEST_LINE)


def _stripped(secret: str) -> str:
    return "".join(line.strip() for line in secret.splitlines())


def _encoded(secret: str) -> Iterator[str]:
    """Yields base64 and hex forms. In base64, text before the secret shifts it by 0, 1 or 2 bytes."""
    import base64

    data = secret.encode("utf-8", "surrogatepass")
    if len(data) < _SHORTEST_ENCODED:
        return
    yield from (data.hex(), data.hex().upper())
    for shift, mixed in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(bytes(shift) + data).decode("ascii")
        # The last character before the padding also contains bits of the following text.
        rest = (shift + len(data)) % 3
        own = text.rstrip("=")[mixed : -1 if rest else None]
        yield own
        yield own.replace("+", "-").replace("/", "_")


# --- decoding


class _View(NamedTuple):
    """A decoded line. `starts` and `ends`: the original position of each character; None if nothing was decoded."""

    text: str
    starts: list[int] | None = None
    ends: list[int] | None = None

    def original(self, start: int, end: int) -> tuple[int, int]:
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


_Piece = tuple[str, int, int]
"""A character, and the start and end of its encoded form in the match."""
_BACKSLASH = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}"
    r"|(?:\\x[0-9a-fA-F]{2})+|(?:\\[0-3]?[0-7]{1,2})+|\\."
)
_BACKSLASH_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "e": "\x1b"}
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_FORM = re.compile(r"(?:%[0-9a-fA-F]{2})+|\+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});")
_QUOTE = re.compile(r"""'\\''|'"'"'|''|""|\$\$\{|%%\{""")
_OCTAL = re.compile(r"\\([0-7]{1,3})")


def _views(line: str) -> Iterator[_View]:
    whole = _View(line)
    yield whole
    if "\\" in line:
        once = _undone(whole, _BACKSLASH, _backslash)
        yield once
        if "\\" in once.text:
            yield _undone(once, _BACKSLASH, _backslash)
    if "%" in line:
        yield _undone(whole, _PERCENT, _percent)
    if "+" in line:
        yield _undone(whole, _FORM, _percent)
    if "&" in line:
        yield _undone(whole, _ENTITY, _entity)
    if _QUOTE.search(line):
        yield _undone(whole, _QUOTE, _quote)


def _undone(view: _View, pattern: re.Pattern[str], decoded: Callable[[str], Iterator[_Piece]]) -> _View:
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def add(character: str, start: int, end: int) -> None:
        start, end = view.original(start, end)
        characters.append(character)
        starts.append(start)
        ends.append(end)

    at = 0
    for match in pattern.finditer(view.text):
        for plain in range(at, match.start()):
            add(view.text[plain], plain, plain + 1)
        for character, start, end in decoded(match[0]):
            add(character, match.start() + start, match.start() + end)
        at = match.end()
    for plain in range(at, len(view.text)):
        add(view.text[plain], plain, plain + 1)
    return _View("".join(characters), starts, ends)


def _backslash(text: str) -> Iterator[_Piece]:
    kind = text[1]
    if kind == "u" and len(text) == 12:
        high, low = int(text[2:6], 16), int(text[8:12], 16)
        yield chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 0, 12
    elif kind in "uU" and len(text) > 2:
        code = int(text[2:], 16)
        yield chr(code) if code < 0x110000 else "\ufffd", 0, len(text)
    elif kind == "x" and len(text) > 2:
        yield from _bytes(bytes.fromhex(text.replace("\\x", "")), [4] * (len(text) // 4))
    elif kind in "01234567":
        digits = _OCTAL.findall(text)
        yield from _bytes(bytes(int(octal, 8) & 0xFF for octal in digits), [len(octal) + 1 for octal in digits])
    else:
        yield _BACKSLASH_LETTERS.get(kind, kind), 0, 2


def _percent(text: str) -> Iterator[_Piece]:
    if text == "+":
        yield " ", 0, 1
    else:
        yield from _bytes(bytes.fromhex(text.replace("%", "")), [3] * (len(text) // 3))


def _bytes(data: bytes, lengths: list[int]) -> Iterator[_Piece]:
    """Decodes UTF-8; `lengths`: of the encoded form of each byte."""
    at = byte = 0
    for character in data.decode("utf-8", "surrogateescape"):
        size = len(character.encode("utf-8", "surrogateescape"))
        length = sum(lengths[byte : byte + size])
        yield character, at, at + length
        at, byte = at + length, byte + size


def _entity(text: str) -> Iterator[_Piece]:
    import html

    decoded = html.unescape(text)
    if len(decoded) == 1:
        yield decoded, 0, len(text)
    else:
        yield from ((character, at, at + 1) for at, character in enumerate(text))


def _quote(text: str) -> Iterator[_Piece]:
    """In quotes, a shell's `'\\''` is one quote, as is `''` in YAML and PowerShell; HCL doubles the `$` of `${`."""
    yield text[0], 0, len(text) - 1 if text[-1] == "{" else len(text)
    if text[-1] == "{":
        yield "{", len(text) - 1, len(text)
