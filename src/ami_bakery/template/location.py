"""A line of a source file."""

from __future__ import annotations

from typing import NamedTuple

from ami_bakery.errors import Annotation


class SourceLocation(NamedTuple):
    """A line of a file. `file` is relative to the root (the folder of bakery.toml); the first `line` is 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def mark(self, message: str) -> Annotation:
        return Annotation(self.file, self.line, message)
