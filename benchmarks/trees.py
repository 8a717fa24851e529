"""Writes trees of files to hash, with the same bytes in every run."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

_SUFFIXES = ("sh", "py", "yml", "json", "conf", "j2", "txt")


def small_files(folder: Path, count: int) -> Path:
    """Writes typical definition files: 100 per folder, 200 bytes to 8 kB each."""
    numbers = random.Random(count)
    for number in range(count):
        path = folder / f"part-{number // 100:04}" / f"file-{number % 100:02}.{_SUFFIXES[number % len(_SUFFIXES)]}"
        if number % 100 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(numbers.randbytes(int(200 * 40 ** numbers.random())))
    return folder


def large_files(folder: Path, count: int, size: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        block = random.Random(number).randbytes(min(size, 1 << 20))
        with (folder / f"artifact-{number:03}.bin").open("wb") as file:
            for start in range(0, size, len(block)):
                file.write(block[: size - start])
    return folder


def vendored(folder: Path, count: int) -> Path:
    """Writes 100 own files, and deeply nested files as package managers install them."""
    numbers = random.Random(count)
    small_files(folder / "ami", 100)
    packages = list(_packages(folder / "vendor", count // 20))
    for package in packages:
        package.mkdir(parents=True)
    for number in range(count - 100):
        parent = packages[number % len(packages)] / ("lib" if number % 3 else "templates")
        parent.mkdir(exist_ok=True)
        (parent / f"{number:05}.js").write_bytes(numbers.randbytes(int(100 * 400 ** numbers.random())))
    return folder


def _packages(folder: Path, count: int) -> Iterator[Path]:
    for number in range(count):
        deep = [f"package-{number // 7**level % 7}" for level in range(number % 5)]
        yield folder.joinpath(*(part for name in deep for part in (name, "modules")), f"package-{number:04}")


def forget(folder: Path) -> None:
    """Drops the files' contents from the page cache, as after a reboot.

    File names and folders stay cached: dropping those needs root, and affects the whole machine.
    """
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path) and not os.path.islink(path):
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(descriptor)
