"""Planning a stranger's change starts nothing that the change brings: through every command, with the real programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kitchen import TOML, Kitchen, json_template

COMMANDS = (
    ("digest",),
    ("plan",),
    ("check",),
    ("inputs",),
    ("images",),
    ("digest", "--changed-since", "HEAD"),
    ("plan", "--changed-since", "HEAD"),
    ("check", "--changed-since", "HEAD"),
)


def git(kitchen: Kitchen, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=kitchen.folder, check=True, capture_output=True)


def marker(kitchen: Kitchen) -> Path:
    """A program that leaves a file: `ran`, beside it."""
    outside = kitchen.folder.parent
    return kitchen.program("mark", f'#!/bin/sh\necho "$0 $*" >> "{outside}/ran"\nexit 1\n', outside)


def ran(kitchen: Kitchen) -> str:
    path = kitchen.folder.parent / "ran"
    return path.read_text() if path.exists() else ""


def complete(kitchen: Kitchen, line: str) -> list[str]:
    answer = kitchen.folder.parent / "completions"
    environment = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    kitchen.run(environment=environment, cwd=kitchen.folder / "images")
    return answer.read_text().split()


@pytest.fixture
def planted(kitchen: Kitchen) -> Kitchen:
    """A pull request that adds the files of a bare repository beside bakery.toml, in a repository whose own
    configuration names programs too."""
    kitchen.write("images/bakery.toml", TOML)
    kitchen.write("images/ami/app.json", json_template())
    kitchen.write("images/ami/setup.sh", "echo set up\n")
    kitchen.write("images/ami/.gitattributes", "setup.sh filter=x\n")
    git(kitchen, "init", "--quiet", "--initial-branch=main")
    git(kitchen, "add", "--all")
    git(kitchen, "commit", "--quiet", "--message", "x")
    mark = marker(kitchen)
    for path, content in {
        "HEAD": "ref: refs/heads/main\n",
        "objects/.keep": "",
        "refs/.keep": "",
        "config": f"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = {mark}\n",
    }.items():
        kitchen.write(f"images/{path}", content)
    for setting in ("filter.x.clean", "filter.x.process", "core.fsmonitor", "core.pager", "diff.external"):
        git(kitchen, "config", setting, str(mark))
    (kitchen.folder / ".git/hooks/post-index-change").symlink_to(mark)
    kitchen.write("images/ami/setup.sh", "echo set up!\n")
    return kitchen


def test_plain_git_starts_what_is_planted(planted: Kitchen) -> None:
    done = subprocess.run(["git", "status"], cwd=planted.folder / "images", check=False, capture_output=True)
    assert ran(planted), done


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_git_starts_nothing_for_a_command(planted: Kitchen, arguments: tuple[str, ...]) -> None:
    run = planted.run(*arguments, cwd=planted.folder / "images")
    assert (run.status, ran(planted)) == (0, ""), run.stderr


def test_git_starts_nothing_for_a_bake_and_the_plan_after_it(planted: Kitchen) -> None:
    images = planted.folder / "images"
    assert planted.run("bake", cwd=images).status == 0
    planted.write("images/ami/setup.sh", "echo other\n")
    (plan,) = planted.run("plan", "--json", cwd=images).images
    assert "tree-was-dirty" in {reason["kind"] for reason in plan["reasons"]}, "git was asked for the old files"
    (caveat,) = (reason["detail"] for reason in plan["reasons"] if reason["kind"] == "filter-not-run")
    assert "ami/setup.sh" in caveat
    assert ran(planted) == ""


def test_git_starts_nothing_for_completion(planted: Kitchen) -> None:
    assert "main" in complete(planted, "ami-bakery plan --changed-since ")
    assert ran(planted) == ""
