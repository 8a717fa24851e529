"""The worker process that hashes small files, because Python hashes those on one core only.

worker_hashes.py starts it as ``python -I -S hash_worker.py ALGORITHM``. It imports only small modules of the standard
library, to start fast. stdin: paths that end with NUL. stdout: for each path a record of `record_size` bytes: a status,
the file's size (8 bytes, little-endian) and its hash. Large files, failures and files that change meanwhile are
skipped: the other process reads those, and reports problems.
"""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import sys

SMALL = 1 << 18
"""Bytes. A smaller file is read with one call."""
SKIPPED, REGULAR, EXECUTABLE = 0, 1, 2
ALGORITHMS = {"sha256": hashlib.sha256, "sha1": hashlib.sha1}
HASH_AT = 9
"""Where the hash starts in a record."""


def record_size(algorithm: str) -> int:
    return HASH_AT + ALGORITHMS[algorithm]().digest_size


def open_to_read(path: bytes) -> int:
    """Opens without blocking, as a pipe would. The caller must reject files that are not regular."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def is_unchanged(before: os.stat_result, after: os.stat_result, size: int) -> bool:
    """Returns whether a file did not change while `size` bytes of it were read."""
    return (
        before.st_size == after.st_size == size
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_ctime_ns == after.st_ctime_ns
    )


def _record(path: bytes, algorithm: str) -> bytes | None:
    descriptor = open_to_read(path)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode) or before.st_size >= SMALL:
            return None
        # One byte more than the size, to detect that the file grew.
        content = os.read(descriptor, before.st_size + 1)
        if not is_unchanged(before, os.fstat(descriptor), len(content)):
            return None
    finally:
        os.close(descriptor)
    status = EXECUTABLE if before.st_mode & stat.S_IXUSR else REGULAR
    digest = ALGORITHMS[algorithm](content, usedforsecurity=False).digest()
    return b"%c%b%b" % (status, before.st_size.to_bytes(HASH_AT - 1, "little"), digest)


def records(paths: list[bytes], algorithm: str) -> bytes:
    """Returns the records of these files."""
    skipped = bytes(record_size(algorithm))
    found = []
    for path in paths:
        try:
            found.append(_record(path, algorithm) or skipped)
        except OSError:
            found.append(skipped)
    return b"".join(found)


if __name__ == "__main__":
    # The other process handles Ctrl-C: it kills this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout.buffer.write(records(sys.stdin.buffer.read().split(b"\0")[:-1], sys.argv[1]))
