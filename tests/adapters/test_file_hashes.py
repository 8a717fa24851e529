"""Hashes of very many files, some of them from worker processes."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ami_bakery.adapters.files.file_hashes import file_hashes
from ami_bakery.adapters.files.hash_worker import batches_at_once
from ami_bakery.adapters.files.hash_worker_main import EXECUTABLE, REGULAR, SKIPPED, record_size, respond
from ami_bakery.errors import SourceError

COUNT = 7000
SEVERAL_CORES = len(os.sched_getaffinity(0)) > 1


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


def test_progress_counts_files_and_bytes_of_all_processes(many: tuple[Path, ...]) -> None:
    reported: list[tuple[int, int]] = []
    paths = ((str(path), os.fsencode(path)) for path in many)
    for _ in file_hashes(paths, "sha256", lambda files, size: reported.append((files, size))):
        pass
    assert reported == sorted(reported)
    assert COUNT - 1000 < reported[-1][0] <= COUNT
    assert reported[-1][1] <= sum(path.stat().st_size for path in many)


def test_worker_processes_start_only_for_very_many_files(many: tuple[Path, ...]) -> None:
    before = set(children())
    few = list(many[:1000])
    reading = hashes(tuple(few))
    next(reading)
    assert len(list(reading)) == 999
    reading = hashes(many)
    seen = {pid for _ in reading for pid in children()[:9]} - before if SEVERAL_CORES else {0}
    assert len(seen) == min(len(os.sched_getaffinity(0)) - 1 or 1, 3)


def test_files_of_a_killed_worker_are_hashed_by_the_main_process(many: tuple[Path, ...]) -> None:
    before = set(children())
    found = []
    for number, file_hash in enumerate(hashes(many)):
        found.append(file_hash)
        if number % 500 == 0:
            for pid in set(children()) - before:
                os.kill(pid, signal.SIGKILL)
    assert found == expected(many)


def test_hashing_stops_at_the_first_unreadable_file(many: tuple[Path, ...], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for position in (100, 3000, COUNT - 1):
        paths = (*many[:position], tmp_path / "pipe", tmp_path / "absent", *many[position:])
        count = 0
        with pytest.raises(SourceError, match="pipe: not a regular file"):
            for _ in hashes(paths):
                count += 1
        assert count == position


def test_a_worker_hashes_small_files_and_skips_the_others(many: tuple[Path, ...], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    large, executable = many[500], many[8]
    asked = (many[0], tmp_path / "pipe", tmp_path / "absent", tmp_path, large, executable)
    request = b"".join(os.fsencode(path) + b"\0" for path in asked)
    answers = io.BytesIO()
    respond(io.BytesIO(len(request).to_bytes(4, "little") + request), answers, "sha1")
    size = record_size("sha1")
    records = [answers.getvalue()[at : at + size] for at in range(0, len(asked) * size, size)]
    assert [record[0] for record in records] == [REGULAR, SKIPPED, SKIPPED, SKIPPED, SKIPPED, EXECUTABLE]
    assert records[0][9:] == hashlib.sha1(many[0].read_bytes()).digest()


SMALL_PIPES = """
import fcntl, os, sys
from pathlib import Path
from ami_bakery.adapters.files.file_hashes import file_hashes

pipe = os.pipe

def small() -> tuple[int, int]:
    ends = pipe()
    fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, int(sys.argv[2]))
    return ends

os.pipe = small
paths = sorted(Path(sys.argv[1]).iterdir())
print(len(list(file_hashes(((str(path), os.fsencode(path)) for path in paths), "sha256", lambda files, size: None))))
"""


@pytest.mark.skipif(not SEVERAL_CORES, reason="no process is started on a single core")
@pytest.mark.parametrize("size", [4096, 8192])
def test_small_pipes_cause_no_deadlock(tmp_path: Path, size: int) -> None:
    """Linux gives small pipes to users with very many. No response is read while a large file is hashed."""
    for number in range(3000):
        (tmp_path / f"{number:05}-{'x' * 200}").write_bytes(b"x")
    with (tmp_path / "01000-large").open("wb") as large:
        large.truncate(1 << 30)
    done = subprocess.run(
        [sys.executable, "-c", SMALL_PIPES, str(tmp_path), str(size)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("3001\n", "")


def test_only_batches_whose_responses_fit_into_the_pipe_are_requested() -> None:
    assert [batches_at_once(size) for size in (4096, 8192, 16384, 65536)] == [1, 1, 3, 4]
