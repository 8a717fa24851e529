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
