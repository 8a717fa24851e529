"""Compares a bake with the original's bake, and with Packer alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.comparison import Case, Contender
from benchmarks.harness import REGION, Harness, quoted, template, write
from benchmarks.trees import small_files

_TOML = f"""\
version = 1
[images.app]
template = "ami/packer/app.json"
inputs = ["ami"]
regions = ["{REGION}"]
"""


def cases(harness: Harness) -> Iterator[Case]:
    # Real builds take longer than EC2's replication lag, which the lock's third check waits for.
    harness.control.change(pending_seconds=2)
    yield Case(
        name="bake",
        about="50 files, one of them changed; Packer builds in the embedded EC2, without provisioners",
        rounds=harness.scale.rounds,
        contenders=tuple(_contenders(harness)),
        counted=harness.calls,
    )
    harness.control.change(pending_seconds=0)


def _contenders(harness: Harness) -> Iterator[Contender]:
    """Each contender has its own folder, in which a file changes before each run."""
    folder, packer_json = _folder(harness, "drop-in")
    yield harness.ours(
        "drop-in",
        program="bake",
        environment=harness.drop_in(packer_json, folder / "ami"),
        before=partial(_change, folder),
    )
    folder, _ = _folder(harness, "configured")
    write(folder / "bakery.toml", _TOML)
    yield harness.ours("bakery.toml", "bake", folder=folder, before=partial(_change, folder))
    folder, packer_json = _folder(harness, "original")
    yield harness.original(
        "original", environment=harness.drop_in(packer_json, folder / "ami"), before=partial(_change, folder)
    )
    folder, packer_json = _folder(harness, "packer")
    variables = f"-var aws_region={REGION} -var aws_subnet_id= -var config_checksum=none"
    yield harness.shell(
        "packer build",
        f"cd {quoted(packer_json.parent)} && exec packer build {variables} {quoted(packer_json)}",
        harness.baselines.packer,
    )


def _folder(harness: Harness, name: str) -> tuple[Path, Path]:
    folder = harness.folder / f"bake-{name}"
    small_files(folder / "ami", 49)
    return folder, write(folder / "ami" / "packer" / "app.json", template(f"bake-{name}"))


def _change(folder: Path) -> None:
    (folder / "ami" / "part-0000" / "file-00.sh").write_text(f"echo {time.time_ns()}\n")
