"""Runs the program on a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable

from tests.harness import PROGRAMS, Harness
from tests.signals import restore_python_signals


class Terminal:
    """A command on a pseudo-terminal. With 0 columns, it has no viewer."""

    def __init__(self, harness: Harness, *arguments: str, columns: int = 120, under_a_shell: bool = False) -> None:
        """`under_a_shell`: start a shell that runs the command, and keeps running after it."""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:  # pragma: no cover
            fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
            restore_python_signals()
            os.chdir(harness.folder)
            environment = harness.environment | {"TERM": "xterm-256color"}
            program = str(PROGRAMS / "ami-bakery")
            shell = ["/bin/sh", "-c", '"$@"; sleep 60', "sh"] if under_a_shell else []
            command = [*shell, program, *arguments]
            os.execve(command[0], command, environment)
        self.seen = ""

    def hang_up(self) -> int:
        """Closes the terminal, and waits for the command. Returns its exit status."""
        os.close(self.descriptor)
        return self.end()

    def end(self) -> int:
        """Waits for the command. Returns its exit status."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def watch(self, answer: Callable[[str], str], seconds: float = 300) -> int:
        """Passes all output to `answer` and types its result until the command ends. Returns the exit status."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ready, _, _ = select.select([self.descriptor], [], [], 1)
            if not ready:
                continue
            try:
                chunk = os.read(self.descriptor, 65536)
            except OSError:
                break
            self.seen += chunk.decode("utf-8", "replace")
            if typed := answer(self.seen):
                os.write(self.descriptor, typed.encode())
        _, status = os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(status)
