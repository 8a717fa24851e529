"""Measures how much longer a bake takes with an audit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.comparison import Case, Contender
from benchmarks.harness import REGION, Harness, template, write
from benchmarks.trees import small_files

_TOML = f"""\
version = 1
[images.app]
template = "ami/packer/app.json"
inputs = ["ami"]
workdir = "."
regions = ["{REGION}"]
"""
_READ_ALL = "for file in ami/part-*/*; do cat $file > /dev/null; done"
"""Starts a process for each file: strace costs most for short processes."""

_LOADS = (
    ("audit, no local command", "no provisioners", ()),
    ("audit, 500 processes", "a local command starts 500 processes, each of which reads a file", (_READ_ALL,)),
)
"""The name of a case, what it builds, and its local commands."""


def cases(harness: Harness) -> Iterator[Case]:
    harness.control.change(pending_seconds=2)
    for name, about, commands in _LOADS:
        yield Case(
            name=name,
            about=f"{about}; Packer builds in the embedded EC2",
            rounds=harness.scale.slow_rounds,
            contenders=tuple(_contenders(harness, name, commands)),
        )
    harness.control.change(pending_seconds=0)


def _contenders(harness: Harness, case: str, commands: tuple[str, ...]) -> Iterator[Contender]:
    for name, options in (("bake", ()), ("bake --audit", ("--audit",))):
        folder = _folder(harness, f"{case}-{len(options)}".replace(", ", "-").replace(" ", "-"), commands)
        yield harness.ours(name, "bake", *options, folder=folder, before=partial(_change, folder))


def _folder(harness: Harness, name: str, commands: tuple[str, ...]) -> Path:
    folder = harness.folder / name
    small_files(folder / "ami", 500)
    made = template(name)
    if commands:
        made["provisioners"] = [{"type": "shell-local", "inline": list(commands)}]
    write(folder / "ami" / "packer" / "app.json", made)
    write(folder / "bakery.toml", _TOML)
    return folder


def _change(folder: Path) -> None:
    (folder / "ami" / "part-0000" / "file-00.sh").write_text(f"echo {time.time_ns()}\n")
