"""Computes digests of many small files, of large files, and of vendored packages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.baselines import Baseline
from benchmarks.comparison import Case, Contender, Kind
from benchmarks.harness import CORES, REGION, Harness, quoted, template, write
from benchmarks.trees import forget, large_files, small_files, vendored

_TOML = f"""\
version = 1
[images.app]
template = "app.json"
inputs = ["files"]
regions = ["{REGION}"]
"""
_BARE = """\
import hashlib, sys, threading
from pathlib import Path
files = [path for path in Path({folder!r}).rglob("*") if path.is_file()]
def work(some):
    buffer = bytearray(1 << 19)
    view = memoryview(buffer)
    for path in some:
        hasher = hashlib.{algorithm}()
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                hasher.update(view[:count])
        hasher.digest()
threads = [threading.Thread(target=work, args=(files[n::{cores}],)) for n in range({cores})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
"""Only hashes, in any order and without change detection: the speed limit of Python's hashes on this machine."""


def cases(harness: Harness) -> Iterator[Case]:
    scale = harness.scale
    trees = (
        (f"digest, {scale.small_files:,} files", "200 bytes to 8 kB each", small_files, (scale.small_files,)),
        (
            f"digest, {scale.large}",
            f"{scale.large_files} files of {scale.large_size / 1e6:g} MB",
            large_files,
            (scale.large_files, scale.large_size),
        ),
        (
            f"digest, {scale.vendored_files:,} vendored files",
            "deep folders, 100 bytes to 40 kB",
            vendored,
            (scale.vendored_files,),
        ),
    )
    for name, about, make, size in trees:
        folder = harness.folder / name.replace(" ", "-").replace(",", "")
        tree = make(folder / "files", *size)
        rounds = scale.slow_rounds if make is large_files else scale.rounds
        contenders = contenders_of(harness, folder, tree, large=make is large_files)
        yield Case(name=name, about=f"{about}, in memory", rounds=rounds, contenders=contenders)
        if make is large_files:
            yield Case(
                name=f"{name}, cold",
                about="The same, from the disk",
                rounds=rounds,
                contenders=tuple(
                    replace(contender, before=partial(_before, contender, tree))
                    for contender in contenders
                    if contender.name in ("drop-in", "bakery.toml", "original", "reading the bytes once")
                ),
            )
        shutil.rmtree(folder)


def contenders_of(harness: Harness, folder: Path, tree: Path, *, large: bool) -> tuple[Contender, ...]:
    """`large`: the files are few and large, so that each parallel process gets only a few."""
    packer_json = write(folder / "app.json", template("digest", source_ami="ami-0123456789abcdef0"))
    write(folder / "bakery.toml", _TOML)
    drop_in = harness.ours("drop-in", "digest", environment=harness.drop_in(packer_json, tree))
    checksum = harness.answer(drop_in)
    files = f"find {quoted(tree)} -type f ! -name '.*' -print0"
    index = folder / "index.git"
    parallel = f"xargs -0 -P {CORES} -n {4 if large else 256}"
    git = f"git --git-dir={quoted(index)} --work-tree={quoted(tree)}"
    bare = [
        harness.python(
            f"{name} alone, in {CORES} threads", _BARE.format(folder=str(tree), algorithm=algorithm, cores=CORES)
        )
        for name, algorithm in (("SHA-1", "sha1"), ("SHA-256", "sha256"))
        if large
    ]
    return (
        replace(drop_in, expects=checksum),
        harness.ours("bakery.toml", "digest", folder=folder),
        harness.original("original", checksum_of=tree, expects=checksum),
        harness.shell("find, sort, sha1sum", f"{files} | sort -z | xargs -0 sha1sum | sha1sum"),
        harness.shell(
            f"sha256sum, {CORES} at once",
            f"{files} | {parallel} sha256sum | sort | sha256sum",
        ),
        harness.shell("b3sum", f"{files} | sort -z | xargs -0 b3sum | b3sum", harness.baselines.b3sum),
        harness.shell(
            "git add, write-tree",
            f"{git} add --all . && {git} write-tree",
            Baseline(missing="git would compress them, which takes minutes") if large else harness.baselines.git,
            folder=tree,
            before=partial(_empty_repository, index),
        ),
        harness.shell("reading the bytes once", f"{files} | {parallel} cat >/dev/null", kind=Kind.LIMIT),
        *bare,
    )


def _empty_repository(index: Path) -> None:
    """Creates an empty git repository without starting git."""
    shutil.rmtree(index, ignore_errors=True)
    (index / "objects").mkdir(parents=True)
    (index / "refs").mkdir()
    (index / "HEAD").write_text("ref: refs/heads/main\n")


def _before(contender: Contender, tree: Path) -> None:
    if contender.before is not None:
        contender.before()
    forget(tree)
