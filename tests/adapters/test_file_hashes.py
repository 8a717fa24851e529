"""Very many files: a second process hashes some of them, and nobody can tell which."""

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
    """Small files, and among them in each hundred one that is executable, one that is empty, and in each thousand one
    that is large."""
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
def test_every_file_gets_its_hash_in_order_and_no_process_is_left(many: tuple[Path, ...], algorithm: str) -> None:
    before = children()
    assert list(hashes(many, algorithm)) == expected(many, algorithm)
    assert children() == before


def test_files_and_bytes_are_counted_whoever_reads_them(many: tuple[Path, ...]) -> None:
    told: list[tuple[int, int]] = []
    paths = ((str(path), os.fsencode(path)) for path in many)
    for _ in file_hashes(paths, "sha256", lambda files, size: told.append((files, size))):
        pass
    assert told == sorted(told)
    assert COUNT - 1000 < told[-1][0] <= COUNT
    assert told[-1][1] <= sum(path.stat().st_size for path in many)


def test_a_process_is_started_for_very_many_files_only(many: tuple[Path, ...]) -> None:
    before = set(children())
    few = list(many[:1000])
    reading = hashes(tuple(few))
    next(reading)
    assert len(list(reading)) == 999
    reading = hashes(many)
    seen = {pid for _ in reading for pid in children()[:9]} - before if SEVERAL_CORES else {0}
    assert len(seen) == min(len(os.sched_getaffinity(0)) - 1 or 1, 3)


def test_what_a_process_that_is_killed_was_asked_for_is_read_by_us(many: tuple[Path, ...]) -> None:
    before = set(children())
    found = []
    for number, taken in enumerate(hashes(many)):
        found.append(taken)
        if number % 500 == 0:
            for pid in set(children()) - before:
                os.kill(pid, signal.SIGKILL)
    assert found == expected(many)


def test_the_first_file_that_cannot_be_read_stops_it_whoever_comes_to_it(
    many: tuple[Path, ...], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (100, 3000, COUNT - 1):
        paths = (*many[:place], tmp_path / "pipe", tmp_path / "absent", *many[place:])
        taken = 0
        with pytest.raises(SourceError, match="pipe: not a regular file"):
            for _ in hashes(paths):
                taken += 1
        assert taken == place


def test_the_process_answers_what_is_plain_and_leaves_the_rest(many: tuple[Path, ...], tmp_path: Path) -> None:
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
def test_with_pipes_of_a_page_or_two_nobody_waits_for_ever(tmp_path: Path, size: int) -> None:
    """As Linux gives them to a user who has very many. While a large file is waited for, no answer is read."""
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


def test_so_many_batches_are_asked_for_as_a_pipe_holds_the_answers_of() -> None:
    assert [batches_at_once(size) for size in (4096, 8192, 16384, 65536)] == [1, 1, 3, 4]
