"""Packer's log of one run, without secrets: in a file that only this user reads, kept where something failed."""

from __future__ import annotations

import os
import re
import tempfile
from collections import deque
from pathlib import Path
from typing import TextIO

_SHOWN_LINES = 20


class Log:
    """As a context manager: the file is removed at the end, unless `keep` was called.

    A log that cannot be written must not stop a bake: the run goes on without it, and `keep` says so.
    """

    def __init__(self, image: str) -> None:
        self._file: TextIO | None = None
        self._path = ""
        self._broken = ""
        self._end: deque[str] = deque(maxlen=_SHOWN_LINES)
        self._kept = False
        try:
            name = re.sub(r"[^A-Za-z0-9._-]", "_", image)
            descriptor, self._path = tempfile.mkstemp(prefix=f"ami-bakery-{name}-", suffix=".log")
            self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            self._broken = error.strerror or str(error)

    def write(self, line: str) -> None:
        """`line` has no secrets any more."""
        if line.strip():
            self._end.append(line)
        if self._file is not None and not self._broken:
            try:
                self._file.write(line + "\n")
            except OSError as error:
                self._broken = error.strerror or str(error)

    def end(self) -> str:
        """The last lines, as they stand in a message."""
        return "\n".join(f"  | {line}" for line in self._end)

    def keep(self) -> str:
        """Where the whole log is, as a sentence."""
        self._kept = not self._broken
        if self._broken:
            return f"The log could not be written: {self._broken}"
        return f"The whole log is in {self._path}"

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._broken = error.strerror or str(error)
        if self._path and not self._kept:
            Path(self._path).unlink(missing_ok=True)
