"""A second reader of small files, as a process of its own: Python hashes those on one core alone.

Started by hashing_process.py as ``python -I -S hashing_program.py ALGORITHM``. It must start fast: it uses nothing
but a little of the standard library. On stdin come requests: their length (four bytes, little-endian), and paths that
end with NUL. For each path it answers one record of `record_size` bytes on stdout: what kind of answer it is, the
file's size, and its hash. Whatever is not plain (a large file, a failure, a change meanwhile) is left to who asked, who
reads it again and tells people of it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import sys
from typing import BinaryIO

SMALL = 1 << 18
"""Bytes. A file below this is read at once."""
LEFT, PLAIN, EXECUTABLE = 0, 1, 2
ALGORITHMS = {"sha256": hashlib.sha256, "sha1": hashlib.sha1}
_SIZE = 8


def record_size(algorithm: str) -> int:
    return 1 + _SIZE + ALGORITHMS[algorithm]().digest_size


def is_unchanged(before: os.stat_result, after: os.stat_result, size: int) -> bool:
    """`size` is what was read in between."""
    return (
        size == after.st_size
        and before.st_size == size
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_ctime_ns == after.st_ctime_ns
    )


def open_to_read(place: bytes) -> int:
    """A pipe would block for ever: it is opened without waiting. Who asks refuses all that is no regular file."""
    return os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def read_whole(descriptor: int, before: os.stat_result) -> bytes | None:
    """What a small file holds; None where it changed meanwhile."""
    # One byte more than there should be: more is seen as a change.
    content = os.read(descriptor, before.st_size + 1)
    return content if is_unchanged(before, os.fstat(descriptor), len(content)) else None


def _answer(place: bytes, algorithm: str, left: bytes) -> bytes:
    try:
        descriptor = open_to_read(place)
    except OSError:
        return left
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode) or before.st_size >= SMALL:
            return left
        content = read_whole(descriptor, before)
    except OSError:
        return left
    finally:
        os.close(descriptor)
    if content is None:
        return left
    kind = EXECUTABLE if before.st_mode & stat.S_IXUSR else PLAIN
    digest = ALGORITHMS[algorithm](content, usedforsecurity=False).digest()
    return b"%c%b%b" % (kind, before.st_size.to_bytes(_SIZE, "little"), digest)


def answer(requests: BinaryIO, answers: BinaryIO, algorithm: str) -> None:
    """Until there are no more requests."""
    left = bytes(record_size(algorithm))
    while length := requests.read(4):
        places = requests.read(int.from_bytes(length, "little")).split(b"\0")[:-1]
        answers.write(b"".join([_answer(place, algorithm, left) for place in places]))
        answers.flush()


def main() -> None:
    # Who is interrupted is the bakery: it closes our stdin, or kills us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        answer(sys.stdin.buffer, sys.stdout.buffer, sys.argv[1])
    except OSError:
        # The bakery is gone.
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
