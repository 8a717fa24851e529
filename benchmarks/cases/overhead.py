"""What a bake takes beyond what Packer does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.comparison import Case, Contender
from benchmarks.harness import REGION, Kitchen, quoted, template, write
from benchmarks.trees import small_files

_TOML = f"""\
version = 1
[images.app]
template = "ami/packer/app.json"
inputs = ["ami"]
regions = ["{REGION}"]
"""


def cases(kitchen: Kitchen) -> Iterator[Case]:
    # As with real AMIs, Packer takes longer than news in EC2: the lock's third look waits for these.
    kitchen.control.change(pending_seconds=2)
    yield Case(
        name="bake",
        about="50 files, one of them changed: Packer bakes in the embedded EC2, with nothing to provision",
        rounds=kitchen.scale.rounds,
        contenders=tuple(_contenders(kitchen)),
        counted=kitchen.calls,
    )
    kitchen.control.change(pending_seconds=0)


def _contenders(kitchen: Kitchen) -> Iterator[Contender]:
    """Each in a folder of its own, in which a file changes before each run."""
    folder, packer_json = _folder(kitchen, "drop-in")
    yield kitchen.ours(
        "drop-in",
        program="bake",
        environment=kitchen.drop_in(packer_json, folder / "ami"),
        before=partial(_change, folder),
    )
    folder, _ = _folder(kitchen, "configured")
    write(folder / "bakery.toml", _TOML)
    yield kitchen.ours("bakery.toml", "bake", folder=folder, before=partial(_change, folder))
    folder, packer_json = _folder(kitchen, "original")
    yield kitchen.original(
        "original", environment=kitchen.drop_in(packer_json, folder / "ami"), before=partial(_change, folder)
    )
    folder, packer_json = _folder(kitchen, "packer")
    variables = f"-var aws_region={REGION} -var aws_subnet_id= -var config_checksum=none"
    yield kitchen.shell(
        "packer build",
        f"cd {quoted(packer_json.parent)} && exec packer build {variables} {quoted(packer_json)}",
        kitchen.rivals.packer,
    )


def _folder(kitchen: Kitchen, name: str) -> tuple[Path, Path]:
    folder = kitchen.folder / f"bake-{name}"
    small_files(folder / "ami", 49)
    return folder, write(folder / "ami" / "packer" / "app.json", template(f"bake-{name}"))


def _change(folder: Path) -> None:
    (folder / "ami" / "part-0000" / "file-00.sh").write_text(f"echo {time.time_ns()}\n")
