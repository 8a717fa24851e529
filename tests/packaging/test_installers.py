"""The wheel works with the installers that people use, and the repository with pre-commit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import Harness
from tests.packaging.building import AUTHOR, VERSION, run


@pytest.mark.parametrize("installer", ["uv tool", "uvx", "pipx"])
def test_the_wheel_is_installed_and_proposes_a_file(
    installer: str, installers: Path, wheel: Path, app: Harness, tmp_path: Path
) -> None:
    (app.folder / "bakery.toml").unlink()
    programs = tmp_path / "programs"
    places = {"UV_TOOL_DIR": "tools", "UV_TOOL_BIN_DIR": "programs", "PIPX_HOME": "pipx", "PIPX_BIN_DIR": "programs"}
    environment = {name: str(tmp_path / folder) for name, folder in places.items()} | {"PIPX_MAN_DIR": str(tmp_path)}
    python = ("--python", sys.executable)
    program: tuple[str | Path, ...] = (programs / "ami-bakery",)
    match installer:
        case "uv tool":
            run(installers / "uv", "tool", "install", *python, wheel, cwd=tmp_path, environment=environment)
        case "pipx":
            run(installers / "pipx", "install", *python, wheel, cwd=tmp_path, environment=environment)
        case _:
            program = (installers / "uvx", *python, "--from", str(wheel), "ami-bakery")
    version = run(*program, "--version", cwd=app.folder, environment=environment)
    assert version == f"ami-bakery {VERSION}\n"
    assert "app: ami/app.json" in run(*program, "init", cwd=app.folder, environment=environment)


def test_pre_commit_runs_check(installers: Path, repository: Path, app: Harness, tmp_path: Path) -> None:
    environment = app.environment | {"PRE_COMMIT_HOME": str(tmp_path / "pre-commit"), "PYTHONWARNINGS": ""}
    hooks = f"repos:\n- repo: {repository}\n  rev: v{VERSION}\n  hooks:\n  - id: ami-bakery-check\n"
    app.write(".pre-commit-config.yaml", hooks)
    run("git", "init", "--quiet", cwd=app.folder)
    run("git", "add", ".", cwd=app.folder)
    command = [str(installers / "pre-commit"), "run", "--verbose"]
    passed = subprocess.run(command, cwd=app.folder, env=environment, capture_output=True, text=True)
    assert (passed.returncode, "OK: 1 image, no problems" in passed.stdout) == (0, True), passed.stdout + passed.stderr
    app.write("bakery.toml", "version = 2\n")
    run("git", *AUTHOR, "add", ".", cwd=app.folder)
    failed = subprocess.run(command, cwd=app.folder, env=environment, capture_output=True, text=True)
    assert (failed.returncode, "bakery.toml:1: version: expected 1, got 2" in failed.stdout) == (1, True), failed.stdout
