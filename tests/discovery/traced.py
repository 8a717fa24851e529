"""Runs a program under strace and returns the project files that it and its children read."""

from __future__ import annotations

import codecs
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CUT_OFF = re.compile(r"^(\d+) +(\w+\(.*) <unfinished \.\.\.>$")
_GOES_ON = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
_OPENED = re.compile(r"\bopen(?:at)?\(.*?, ([A-Z_|0-9]+)(?:, 0?\d+)?\) += \d+<([^>]*)>")
_STARTED = re.compile(r'\bexecve\("((?:[^"\\]|\\.)*)".* += 0')


@dataclass(frozen=True, kw_only=True)
class Trace:
    """`read`: existing files that were read; paths relative to the root, links resolved."""

    status: int
    read: frozenset[str]
    output: str


def files_below(root: Path) -> set[str]:
    return {os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(root) for name in names}


def trace(
    command: Sequence[str], *, root: Path, workdir: Path, environment: Mapping[str, str], timeout_seconds: float = 600
) -> Trace:
    before = files_below(root)
    with tempfile.NamedTemporaryFile(suffix=".strace") as log:
        calls = ["strace", "-f", "-y", "-qq", "-s", "4096", "-e", "trace=open,openat,execve", "-o", log.name]
        ran = subprocess.run(
            [*calls, *command],
            cwd=workdir,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_seconds,
            check=False,
        )
        lines = Path(log.name).read_text("utf-8", "surrogateescape").splitlines()
    opened = {os.path.relpath(path, root) for path in _paths(lines, workdir)}
    return Trace(status=ran.returncode, read=frozenset(opened & before), output=ran.stdout.decode("utf-8", "replace"))


def _paths(lines: Sequence[str], workdir: Path) -> set[str]:
    found = set()
    for line in _whole(lines):
        opened = _OPENED.search(line)
        if opened and "O_WRONLY" not in opened[1] and "O_DIRECTORY" not in opened[1]:
            found.add(_plain(opened[2]))
        started = _STARTED.search(line)
        if started:
            found.add(os.path.realpath(workdir / _plain(started[1])))
    return found


def _whole(lines: Sequence[str]) -> Iterator[str]:
    """Joins calls that strace splits in two parts because of other processes."""
    begun: dict[str, str] = {}
    for line in lines:
        cut_off, goes_on = _CUT_OFF.match(line), _GOES_ON.match(line)
        if cut_off:
            begun[cut_off[1]] = cut_off[2]
        elif goes_on:
            yield begun.pop(goes_on[1], "") + goes_on[2]
        else:
            yield line


def _plain(text: str) -> str:
    return codecs.escape_decode(text.encode("utf-8", "surrogateescape"))[0].decode("utf-8", "surrogateescape")
