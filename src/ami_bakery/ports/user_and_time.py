"""Interfaces to the user and the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from ami_bakery.core.text.table import Table


class Clock(Protocol):
    """This machine's time, and sleeps that can be interrupted."""

    def now(self) -> datetime:
        """Returns the time, timezone-aware, in UTC."""

    def monotonic(self) -> float:
        """Returns seconds, to measure durations."""

    def sleep(self, seconds: float) -> None:
        """Sleeps. Raises `Stopped` if `interrupt` is called, or was called before."""

    def sleep_uninterrupted(self, seconds: float) -> None:
        """Sleeps, even after `interrupt`: for work that must be finished."""

    def interrupt(self) -> None:
        """Ends all current and future sleeps."""


class Reporter(Protocol):
    """Shows progress and messages to the user."""

    def step(self, image: str, step: str) -> None:
        """Starts a step of `image`, described by a clause: `building with Packer 1.6.6`."""

    def update(self, image: str, step: str) -> None:
        """Updates the description of the current step. A log may show only some updates."""

    def line(self, image: str, line: str) -> None:
        """Shows a line of Packer's output, with secrets masked."""

    def lines(self, image: str, lines: Sequence[str]) -> None:
        """Shows several lines. A live view shows only the last one."""

    def done(self, image: str) -> None:
        """Ends the work on `image`."""

    def remaining(self, images: int) -> None:
        """Sets the number of unfinished images, including those in progress."""

    def note(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...

    def error(self, message: str) -> None:
        """Shows the formatted error of one image among several, even with --quiet."""

    def table(self, table: Table) -> None: ...

    def close(self) -> None:
        """Restores the terminal."""


class Prompter(Protocol):
    """Prompts the user at the terminal, if any."""

    def is_interactive(self) -> bool:
        """Returns whether there is a terminal to ask on."""

    def confirm(self, question: str, waits: Callable[[], bool] = ..., /) -> bool:
        """Asks a yes-or-no question. Returns False without a terminal, or as soon as `waits` returns False."""

    def interrupted_again(self) -> bool:
        """Returns whether a signal to end arrived since the last call. The first signal does not count."""
