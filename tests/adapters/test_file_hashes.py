"""Hashes of many files, some of them large."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ami_bakery.adapters.files.file_hashes import file_hashes
from ami_bakery.errors import SourceError

COUNT = 7000


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


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_hashes_come_in_order(many: tuple[Path, ...], algorithm: str) -> None:
    assert list(hashes(many, algorithm)) == expected(many, algorithm)


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
