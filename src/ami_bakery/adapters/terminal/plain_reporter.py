"""Prints progress as plain lines on stderr."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, TextIO

from ami_bakery.core.text.sanitize import one_line, printable
from ami_bakery.core.text.table import ansi, draw, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ami_bakery.core.text.table import Table

_UPDATE_SECONDS = 60.0
"""How often a step that is still running is printed again."""


class SafeStream:
    """Ignores a stream's write errors, such as a closed terminal or pipe.

    A failure to print must not stop a bake, or the wait for Packer's cleanup.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class PlainReporter:
    """A `Reporter` that prints a line for each event; Packer's output only with `verbose`."""

    def __init__(self, stream: TextIO, *, verbose: bool = False, quiet: bool = False, color: bool = False) -> None:
        self._stream = SafeStream(stream)
        self._verbose = verbose
        self._quiet = quiet
        self._color = color
        self._reported: dict[str, float] = {}
        self._lock = threading.Lock()

    def step(self, image: str, step: str) -> None:
        self._reported[image] = time.monotonic()
        if not self._quiet:
            self._print(f"{image}: {one_line(step)}")

    def update(self, image: str, step: str) -> None:
        if time.monotonic() - self._reported.get(image, 0) >= _UPDATE_SECONDS:
            self.step(image, step)

    def line(self, image: str, line: str) -> None:
        if self._verbose:
            self._print(f"{image}: | {printable(line)}")

    def lines(self, image: str, lines: Sequence[str]) -> None:
        if self._verbose:
            self._print("\n".join(f"{image}: | {printable(line)}" for line in lines))

    def done(self, image: str) -> None:
        pass

    def remaining(self, images: int) -> None:
        pass

    def note(self, message: str) -> None:
        if not self._quiet:
            self._print(one_line(message))

    def warn(self, message: str) -> None:
        style = ansi if self._color else plain
        self._print(f"{style('warning:', 'yellow')} {one_line(message)}")

    def error(self, message: str) -> None:
        self._print(message)

    def table(self, table: Table) -> None:
        if not self._quiet:
            self._print("")
            self._print(draw(table, ansi if self._color else plain))

    def close(self) -> None:
        pass

    def _print(self, text: str) -> None:
        with self._lock:
            self._stream.write(f"{text}\n")
            self._stream.flush()
