"""The most memory that a digest takes, of very many files and of a very large one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.comparison import Case, Contender
from benchmarks.harness import REGION, Kitchen, template, write

_TOML = f"""\
version = 1
[images.app]
template = "app.json"
inputs = ["files"]
regions = ["{REGION}"]
# Packer, which is asked for its version, would count as ours.
digest_exclude = ["packer-version", "plugin-versions"]
"""


def cases(kitchen: Kitchen) -> Iterator[Case]:
    scale = kitchen.scale
    folder = kitchen.folder / "memory"
    yield Case(
        name=f"memory, {scale.many_files:,} files",
        about="a hundred bytes each",
        rounds=3,
        contenders=_contest(kitchen, folder, _many(folder / "files", scale.many_files)),
    )
    shutil.rmtree(folder)
    yield Case(
        name=f"memory, a file of {scale.sparse_size / 1e9:g} GB",
        about="nothing of it on disk, so that it is as fast as memory",
        rounds=1,
        contenders=_contest(kitchen, folder, _sparse(folder / "files", scale.sparse_size)),
    )
    shutil.rmtree(folder)


def _contest(kitchen: Kitchen, folder: Path, tree: Path) -> tuple[Contender, ...]:
    packer_json = write(folder / "app.json", template("memory", source_ami="ami-0123456789abcdef0"))
    write(folder / "bakery.toml", _TOML)
    return (
        kitchen.ours("drop-in", "digest", environment=kitchen.drop_in(packer_json, tree)),
        kitchen.ours("bakery.toml", "digest", folder=folder),
        kitchen.original("original", checksum_of=tree),
    )


def _many(folder: Path, count: int) -> Path:
    for number in range(count):
        path = folder / f"{number // 1000:04}" / f"{number % 1000:03}-of-a-thousand"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(f"{number:0100}".encode())
    return folder


def _sparse(folder: Path, size: int) -> Path:
    folder.mkdir(parents=True)
    with (folder / "disk.img").open("wb") as file:
        file.truncate(size)
    return folder
