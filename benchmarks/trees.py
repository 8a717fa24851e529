"""Trees of files to take digests of: the same bytes at every run, made where they are missing."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

_SUFFIXES = ("sh", "py", "yml", "json", "conf", "j2", "txt")


def small_files(folder: Path, count: int) -> Path:
    """As definitions have them: 100 a folder, 200 bytes to 8 kB each."""
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
            for begun in range(0, size, len(block)):
                file.write(block[: size - begun])
    return folder


def vendored(folder: Path, count: int) -> Path:
    """A few files of one's own, and beside them what others wrote, deep and nested, as package managers put it."""
    numbers = random.Random(count)
    small_files(folder / "ami", 100)
    places = list(_packages(folder / "vendor", count // 20))
    for place in places:
        place.mkdir(parents=True)
    for number in range(count - 100):
        place = places[number % len(places)] / ("lib" if number % 3 else "templates")
        place.mkdir(exist_ok=True)
        (place / f"{number:05}.js").write_bytes(numbers.randbytes(int(100 * 400 ** numbers.random())))
    return folder


def _packages(folder: Path, count: int) -> Iterator[Path]:
    for number in range(count):
        deep = [f"package-{number // 7**level % 7}" for level in range(number % 5)]
        yield folder.joinpath(*(part for name in deep for part in (name, "modules")), f"package-{number:04}")


def forget(folder: Path) -> None:
    """Let the operating system forget what the files hold, as on a machine that has just been started.

    Their names and what the folders hold stay known: to forget these takes root, and the whole machine.
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
