"""Starts the watchdog: a process that stops Packer if ami-bakery is killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_PROGRAM = Path(__file__).with_name("watchdog_main.py")
_DISMISS_SECONDS = 1.0


class Watchdog:
    """Watches one Packer process. If the watchdog cannot be started, Packer runs without one."""

    def __init__(self, output: int, seconds: float, files: Sequence[str]) -> None:
        """Starts the watchdog. `watchdog_main` describes the parameters."""
        read, self._control = os.pipe()
        arguments = (f"{seconds:.0f}", str(read), str(output), *files)
        try:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                (sys.executable, "-I", "-S", str(_PROGRAM), *arguments),
                cwd="/",
                # A process that reads our output to its end must not wait for the watchdog.
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
        self._send(f"watch {pid} {'own' if own_group else 'shared'}\n")

    def dismiss(self) -> None:
        """Ends the watchdog, after Packer has exited."""
        self._send("done\n")
        self.abandon()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_DISMISS_SECONDS)

    def abandon(self) -> None:
        """Closes the connection, as when ami-bakery is killed: the watchdog stops Packer."""
        os.close(self._control)

    def _send(self, message: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._control, message.encode())


@contextlib.contextmanager
def watchdog(output: int, seconds: float, files: Sequence[str]) -> Iterator[Watchdog]:
    """Runs a watchdog. Start Packer inside: if the block fails, the watchdog stops Packer."""
    started = Watchdog(output, seconds, files)
    try:
        yield started
    except BaseException:
        started.abandon()
        raise
    started.dismiss()
