"""Takes the hashes of files, in order: small ones as they come, large ones in threads, very many in processes, too."""

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
"""As hex, and whether the owner may execute the file."""
_BATCH = 64
_AHEAD = 1024
"""Files that are read, or asked for, ahead of their turn."""
_OPEN_AHEAD = 64
"""Large ones among them, which are open; a batch more may be."""
_BLOCK = 1 << 19
_THREADS_AT_MOST = 8
_FILES_OF_A_PROCESS = 1024
"""For fewer it does not pay to start one."""
_PROCESSES_AT_MOST = 3
_TELL_SECONDS = 0.25


def file_hashes(
    paths: Iterable[tuple[str, bytes]], algorithm: str, progress: Callable[[int, int], None]
) -> Iterator[Hash]:
    """In the order of `paths`: each as people know it, and as the operating system does. Links are followed.

    A file that changes while it is read is refused, since what was read would not be it. `progress` gets the number of
    files and of bytes so far, between files and while one is waited for.
    """
    reading = _Reading(algorithm, progress)
    waiting: deque[_Begun] = deque()
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
    """Reads files: by itself, with threads that are started at the first large one, and with processes.

    failed  a file could not be read: those behind it need not be begun
    """

    def __init__(self, algorithm: str, progress: Callable[[int, int], None]) -> None:
        self.failed = False
        self._algorithm = algorithm
        self._new = ALGORITHMS[algorithm]
        self._progress = progress
        self._begun = 0
        self._files = 0
        self._bytes = 0
        self._open = 0
        self._large: deque[_LargeFile] = deque()
        self._ready = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._processes: list[HashingProcess] = []
        self._processes_at_most = min(_cores() - 1, _PROCESSES_AT_MOST)
        self._stopped = False

    def begin(self, batch: Sequence[tuple[str, bytes]]) -> Iterator[_Begun]:
        process = self._free_process()
        self._begun += len(batch)
        if process is not None:
            process.ask([place for _, place in batch])
            yield _RequestedBatch(batch, process)
            return
        small: list[Hash] = []
        for path, place in batch:
            try:
                taken = self._taken(path, place)
            except SourceError as failure:
                self.failed = True
                yield small
                yield failure
                return
            if isinstance(taken, _LargeFile):
                yield small
                yield taken
                small = []
            else:
                small.append(taken)
        yield small

    def is_ready(self, begun: _Begun) -> bool:
        """Whether it is finished without waiting."""
        match begun:
            case _LargeFile():
                return begun.done.is_set()
            case _RequestedBatch():
                return begun.process.has_answered(0)
            case _:
                return True

    def is_full(self, waiting: deque[_Begun]) -> bool:
        return self._open > _OPEN_AHEAD or len(waiting) * _BATCH > _AHEAD

    def finish(self, begun: _Begun) -> Iterable[Hash]:
        """In the order in which they were begun."""
        self._progress(self._files, self._bytes)
        match begun:
            case list():
                self._files += len(begun)
                return begun
            case _LargeFile():
                return (self._finished(begun),)
            case _RequestedBatch():
                return self._answered(begun)
            case _:
                raise begun

    def _finished(self, file: _LargeFile) -> Hash:
        while not file.done.wait(_TELL_SECONDS):
            self._progress(self._files, self._bytes)
        if file.failure is not None:
            raise file.failure
        self._open -= 1
        self._files += 1
        return file.hash, _is_executable(file.before)

    def _answered(self, asked: _RequestedBatch) -> Iterator[Hash]:
        while not asked.process.has_answered(_TELL_SECONDS):
            self._progress(self._files, self._bytes)
        for (path, place), found in zip(asked.batch, asked.process.answers(len(asked.batch)), strict=True):
            if found is None:
                taken = self._taken(path, place)
                yield self._finished(taken) if isinstance(taken, _LargeFile) else taken
            else:
                sha, executable, size = found
                self._bytes += size
                yield sha, executable
            self._files += 1

    def _free_process(self) -> HashingProcess | None:
        """One that has time, which is started where there is enough to do; None where we do it ourselves."""
        if len(self._processes) < min(self._processes_at_most, self._begun // _FILES_OF_A_PROCESS):
            from ami_bakery.adapters.files.hash_worker import HashingProcess

            try:
                self._processes.append(HashingProcess(self._algorithm))
            except OSError:
                self._processes_at_most = len(self._processes)
        return next((process for process in self._processes if process.has_time), None)

    def _taken(self, path: str, place: bytes) -> Hash | _LargeFile:
        try:
            descriptor = open_to_read(place)
        except OSError as error:
            raise refused(path, error) from error
        kept = False
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise SourceError(f"reading {path}", "not a regular file", "Take it out of the inputs.")
            if before.st_size >= SMALL:
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
        self._bytes += before.st_size
        return self._new(content, usedforsecurity=False).hexdigest(), _is_executable(before)

    def stop(self) -> None:
        """The threads end with the block that they are at. What they have not begun is closed."""
        self._stopped = True
        for process in self._processes:
            process.end()
        while self._large:
            try:
                os.close(self._large.popleft().descriptor)
            except IndexError:
                break
        self._ready.release(len(self._threads) or 1)

    def _hand_on(self, file: _LargeFile) -> _LargeFile:
        self._open += 1
        self._large.append(file)
        self._ready.release()
        if len(self._threads) < min(_cores(), _THREADS_AT_MOST):
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


class _RequestedBatch(NamedTuple):
    """A batch that a process was asked for."""

    batch: Sequence[tuple[str, bytes]]
    process: HashingProcess


_Begun = list[Hash] | _LargeFile | _RequestedBatch | SourceError


def check_unchanged(path: str, before: os.stat_result, after: os.stat_result, size: int) -> None:
    """`size` is what was read."""
    if not is_unchanged(before, after, size):
        raise lasts_not(path) if _is_made_when_read(before, after, size) else _changed(path)


def _is_made_when_read(before: os.stat_result, after: os.stat_result, size: int) -> bool:
    """Files of /proc have no size, those of /sys that of a page."""
    return before.st_size == after.st_size != size and (
        before.st_size == 0 or (before.st_mtime_ns == after.st_mtime_ns and before.st_ctime_ns == after.st_ctime_ns)
    )


def lasts_not(path: str) -> SourceError:
    wrong = "what it holds is made when it is read, as in /proc"
    return SourceError(f"reading {path}", wrong, "Name a file whose content lasts.")


def _changed(path: str) -> SourceError:
    return SourceError(f"reading {path}", "it changed while it was read", "Run again when nothing writes to it.")


def _is_executable(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IXUSR)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def refused(path: str, error: OSError) -> SourceError:
    if error.errno == errno.EAGAIN:
        return lasts_not(path)
    todo = "Make it readable, or take it out of the inputs."
    if error.errno == errno.ELOOP:
        todo = "Remove the link: it leads in a circle, or over too many others."
    return SourceError(f"reading {path}", error.strerror or str(error), todo)
