"""Hashes files in order: large files in several threads, very many small files in several processes."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice, repeat, zip_longest
from typing import TYPE_CHECKING

from ami_bakery.adapters.files.hash_worker import ALGORITHMS, SMALL, is_unchanged, open_to_read
from ami_bakery.errors import SourceError

if TYPE_CHECKING:
    from ami_bakery.adapters.files.worker_hashes import WorkerHashes, WorkerResult

Hash = tuple[str, bool]
"""The hash in hexadecimal, and whether the file's owner may execute it."""
_Path = tuple[str, bytes]
"""The path for messages, and the path for the operating system."""
_MANY = 2000
"""With fewer files, starting a worker process takes longer than it saves."""
_SHARED = 20_000
"""Maximum number of files whose paths and hashes are in memory."""
_WORKERS_AT_MOST = 3
_AHEAD = 1024
"""Maximum number of files that are read while an earlier large file is hashed."""
_OPEN_AHEAD = 64
"""Maximum number of large files that are open."""
_BLOCK = 1 << 19
_THREADS_AT_MOST = 8
_REPORT_FILES = 64
_REPORT_SECONDS = 0.25


def file_hashes(
    paths: Iterable[tuple[str, bytes]], algorithm: str, progress: Callable[[int, int], None]
) -> Iterator[Hash]:
    """Yields the hashes in the order of `paths`. Follows links. Raises `SourceError`, also if a file changes meanwhile.

    paths     pairs of the path for messages and the path for the operating system
    progress  receives the number of files and of bytes so far, between files and while waiting for one
    """
    hashing = _Hashing(algorithm, progress)
    waiting: deque[Hash | _LargeFile | SourceError] = deque()
    try:
        for path, os_path, known in _shared(paths, algorithm, hashing.report):
            result = hashing.start(path, os_path) if known is None else hashing.counted(known)
            if isinstance(result, tuple) and not waiting:
                yield result
                continue
            waiting.append(result)
            if isinstance(result, SourceError):
                break
            while waiting and (hashing.is_full(waiting) or _is_ready(waiting[0])):
                yield hashing.finish(waiting.popleft())
        while waiting:
            yield hashing.finish(waiting.popleft())
    finally:
        hashing.stop()


def _shared(
    paths: Iterable[_Path], algorithm: str, report: Callable[[], None]
) -> Iterator[tuple[str, bytes, WorkerResult | None]]:
    """Yields all paths in order, and a worker process's result; None if this process must hash the file.

    Each worker hashes a part of some thousand files, while this process hashes another part.
    """
    rest = iter(paths)
    workers = min(_cores() - 1, _WORKERS_AT_MOST)
    while some := list(islice(rest, _SHARED)):
        size = len(some) if len(some) < _MANY else -(-len(some) // (workers + 1))
        own, *parts = [some[start : start + size] for start in range(0, len(some), size)]
        started: list[WorkerHashes] = []
        try:
            with suppress(OSError):
                started.extend(_start_worker(part, algorithm) for part in parts)
            yield from ((path, os_path, None) for path, os_path in own)
            for part, worker in zip_longest(parts, started):
                while worker is not None and not worker.wait(_REPORT_SECONDS):
                    report()
                results = repeat(None) if worker is None else worker.results()
                for (path, os_path), result in zip(part, results, strict=False):
                    yield path, os_path, result
        finally:
            for worker in started:
                worker.end()


def _start_worker(part: Iterable[_Path], algorithm: str) -> WorkerHashes:
    from ami_bakery.adapters.files.worker_hashes import WorkerHashes

    return WorkerHashes([os_path for _, os_path in part], algorithm)


class _LargeFile:
    """An open file, and the result of hashing it."""

    __slots__ = ("before", "descriptor", "done", "failure", "hash", "path")

    def __init__(self, path: str, descriptor: int, before: os.stat_result) -> None:
        self.path = path
        self.descriptor = descriptor
        self.before = before
        self.done = threading.Event()
        self.hash = ""
        self.failure: SourceError | None = None


def _is_ready(result: Hash | _LargeFile | SourceError) -> bool:
    """Returns whether `finish` would return without waiting."""
    return not isinstance(result, _LargeFile) or result.done.is_set()


class _Hashing:
    """Hashes small files in this thread, and large files in several threads."""

    def __init__(self, algorithm: str, progress: Callable[[int, int], None]) -> None:
        self._new_hash = ALGORITHMS[algorithm]
        self._progress = progress
        self._files = 0
        self._bytes = 0
        self._open = 0
        self._large: deque[_LargeFile] = deque()
        self._pending = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._stopped = False

    def start(self, path: str, os_path: bytes) -> Hash | _LargeFile | SourceError:
        """Hashes a small file; hands a large file to the threads. Returns failures: earlier files come first."""
        self._count()
        try:
            return self._read(path, os_path)
        except SourceError as failure:
            return failure
        except OSError as error:
            return read_error(path, error)

    def counted(self, known: WorkerResult) -> Hash:
        """Counts a file that a worker process hashed."""
        self._count()
        file_hash, executable, size = known
        self._bytes += size
        return file_hash, executable

    def _count(self) -> None:
        if self._files % _REPORT_FILES == 0:
            self.report()
        self._files += 1

    def report(self) -> None:
        self._progress(self._files, self._bytes)

    def is_full(self, waiting: deque[Hash | _LargeFile | SourceError]) -> bool:
        return self._open > _OPEN_AHEAD or len(waiting) > _AHEAD

    def finish(self, result: Hash | _LargeFile | SourceError) -> Hash:
        """Returns the hash, or raises the failure."""
        if isinstance(result, SourceError):
            raise result
        if not isinstance(result, _LargeFile):
            return result
        self.report()
        while not result.done.wait(_REPORT_SECONDS):
            self.report()
        self._open -= 1
        if result.failure is not None:
            raise result.failure
        return result.hash, _is_executable(result.before)

    def _read(self, path: str, os_path: bytes) -> Hash | _LargeFile:
        descriptor = open_to_read(os_path)
        kept = False
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise SourceError(f"reading {path}", "not a regular file", "Remove it from the inputs.")
            if before.st_size >= SMALL:
                kept = True
                return self._hand_to_threads(_LargeFile(path, descriptor, before))
            # One byte more than the size, to detect that the file grew.
            content = os.read(descriptor, before.st_size + 1)
            check_unchanged(path, before, os.fstat(descriptor), len(content))
        finally:
            if not kept:
                os.close(descriptor)
        self._bytes += before.st_size
        return self._new_hash(content, usedforsecurity=False).hexdigest(), _is_executable(before)

    def stop(self) -> None:
        """Lets threads end after their current block. Closes files that are not started."""
        self._stopped = True
        while self._large:
            try:
                os.close(self._large.popleft().descriptor)
            except IndexError:
                break
        self._pending.release(len(self._threads) or 1)

    def _hand_to_threads(self, file: _LargeFile) -> _LargeFile:
        self._open += 1
        self._large.append(file)
        self._pending.release()
        if len(self._threads) < min(_cores(), _THREADS_AT_MOST):
            # Daemon threads: a read that hangs (network filesystem) must not keep the program from ending.
            thread = threading.Thread(target=self._work, daemon=True)
            try:
                thread.start()
                self._threads.append(thread)
            except RuntimeError:
                # The limit of processes, which counts threads, too.
                if not self._threads:
                    self._hash_next(bytearray(_BLOCK))
        return file

    def _work(self) -> None:
        buffer = bytearray(_BLOCK)
        while self._hash_next(buffer):
            pass

    def _hash_next(self, buffer: bytearray) -> bool:
        """Hashes the next large file. Returns False if no more will come."""
        self._pending.acquire()
        try:
            file = self._large.popleft()
        except IndexError:
            return False
        try:
            self._hash(file, buffer)
        except SourceError as error:
            file.failure = error
        except OSError as error:
            file.failure = read_error(file.path, error)
        finally:
            os.close(file.descriptor)
            file.done.set()
        return True

    def _hash(self, file: _LargeFile, buffer: bytearray) -> None:
        hasher = self._new_hash(usedforsecurity=False)
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


def check_unchanged(path: str, before: os.stat_result, after: os.stat_result, size: int) -> None:
    """Raises `SourceError` if a file changed while it was read. `size`: bytes read."""
    if not is_unchanged(before, after, size):
        raise generated_content(path) if _is_generated(before, after, size) else _changed(path)


def _is_generated(before: os.stat_result, after: os.stat_result, size: int) -> bool:
    """Returns whether it is a file as in /proc or /sys. Its size is 0 (/proc) or that of a page (/sys)."""
    return before.st_size == after.st_size != size and (
        before.st_size == 0 or (before.st_mtime_ns == after.st_mtime_ns and before.st_ctime_ns == after.st_ctime_ns)
    )


def generated_content(path: str) -> SourceError:
    wrong = "its content is generated when it is read, as in /proc"
    return SourceError(f"reading {path}", wrong, "Use a regular file.")


def _changed(path: str) -> SourceError:
    return SourceError(f"reading {path}", "it changed while it was read", "Run again when no program writes to it.")


def _is_executable(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IXUSR)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def read_error(path: str, error: OSError) -> SourceError:
    if error.errno == errno.EAGAIN:
        return generated_content(path)
    todo = "Make the file readable for this user, or remove it from the inputs."
    if error.errno == errno.ELOOP:
        todo = "Remove the link: it is circular, or passes too many other links."
    return SourceError(f"reading {path}", error.strerror or str(error), todo)
