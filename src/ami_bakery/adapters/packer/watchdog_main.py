"""The watchdog process, one for each Packer: stops Packer cleanly if ami-bakery is killed.

Started as ``python -I -S watchdog_main.py SECONDS CONTROL OUTPUT [FILE...]``. It imports only small modules of the
standard library, to start fast.

SECONDS  how long Packer may clean up before it is killed
CONTROL  read end of a pipe from ami-bakery, which sends ``watch PID own|shared``, then ``done``; an end of file without
         ``done`` means that ami-bakery was killed
OUTPUT   read end of Packer's output pipe, kept open and drained so that Packer does not get SIGPIPE
FILE     contains sensitive variables; removed if ami-bakery was killed
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence

_PAUSE_SECONDS = 0.2
_GROUP_SECONDS = 5.0


def main(arguments: Sequence[str]) -> None:
    seconds, control, output = float(arguments[0]), int(arguments[1]), int(arguments[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # systemd and CI systems signal all processes: the watchdog must outlive ami-bakery.
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
    """Yields the words of each line, until ami-bakery closes the pipe."""
    pending = b""
    while chunk := os.read(control, 4096):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            yield line.decode().split()


class _Packer:
    """A Packer process. Uses a pidfd (Linux 5.3) if possible, because a PID can be reused."""

    def __init__(self, pid: int, *, own_group: bool) -> None:
        self._pid = pid
        self._own_group = own_group
        try:
            self._descriptor = os.pidfd_open(pid)
        except (AttributeError, OSError):
            self._descriptor = -1

    def stop(self) -> None:
        """Sends SIGTERM to Packer itself, which cancels a build cleanly."""
        self._signal(signal.SIGTERM)

    def continue_cleanup(self) -> None:
        """Continues a pause of debug mode, also during the cleanup: a signal acts as a key press."""
        if not self._own_group:
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._signal_group(signal.SIGKILL)

    def stop_group(self) -> bool:
        """Stops scripts of `shell-local`, which outlive Packer. Returns False if there are none."""
        return self._signal_group(signal.SIGTERM)

    def is_running(self) -> bool:
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
        """Sends a signal to Packer's own process group. Returns False if there is none, or it is empty."""
        try:
            if self._own_group:
                os.killpg(self._pid, number)
        except OSError:
            return False
        return self._own_group


def _end(packer: _Packer, output: int, seconds: float) -> None:
    packer.stop()
    deadline = time.monotonic() + seconds
    while packer.is_running() and time.monotonic() < deadline:
        output = _drain(output)
        packer.continue_cleanup()
    deadline = time.monotonic() + _GROUP_SECONDS
    while not packer.is_running() and packer.stop_group() and time.monotonic() < deadline:
        output = _drain(output)
    packer.kill()


def _drain(output: int) -> int:
    """Reads for a moment. Returns the descriptor, or -1 after the end of the output."""
    if output < 0 or not select.select([output], [], [], _PAUSE_SECONDS)[0]:
        time.sleep(_PAUSE_SECONDS if output < 0 else 0)
        return output
    return output if os.read(output, 65536) else -1


if __name__ == "__main__":
    main(sys.argv[1:])
    # Skip Python's shutdown, because ami-bakery waits for this process.
    os._exit(0)
