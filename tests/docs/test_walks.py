"""What the documents show of a terminal is what happens: their command lines are run, and what comes is compared.

A block of `console` below `<!-- walk NAME -->` is run, in a folder that NAME says how to lay out below. All blocks of a
document with one NAME are one walk: their lines go to one shell, in order. A line `...` stands for any lines.
AMI_BAKERY_WALKED=FILE has all that came written there, to be taken into a document.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documents import ROOT, Block, blocks_of, documents
from tests.kitchen import Kitchen

_NAMES = re.compile(r"\bami-[0-9a-f]{17}\b|\b[0-9a-f]{64}\b|\b[0-9a-f]{40}\b|\b[0-9a-f]{12}\b")
_TIMES = re.compile(r"(?<=\bin )\d+ s\b|\b\d+ (?=days\b)|\b\d+:\d\d\b")
MARK = "--- what comes is of the next command ---"


def _sample_app(kitchen: Kitchen) -> None:
    """The example in a git repository of its own, with all of it committed."""
    shutil.copytree(ROOT / "examples/sample-app", kitchen.folder, dirs_exist_ok=True)
    commit(kitchen)


def _sample_app_of_the_original(kitchen: Kitchen) -> None:
    """The same without a bakery.toml."""
    shutil.copytree(ROOT / "examples/sample-app/ami", kitchen.folder / "ami")
    commit(kitchen)


def commit(kitchen: Kitchen) -> None:
    who = ("NAME=a", "EMAIL=a@example.org")
    pairs = (f"GIT_{role}_{pair}".split("=") for role in ("AUTHOR", "COMMITTER") for pair in who)
    kitchen.environment |= dict(pairs)
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "all")):
        subprocess.run(["git", *words], cwd=kitchen.folder, env=kitchen.environment, check=True)


FOLDERS: dict[str, Callable[[Kitchen], None]] = {
    "sample app": _sample_app,
    "sample app of the original": _sample_app_of_the_original,
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command line of a document, and what the document says that it prints."""

    where: str
    command: str
    shown: str


def walks() -> dict[tuple[str, str], list[Block]]:
    """By document and folder."""
    found: dict[tuple[str, str], list[Block]] = {}
    for document in documents():
        for block in blocks_of(document):
            if block.mark.startswith("walk "):
                found.setdefault((document, block.mark.removeprefix("walk ")), []).append(block)
    return found


def steps_of(block: Block) -> list[Step]:
    assert block.language == "console" and block.text.startswith("$ "), str(block)
    steps = []
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        more = next((at for at, line in enumerate(lines[1:], 1) if not line.startswith(">")), len(lines))
        command = lines[0] + "".join(re.sub("^> ?", "", line) for line in lines[1:more])
        steps.append(Step(where=str(block), command=command, shown="".join(lines[more:])))
    return steps


def walk(kitchen: Kitchen, steps: list[Step]) -> list[str]:
    """What each command prints, on both streams, as a reader sees it."""
    script = "".join(f"printf '%s\\n' '{MARK}'\n{step.command}" for step in steps)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=kitchen.folder,
        env=kitchen.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    said = done.stdout.replace(str(kitchen.folder), "/home/you/app")
    return said.split(f"{MARK}\n")[1:]


def alike(texts: list[str]) -> list[str]:
    """Ids and digests by the order in which they come up, and times left out: what differs from run to run."""
    seen: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        return seen.setdefault(match[0], f"<{len(match[0])} characters, number {len(seen)}>")

    return [_NAMES.sub(name, _TIMES.sub("N", text)).strip() for text in texts]


@pytest.mark.parametrize(("document", "folder"), walks())
def test_a_walk_through_a_document_shows_what_it_says(kitchen: Kitchen, document: str, folder: str) -> None:
    steps = [step for block in walks()[document, folder] for step in steps_of(block)]
    FOLDERS[folder](kitchen)
    said = walk(kitchen, steps)
    if path := os.environ.get("AMI_BAKERY_WALKED"):
        with Path(path).open("a") as file:
            file.writelines(f"$ {step.command}{text}" for step, text in zip(steps, said, strict=True))
    compare = doctest.OutputChecker().check_output
    for step, shown, came in zip(steps, alike([step.shown for step in steps]), alike(said), strict=True):
        assert compare(f"{shown}\n", f"{came}\n", doctest.ELLIPSIS), f"{step.where}: $ {step.command}\n{came}"
