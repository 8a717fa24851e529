"""The examples, as a reader runs them: real Packer, uploads over real SSH, unchanged templates.

With the Packer on PATH, and with current Packer if it was built.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from ami_bakery.local import LocalAws
from tests.documents import ROOT
from tests.harness import Harness

EXAMPLES = ROOT / "examples"


@pytest.fixture(params=["packer", pytest.param("current-packer", marks=pytest.mark.current_packer)])
def examples(request: pytest.FixtureRequest, tmp_path: Path, local: LocalAws) -> Harness:
    packer: Path | None = None if request.param == "packer" else request.getfixturevalue("current_packer")
    harness = Harness(tmp_path, local, packer)
    shutil.copytree(EXAMPLES, harness.folder / "examples")
    return harness


def uploaded(harness: Harness) -> set[str]:
    """Returns the SHA-256 of everything that was uploaded over SSH."""
    return {upload.sha256 for upload in harness.control.report().uploads}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_sample_app_by_bakery_toml(examples: Harness) -> None:
    folder = examples.folder / "examples/sample-app"
    ami = examples.run("bake", cwd=folder).answer
    assert examples.run("bake", cwd=folder).answer == ami
    assert examples.packer_runs == 1
    for name in ("ami/bootstrap/bootstrap.py", "ami/setup/setup.sh"):
        assert sha256(folder / name) in uploaded(examples)
    commands = [command.command for command in examples.control.report().commands]
    assert any("cloud-init status --wait" in command or "/tmp/script" in command for command in commands)


def test_sample_app_as_a_stage_of_the_original(examples: Harness) -> None:
    folder = examples.folder / "examples/sample-app"
    first = subprocess.run(
        [str(folder / "bake.sh")], env=examples.environment, cwd="/", capture_output=True, text=True, check=True
    )
    ami = first.stdout.strip()
    assert (folder / "ami/packer/.ami_id.json").read_text() == f'{{"ami_id": "{ami}"}}'
    assert examples.packer_runs == 1


def test_hcl2_example(examples: Harness) -> None:
    folder = examples.folder / "examples/hcl2"
    ami = examples.run("bake", cwd=folder).answer
    assert examples.run("bake", cwd=folder).answer == ami
    assert examples.packer_runs == 1
    for name in ("common/packages.sh", "images/web/files/nginx.conf"):
        assert sha256(folder / name) in uploaded(examples)
    assert examples.run("check", "--strict", cwd=folder).status == 0
    with (folder / "common/packages.sh").open("a") as script:
        script.write("# changed, and outside the template's folder\n")
    assert examples.run("bake", cwd=folder).answer != ami
