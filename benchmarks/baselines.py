"""What people use today: found on this machine, or made ready once in a cache outside of the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Rival:
    """`missing`: why it is not there."""

    path: str = ""
    missing: str = ""

    @property
    def name(self) -> str:
        return Path(self.path).name


def on_path(program: str) -> Rival:
    found = shutil.which(program)
    return Rival(path=found) if found else Rival(missing=f"there is no {program} on PATH")


def original(source: str | None) -> Rival:
    """The original bakery's folder of Python files. `source` is its repository: a working tree, or what git cloned."""
    if source is None:
        return Rival(missing="not given: --original PATH")
    tree = Path(source)
    if (tree / "ami-bakery" / "bakery.py").is_file():
        return Rival(path=str(tree / "ami-bakery"))
    folder = cache() / "original"
    folder.mkdir(parents=True, exist_ok=True)
    git = ("git", "-c", "safe.directory=*", "-C", source)
    archive = subprocess.run([*git, "archive", "HEAD", "ami-bakery"], capture_output=True, check=False)
    if archive.returncode != 0:
        return Rival(missing=f"{source} does not hold it")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return Rival(path=str(folder / "ami-bakery"))


def environment_with(name: str, requirement: str) -> Rival:
    """The `bin` of a virtual environment that has one package, of the newest version or as the requirement says."""
    folder = cache() / name
    ready = folder / ".ready"
    if not ready.is_file() or ready.read_text() != requirement:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", requirement]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return Rival(missing=f"pip cannot install {requirement}: {done.stderr.strip().splitlines()[-1]}")
        ready.write_text(requirement)
    return Rival(path=str(folder / "bin"))


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """`boto3` and `aws` are folders of programs: a Python that has boto3, and the AWS CLI."""

    original: Rival
    boto3: Rival
    aws: Rival
    git: Rival
    b3sum: Rival
    packer: Rival
    curl: Rival


def all_rivals(source: str | None) -> Rivals:
    return Rivals(
        original=original(source),
        # The same version as ours, so that it is not boto3's versions that are compared.
        boto3=environment_with("boto3", f"boto3=={version('boto3')}"),
        aws=environment_with("awscli", "awscli"),
        git=on_path("git"),
        b3sum=on_path("b3sum"),
        packer=on_path("packer"),
        curl=on_path("curl"),
    )


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ami-bakery" / "benchmarks"
