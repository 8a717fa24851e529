"""Hashes files in order: large files in threads, very many files in worker processes."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ami_bakery.adapters.files.hash_worker_main import ALGORITHMS, SMALL, is_unchanged, open_to_read
from ami_bakery.errors import SourceError

if TYPE_CHECKING:
    from ami_bakery.adapters.files.hash_worker import HashingProcess

Hash = tuple[str, bool]
"""The hash in hexadecimal, and whether the file's owner may execute it."""
_BATCH = 64
_AHEAD = 1024
"""Maximum number of files that are read or requested ahead."""
_OPEN_AHEAD = 64
"""Maximum number of large files that are open ahead; can be exceeded by a batch."""
_BLOCK = 1 << 19
_THREADS_AT_MOST = 8
_FILES_OF_A_PROCESS = 1024
"""A worker process is started for each so many files; for fewer it takes longer than it saves."""
_PROCESSES_AT_MOST = 3
_REPORT_SECONDS = 0.25


def file_hashes(
    paths: Iterable[tuple[str, bytes]], algorithm: str, progress: Callable[[int, int], None]
) -> Iterator[Hash]:
    """Yields the hashes in the order of `paths`. Follows links. Raises `SourceError`, also if a file changes meanwhile.

    paths     pairs of the path for messages and the path for the operating system
    progress  receives the number of files and of bytes so far, between files and while waiting for one
    """
    reading = _Reading(algorithm, progress)
    waiting: deque[_Task] = deque()
    paths = iter(paths)
    try:
        while not reading.failed and (batch := list(islice(paths, _BATCH))):
            waiting.extend(reading.begin(batch))
            while waiting and (reading.is_ready(waiting[0]) or reading.is_full(waiting)):
                yield from reading.finish(waiting.popleft())
        while waiting:
            yield from reading.finish(waiting.popleft())
    finally:
        reading.stop()


class _Reading:
    """Hashes files in this thread, in other threads, and in worker processes.

    failed  whether a file could not be read: later files need not be started
    """

    def __init__(self, algorithm: str, progress: Callable[[int, int], None]) -> None:
        self.failed = False
        self._algorithm = algorithm
        self._new_hash = ALGORITHMS[algorithm]
        self._progress = progress
        self._started = 0
        self._files = 0
        self._bytes = 0
        self._open = 0
        self._large: deque[_LargeFile] = deque()
        self._pending = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._processes: list[HashingProcess] = []
        self._processes_at_most = min(_cores() - 1, _PROCESSES_AT_MOST)
        self._stopped = False

    def begin(self, batch: Sequence[tuple[str, bytes]]) -> Iterator[_Task]:
        process = self._free_process()
        self._started += len(batch)
        if process is not None:
            process.request([os_path for _, os_path in batch])
            yield _RequestedBatch(batch, process)
            return
        small: list[Hash] = []
        for path, os_path in batch:
            try:
                result = self._read(path, os_path)
            except SourceError as failure:
                self.failed = True
                yield small
                yield failure
                return
            if isinstance(result, _LargeFile):
                yield small
                yield result
                small = []
            else:
                small.append(result)
        yield small

    def is_ready(self, task: _Task) -> bool:
        """Returns whether `finish` would return without waiting."""
        match task:
            case _LargeFile():
                return task.done.is_set()
            case _RequestedBatch():
                return task.process.has_responded(0)
            case _:
                return True

    def is_full(self, waiting: deque[_Task]) -> bool:
        return self._open > _OPEN_AHEAD or len(waiting) * _BATCH > _AHEAD

    def finish(self, task: _Task) -> Iterable[Hash]:
        """Returns the hashes of a task. Call it in the order in which `begin` returned the tasks."""
        self._progress(self._files, self._bytes)
        match task:
            case list():
                self._files += len(task)
                return task
            case _LargeFile():
                return (self._wait_for_file(task),)
            case _RequestedBatch():
                return self._wait_for_batch(task)
            case _:
                raise task

    def _wait_for_file(self, file: _LargeFile) -> Hash:
        while not file.done.wait(_REPORT_SECONDS):
            self._progress(self._files, self._bytes)
        if file.failure is not None:
            raise file.failure
        self._open -= 1
        self._files += 1
        return file.hash, _is_executable(file.before)

    def _wait_for_batch(self, requested: _RequestedBatch) -> Iterator[Hash]:
        while not requested.process.has_responded(_REPORT_SECONDS):
            self._progress(self._files, self._bytes)
        results = requested.process.results(len(requested.batch))
        for (path, os_path), found in zip(requested.batch, results, strict=True):
            if found is None:
                result = self._read(path, os_path)
                yield self._wait_for_file(result) if isinstance(result, _LargeFile) else result
            else:
                digest, executable, size = found
                self._bytes += size
                yield digest, executable
            self._files += 1

    def _free_process(self) -> HashingProcess | None:
        """Returns a worker process that accepts a batch. Starts one if there are enough files. None if busy."""
        if len(self._processes) < min(self._processes_at_most, self._started // _FILES_OF_A_PROCESS):
            from ami_bakery.adapters.files.hash_worker import HashingProcess

            try:
                self._processes.append(HashingProcess(self._algorithm))
            except OSError:
                self._processes_at_most = len(self._processes)
        return next((process for process in self._processes if process.accepts_batch), None)

    def _read(self, path: str, os_path: bytes) -> Hash | _LargeFile:
        """Hashes a small file; hands a large file to the threads."""
        try:
            descriptor = open_to_read(os_path)
        except OSError as error:
            raise read_error(path, error) from error
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
        except OSError as error:
            raise read_error(path, error) from error
        finally:
            if not kept:
                os.close(descriptor)
        self._bytes += before.st_size
        return self._new_hash(content, usedforsecurity=False).hexdigest(), _is_executable(before)

    def stop(self) -> None:
        """Ends processes, lets threads end after their current block, and closes files that are not started."""
        self._stopped = True
        for process in self._processes:
            process.end()
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
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()
        return file

    def _work(self) -> None:
        buffer = bytearray(_BLOCK)
        while True:
            self._pending.acquire()
            try:
                file = self._large.popleft()
            except IndexError:
                return
            try:
                self._hash(file, buffer)
            except SourceError as error:
                file.failure = error
            except OSError as error:
                file.failure = read_error(file.path, error)
            finally:
                os.close(file.descriptor)
                file.done.set()

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


class _RequestedBatch(NamedTuple):
    """A batch of files that a worker process hashes."""

    batch: Sequence[tuple[str, bytes]]
    process: HashingProcess


_Task = list[Hash] | _LargeFile | _RequestedBatch | SourceError


def check_unchanged(path: str, before: os.stat_result, after: os.stat_result, size: int) -> None:
    """Raises `SourceError` if a file changed while it was read. `size`: bytes read."""
    if not is_unchanged(before, after, size):
        raise generated_content(path) if _is_generated(before, after, size) else _changed(path)


def _is_generated(before: os.stat_result, after: os.stat_result, size: int) -> bool:
    """Returns whether it is a file as in /proc (size 0) or /sys (size of a page)."""
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
