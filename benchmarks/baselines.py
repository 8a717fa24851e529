"""Finds the baselines on this machine, or installs them in a cache."""

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
class Baseline:
    """A program or folder to compare with. `missing`: why it is not available."""

    path: str = ""
    missing: str = ""

    @property
    def name(self) -> str:
        return Path(self.path).name


def on_path(program: str) -> Baseline:
    found = shutil.which(program)
    return Baseline(path=found) if found else Baseline(missing=f"no {program} on PATH")


def original(source: str | None) -> Baseline:
    """Returns the folder of the original's Python files. `source`: its repository, with or without a work tree."""
    if source is None:
        return Baseline(missing="not given: --original PATH")
    tree = Path(source)
    if (tree / "ami-bakery" / "bakery.py").is_file():
        return Baseline(path=str(tree / "ami-bakery"))
    folder = cache() / "original"
    folder.mkdir(parents=True, exist_ok=True)
    git = ("git", "-c", "safe.directory=*", "-C", source)
    archive = subprocess.run([*git, "archive", "HEAD", "ami-bakery"], capture_output=True, check=False)
    if archive.returncode != 0:
        return Baseline(missing=f"{source} is not a clone of the original")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return Baseline(path=str(folder / "ami-bakery"))


def environment_with(name: str, requirement: str) -> Baseline:
    """Returns the `bin` folder of a virtual environment with one package, created if necessary."""
    folder = cache() / name
    ready = folder / ".ready"
    if not ready.is_file() or ready.read_text() != requirement:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", requirement]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return Baseline(missing=f"pip cannot install {requirement}: {done.stderr.strip().splitlines()[-1]}")
        ready.write_text(requirement)
    return Baseline(path=str(folder / "bin"))


def node_modules(*packages: str) -> Baseline:
    """Returns the `node_modules` folder with these packages of npm, installed if necessary."""
    folder = cache() / "tables"
    ready = folder / ".ready"
    if not ready.is_file() or ready.read_text() != " ".join(packages):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        runners = Path(__file__).parent.parent / "scripts/ci-runners"
        found = subprocess.run([runners, sys.executable], capture_output=True, text=True, check=False)
        if found.returncode != 0:
            return Baseline(missing="Node.js cannot be installed by scripts/ci-runners")
        environment = {**os.environ, "PATH": f"{found.stdout.strip()}/bin:{os.environ['PATH']}"}
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
        done = subprocess.run([*npm, *packages], env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return Baseline(missing=f"npm cannot install {', '.join(packages)}")
        ready.write_text(" ".join(packages))
    return Baseline(path=str(folder / "node_modules"))


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """All baselines.

    boto3, aws  `bin` folders: of a Python with boto3, and of the AWS CLI
    tables      `node_modules` with libraries that show tables in a browser
    """

    original: Baseline
    boto3: Baseline
    aws: Baseline
    git: Baseline
    b3sum: Baseline
    packer: Baseline
    curl: Baseline
    tables: Baseline
    chromium: Baseline


def find_baselines(source: str | None) -> Baselines:
    return Baselines(
        original=original(source),
        # The version that ami-bakery uses, so that the comparison is not one of boto3's versions.
        boto3=environment_with("boto3", f"boto3=={version('boto3')}"),
        aws=environment_with("awscli", "awscli"),
        git=on_path("git"),
        b3sum=on_path("b3sum"),
        packer=on_path("packer"),
        curl=on_path("curl"),
        tables=node_modules("datatables.net@3.1.2", "datatables.net-dt@3.1.2", "tabulator-tables@6.5.3"),
        chromium=on_path("chromium"),
    )


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ami-bakery" / "benchmarks"
