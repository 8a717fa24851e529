"""Runs the commands of docs/guides/docker.md."""

from __future__ import annotations

import pytest

from tests.docker.engine import Engine
from tests.docker.stage import Stage
from tests.documents import ROOT, blocks

DOCUMENT = "docs/guides/docker.md"
IN_SAMPLE_APP = blocks(DOCUMENT, "sh", mark="runs in the sample app")


@pytest.mark.parametrize("line", IN_SAMPLE_APP)
def test_a_documented_line_for_the_sample_app_works(stage: Stage, line: str) -> None:
    done = stage.shell(line)
    assert done.status == 0, done.stdout + done.stderr
    assert stage.of_others() == []


@pytest.mark.parametrize("line", blocks(DOCUMENT, "sh", mark="runs with everything in the sample app"))
def test_a_documented_line_for_the_image_with_optional_parts_works(stage: Stage, everything: str, line: str) -> None:
    stage.environment["TESTED_IMAGE"] = everything
    done = stage.shell(line)
    assert done.status == 0, done.stdout + done.stderr
    assert stage.packer_runs == 0, "Packer ran in the container's own EC2"


@pytest.mark.parametrize("line", blocks(DOCUMENT, "sh", mark="runs in a clone"))
def test_a_documented_line_builds_the_image(stage: Stage, docker: Engine, line: str) -> None:
    stage.environment["TESTED_IMAGE"] = "ami-bakery-test:from-the-document"
    done = stage.shell(line, cwd=ROOT)
    assert done.status == 0, done.stdout + done.stderr
    assert docker.answer("run", "--rm", "ami-bakery-test:from-the-document", "--version").startswith("ami-bakery ")
    docker.run("image", "rm", "--force", "ami-bakery-test:from-the-document")
