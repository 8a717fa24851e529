"""The masked log of one Packer run, in a private file. The file is kept after failures."""

from __future__ import annotations

import os
import re
import tempfile
from collections import deque
from pathlib import Path
from typing import TextIO

_SHOWN_LINES = 20
_KEPT_LINES = 400
"""Packer prints its cleanup after the lines about the failure."""
_LONGEST_SHOWN = 2_000
"""Maximum number of characters of a line in a message."""


class Log:
    """A context manager that removes the file at the end.

    It keeps the file if `keep` was called. A failure to write the log does not stop a bake: `keep` reports it.
    """

    def __init__(self, image: str) -> None:
        self._file: TextIO | None = None
        self._path = ""
        self._broken = ""
        self._end: deque[str] = deque(maxlen=_KEPT_LINES)
        self._kept = False
        try:
            name = re.sub(r"[^A-Za-z0-9._-]", "_", image)
            descriptor, self._path = tempfile.mkstemp(prefix=f"ami-bakery-{name}-", suffix=".log")
            self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            self._broken = error.strerror or str(error)

    def write(self, line: str) -> None:
        """Writes a line; its secrets must be masked."""
        self.write_all([line])

    def write_all(self, lines: list[str]) -> None:
        self._remember(lines)
        if self._file is not None and not self._broken:
            try:
                self._file.write("\n".join(lines) + "\n")
            except OSError as error:
                self._broken = error.strerror or str(error)

    def _remember(self, lines: list[str]) -> None:
        last: list[str] = []
        for line in reversed(lines):
            if len(last) == _KEPT_LINES:
                break
            if line and not line.isspace():
                last.append(line[:_LONGEST_SHOWN])
        self._end.extend(reversed(last))

    def end(self) -> str:
        """Returns the lines about the failure, indented for a message."""
        from ami_bakery.core.packer.failure import failing_lines

        return "\n".join(f"  | {line}" for line in failing_lines(tuple(self._end), _SHOWN_LINES))

    @property
    def lines(self) -> tuple[str, ...]:
        """The last lines."""
        return tuple(self._end)

    def keep(self) -> str:
        """Keeps the file, and returns a sentence with its path."""
        self._kept = not self._broken
        if self._broken:
            return f"Cannot write the log: {self._broken}"
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
