"""A terminal with a person before it, for the tests."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable

from tests.harness import PROGRAMS, Kitchen
from tests.signals import restore_python_signals


class Terminal:
    """A command on a terminal of its own, and the person before it; none sits at one that is 0 columns wide."""

    def __init__(self, kitchen: Kitchen, *arguments: str, columns: int = 120, under_a_shell: bool = False) -> None:
        """Under a shell, the terminal's first process, which goes on after the command, as a person's does."""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:  # pragma: no cover
            fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
            restore_python_signals()
            os.chdir(kitchen.folder)
            environment = kitchen.environment | {"TERM": "xterm-256color"}
            program = str(PROGRAMS / "ami-bakery")
            shell = ["/bin/sh", "-c", '"$@"; sleep 60', "sh"] if under_a_shell else []
            command = [*shell, program, *arguments]
            os.execve(command[0], command, environment)
        self.seen = ""

    def hang_up(self) -> int:
        """Close the terminal, and wait for the command's end; its exit status."""
        os.close(self.descriptor)
        return self.end()

    def end(self) -> int:
        """Wait for the command's end; its exit status."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def watch(self, answer: Callable[[str], str], seconds: float = 300) -> int:
        """Show everything to `answer`, type what it says, until the command ends; its exit status."""
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
