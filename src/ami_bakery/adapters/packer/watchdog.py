"""The bakery's side of the guard: a program that outlives a bakery which is killed, and ends its Packer."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_PROGRAM = Path(__file__).with_name("watchdog_main.py")
_DISMISS_SECONDS = 1.0


class Guard:
    """Watches one Packer. Where it cannot be started, Packer is started all the same, and nobody watches."""

    def __init__(self, output: int, seconds: float, files: Sequence[str]) -> None:
        """See `guard_program` for what these are."""
        read, self._control = os.pipe()
        arguments = (f"{seconds:.0f}", str(read), str(output), *files)
        try:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                (sys.executable, "-I", "-S", str(_PROGRAM), *arguments),
                cwd="/",
                # Whoever waits for the bakery's own output to end must not wait for the guard.
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(read, output),
                start_new_session=True,
            )
        except OSError:
            self._process = None
        finally:
            os.close(read)

    def watch(self, pid: int, *, own_group: bool) -> None:
        self._say(f"watch {pid} {'own' if own_group else 'shared'}\n")

    def dismiss(self) -> None:
        """Packer has ended."""
        self._say("done\n")
        self.leave()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_DISMISS_SECONDS)

    def leave(self) -> None:
        """Without a word, as when the bakery is killed: the guard ends Packer."""
        os.close(self._control)

    def _say(self, words: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._control, words.encode())


@contextlib.contextmanager
def guard(output: int, seconds: float, files: Sequence[str]) -> Iterator[Guard]:
    """From before Packer starts until it has ended; a failure of ours in between must not leave it baking."""
    started = Guard(output, seconds, files)
    try:
        yield started
    except BaseException:
        started.leave()
        raise
    started.dismiss()
