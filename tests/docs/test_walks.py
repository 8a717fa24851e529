"""Runs the console sessions in the documents and compares their output.

A `console` block below `<!-- walk NAME -->` is run in a folder that FOLDERS[NAME] prepares. All blocks of a document
with the same NAME are one walk: one shell runs their commands in order. A block below `<!-- file PATH -->` is written
to PATH between the commands around it. A line `...` matches any lines.
AMI_BAKERY_WRITE_WALKS=1 writes the real output into the documents instead; read the difference before you commit it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documents import ROOT, Block, blocks_of, documents
from tests.harness import Harness, json_template

_PART = re.compile(
    r"""(?P<rest>^\.\.\.$)
    | (?P<name>\bami-[0-9a-f]{17}\b | \b[0-9a-f]{64}\b | \b[0-9a-f]{40}\b | \b[0-9a-f]{12}\b)
    | (?P<time>(?<=\bin\ )\d+\ s\b | \b\d+:\d\d\b | just\ now | \b\d+\ (?:minute|hour|day)s?(?:\ ago)?)
    | (?P<blanks>\s+)""",
    re.MULTILINE | re.VERBOSE,
)
_AUTHOR = {f"GIT_{role}_{key}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
MARK = "--- output of the next command ---"


def _sample_app(harness: Harness) -> None:
    """The example in a git repository, committed."""
    shutil.copytree(ROOT / "examples/sample-app", harness.folder, dirs_exist_ok=True)
    commit(harness)


def _sample_app_of_the_original(harness: Harness) -> None:
    """The same without a bakery.toml."""
    shutil.copytree(ROOT / "examples/sample-app/ami", harness.folder / "ami")
    commit(harness)


BASE_AND_APP = """\
version = 1

[defaults]
workdir = "."
regions = ["us-east-1"]

[images.base]
template = "images/base/base.json"
from = { owners = ["099720109477"], filters = { name = "ubuntu/images/*22.04-amd64-server-*" } }

[images.app]
template = "images/app/app.json"
from = "base"
"""


def _base_and_app(harness: Harness) -> None:
    """Two images, one built on the other, each with a script that can make its build fail."""
    for name in ("base", "app"):
        template = json_template(source_ami="{{user `source_ami`}}")
        del template["builders"][0]["source_ami_filter"]
        template["variables"]["source_ami"] = ""
        template["provisioners"] = [{"type": "shell-local", "inline": [f"sh images/{name}/check.sh"]}]
        harness.write(f"images/{name}/{name}.json", template)
        harness.write(f"images/{name}/check.sh", "exit 0\n")
    harness.write("bakery.toml", BASE_AND_APP)
    commit(harness)


def _tested_image(harness: Harness) -> None:
    """The example of an image with a test, in a git repository, committed."""
    shutil.copytree(ROOT / "examples/tested", harness.folder, dirs_exist_ok=True)
    commit(harness)


def commit(harness: Harness) -> None:
    harness.environment |= _AUTHOR
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "all")):
        subprocess.run(["git", *words], cwd=harness.folder, env=harness.environment, check=True)


AUDITED = """\
version = 1

[images.app]
template = "images/app/app.json"
inputs = ["images/app"]
workdir = "."
"""


def _audited_image(harness: Harness) -> None:
    """An image whose local command runs a program that reads a file that no word names."""
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "command": "python3 images/app/render.py > /dev/null"}]
    harness.write("images/app/app.json", template)
    harness.write("images/app/render.py", "print(open('/'.join(['common', 'motd'])).read())\n")
    harness.write("common/motd", "Welcome\n")
    harness.write("bakery.toml", AUDITED)


def _empty_folder(harness: Harness) -> None:
    """Only sets the author of git's commits."""
    harness.environment |= _AUTHOR


FOLDERS: dict[str, Callable[[Harness], None]] = {
    "audited image": _audited_image,
    "base and app": _base_and_app,
    "empty folder": _empty_folder,
    "sample app": _sample_app,
    "sample app of the original": _sample_app_of_the_original,
    "tested image": _tested_image,
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command line of a document, and the output that the document shows."""

    where: str
    command: str
    shown: str
    prompt: str = ""
    """The lines of the document before the output."""


def walks() -> dict[tuple[str, str], list[Block]]:
    """Returns blocks by document and folder. Files belong to the walk before them."""
    found: dict[tuple[str, str], list[Block]] = {}
    for document in documents():
        current = ""
        for block in blocks_of(document):
            kind, _, name = block.mark.partition(" ")
            current = name if kind == "walk" else current
            if kind in ("walk", "file"):
                found.setdefault((document, current), []).append(block)
    return found


def steps_of(block: Block) -> list[Step]:
    if block.mark.startswith("file "):
        path = block.mark.removeprefix("file ")
        return [Step(where=str(block), command=f"cat >{path} <<'END OF FILE'\n{block.text}END OF FILE\n", shown="")]
    assert block.language == "console" and block.text.startswith("$ "), str(block)
    steps = []
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        more = 1
        if "<<" in lines[0] or lines[0].endswith("\\\n"):
            more = next((at for at, line in enumerate(lines[1:], 1) if not line.startswith(">")), len(lines))
        command = lines[0] + "".join(re.sub("^> ?", "", line) for line in lines[1:more])
        prompt = "$ " + "".join(lines[:more])
        steps.append(Step(where=str(block), command=command, shown="".join(lines[more:]), prompt=prompt))
    return steps


def walk(harness: Harness, steps: list[Step]) -> list[str]:
    """Runs the commands in one shell and returns the output of each, both streams together."""
    script = "".join(f"printf '%s\\n' '{MARK}'\n{step.command}" for step in steps)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=harness.folder,
        env=harness.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    said = done.stdout.replace(str(harness.folder), "/home/you/app")
    return said.split(f"{MARK}\n")[1:]


def without_waits(text: str) -> str:
    """Removes the lines that only a loaded machine prints."""
    return re.sub(r"(?m)^.*: waiting for EC2's response\n", "", text)


class Shown:
    """Compares documented with real output: maps ids and digests, and ignores times and column widths."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def is_of(self, shown: str, came: str) -> bool:
        new: list[str] = []
        came = without_waits(came)

        def pattern(part: re.Match[str]) -> str:
            name = part["name"]
            if not name:
                return r".*?" if part["rest"] else r"\s+" if part["blanks"] else r"(?:[\w:]+(?: \w+)*?)"
            if name in self.names:
                return re.escape(self.names[name])
            if name in new:
                return f"(?P=name{new.index(name)})"
            new.append(name)
            prefix = "ami-" if name.startswith("ami-") else ""
            return f"(?P<name{len(new) - 1}>{prefix}[0-9a-f]{{{len(name) - len(prefix)}}})"

        found = re.fullmatch(_filled(pattern, shown.strip()), came.strip(), re.DOTALL)
        if found is None:
            return False
        self.names |= {name: found[f"name{at}"] for at, name in enumerate(new)}
        return len(set(self.names.values())) == len(self.names)

    def align(self, shown: str, came: str) -> None:
        """Maps the ids and digests of a text whose other words changed."""
        old, new = ([part["name"] for part in _PART.finditer(text) if part["name"]] for text in (shown, came))
        if len(old) == len(new):
            self.names = dict(zip(old, new, strict=True)) | self.names

    def as_shown(self, came: str) -> str:
        """Returns `came` with the document's ids and digests."""
        came = without_waits(came)
        for shown, name in self.names.items():
            came = came.replace(name, shown)
        return came


def write_outputs(document: Path, steps: list[Step], said: list[str]) -> None:
    """Replaces documented output that differs from the real output."""
    text, shows, at = document.read_text(), Shown(), 0
    for step, came in zip(steps, said, strict=True):
        at = text.index(step.prompt + step.shown, at) + len(step.prompt) if step.prompt else at
        if not shows.is_of(step.shown, came):
            shows.align(step.shown, came)
            new = shows.as_shown(came)
            assert shows.is_of(new, came)
            text = text[:at] + new + text[at + len(step.shown) :]
    document.write_text(text)


def _filled(pattern: Callable[[re.Match[str]], str], text: str) -> str:
    """Returns a regular expression for `text`: parts replaced by `pattern`, the rest escaped."""
    made, at = "", 0
    for part in _PART.finditer(text):
        made += re.escape(text[at : part.start()]) + pattern(part)
        at = part.end()
    return made + re.escape(text[at:])


@pytest.mark.parametrize(("document", "folder"), walks())
def test_console_sessions_print_the_documented_output(harness: Harness, document: str, folder: str) -> None:
    steps = [step for block in walks()[document, folder] for step in steps_of(block)]
    FOLDERS[folder](harness)
    said = walk(harness, steps)
    if "AMI_BAKERY_WRITE_WALKS" in os.environ:
        write_outputs(ROOT / document, steps, said)
        return
    document_shows = Shown()
    for step, came in zip(steps, said, strict=True):
        if step.command.startswith("terraform") and shutil.which("terraform") is None:
            continue
        assert document_shows.is_of(step.shown, came), f"{step.where}: $ {step.command}\n{came}"


@pytest.mark.parametrize(
    ("shown", "came", "alike"),
    [
        ("baked: ami-00000000000000001 in 2 s", "baked: ami-0123456789abcdef0 in 12 s", True),
        ("ami-00000000000000001 ami-00000000000000001", "ami-0123456789abcdef0 ami-0123456789abcdef0", True),
        ("ami-00000000000000001 ami-00000000000000001", "ami-0123456789abcdef0 ami-0123456789abcdef1", False),
        ("ami-00000000000000001 ami-00000000000000002", "ami-0123456789abcdef0 ami-0123456789abcdef0", False),
        ("AGE      STATE\njust now available", "AGE          STATE\n3 minutes    available", True),
        ("one\n...\nfour", "one\ntwo\nthree\nfour", True),
        ("one\n...\nfour", "one\ntwo\nthree", False),
        ("1 to reuse.", "1 to bake.", False),
        ("baked", "looking up AMIs in us-east-1: waiting for EC2's response\nbaked", True),
    ],
)
def test_only_ids_times_and_column_widths_may_differ(shown: str, came: str, alike: bool) -> None:
    assert Shown().is_of(shown, came) is alike
