"""Parses the lines of `strace -f -y -s 0`; joins interrupted calls.

Source: strace(1), and the formats of strace 4.26 to 6.12. Names that are not UTF-8 use surrogateescape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_LINE = re.compile(r"(\d+) +(.*)", re.DOTALL)
_CALL = re.compile(r"(\w+)\((.*)", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_MOVED = re.compile(r" <pid changed to (\d+) \.\.\.>\Z")
_RESUMED = re.compile(r"<\.\.\. (?:\w+|\?+) resumed>(.*)", re.DOTALL)
_ENDED = re.compile(r"\+\+\+ (?:exited with|killed by) ")
_SUPERSEDED = re.compile(r"\+\+\+ superseded by execve in pid (\d+) ")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"(?:\.\.\.)?|<(?:[^<>\\]|\\.)*>|[({\[]|[)}\]]|,|[^"<(){}\[\],]+|.', re.DOTALL)
_RESULT = re.compile(r"\s*= (-?\d+|\?)(?:<((?:[^>\\]|\\.)*)>(\(deleted\))?)?(?: (E[A-Z0-9]+))?")
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_CONTROL = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"\Z', re.DOTALL)
_ANNOTATED = re.compile(r"(-?\d+|AT_FDCWD)(?:<((?:[^>\\]|\\.)*)>(?:\(deleted\))?)?\Z", re.DOTALL)

_SYSTEM = "/(?:usr|lib|lib64|etc|proc|sys|dev)/"
_OF_SYSTEM = re.compile(
    r"(?:open|openat|stat|lstat|newfstatat|statx|access|faccessat2?|readlink|readlinkat)\((?:AT_FDCWD(?:<[^>]*>)?, )?"
    rf'"{_SYSTEM}(?:(?!/\.\.)[^"\\])*"[^"]*= (?:-1 [^"]*|0|\d+<{_SYSTEM}[^>]*>)'
)
"""Reads of system folders: most of the lines of a trace."""


class SystemCall(NamedTuple):
    """A system call.

    start, end  the numbers of the lines where it began and where it returned
    result      None if it did not return, or its result is unknown
    opened      the path of the file descriptor that it returned, as the kernel names it; empty for none
    error       ``ENOENT``; empty if it succeeded
    """

    pid: int
    name: str
    arguments: tuple[str, ...]
    start: int
    end: int
    result: int | None = None
    opened: str = ""
    error: str = ""


class ProcessEnd(NamedTuple):
    """The end of a process or thread. `start` and `end` are the number of the line."""

    pid: int
    start: int
    end: int


class ProcessTakeover(NamedTuple):
    """A thread that called execve continues as its process, `pid`."""

    pid: int
    thread: int
    start: int
    end: int


Event = SystemCall | ProcessEnd | ProcessTakeover


def parse_lines(lines: Iterable[str], *, with_system: bool = True) -> Iterator[Event]:
    """Yields the events in the order in which they returned. Skips lines in another format.

    with_system  False: skip most reads of system folders
    """
    unfinished: dict[int, tuple[int, str]] = {}
    for number, line in enumerate(lines):
        match = _LINE.match(line.rstrip("\n"))
        if not match:
            continue
        pid, text = int(match[1]), match[2]
        if not with_system and _OF_SYSTEM.fullmatch(text):
            continue
        if text.startswith("<..."):
            resumed = _RESUMED.match(text)
            start, begun = unfinished.pop(pid, (number, ""))
            call = _call(pid, begun + resumed[1], start, number) if resumed and begun else None
        elif text.startswith("+++"):
            yield from _end(pid, text, number)
            continue
        else:
            call = _call(pid, text, number, number)
            if call is None and (waiting := _begun(pid, text)) is not None:
                unfinished[waiting[0]] = number, waiting[1]
        if call is not None:
            yield call
    for pid, (start, text) in unfinished.items():
        # The call never returned: its process was killed, or still runs.
        call = _call(pid, f"{text}) = ?", start, start)
        if call is not None:
            yield call


def _begun(pid: int, text: str) -> tuple[int, str] | None:
    """Returns the process and the text of an interrupted call."""
    if text.endswith(_UNFINISHED):
        return pid, text[: -len(_UNFINISHED)]
    moved = _MOVED.search(text)
    return (int(moved[1]), text[: moved.start()]) if moved else None


def _end(pid: int, text: str, number: int) -> Iterator[Event]:
    if _ENDED.match(text):
        yield ProcessEnd(pid, number, number)
    elif superseded := _SUPERSEDED.match(text):
        yield ProcessTakeover(pid, int(superseded[1]), number, number)


def _call(pid: int, text: str, start: int, end: int) -> SystemCall | None:
    """Parses ``name(arguments) = result``; None if the text is not a whole call."""
    match = _CALL.match(text)
    if not match:
        return None
    split = _split(match[2])
    if split is None:
        return None
    arguments, rest = split
    result = _RESULT.match(rest)
    if not result:
        return None
    value = None if result[1] == "?" else int(result[1])
    return SystemCall(pid, match[1], arguments, start, end, value, unescape(result[2] or ""), result[4] or "")


def _split(text: str) -> tuple[tuple[str, ...], str] | None:
    """Splits arguments at the outermost commas; also returns the following text."""
    arguments: list[str] = []
    depth, start = 0, 0
    for token in _TOKEN.finditer(text):
        first = token[0]
        if first in ("(", "{", "["):
            depth += 1
        elif first in (")", "}", "]"):
            depth -= 1
            if depth < 0:
                arguments.append(text[start : token.start()].strip())
                return tuple(arguments), text[token.end() :]
        elif first == "," and depth == 0:
            arguments.append(text[start : token.start()].strip())
            start = token.end()
    return None


def unescape(text: str) -> str:
    """Decodes the escapes of a string in C."""
    if "\\" not in text:
        return text
    made = bytearray()
    last = 0
    for match in _ESCAPE.finditer(text):
        made += text[last : match.start()].encode("utf-8", "surrogateescape")
        made.append(_decoded(match))
        last = match.end()
    made += text[last:].encode("utf-8", "surrogateescape")
    return made.decode("utf-8", "surrogateescape")


def _decoded(match: re.Match[str]) -> int:
    if match[1]:
        return int(match[1], 8) & 0xFF
    if match[2]:
        return int(match[2], 16)
    return _CONTROL.get(match[3], ord(match[3]) & 0xFF)


def quoted_text(argument: str) -> str | None:
    """Returns the text of a quoted argument; None for any other argument."""
    match = _TEXT.match(argument)
    return unescape(match[1]) if match else None


def descriptor_path(argument: str) -> str | None:
    """Returns the path of a descriptor such as ``3</tmp>``.

    Empty if strace shows none; None if the descriptor has no path.
    """
    match = _ANNOTATED.match(argument)
    if not match:
        return None
    path = unescape(match[2] or "")
    if match[1] == "AT_FDCWD" or path.startswith("/"):
        return path
    return None
