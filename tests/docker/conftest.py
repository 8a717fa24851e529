"""Fixtures of the Docker tests: images, and a folder with the sample app."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ami_bakery.local import LocalAws
from tests.docker.engine import NONE, Engine, NoEngineError, engine
from tests.docker.image import IMAGE_ARGUMENTS, built, built_of
from tests.docker.stage import Stage
from tests.documents import ROOT


@pytest.fixture(scope="session")
def docker() -> Iterator[Engine]:
    if os.environ.get(NONE):
        pytest.skip(f"NOT TESTED: the Docker image, because {NONE} is set")
    with contextlib.ExitStack() as stack:
        missing = ""
        try:
            found = stack.enter_context(engine())
        except NoEngineError as error:
            missing = f"The Docker image cannot be tested: {error}\nTo skip these tests, set {NONE}=1"
        if missing:
            pytest.fail(missing, pytrace=False)
        yield found


@pytest.fixture(scope="session")
def image(docker: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image without optional parts."""
    folder = tmp_path_factory.mktemp("image")
    with built(docker, folder, **IMAGE_ARGUMENTS) as tag:
        yield tag


@pytest.fixture(scope="session")
def everything(docker: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image with all optional parts."""
    with built(docker, tmp_path_factory.mktemp("everything"), LOCAL="yes", ANSIBLE="yes") as tag:
        yield tag


@pytest.fixture
def current(docker: Engine, image: str, current_packer: Path, tmp_path: Path) -> Iterator[str]:
    """An image with Packer from another image, and a plugin added by a user's Dockerfile."""
    own = tmp_path / "own"
    shutil.copytree(current_packer, own)
    (own / "Dockerfile").write_text("FROM scratch AS packer\nCOPY packer /bin/packer\n")
    with built_of(docker, own) as packer, built(docker, tmp_path, PACKER_FROM=packer) as bakery:
        (own / "Dockerfile").write_text(f"FROM {bakery}\nCOPY plugins /root/.config/packer/plugins\n")
        with built_of(docker, own) as tag:
            yield tag


@pytest.fixture
def stage(tmp_path: Path, docker: Engine, image: str, local: LocalAws) -> Stage:
    """A pipeline stage: the sample app in a repository, and credentials in the home folder."""
    stage = Stage(tmp_path, docker, image, local)
    stage.copy(ROOT / "examples/sample-app")
    stage.commit()
    return stage
