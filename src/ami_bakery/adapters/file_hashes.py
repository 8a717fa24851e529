"""Takes the hashes of files: small ones as they come, large ones in threads, ahead of their turn."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from ami_bakery.errors import SourceError

Hash = tuple[str, bool]
"""As hex, and whether the owner may execute the file."""
_SMALL = 1 << 18
"""Bytes. A file below this is read at once, by the caller's thread: handing it on would take longer than reading it."""
_BLOCK = 1 << 18
_AHEAD = 64
"""Files that are open, or read, ahead of their turn."""
_THREADS_AT_MOST = 8
_TELL_SECONDS = 0.25


def file_hashes(
    paths: Iterable[tuple[str, bytes]], algorithm: str, progress: Callable[[int, int], None]
) -> Iterator[Hash]:
    """In the order of `paths`: each as people know it, and as the operating system does. Links are followed.

    A file that changes while it is read is refused, since what was read would not be it. `progress` gets the number of
    files and of bytes so far, between files and while one is waited for.
    """
    reading = _Reading(algorithm)
    waiting: deque[Hash | _LargeFile | SourceError] = deque()
    files = 0
    try:
        for path, place in paths:
            try:
                taken = reading.taken(path, place)
                if not waiting and not isinstance(taken, _LargeFile):
                    yield reading.result(taken, files, progress)
                    files += 1
                    continue
                waiting.append(taken)
            except SourceError as failure:
                waiting.append(failure)
                break
            while waiting and (len(waiting) > _AHEAD or not isinstance(waiting[0], _LargeFile) or waiting[0].is_done):
                yield reading.result(waiting.popleft(), files, progress)
                files += 1
        while waiting:
            yield reading.result(waiting.popleft(), files, progress)
            files += 1
    finally:
        reading.stop()


class _Reading:
    """Reads files, large ones with threads that are started at the first of them."""

    def __init__(self, algorithm: str) -> None:
        self._new = {"sha256": hashlib.sha256, "sha1": hashlib.sha1}[algorithm]
        self._bytes = 0
        self._large: deque[_LargeFile] = deque()
        self._ready = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._stopped = False

    def taken(self, path: str, place: bytes) -> Hash | _LargeFile:
        try:
            # A pipe would block for ever: open it without waiting, and refuse all that is no regular file.
            descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise refused(path, error) from error
        kept = False
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise SourceError(f"reading {path}", "not a regular file", "Take it out of the inputs.")
            if before.st_size >= _SMALL:
                kept = True
                return self._hand_on(_LargeFile(path, descriptor, before))
            # One byte more than there should be: more is seen as a change.
            content = os.read(descriptor, before.st_size + 1)
            check_unchanged(path, before, os.fstat(descriptor), len(content))
        except OSError as error:
            raise refused(path, error) from error
        finally:
            if not kept:
                os.close(descriptor)
        self._bytes += len(content)
        return self._new(content, usedforsecurity=False).hexdigest(), bool(before.st_mode & stat.S_IXUSR)

    def result(self, taken: Hash | _LargeFile | SourceError, files: int, progress: Callable[[int, int], None]) -> Hash:
        if isinstance(taken, _LargeFile):
            while not taken.done.wait(_TELL_SECONDS):
                progress(files, self._bytes)
            taken = taken.failure or (taken.hash, bool(taken.before.st_mode & stat.S_IXUSR))
        elif not files % 256:
            progress(files, self._bytes)
        if isinstance(taken, SourceError):
            raise taken
        return taken

    def stop(self) -> None:
        """The threads end with the block that they are at. What they have not begun is closed."""
        self._stopped = True
        while self._large:
            try:
                os.close(self._large.popleft().descriptor)
            except IndexError:
                break
        self._ready.release(len(self._threads) or 1)

    def _hand_on(self, file: _LargeFile) -> _LargeFile:
        self._large.append(file)
        self._ready.release()
        if len(self._threads) < min(len(os.sched_getaffinity(0)), _THREADS_AT_MOST):
            # A thread that hangs in a read (a network's filesystem) must not keep the program from ending.
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()
        return file

    def _work(self) -> None:
        buffer = bytearray(_BLOCK)
        while True:
            self._ready.acquire()
            try:
                file = self._large.popleft()
            except IndexError:
                return
            try:
                self._hash(file, buffer)
            except SourceError as error:
                file.failure = error
            except OSError as error:
                file.failure = refused(file.path, error)
            finally:
                os.close(file.descriptor)
                file.done.set()

    def _hash(self, file: _LargeFile, buffer: bytearray) -> None:
        hasher = self._new(usedforsecurity=False)
        view = memoryview(buffer)
        size = 0
        while count := os.readv(file.descriptor, [buffer]):
            if self._stopped:
                return
            hasher.update(view[:count])
            size += count
            self._bytes += count
        check_unchanged(file.path, file.before, os.fstat(file.descriptor), size)
        file.hash = hasher.hexdigest()


class _LargeFile:
    """A file that is open, and what became of it."""

    __slots__ = ("before", "descriptor", "done", "failure", "hash", "path")

    def __init__(self, path: str, descriptor: int, before: os.stat_result) -> None:
        self.path = path
        self.descriptor = descriptor
        self.before = before
        self.done = threading.Event()
        self.hash = ""
        self.failure: SourceError | None = None

    @property
    def is_done(self) -> bool:
        return self.done.is_set()


def check_unchanged(path: str, before: os.stat_result, after: os.stat_result, size: int) -> None:
    """`size` is what was read."""
    if (
        size != after.st_size
        or before.st_size != size
        or before.st_mtime_ns != after.st_mtime_ns
        or before.st_ctime_ns != after.st_ctime_ns
    ):
        raise SourceError(f"reading {path}", "it changed while it was read", "Run again when nothing writes to it.")


def refused(path: str, error: OSError) -> SourceError:
    todo = "Make it readable, or take it out of the inputs."
    return SourceError(f"reading {path}", error.strerror or str(error), todo)
