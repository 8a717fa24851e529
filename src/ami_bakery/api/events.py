"""Progress events of the library, and the reporter that sends them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.text.table import Table


class EventKind(StrEnum):
    STEP = "step"
    """The image's current step."""
    LINE = "line"
    """A line of Packer's output, with secrets masked."""
    DONE = "done"
    """The work on the image has ended; the text is empty."""
    NOTE = "note"
    WARNING = "warning"


class Event(Frozen):
    """A progress event, for the user. `image` is None if it is not about exactly one image."""

    kind: EventKind
    text: str
    image: str | None = None


Watch = Callable[[Event], None]


class CallbackReporter:
    """A `Reporter` that calls a function of the user.

    An exception of that function must not stop the thread that reads Packer's output: it is stored in `failure`, and
    the function is not called again.
    """

    def __init__(self, watch: Watch | None) -> None:
        self._watch = watch
        self._lock = threading.Lock()
        self.failure: Exception | None = None

    def step(self, image: str, step: str) -> None:
        self._emit(EventKind.STEP, step, image)

    def update(self, image: str, step: str) -> None:
        self._emit(EventKind.STEP, step, image)

    def line(self, image: str, line: str) -> None:
        self._emit(EventKind.LINE, line, image)

    def lines(self, image: str, lines: Sequence[str]) -> None:
        for line in lines:
            self.line(image, line)

    def done(self, image: str) -> None:
        self._emit(EventKind.DONE, "", image)

    def remaining(self, images: int) -> None:
        """Ignored: the caller knows the number of images."""

    def note(self, message: str) -> None:
        self._emit(EventKind.NOTE, message)

    def warn(self, message: str) -> None:
        self._emit(EventKind.WARNING, message)

    def error(self, message: str) -> None:
        self._emit(EventKind.WARNING, message)

    def table(self, table: Table) -> None:
        """Ignored: tables are for the command line."""

    def close(self) -> None:
        pass

    def _emit(self, kind: EventKind, text: str, image: str | None = None) -> None:
        if self._watch is None:
            return
        with self._lock:
            if self.failure is None:
                try:
                    self._watch(Event(kind=kind, text=text, image=image))
                except Exception as error:
                    self.failure = error
