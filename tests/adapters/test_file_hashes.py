"""Hashes of very many files, some of them large, some of them from worker processes."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from ami_bakery.adapters.files.file_hashes import _SHARED, file_hashes
from ami_bakery.adapters.files.hash_worker import EXECUTABLE, HASH_AT, REGULAR, SKIPPED, record_size, records
from ami_bakery.errors import SourceError

COUNT = 7000
WORKERS = min(len(os.sched_getaffinity(0)) - 1, 3)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Small files; one in a hundred is executable, one is empty, and one in a thousand is large."""
    folder = tmp_path_factory.mktemp("many")
    paths = tuple(folder / f"{number:05} ü" for number in range(COUNT))
    for number, path in enumerate(paths):
        path.write_bytes(b"" if number % 100 == 7 else str(number).encode() * (100_000 if number % 1000 == 500 else 3))
        path.chmod(0o755 if number % 100 == 8 else 0o644)
    return paths


def hashes(paths: Iterator[Path] | tuple[Path, ...], algorithm: str = "sha256") -> Iterator[tuple[str, bool]]:
    return file_hashes(((str(path), os.fsencode(path)) for path in paths), algorithm, lambda files, size: None)


def expected(paths: tuple[Path, ...], algorithm: str = "sha256") -> list[tuple[str, bool]]:
    return [
        (hashlib.new(algorithm, path.read_bytes()).hexdigest(), number % 100 == 8) for number, path in enumerate(paths)
    ]


def children() -> list[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_hashes_come_in_order_and_no_process_remains(many: tuple[Path, ...], algorithm: str) -> None:
    before = children()
    assert list(hashes(many, algorithm)) == expected(many, algorithm)
    assert children() == before


def test_worker_processes_start_only_for_very_many_files(many: tuple[Path, ...]) -> None:
    before = set(children())
    few = hashes(many[:1000])
    next(few)
    assert set(children()) == before
    assert len(list(few)) == 999
    reading = hashes(many)
    next(reading)
    assert len(set(children()) - before) == WORKERS
    assert isinstance(reading, Generator)
    reading.close()
    assert set(children()) == before, "an abandoned generator leaves no process"


def test_paths_are_read_in_parts(tmp_path: Path) -> None:
    """So that memory does not grow with their number."""
    (tmp_path / "empty").touch()
    taken = 0

    def paths() -> Iterator[Path]:
        nonlocal taken
        for _ in range(3 * _SHARED):
            taken += 1
            yield tmp_path / "empty"

    ahead = max(taken - given for given, _ in enumerate(hashes(paths()), 1))
    assert ahead < _SHARED


def test_files_of_a_killed_worker_are_hashed_by_the_main_process(many: tuple[Path, ...]) -> None:
    before = set(children())
    reading = hashes(many)
    found = [next(reading)]
    for pid in set(children()) - before:
        os.kill(pid, signal.SIGKILL)
    assert [*found, *reading] == expected(many)


def test_processes_and_threads_that_cannot_start_are_not_needed(
    many: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = children()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert list(hashes(many)) == expected(many)
    assert children() == before


def test_a_worker_hashes_small_files_and_skips_the_others(many: tuple[Path, ...], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    asked = [
        os.fsencode(path) for path in (many[0], tmp_path / "pipe", tmp_path / "absent", tmp_path, many[500], many[8])
    ]
    answer, size = records(asked, "sha1"), record_size("sha1")
    found = [answer[at : at + size] for at in range(0, len(answer), size)]
    assert [record[0] for record in found] == [REGULAR, SKIPPED, SKIPPED, SKIPPED, SKIPPED, EXECUTABLE]
    assert found[0][HASH_AT:] == hashlib.sha1(many[0].read_bytes()).digest()


def test_progress_counts_files_and_bytes(many: tuple[Path, ...]) -> None:
    reported: list[tuple[int, int]] = []
    paths = ((str(path), os.fsencode(path)) for path in many)
    for _ in file_hashes(paths, "sha256", lambda files, size: reported.append((files, size))):
        pass
    assert reported == sorted(reported)
    assert COUNT - 1000 < reported[-1][0] <= COUNT
    assert reported[-1][1] <= sum(path.stat().st_size for path in many)


def test_hashing_stops_at_the_first_unreadable_file(many: tuple[Path, ...], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for position in (100, 3000, COUNT - 1):
        paths = (*many[:position], tmp_path / "pipe", tmp_path / "absent", *many[position:])
        count = 0
        with pytest.raises(SourceError, match="pipe: not a regular file"):
            for _ in hashes(paths):
                count += 1
        assert count == position
