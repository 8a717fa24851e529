"""The person at the terminal, if there is one: asked yes or no, and heard when Ctrl-C is pressed again."""

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


class Nobody:
    """A `TerminalPrompter` port for a program that uses ours as a library: its terminal and its signals are its own."""

    def is_interactive(self) -> bool:
        return False

    def confirm(self, _question: str, _waits: Callable[[], bool] = lambda: True, /) -> bool:
        return False

    def interrupted_again(self) -> bool:
        return False


class TerminalPrompter:
    """A `Prompter`, and a context manager: inside, the first SIGINT, SIGTERM or SIGHUP raises `Interrupted` in the main
    thread. More of them are only counted. A signal that our parent has switched off (`nohup`) stays off.
    """

    def __init__(self, answers: TextIO | None, questions: TextIO) -> None:
        """`answers` is None where nobody is to be asked."""
        self._answers = answers
        self._questions = questions
        self._signals: list[str] = []
        self._heard = 1
        self._waker = Waker()
        self._over = False
        self._previous: dict[int, signal.Handlers | int | Callable[[int, FrameType | None], object] | None] = {}

    def __enter__(self) -> TerminalPrompter:
        self._waker.start()
        self._previous = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in self._previous.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._waker.stop()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def ask_nobody(self) -> None:
        """From now on: Packer itself reads what is typed."""
        self._answers = None

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(signal.Signals(number).name)
        if len(self._signals) == 1 and not self._over:
            raise Interrupted(self._signals[0])

    def interrupted_again(self) -> bool:
        heard, self._heard = self._heard, max(self._heard, len(self._signals))
        return self._heard > heard

    def is_interactive(self) -> bool:
        """In the foreground: who is in the background would be stopped for reading."""
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
            # What was typed before the question is no answer to it.
            termios.tcflush(terminal, termios.TCIFLUSH)
            self._questions.write(printable(question))
            self._questions.flush()
            while waits():
                if select.select([terminal], [], [], _POLL_SECONDS)[0]:
                    return os.read(terminal, 1024).decode("utf-8", "replace").strip().lower() in ("y", "yes")
            self._questions.write("\n")
            self._questions.flush()
        return False
