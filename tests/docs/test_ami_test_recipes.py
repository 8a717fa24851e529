"""The recipes of docs/guides/testing-amis.md: the templates in examples/tested, with the real Packer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ami_bakery.local import LocalAws
from tests.documents import ROOT, Block, blocks_of
from tests.harness import Harness

GUIDE = "docs/guides/testing-amis.md"
EXAMPLE = ROOT / "examples/tested"
RECIPES = sorted(path.name for path in (EXAMPLE / "acceptance").iterdir())
PARTS = [block for block in blocks_of(GUIDE) if block.mark.startswith("part of ")]


@pytest.fixture(params=["packer", pytest.param("current-packer", marks=pytest.mark.current_packer)])
def example(request: pytest.FixtureRequest, tmp_path: Path, local: LocalAws) -> Harness:
    packer: Path | None = None if request.param == "packer" else request.getfixturevalue("current_packer")
    harness = Harness(tmp_path, local, packer)
    shutil.copytree(EXAMPLE, harness.folder, dirs_exist_ok=True)
    # After a failed test, the lock is kept for a time that is proportional to this.
    harness.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "24"
    return harness


@pytest.mark.parametrize("block", PARTS, ids=str)
def test_guide_shows_parts_of_the_example(block: Block) -> None:
    assert block.text in (EXAMPLE / block.mark.removeprefix("part of ")).read_text()


def test_guide_has_every_recipe() -> None:
    assert {block.mark.split("/")[1] for block in PARTS} == set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_packer_accepts_the_recipe_and_its_files_are_in_the_digest_of_the_test(example: Harness, recipe: str) -> None:
    text = (example.folder / "bakery.toml").read_text()
    example.write("bakery.toml", text.replace("acceptance/shell", f"acceptance/{recipe}"))
    done = example.run("check", "--strict")
    assert done.status == 0, done.stdout + done.stderr
    (image,) = example.run("inputs", "--json").images
    folder = example.folder / "acceptance" / recipe
    files = {str(path.relative_to(example.folder)) for path in folder.rglob("*") if path.is_file()}
    assert {item["path"] for item in image["test"]["inputs"]} == files
    assert {item["path"] for item in image["inputs"]} == {"web/setup.sh", "web/web.pkr.hcl"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_runs_in_the_embedded_ec2_as_far_as_it_can(example: Harness, recipe: str) -> None:
    """Commands over SSH are only recorded. Local programs are replaced by ones that record their arguments."""
    text = (example.folder / "bakery.toml").read_text()
    example.write("bakery.toml", text.replace("acceptance/shell", f"acceptance/{recipe}"))
    ran = example.folder.parent / "ran"
    for name in ("pytest", "inspec"):
        example.program(name, f'#!/bin/sh\necho "{name} $*" >>{ran}\n')
    ami = example.run("bake").answer
    assert example.packer_runs == 2
    (image,) = example.run("images", "--json").images
    assert (image["ami"], image["tested"]) == (ami, "yes")
    if recipe in ("testinfra", "inspec"):
        program = {"testinfra": "pytest", "inspec": "inspec"}[recipe]
        (arguments,) = ran.read_text().splitlines()
        assert arguments.startswith(f"{program} ")
        assert "ssh://ubuntu@" in arguments
    else:
        assert any("/tmp/script" in command.command for command in example.control.report().commands)
    assert example.run("bake").answer == ami
    assert example.packer_runs == 2
    if ran.exists():
        ran.unlink()
        for name in ("pytest", "inspec"):
            example.program(name, "#!/bin/sh\nexit 1\n")
        example.write(f"acceptance/{recipe}/run.sh", f"{(EXAMPLE / 'acceptance' / recipe / 'run.sh').read_text()}\n")
        failed = example.run("bake")
        assert (failed.status, failed.stdout, example.packer_runs) == (1, "", 3)
        assert f"testing {ami} of image web" in failed.stderr
