"""The bakery's side of a second reader of small files: asked for many at a time, and asked ahead of their turn."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ami_bakery.adapters.files.hash_worker_main import EXECUTABLE, LEFT, record_size

_ASKED_AT_MOST = 4
"""Batches that it has, so that it need not wait."""
_PAGE = 4096
"""What a pipe holds, it holds in pages; an answer has one of its own."""
_PROGRAM = str(Path(__file__).with_name("hash_worker_main.py"))


class HashingProcess:
    """One that runs. What it cannot answer, or all of it where it is gone, is for the caller to do.

    asked   batches that it has not answered yet
    """

    def __init__(self, algorithm: str) -> None:
        """Raises `OSError` where it cannot be started."""
        self.asked = 0
        self._record = record_size(algorithm)
        theirs, self._requests = os.pipe()
        self._answers, theirs_out = os.pipe()
        try:
            self._asked_at_most = batches_at_once(fcntl.fcntl(self._answers, fcntl.F_GETPIPE_SZ))
            self._pid = os.posix_spawn(
                sys.executable,
                (sys.executable, "-I", "-S", _PROGRAM, algorithm),
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs, 0),
                    (os.POSIX_SPAWN_DUP2, theirs_out, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
            )
        except OSError:
            os.close(self._requests)
            os.close(self._answers)
            raise
        finally:
            os.close(theirs)
            os.close(theirs_out)

    @property
    def has_time(self) -> bool:
        return self.asked < self._asked_at_most

    def ask(self, places: Sequence[bytes]) -> None:
        """Batches are answered in the order in which they were asked."""
        self.asked += 1
        request = b"".join([place + b"\0" for place in places])
        request = len(request).to_bytes(4, "little") + request
        # Where it is gone, that is seen when its answer is asked for.
        with contextlib.suppress(BrokenPipeError):
            while request:
                request = request[os.write(self._requests, request) :]

    def has_answered(self, seconds: float) -> bool:
        """Whether something of its next answer is there, or is within this time."""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def answers(self, count: int) -> Iterator[tuple[str, bool, int] | None]:
        """Its next answer, to a batch of `count`: of each file the hash as hex, whether its owner may execute it, and
        its size in bytes; None for what is left to the caller."""
        self.asked -= 1
        size = self._record
        data = b""
        while len(data) < count * size and (piece := os.read(self._answers, count * size - len(data))):
            data += piece
        for at in range(0, count * size, size):
            if len(data) < at + size or data[at] == LEFT:
                yield None
            else:
                record = data[at : at + size]
                yield record[9:].hex(), record[0] == EXECUTABLE, int.from_bytes(record[1:9], "little")

    def end(self) -> None:
        """It holds nothing that could be lost. It is not waited for where it hangs in a read."""
        os.close(self._requests)
        os.close(self._answers)
        with contextlib.suppress(OSError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, os.WNOHANG if self.asked else 0)


def batches_at_once(pipe: int) -> int:
    """How many batches may be asked for while no answer is read, where a pipe holds so many bytes.

    The answers must fit: else it waits for us to read them, and we for it to read what we ask. Linux gives 64 kB, and
    two pages or one to a user who has very many pipes.
    """
    return max(1, min(_ASKED_AT_MOST, pipe // _PAGE - 1))
