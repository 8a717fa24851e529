"""Reads Packer's output in chunks, and returns human-readable lines and messages.

The time is linear in the length of the output, and memory is bounded: a line of more than `LONGEST` characters is
returned in parts, and no secret is cut in two. Only lines that can matter are parsed.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ami_bakery.core.packer.machine_output import COLOR, Message, human_lines, parse_message, unescape_machine_text

if TYPE_CHECKING:
    from ami_bakery.core.text.masking import Masker

LONGEST = 1 << 20
"""The most characters that are kept of an incomplete line."""
_WINDOW = 4096
"""Characters before and after a cut that are searched for a secret that must not be cut."""
_HEADER = re.compile(r"\d+,[^,\n]*,([a-z0-9-]+),")
_UI_HEADER = re.compile(r"\d+,[^,\n]*,ui,[a-z0-9-]+,")
_LONGEST_ESCAPE = len("%!(PACKER_COMMA)")


class OutputBlock(NamedTuple):
    """The lines that a chunk completes. `messages` are for programs: artifacts, errors."""

    lines: list[str]
    messages: list[Message]


class MachineReader:
    """Reads `-machine-readable` output. A line of more than `longest` characters is returned in parts."""

    def __init__(self, masker: Masker, longest: int = LONGEST) -> None:
        self._longest = longest
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._raw: list[str] = []
        self._size = 0
        self._long = _LongLine(masker, longest)
        self.copied = 0
        """The number of copied characters: a measure of the work, for tests."""

    def feed(self, data: bytes, *, final: bool = False) -> OutputBlock:
        """Reads a chunk. `final`: the end of the output, whose last line may have no line break."""
        text = self._decoder.decode(data, final)
        block = OutputBlock([], [])
        end = text.rfind("\n") + 1
        if end:
            self._complete(self._joined(text[:end]), block)
            text = text[end:]
        if text:
            self._raw.append(text)
            self._size += len(text)
        if final and self._size:
            self._complete(self._joined(""), block)
        elif self._size > self._longest:
            self._long.begin(self._joined(""), block)
        return block

    def _joined(self, text: str) -> str:
        whole = "".join((*self._raw, text)) if self._raw else text
        self.copied += self._size
        self._raw, self._size = [], 0
        return whole

    def _complete(self, text: str, block: OutputBlock) -> None:
        if self._long.open:
            head, _, text = text.partition("\n")
            self._long.end(head, block)
        if text:
            _read(text, block)


class _LongLine:
    """A line that exceeds the limit. The rest of a message for programs is dropped."""

    def __init__(self, masker: Masker, longest: int) -> None:
        self._masker = masker
        self._longest = longest
        self._escaped = False
        self._dropped = False
        self._rest = ""
        self._text: list[str] = []
        self._size = 0
        self.open = False

    def begin(self, raw: str, block: OutputBlock) -> None:
        """The first part, or one more."""
        if not self.open:
            self.open = True
            header, ui = _HEADER.match(raw), _UI_HEADER.match(raw)
            self._escaped, self._dropped = ui is not None, header is not None and ui is None
            raw = raw[ui.end() :] if ui else raw
        self._add(raw, block, final=False)

    def end(self, raw: str, block: OutputBlock) -> None:
        self._add(raw.rstrip("\r"), block, final=True)
        self.open = False

    def _add(self, raw: str, block: OutputBlock, *, final: bool) -> None:
        if self._dropped:
            return
        if self._escaped:
            raw = self._rest + raw
            # An escape may be cut in two.
            at = len(raw) if final else max(raw.rfind(mark, -_LONGEST_ESCAPE) for mark in "\\%")
            at = at if at >= 0 else len(raw)
            raw, self._rest = raw[:at], raw[at:]
            if "," in raw:
                raw, self._rest, self._dropped = raw.partition(",")[0], "", True
            raw = unescape_machine_text(raw)
        *lines, last = raw.split("\n")
        for line in lines:
            block.lines.append(_plain("".join((*self._text, line))))
            self._text, self._size = [], 0
        self._text.append(last)
        self._size += len(last)
        if final or self._dropped:
            block.lines.append(_plain("".join(self._text)))
            self._text, self._size, self._rest = [], 0, ""
        elif self._size > self._longest:
            part, rest = cut("".join(self._text), self._masker)
            block.lines.append(_plain(part))
            self._text, self._size = [rest], len(rest)


def cut(text: str, masker: Masker) -> tuple[str, str]:
    """Splits a text in two parts, the second of which is short; no secret is in both."""
    start = len(text) - 2 * _WINDOW
    at = _WINDOW
    for begin, end in sorted(masker.spans(text[start:]), reverse=True):
        if begin < at < end:
            at = begin
    at += start
    return (text[:at], text[at:]) if at > 0 else (text, "")


def _read(text: str, block: OutputBlock) -> None:
    """Reads complete lines; the last one may have no line break."""
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    said: list[str] = []
    plain = False
    for line in lines:
        parts = line.split(",", 5)
        if len(parts) > 4 and parts[2] == "ui" and parts[0].isdigit():
            said.append(parts[4])
        elif (message := parse_message(line)) is None:
            plain = True
        elif message.type != "ui":
            block.messages.append(message)
    if plain:
        block.lines.extend(_mixed(lines))
    elif said:
        block.lines.extend(_plain(unescape_machine_text("\n".join(said))).split("\n"))


def _mixed(lines: Iterable[str]) -> Iterator[str]:
    """Yields the lines of a mixed text, without escapes. Some of its lines have another format."""
    for line in lines:
        message = parse_message(line)
        if message is None:
            yield line.rstrip("\r")
        else:
            yield from human_lines(message)


def _plain(text: str) -> str:
    """Removes colors and carriage returns at line ends."""
    if "\x1b" in text:
        text = COLOR.sub("", text)
    return re.sub(r"\r+(?=\n|\Z)", "", text) if "\r" in text else text
