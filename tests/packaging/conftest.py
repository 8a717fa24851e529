"""Fixtures of the packaging tests: the packages, and the programs that install them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.packaging.building import AUTHOR, VERSION, WHEEL, build, run


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the working tree as one commit, tagged as a release."""
    if not (ROOT / ".git").exists():
        pytest.skip("these tests build the files that git tracks, and this is an unpacked sdist")
    folder = tmp_path_factory.mktemp("origin") / "repository"
    for name in run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    run("git", "init", "--quiet", cwd=folder)
    run("git", "add", ".", cwd=folder)
    run("git", *AUTHOR, "commit", "--quiet", "--message", "release", cwd=folder)
    run("git", "tag", f"v{VERSION}", cwd=folder)
    return folder


@pytest.fixture(scope="session")
def packages(repository: Path) -> dict[str, bytes]:
    return build(repository, repository.parent / "clone", umask=0o022, TZ="UTC", LC_ALL="C.UTF-8")


@pytest.fixture(scope="session")
def wheel(packages: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wheel") / WHEEL
    path.write_bytes(packages[WHEEL])
    return path


@pytest.fixture(scope="session")
def installers() -> Path:
    """The folder of uv, pipx and pre-commit. Skips the test if they cannot be installed, or without an index."""
    done = subprocess.run([ROOT / "scripts/installers", sys.executable], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        pytest.skip(f"uv, pipx and pre-commit cannot be installed: {done.stderr.strip()[-300:]}")
    programs = Path(done.stdout.strip()) / "bin"
    index = subprocess.run([programs / "uv", "pip", "compile", "-"], input="boto3", capture_output=True, text=True)
    if index.returncode != 0:
        pytest.skip(f"no package index: {index.stderr.strip()[-300:]}")
    return programs
