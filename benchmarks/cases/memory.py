"""Measures the peak memory of digests: of very many files, and a large one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.comparison import Case, Contender
from benchmarks.harness import REGION, Harness, template, write

_TOML = f"""\
version = 1
[images.app]
template = "app.json"
inputs = ["files"]
regions = ["{REGION}"]
# Without it, `packer version` would count as our memory.
digest_exclude = ["packer-version", "plugin-versions"]
"""


def cases(harness: Harness) -> Iterator[Case]:
    scale = harness.scale
    folder = harness.folder / "memory"
    yield Case(
        name=f"memory, {scale.many_files:,} files",
        about="100 bytes each",
        rounds=3,
        contenders=_contenders(harness, folder, _many(folder / "files", scale.many_files)),
    )
    shutil.rmtree(folder)
    yield Case(
        name=f"memory, a file of {scale.sparse_size / 1e9:g} GB",
        about="a sparse file, so that reading is as fast as memory",
        rounds=1,
        contenders=_contenders(harness, folder, _sparse(folder / "files", scale.sparse_size)),
    )
    shutil.rmtree(folder)


def _contenders(harness: Harness, folder: Path, tree: Path) -> tuple[Contender, ...]:
    packer_json = write(folder / "app.json", template("memory", source_ami="ami-0123456789abcdef0"))
    write(folder / "bakery.toml", _TOML)
    return (
        harness.ours("drop-in", "digest", environment=harness.drop_in(packer_json, tree)),
        harness.ours("bakery.toml", "digest", folder=folder),
        harness.original("original", checksum_of=tree),
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
