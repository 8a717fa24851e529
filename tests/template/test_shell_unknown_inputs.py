"""Inputs of local commands are found or reported as unknown; files that may stay unchanged are inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ami_bakery.template.facts import Certainty
from tests.template.reading import paths
from tests.template.test_local_commands import outputs, run_here

FOUND = {
    "cd app; cat x; cd -; cat y": ({"app/x": "", "y": ""}, ["app/x", "y"]),
    "env -C app cat x": ({"app/x": ""}, ["app/x"]),
    "sudo -D app cat x": ({"app/x": ""}, ["app/x"]),
    "cat d/**/x": ({"d/x": "", "d/e/f/x": "", "d/y": ""}, ["d/e/f/x", "d/x"]),
    "shopt -s dotglob; cat d/*": ({"d/.a": "", "d/b": ""}, ["d/.a", "d/b"]),
    "cat p{1..2} q{a..b} r{08..10}": (dict.fromkeys(["p1", "p2", "qa", "qb", "r08", "r09", "r10", "p3"], ""), None),
    "cat d/[[:lower:]]": ({"d/a": "", "d/B": ""}, ["d/a"]),
    "cat d/[^b]": ({"d/a": "", "d/b": ""}, ["d/a"]),
    "trap 'cat x' EXIT": ({"x": ""}, ["x"]),
    'run() { echo "+ $*"; "$@"; }; run cat x; run sh s.sh': ({"x": "", "s.sh": "cat y", "y": ""}, ["s.sh", "x", "y"]),
    'in_dir() { (cd "$1" && shift && "$@"); }; in_dir app cat x': ({"app/x": "", "x": ""}, ["app/x"]),
    ": ${D:=app}; cat $D/x": ({"app/x": ""}, ["app/x"]),
    "cd nope || cd app; cat x": ({"app/x": ""}, ["app/x"]),
    '[ -n "$SUB" ] && cd app; cat x': ({"app/x": "", "x": ""}, ["app/x", "x"]),
    'for s in s/*.sh; do sh "$s"; done': (
        {**{f"s/{number:02}.sh": "" for number in range(20)}, "s/19.sh": "cat data", "data": ""},
        None,
    ),
    'for s in s/*; do cat "c/$(basename $s)"; done': (
        {f"{folder}/{number:02}": "" for number in range(70) for folder in "sc"},
        None,
    ),
    "cat s/*": ({f"s/{number:03}": "" for number in range(600)}, None),
    "awk 'BEGIN { while ((getline l < \"x\") > 0) print l }'": ({"x": ""}, None),
    "sed '1r x' y": ({"x": "", "y": ""}, None),
    "apt-get install -y ./x.deb": ({"x.deb": ""}, None),
    "grep -r TODO .": ({"x": ""}, ["."]),
    "aws s3 sync . s3://b/": ({"x": ""}, ["."]),
}


@pytest.mark.parametrize("command", FOUND)
def test_inputs_of_complex_commands_are_found(command: str, tmp_path: Path) -> None:
    files, expected = FOUND[command]
    facts = run_here(tmp_path, command, files)

    assert paths(facts) == (sorted(set(files) - {"p3"}) if expected is None else expected)
    assert facts.local_commands == ()


@pytest.mark.parametrize(
    "command",
    [
        'while read f; do cat "$f"; done < list',
        'for f in $(cat list); do cat "$f"; done',
        "cat list | xargs cat",
        "xargs -a list cat",
        "xargs cat < list",
        "find . -name '*.x' | xargs cat",
        "find . -name '*.x' -exec cat {} +",
        "cat $(find . -name '*.x')",
        'D=$(cat list); cd "$D"; cat x',
        "bash /tmp/run.sh",
        "cat list | sh",
        "sh < list",
        'mapfile -t A < list; cat "${A[@]}"',
        "printf -v F '%s.x' a; cat $F",
        'F=bx; cat "${F/b/a}"',
        'F=$(printf %s.x a); cat "$F"',
        'for ((i = 1; i < 3; i++)); do cat "f$i"; done',
        "for i in $(seq 1 2); do cat f$i; done",
        "i=1; while [ $i -lt 3 ]; do cat f$i; i=$((i + 1)); done",
        "tar czf /tmp/a.tgz -T list",
        "sha256sum -c list",
        "cat d/!(a).x",
    ],
)
def test_unknown_inputs_of_a_command_are_reported(command: str, tmp_path: Path) -> None:
    files = {"list": "a.x\n", "a.x": "", "app/x": "", "f1": "", "f2": "", "d/b.x": ""}

    assert len(run_here(tmp_path, command, files).local_commands) == 1


@pytest.mark.parametrize(
    "command",
    [
        "[ -f c ] && exit 0; cp d c",
        "if [ -f c ]; then cat c; exit 0; fi; cp d c",
        "if cmp -s c d; then exit; fi; cp d c",
        "f() { [ -f c ] && return; cp d c; }; f",
        "exit 0; cp d c",
        '[ -n "$FORCE" ] || exit 0; cp d c',
        'if [ "${SKIP:-}" = 1 ]; then exit 0; fi; cp d c',
        "dd if=d of=c conv=notrunc",
        "cp -n d c",
        "cp --update d c",
        "rsync -a --ignore-existing d c",
        "wget -nc -O c https://h/c",
        "curl -z c -o c https://h/c",
        "case $E in prod) F=c;; *) F=e;; esac; echo > $F",
        "F=$(cat e); echo > ${F:-c}",
        "for f in d; do [ -f c ] && continue; cp d c; done",
    ],
)
def test_file_that_is_conditionally_written_is_an_input(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, f"{command}; cat c", {"c": "", "d": "", "e": ""})

    assert "c" in paths(facts)
    assert outputs(facts, Certainty.SURE) == []


@pytest.mark.parametrize(
    "command",
    [
        "cd app || exit 1; cd ..; cp d c",
        "command -v jq || exit; cp d c",
        "command -v jq || { echo no; exit 1; }; cp d c",
        "case $1 in -h) echo usage; exit 0;; esac; cp d c",
        'if [ "$1" = -h ]; then exit 0; fi; cp d c',
        "for f in c; do cp d $f; done",
        "f() { cp d c; return 0; }; f",
        "> c; echo x >> c",
    ],
)
def test_file_that_is_surely_written_is_not_an_input(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, f"{command}; cat c", {"c": "", "d": "", "app/x": ""})

    assert "c" not in paths(facts)
    assert outputs(facts, Certainty.SURE) == ["c"]


@pytest.mark.parametrize("command", ["echo x >> c", "echo x | tee -a c"])
def test_appended_file_is_an_input_if_it_is_read(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, f"{command}; cat c", {"c": "committed"})

    assert paths(facts) == ["c"]
    assert [reference.path for reference, _ in facts.contested] == ["c"]
    assert paths(run_here(tmp_path, command, {"c": "committed"})) == []


def test_file_passed_to_a_program_before_it_is_written_is_an_input(tmp_path: Path) -> None:
    facts = run_here(tmp_path, "python3 r.py c; cp d c", {"r.py": "", "c": "", "d": ""})

    assert paths(facts) == ["c", "d", "r.py"]


def test_copy_into_a_folder_with_other_files_does_not_write_them(tmp_path: Path) -> None:
    facts = run_here(tmp_path, "cp -r overlay files; cat files/a", {"overlay/a": "", "files/a": "", "files/b": ""})

    assert "files/a" in paths(facts)
    assert outputs(facts, Certainty.SURE) == ["files/overlay", "files/overlay/**"]
