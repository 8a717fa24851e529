"""Starts a process that hashes small files, and exchanges batches with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ami_bakery.adapters.files.hash_worker_main import EXECUTABLE, SKIPPED, record_size

_MOST_BATCHES = 4
"""Batches requested at once, so that the process is never idle."""
_PAGE = 4096
"""A pipe's capacity is a number of pages; each response starts a new page."""
_PROGRAM = str(Path(__file__).with_name("hash_worker_main.py"))


class HashingProcess:
    """A running worker process. The caller hashes the files that it skips, and all files if it has died.

    requested  number of batches without a response
    """

    def __init__(self, algorithm: str) -> None:
        """Starts the process. Raises `OSError`."""
        self.requested = 0
        self._record_size = record_size(algorithm)
        child_stdin, self._requests = os.pipe()
        self._responses, child_stdout = os.pipe()
        try:
            self._most_batches = batches_at_once(fcntl.fcntl(self._responses, fcntl.F_GETPIPE_SZ))
            self._pid = os.posix_spawn(
                sys.executable,
                (sys.executable, "-I", "-S", _PROGRAM, algorithm),
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, child_stdin, 0),
                    (os.POSIX_SPAWN_DUP2, child_stdout, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
            )
        except OSError:
            os.close(self._requests)
            os.close(self._responses)
            raise
        finally:
            os.close(child_stdin)
            os.close(child_stdout)

    @property
    def accepts_batch(self) -> bool:
        return self.requested < self._most_batches

    def request(self, paths: Sequence[bytes]) -> None:
        """Sends a batch. Responses come in the order of the requests."""
        self.requested += 1
        request = b"".join([path + b"\0" for path in paths])
        request = len(request).to_bytes(4, "little") + request
        # If the process has died, `results` notices.
        with contextlib.suppress(BrokenPipeError):
            while request:
                request = request[os.write(self._requests, request) :]

    def has_responded(self, seconds: float) -> bool:
        """Waits up to `seconds` for the start of the next response."""
        poll = select.poll()
        poll.register(self._responses, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def results(self, count: int) -> Iterator[tuple[str, bool, int] | None]:
        """Yields the results of the next batch, which has `count` files.

        Each is the hash in hexadecimal, whether the owner may execute the file, and its size in bytes; None if the
        caller must hash the file.
        """
        self.requested -= 1
        size = self._record_size
        data = b""
        while len(data) < count * size and (piece := os.read(self._responses, count * size - len(data))):
            data += piece
        for at in range(0, count * size, size):
            if len(data) < at + size or data[at] == SKIPPED:
                yield None
            else:
                record = data[at : at + size]
                yield record[9:].hex(), record[0] == EXECUTABLE, int.from_bytes(record[1:9], "little")

    def end(self) -> None:
        """Kills the process, which has no state to lose. Does not wait for it if it may hang in a read."""
        os.close(self._requests)
        os.close(self._responses)
        with contextlib.suppress(OSError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, os.WNOHANG if self.requested else 0)


def batches_at_once(pipe: int) -> int:
    """Returns how many batches may be requested ahead, for a pipe of so many bytes.

    Their responses must fit into the pipe, or both sides would wait for each other. Linux pipes have 64 KiB, or one or
    two pages for a user with very many pipes.
    """
    return max(1, min(_MOST_BATCHES, pipe // _PAGE - 1))
