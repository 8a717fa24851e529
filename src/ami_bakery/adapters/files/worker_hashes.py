"""Hashes of many small files, from a worker process."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress

from ami_bakery.adapters.files import hash_worker
from ami_bakery.adapters.files.hash_worker import EXECUTABLE, HASH_AT, SKIPPED, record_size

WorkerResult = tuple[str, bool, int]
"""The hash in hexadecimal, whether the owner may execute the file, and its size in bytes."""
_PROGRAM = hash_worker.__file__
_KILL_SECONDS = 1.0


class WorkerHashes:
    """A running worker process, and its results."""

    def __init__(self, paths: Sequence[bytes], algorithm: str) -> None:
        """Starts the process. Raises `OSError`."""
        self._count = len(paths)
        self._record_size = record_size(algorithm)
        self._output = b""
        self._process = subprocess.Popen(
            [sys.executable or "", "-I", "-S", _PROGRAM, algorithm],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        request = b"".join([path + b"\0" for path in paths])
        self._thread = threading.Thread(target=self._exchange, args=(request,), daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            # The limit of processes, which counts threads, too.
            self._process.kill()
            self._process.communicate()
            raise OSError(errno.EAGAIN, str(error)) from error

    def wait(self, seconds: float) -> bool:
        """Waits up to `seconds` for the results. Returns whether they are complete."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def results(self) -> Iterator[WorkerResult | None]:
        """Yields the results of all files, after `wait`.

        None: the caller must hash the file, because the process skipped it or has died.
        """
        for at in range(0, self._count * self._record_size, self._record_size):
            record = self._output[at : at + self._record_size]
            if len(record) < self._record_size or record[0] == SKIPPED:
                yield None
            else:
                yield record[HASH_AT:].hex(), record[0] == EXECUTABLE, int.from_bytes(record[1:HASH_AT], "little")

    def end(self) -> None:
        """Kills the process, which has no state to lose. Does not wait long: it may hang in a read."""
        self._process.kill()
        self._thread.join(_KILL_SECONDS)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_SECONDS)

    def _exchange(self, request: bytes) -> None:
        with suppress(OSError, ValueError):
            self._output = self._process.communicate(request)[0]
