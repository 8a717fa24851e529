"""The guard, a small program beside each Packer: where the bakery is killed, it ends Packer in the way that works.

Started as ``python -I -S guard_program.py SECONDS CONTROL OUTPUT [FILE...]``. It must start fast, so it uses nothing
but a little of the standard library.

SECONDS  how long Packer may clean up before it is killed
CONTROL  the reading end of a pipe whose writing end only the bakery has: ``watch PID own|shared`` comes, then ``done``
OUTPUT   the reading end of the pipe that Packer writes to: Packer dies of a pipe that nobody can read any more
FILE     holds sensitive variables; it is removed where the bakery was killed, which can do so no more
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence

_PAUSE_SECONDS = 0.2
_REST_SECONDS = 5.0


def main(arguments: Sequence[str]) -> None:
    seconds, control, output = float(arguments[0]), int(arguments[1]), int(arguments[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Who stops all that is running (systemd, a CI system) means the bakery, too: the guard is the last to go.
        signal.signal(number, signal.SIG_IGN)
    packer: _Packer | None = None
    for words in _lines(control):
        if words[0] == "done":
            return
        packer = _Packer(int(words[1]), own_group=words[2] == "own")
    if packer is not None:
        _end(packer, output, seconds)
    for path in arguments[3:]:
        try:
            os.unlink(path)
        except OSError:
            continue


def _lines(control: int) -> Iterator[list[str]]:
    """The words of each line, until the bakery's end of the pipe is closed."""
    pending = b""
    while chunk := os.read(control, 4096):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            yield line.decode().split()


class _Packer:
    """Known by a descriptor where the kernel has them (Linux 5.3): a number may be given to another process."""

    def __init__(self, pid: int, *, own_group: bool) -> None:
        self._pid = pid
        self._own_group = own_group
        try:
            self._descriptor = os.pidfd_open(pid)
        except (AttributeError, OSError):
            self._descriptor = -1

    def stop(self) -> None:
        """SIGTERM to Packer itself cancels a build cleanly."""
        self._signal(signal.SIGTERM)

    def stop_asking(self) -> None:
        """In debug mode it pauses in its clean-up, too; a signal is as good as the key that is waited for."""
        if not self._own_group:
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._signal_group(signal.SIGKILL)

    def stop_rest(self) -> bool:
        """Packer leaves scripts that it has started for a `shell-local` behind. False where there are none."""
        return self._signal_group(signal.SIGTERM)

    def lives(self) -> bool:
        if self._descriptor < 0:
            return self._signal(0)
        return not select.select([self._descriptor], [], [], 0)[0]

    def _signal(self, number: int) -> bool:
        try:
            if self._descriptor < 0:
                os.kill(self._pid, number)
            else:
                signal.pidfd_send_signal(self._descriptor, number)
        except OSError:
            return False
        return True

    def _signal_group(self, number: int) -> bool:
        """False where it has no group of its own, or nobody is in it any more."""
        try:
            if self._own_group:
                os.killpg(self._pid, number)
        except OSError:
            return False
        return self._own_group


def _end(packer: _Packer, output: int, seconds: float) -> None:
    packer.stop()
    deadline = time.monotonic() + seconds
    while packer.lives() and time.monotonic() < deadline:
        output = _drain(output)
        packer.stop_asking()
    deadline = time.monotonic() + _REST_SECONDS
    while not packer.lives() and packer.stop_rest() and time.monotonic() < deadline:
        output = _drain(output)
    packer.kill()


def _drain(output: int) -> int:
    """Reads for a moment; -1 in place of a pipe that has come to its end."""
    if output < 0 or not select.select([output], [], [], _PAUSE_SECONDS)[0]:
        time.sleep(_PAUSE_SECONDS if output < 0 else 0)
        return output
    return output if os.read(output, 65536) else -1


if __name__ == "__main__":
    main(sys.argv[1:])
    # Not by way of Python's own end: the bakery waits for it.
    os._exit(0)
