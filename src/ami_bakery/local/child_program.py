"""Runs the command of `ami-bakery local`; ends all its processes if the embedded EC2 is killed.

Usage: ``python -I -S child_program.py CONTROL FAILURE FOLDER COMMAND...``. It must start fast, so it uses only a small
part of the standard library.

CONTROL  the reading end of a pipe that is closed when the embedded EC2 ends
FAILURE  the writing end of a pipe, for the reason if the command cannot be started
FOLDER   the embedded EC2's folder, which is removed if it is killed; empty for none
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_SET_CHILD_SUBREAPER = 36  # prctl(2)
_TERM_SECONDS = 5.0
_KILL_SECONDS = 5.0
_PAUSE_SECONDS = 0.05


def main(arguments: Sequence[str]) -> None:
    control, failure, folder, command = int(arguments[0]), int(arguments[1]), arguments[2], list(arguments[3:])
    for descriptor in (control, failure):
        os.set_inheritable(descriptor, False)
    _adopt_orphans()
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, _do_nothing)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    register = _forward_signals()
    try:
        # Python ignores these two signals; the command must not inherit that.
        child = os.posix_spawnp(command[0], command, os.environ, setsigdef=(signal.SIGPIPE, signal.SIGXFSZ))
    except OSError as error:
        os.write(failure, (error.strerror or str(error)).encode())
        return
    register(child)
    os.close(failure)
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            status = _reap(child)
            if status is not None:
                _end_like(status)
        if control in ready:
            _end_all(child)
            if folder:
                _remove(folder)
            return


def _adopt_orphans() -> None:
    """Makes the command's orphaned processes children of this process. This process can then find them."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return  # not Linux: only the command is ended


def _forward_signals() -> Callable[[int], None]:
    """Forwards SIGTERM and SIGHUP; SIGINT and SIGQUIT of a terminal reach the command directly.

    Returns a function that registers the command's process. Signals may arrive before that.
    """
    children: list[int] = []
    early: list[int] = []

    def send(child: int, number: int) -> None:
        try:
            os.kill(child, number)
        except ProcessLookupError:
            return

    def forward(number: int, _: FrameType | None) -> None:
        if not children:
            early.append(number)
        for child in children:
            send(child, number)

    def register(child: int) -> None:
        children.append(child)
        while early:
            send(child, early.pop(0))

    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, _do_nothing)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    return register


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    pass


def _reap(child: int) -> int | None:
    """Returns the command's exit code, like `subprocess`, if it has ended."""
    code = None
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return code
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
    except ChildProcessError:
        return code


def _end_like(code: int) -> None:
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


def _end_all(child: int) -> None:
    for number, seconds in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        signalled: set[int] = set()
        deadline = time.monotonic() + seconds
        while (alive := _descendants(child)) and time.monotonic() < deadline:
            for pid in alive:
                if pid not in signalled or number == signal.SIGKILL:
                    signalled.add(pid)
                    try:
                        os.kill(pid, number)
                    except OSError:
                        continue
            time.sleep(_PAUSE_SECONDS)
            _reap(child)


def _descendants(child: int) -> list[int]:
    parents: dict[int, int] = {}
    try:
        for name in os.listdir("/proc"):
            if name.isdigit():
                parents |= _parent(int(name))
    except OSError:
        return [child] if _lives(child) else []
    found = [os.getpid()]
    for pid in found:
        found += [other for other, parent in parents.items() if parent == pid]
    return found[1:]


def _parent(pid: int) -> dict[int, int]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
    except (OSError, ValueError):
        return {}
    return {} if state == b"Z" else {pid: int(parent)}


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _remove(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
    # Skips Python's slow shutdown.
    os._exit(0)
