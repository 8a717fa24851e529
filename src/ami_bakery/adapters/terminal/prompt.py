"""Asks yes-or-no questions at the terminal, and handles Ctrl-C and other signals."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, TextIO

from ami_bakery.adapters.terminal.signal_wakeup import Waker
from ami_bakery.core.text.sanitize import printable
from ami_bakery.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_SECONDS = 0.2


class NoPrompter:
    """A `Prompter` for library use. It leaves the terminal and the signals to the calling program."""

    def is_interactive(self) -> bool:
        return False

    def confirm(self, _question: str, _waits: Callable[[], bool] = lambda: True, /) -> bool:
        return False

    def interrupted_again(self) -> bool:
        return False


class TerminalPrompter:
    """A `Prompter`, and a context manager that handles signals.

    Inside, the first SIGINT, SIGTERM or SIGHUP raises `Interrupted` in the main thread; later ones are only counted.
    Signals that the parent process ignores (`nohup`) stay ignored.
    """

    def __init__(self, answers: TextIO | None, questions: TextIO) -> None:
        """`answers` is None if no questions may be asked."""
        self._answers = answers
        self._questions = questions
        self._signals: list[str] = []
        self._counted = 1
        self._waker = Waker()
        self._over = False
        self._previous: dict[int, signal.Handlers | int | Callable[[int, FrameType | None], object] | None] = {}

    def __enter__(self) -> TerminalPrompter:
        self._waker.start()
        self._previous = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in self._previous.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._waker.stop()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def disable(self) -> None:
        """Asks no more questions, because Packer reads the terminal's input."""
        self._answers = None

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(signal.Signals(number).name)
        if len(self._signals) == 1 and not self._over:
            raise Interrupted(self._signals[0])

    def interrupted_again(self) -> bool:
        before, self._counted = self._counted, max(self._counted, len(self._signals))
        return self._counted > before

    def is_interactive(self) -> bool:
        """Returns whether a terminal is in the foreground: a read in the background would stop the process."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if self._answers is not None and self._answers.isatty() and self._questions.isatty():
                return os.tcgetpgrp(self._answers.fileno()) == os.getpgrp()
        return False

    def confirm(self, question: str, waits: Callable[[], bool] = lambda: True, /) -> bool:
        if not self.is_interactive() or self._answers is None:
            return False
        import select
        import termios

        terminal = self._answers.fileno()
        with contextlib.suppress(OSError, ValueError, termios.error):
            # Discard input that was typed before the question.
            termios.tcflush(terminal, termios.TCIFLUSH)
            self._questions.write(printable(question))
            self._questions.flush()
            while waits():
                if select.select([terminal], [], [], _POLL_SECONDS)[0]:
                    return os.read(terminal, 1024).decode("utf-8", "replace").strip().lower() in ("y", "yes")
            self._questions.write("\n")
            self._questions.flush()
        return False
