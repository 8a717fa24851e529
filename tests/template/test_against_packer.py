"""Our evaluator and Packer's give the same values for a list of expressions."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ami_bakery.template.expression.evaluate import evaluate, scope_of
from ami_bakery.template.expression.known_values import Unknown, Value, is_mapping, is_sequence
from ami_bakery.template.globs import fileset
from ami_bakery.template.hcl.hcl_parser import parse_body
from tests.trees import write_tree

pytestmark = pytest.mark.packer

VARIABLES = """
variable "on" { default = true }
variable "list" { default = ["x", "y"] }
variable "map" { default = { b = "two", a = "one" } }
variable "objects" { default = [{ id = "i", kind = "k" }, { id = "j", kind = "k" }] }
"""
NAMES: dict[str, Value] = {
    "var": {
        "on": True,
        "list": ("x", "y"),
        "map": {"b": "two", "a": "one"},
        "objects": ({"id": "i", "kind": "k"}, {"id": "j", "kind": "k"}),
    },
    "path": {"root": "."},
}
ONLY_PACKER = ("uuidv4",)
MORE = (
    "<<E\n  a\n\n${var.list[0]} b\nE",
    "<<-E\n      a\n    b ${var.map.a}\n\n     c\n    E",
    "<<-E\n    a\n    %{ if var.on ~}\n    b\n    %{ endif ~}\n    c\n    E",
    "<<-E\n    %{ for x in var.list ~}\n    ${x}\n    %{ endfor ~}\n    E",
    "<<E\n# no comment ${var.list[0]} // none /* none */ \\n $${x}\nE",
    "<<E\nE",
    "<<-E\n\tx\n\t\ty\n\tE",
    '[\n  "a", # one\n  "b", // two\n  /* three */ "c",\n]',
    "{\n  a = 1\n  b = 2,\n}",
)


FILESETS = (
    *((".", pattern) for pattern in ("*", "**", "**/*", "**/*.sh", "s/**", "s/*", "s/**/*.sh", "{s,z}/*", "*/*.sh")),
    *(
        (".", pattern)
        for pattern in ("?.sh", "[xy].sh", "[!x]*", "[^x]*", "l/*", "l/**", "s/ld/*", "nothing", "./x.sh")
    ),
    *((".", pattern) for pattern in ("s/../x.sh", "**/d/*", "*.s?", "s", "**/q.sh", "s/**/c.sh", "s/*/*", ".*", "lf")),
    *(("s", "*"), ("s/", "**"), ("./s/d", "../*"), ("l", "*"), ("nowhere", "*")),
)
FILES = {
    **dict.fromkeys(
        ("x.sh", ".h", "s/a.sh", "s/.b.sh", "s/d/c.sh", "s/d/.e/f.sh", "z/q.sh", "[x].sh", "a b", "s/{k}"), ""
    ),
    "l": "-> s",
    "lf": "-> x.sh",
    "s/ld": "-> ../z",
}


def test_fileset_finds_the_same_files_as_packer(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, FILES)
    answers = ask_packer(tmp_path, [f'fileset("{folder}", "{pattern}")' for folder, pattern in FILESETS])

    ours = {
        f"{folder}: {pattern}": list(fileset(tree, posixpath.normpath(folder), pattern)) for folder, pattern in FILESETS
    }
    without_template = {
        f"{folder}: {pattern}": [name for name in answers[f"e{number}"] if name != "a.pkr.hcl"]
        for number, (folder, pattern) in enumerate(FILESETS)
    }
    assert {key: [name for name in names if name != "a.pkr.hcl"] for key, names in ours.items()} == without_template


def test_fileset_ends_at_circular_links(tmp_path: Path) -> None:
    tree = write_tree(
        tmp_path, {"a/x": "", "a/up": "-> ..", "a/self": "-> .", "a/over": "-> ../b", "b/back": "-> ../a", "b/y": ""}
    )

    assert fileset(tree, ".", "**") == ("a/over/y", "a/x", "b/back/x", "b/y")


def expressions() -> list[str]:
    lines = (Path(__file__).parent / "expressions.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")] + list(MORE)


@pytest.fixture(scope="module")
def by_packer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return ask_packer(tmp_path_factory.mktemp("console"), expressions())


def ask_packer(folder: Path, questions: list[str]) -> dict[str, Any]:
    """Returns Packer's value of each expression, as `e0`, `e1` and so on."""
    packer = shutil.which("packer")
    if packer is None:
        pytest.skip("this test needs packer; install Debian's package of this name")
    settings = "\n".join(f"  e{number} = {text}" for number, text in enumerate(questions))
    (folder / "a.pkr.hcl").write_text(f"{VARIABLES}\nlocals {{\n{settings}\n}}\n")
    everything = ", ".join(f"e{number} = local.e{number}" for number in range(len(questions)))
    ran = subprocess.run(
        [packer, "console", "."],
        input=f"jsonencode({{{everything}}})\n",
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.startswith("{"), ran.stdout + ran.stderr
    answers: dict[str, Any] = json.loads(ran.stdout)
    return answers


@pytest.mark.parametrize(("number", "text"), list(enumerate(expressions())), ids=lambda each: str(each)[:40])
def test_an_expression_is_evaluated_as_by_packer(by_packer: dict[str, Any], number: int, text: str) -> None:
    body = parse_body(f"value = {text}\n".encode(), "a.pkr.hcl")
    value = evaluate(body.settings[0].expression, scope_of(NAMES))

    if any(name in text for name in ONLY_PACKER):
        assert isinstance(value, Unknown)
    else:
        assert plain(value) == by_packer[f"e{number}"]


def plain(value: Value) -> object:
    if is_mapping(value):
        return {name: plain(child) for name, child in value.items()}
    if is_sequence(value):
        return [plain(item) for item in value]
    return value
