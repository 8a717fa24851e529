"""The worker process that hashes small files, because Python hashes those on one core only.

hash_worker.py starts it as ``python -I -S hash_worker_main.py ALGORITHM``. It imports only small modules of the
standard library, to start fast. Requests on stdin: the length (4 bytes, little-endian), then paths that end with NUL.
Responses on stdout: per path a record of `record_size` bytes with a status, the file's size and its hash. Large files,
failures and files that change meanwhile are skipped: the requesting process reads those and reports problems.
"""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import sys
from typing import BinaryIO

SMALL = 1 << 18
"""Bytes. A smaller file is read with one call."""
SKIPPED, REGULAR, EXECUTABLE = 0, 1, 2
ALGORITHMS = {"sha256": hashlib.sha256, "sha1": hashlib.sha1}
_SIZE = 8


def record_size(algorithm: str) -> int:
    return 1 + _SIZE + ALGORITHMS[algorithm]().digest_size


def is_unchanged(before: os.stat_result, after: os.stat_result, size: int) -> bool:
    """Returns whether a file did not change while `size` bytes of it were read."""
    return (
        size == after.st_size
        and before.st_size == size
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_ctime_ns == after.st_ctime_ns
    )


def open_to_read(path: bytes) -> int:
    """Opens without blocking, as a pipe would. The caller must reject files that are not regular."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def read_whole(descriptor: int, before: os.stat_result) -> bytes | None:
    """Returns the content of a small file; None if it changed meanwhile."""
    # One byte more than the size, to detect that the file grew.
    content = os.read(descriptor, before.st_size + 1)
    return content if is_unchanged(before, os.fstat(descriptor), len(content)) else None


def _record(path: bytes, algorithm: str, skipped: bytes) -> bytes:
    try:
        descriptor = open_to_read(path)
    except OSError:
        return skipped
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode) or before.st_size >= SMALL:
            return skipped
        content = read_whole(descriptor, before)
    except OSError:
        return skipped
    finally:
        os.close(descriptor)
    if content is None:
        return skipped
    status = EXECUTABLE if before.st_mode & stat.S_IXUSR else REGULAR
    digest = ALGORITHMS[algorithm](content, usedforsecurity=False).digest()
    return b"%c%b%b" % (status, before.st_size.to_bytes(_SIZE, "little"), digest)


def respond(requests: BinaryIO, responses: BinaryIO, algorithm: str) -> None:
    """Responds to requests until there are no more."""
    skipped = bytes(record_size(algorithm))
    while length := requests.read(4):
        paths = requests.read(int.from_bytes(length, "little")).split(b"\0")[:-1]
        responses.write(b"".join([_record(path, algorithm, skipped) for path in paths]))
        responses.flush()


def main() -> None:
    # The requesting process handles Ctrl-C: it closes our stdin, or kills us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        respond(sys.stdin.buffer, sys.stdout.buffer, sys.argv[1])
    except OSError:
        # The requesting process has ended.
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
