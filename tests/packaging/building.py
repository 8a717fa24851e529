"""Builds the packages of a repository, as a release does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

VERSION = "1.2.3"
WHEEL, SDIST = f"ami_bakery-{VERSION}-py3-none-any.whl", f"ami_bakery-{VERSION}.tar.gz"
DIST_INFO, DATA = f"ami_bakery-{VERSION}.dist-info", f"ami_bakery-{VERSION}.data/data"
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


def run(*command: str | Path, cwd: Path, environment: Mapping[str, str] | None = None, umask: int = -1) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(environment or {})}, umask=umask, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked(folder: Path, *paths: str) -> set[str]:
    return set(run("git", "ls-files", *paths, cwd=folder).splitlines())


def build(repository: Path, clone: Path, *, umask: int, **environment: str) -> dict[str, bytes]:
    """Runs scripts/dist in a clone; returns the content of the created files by name."""
    run("git", "clone", "--quiet", repository, clone, cwd=repository, umask=umask)
    (clone / "untracked.txt").write_text("not committed\n")
    run(clone / "scripts/dist", sys.executable, cwd=clone, environment=environment, umask=umask)
    return {path.name: path.read_bytes() for path in (clone / "dist").iterdir()}
