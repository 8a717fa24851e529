"""A file that a local command may not write is an input if it is read; one that is surely written is not."""

from __future__ import annotations

from json import dumps
from pathlib import Path

import pytest

from ami_bakery.template.facts import Certainty
from tests.template.reading import paths, read
from tests.template.test_local_commands import outputs, run_here

FILES = {"write.sh": "cp d c", "c": "committed", "d": "", "needs.sh": "", "list": "", "check.py": ""}


@pytest.mark.parametrize(
    "command",
    [
        "./needs.sh && cp d c",
        "sh needs.sh && cp d c && true",
        "python3 check.py && cp d c",
        "grep -q x list | cat && cp d c",
        "make check && { cp d c; }",
        "check() { test -e list; }; check && cp d c",
        "./needs.sh && date > c",
        "./needs.sh && true && cp d c",
        "(./needs.sh) && cp d c",
        "$CHECK && cp d c",
        "jq -e . list >/dev/null && cp d c",
        "curl -fsS -o c https://h/c || true",
        "./needs.sh -o x && tee c < d",
        "{ ./needs.sh && cp d c; } || exit 0",
        "while read line; do cp d c; done < list",
        "while ./needs.sh; do cp d c; done",
        "until ./needs.sh; do cp d c; done",
        "for line in $(cat list); do cp d c; done",
        'for f in "$@"; do cp d c; done',
        "for ((i = 0; i < N; i++)); do cp d c; done",
        "find . -name '*.none' -exec cp d c \\;",
        "xargs -r cp d c < list",
        "write() { cp d c; }; ./needs.sh && write",
        "write() { cp d c; }",
        "trap 'cp d c' ERR",
        "case $(cat list) in x) cp d c;; esac",
        "! ./needs.sh || cp d c",
        "./needs.sh && sh -c 'cp d c'",
        "cat q && cp d c",
        "cp q r 2>/dev/null && cp d c",
        "mkdir lock && cp d c",
        "rm q && cp d c",
        ". ./needs.sh && cp d c",
        "cp q c 2>/dev/null || true",
        "./needs.sh -o c > log || true; sh -c 'cp q c' 2> /dev/null || true",
        "shopt -s nullglob; for f in q*; do cp d c; done",
        "select f in a; do cp d c; break; done",
        "cp -i d c",
        "ln d c",
        "ln -s d c",
        "echo $(cat c) > c",
        "cat <<< $(<c) > c",
        'date -d "$(cat c)" > c',
    ],
)
def test_file_that_may_not_be_written_is_an_input(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, f"{command}\ncat c\ntrue", FILES)

    assert "c" in paths(facts)
    assert [reference.path for reference, _ in facts.contested] == ["c"]


@pytest.mark.parametrize(
    "command",
    [
        "mkdir -p out && cp d c",
        "cd . && cp d c",
        "rm -f c && cp d c",
        "curl -fsS -o e https://h/e && cp d c",
        "tar xf e && cp d c",
        "./needs.sh && cp d c || exit 1",
        "./needs.sh && cp d c || exit",
        "./needs.sh; cp d c",
        "./needs.sh || true; cp d c",
        "./needs.sh > c || true",
        "for f in 1 2; do cp d c; done",
        "while true; do cp d c; break; done",
        "while ! cp d c; do sleep 1; done",
        "until cp d c; do sleep 1; done",
        "write() { cp d c; }; write",
        "set -e && cp d c",
        "export A=b && cp d c",
        "test -e d; cp d c",
        "ln -sf d c",
        "mkdir -p lock && cp d c",
        "for f in need*; do cp d c; done",
        "sh write.sh",
        "sh -c './needs.sh && cp d c'",
        "cp d c > log 2>&1",
    ],
)
def test_file_that_is_surely_written_is_an_output(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, f"{command}\ncat c\ntrue", FILES)

    assert "c" not in paths(facts)
    assert "c" in outputs(facts, Certainty.SURE)


@pytest.mark.parametrize("command", ["./needs.sh && cp d c", "sh needs.sh && make && cp d c && cat c", "sh last.sh"])
def test_last_command_list_of_a_script_surely_writes_its_file(command: str, tmp_path: Path) -> None:
    """Its exit status is the script's, and Packer fails on it."""
    facts = run_here(tmp_path, ["true", command], {**FILES, "last.sh": "true\n./needs.sh && cp d c"})

    assert "c" in outputs(facts, Certainty.SURE)


def test_committed_file_that_may_be_overwritten_before_upload_is_an_input(tmp_path: Path) -> None:
    steps = [
        {"type": "shell-local", "inline": ["./needs.sh && cp d.conf app.conf", "true"]},
        {"type": "file", "source": "app.conf", "destination": "/etc/"},
    ]
    files = {"needs.sh": "#!/bin/sh\nexit 1\n", "d.conf": "", "app.conf": "committed"}
    facts = read(
        tmp_path, {"a.json": dumps({"builders": [{"type": "amazon-ebs"}], "provisioners": steps}), **files}, "a.json"
    )

    assert "app.conf" in paths(facts)
    assert [(reference.path, output.certainty) for reference, output in facts.contested] == [
        ("app.conf", Certainty.PERHAPS)
    ]


@pytest.mark.parametrize("command", ["make && cp d.conf app.conf", "if ./needs.sh; then cp d.conf app.conf; fi"])
def test_missing_file_is_created_by_the_build(command: str, tmp_path: Path) -> None:
    steps = [
        {"type": "shell-local", "inline": [command, "true"]},
        {"type": "file", "source": "app.conf", "destination": "/etc/"},
    ]
    document = {"builders": [{"type": "amazon-ebs"}], "provisioners": steps}
    facts = read(tmp_path, {"a.json": dumps(document), "d.conf": "", "needs.sh": ""}, "a.json")

    assert "app.conf" not in paths(facts)
    assert [reference.path for reference, _ in facts.overwritten] == ["app.conf"]


@pytest.mark.parametrize("command", ["sh -n -c 'cp d c'", "bash -n write.sh", "sh -o noexec write.sh"])
def test_shell_that_only_checks_syntax_writes_nothing(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, f"{command}\ncat c\ntrue", FILES)

    assert "c" in paths(facts)
    assert ("write.sh" in paths(facts)) is ("write.sh" in command)
    assert outputs(facts) == []
