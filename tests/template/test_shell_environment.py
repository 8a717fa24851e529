"""Variables, `~+`, /proc, options and aliases that decide which files a shell opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from ami_bakery.template.facts import Certainty
from ami_bakery.template.location import SourceLocation
from tests.template.reading import paths
from tests.template.test_local_commands import outputs, run_here

FILES = {
    **dict.fromkeys(["x", "y", "z", "c", "app/x", "app/y", "lib/m.py", "app/sub/x", "sub/x"], ""),
    **dict.fromkeys([f"f{number}" for number in range(3)], ""),
    "list": "x\n",
    "e.sh": "cat y",
    "s.sh": "cat x",
    "app/s.sh": "cat y",
    "app/jq": "#!/bin/sh\ncat y",
    "read.sed": "r y",
    "read.awk": '{ getline l < "y" }',
    "one.sh": "cat $1",
}
FOUND = {
    "BASH_ENV=e.sh bash s.sh": ["e.sh", "s.sh", "x", "y"],
    "export BASH_ENV=./e.sh; bash -c :": ["e.sh", "y"],
    "env BASH_ENV=$PWD/e.sh bash s.sh": ["e.sh", "s.sh", "x", "y"],
    "ENV=e.sh sh -i -c :": ["e.sh", "y"],
    "bash --rcfile e.sh -i": ["e.sh", "y"],
    "bash --init-file=e.sh -i": ["e.sh", "y"],
    "cat ~+/x": ["x"],
    "cat < ~+/x": ["x"],
    "F=~+/x; cd app; cat $F": ["x"],
    "cd app; cat ~-/x": ["x"],
    "cd app; cd ~-; cat x": ["x"],
    "cat ~0/x": ["x"],
    "HOME=$PWD/app; cat ~/x": ["app", "app/x"],
    "HOME=$PWD/app; cd; cat x": ["app", "app/x"],
    "cd nope || cd app; cat $PWD/x": ["app/x", "x"],
    "cat /proc/self/cwd/x": ["x"],
    "cd /proc/self/cwd/app; cat x": ["app/x"],
    "cat < /proc/thread-self/cwd/x": ["x"],
    "CDPATH=app; cd sub; cat x": ["app/sub/x", "sub/x"],
    "export CDPATH=app:.; cd ./sub; cat x": ["sub/x"],
    "pushd app; pushd; cat x": ["x"],
    "for d in lib app; do (cd $d; cat x); done": ["app/x"],
    "for d in lib app; do cd $d; cat x; cd ..; done": ["app/x"],
    "for d in lib app; do env -C $d cat x; done": ["app/x"],
    "for f in e s; do bash $f.sh; done": ["e.sh", "s.sh", "x", "y"],
    "for f in z x; do eval cat $f; done": ["x", "z"],
    "PATH=app; . s.sh": ["app/s.sh", "s.sh", "x", "y"],
    "PATH=$PWD/app:$PATH; jq . x": ["app/jq", "x", "y"],
    "PATH=app:$PATH jq . x": ["app/jq", "x", "y"],
    "hash -p ./app/s.sh ls; ls": ["app/s.sh", "y"],
    "shopt -s expand_aliases; alias ls='cat x'\nls": ["x"],
    "shopt -s expand_aliases\nalias ls=cat\nls x": ["x"],
    "trap 'cat $F' EXIT; F=x": ["x"],
    "f() { cat; } < x; f": ["x"],
    "cd app & wait; cat x": ["x"],
    "cat <<EOF\n`cat x`\nEOF": ["x"],
    "cat <<'EOF'\n`cat x`\nEOF": [],
    "k=F; export $k=x; cat $F": ["x"],
    "IFS=-; F=x-y; cat $F": ["x", "y"],
    "env -Capp cat x": ["app/x"],
    "env -iC app cat x": ["app/x"],
    "env -S 'cat x'": ["x"],
    "env -iS'A=1 cat x'": ["x"],
    "env --split-string='cat x'": ["x"],
    "LD_LIBRARY_PATH=lib cat x": ["lib", "x"],
    "AWKPATH=lib awk 1 x": ["lib", "x"],
    "cat f{0..2}{,}": ["f0", "f1", "f2"],
    "grep -r needle": ["."],
    "grep -R needle": ["."],
    "sed --file=read.sed x": ["read.sed", "x", "y"],
    "sed -f read.sed x": ["read.sed", "x", "y"],
    "awk -f read.awk x": ["read.awk", "x", "y"],
    "find app -newer x": ["app", "x"],
    ". ./one.sh x": ["one.sh", "x"],
    "sh -c 'cat $1' _ x": ["x"],
}


@pytest.mark.parametrize("command", FOUND)
def test_inputs_from_a_commands_environment_are_found(command: str, tmp_path: Path) -> None:
    assert paths(run_here(tmp_path, command, FILES)) == FOUND[command]


@pytest.mark.parametrize(
    "command",
    [
        "cat /proc/$$/cwd/x",
        "cat /proc/$PPID/cwd/app/../x",
        "cat < /proc/1/root/x",
        "cd /proc/$PPID/cwd; cat x",
        ". /dev/stdin < s.sh",
        "source /dev/fd/3 3< s.sh",
        "source <(cat s.sh)",
        "pushd app; pushd +1; cat x",
        "pushd app; cat ~1/x",
        "IFS=_ read a b <<< x_y; cat $a",
        "read < list; cat $REPLY",
        "mapfile -t < list; cat ${MAPFILE[0]}",
        "i=0; ((i++)); cat f$i",
        "i=0; let i++; cat f$i",
        "((i=1)); cat f$i",
        "i=0; : $((i++)); cat f$i",
        "declare -l F=X; cat $F",
        "export $(cat list); cat $F",
        'find "$PWD" -name x -exec cat {} +',
        "find $(pwd)/. -name x | xargs cat",
        "cat ../$(basename $PWD)/x",
        "D=${PWD##*/}; cat ../$D/x",
        "declare $(cat list); cat $F",
        "while IFS== read k v; do export $k=$v; done < list; cat $F",
        'k=$(cat list); read "$k" < list; cat $F',
        "declare -n r=F; F=x; cat $r",
        ": x; cat $_",
        "cat $'\\x78'",
        "cat {a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}",
        "cat f{1..20000}",
        "bash -O extglob -c 'cat app/!(x)'",
        "shopt -s nocaseglob; cat X*",
        "enable -f ./lib.so foo",
        "TAR_OPTIONS='-T list' tar -cf /dev/null",
        "WGETRC=list wget https://h/",
        "OPENSSL_CONF=list openssl version",
        "curl -K list",
        "sort --files0-from=list",
        "wc --files0-from list",
        "md5sum -wc list",
        "awk '{ getline l < $1 }' list",
        "awk '{ system(\"cat \" $1) }' list",
        "awk '{ print $1 | \"xargs cat\" }' list",
        "awk '{ c = \"cat \" $1; c | getline l }' list",
        "sed 's/x/cat y/e' x",
        "sed '1e cat y' x",
        "jq -n 'import \"lib/a\" as a; 1'",
    ],
)
def test_inputs_hidden_by_a_commands_environment_are_reported(command: str, tmp_path: Path) -> None:
    assert len(run_here(tmp_path, command, FILES).local_commands) == 1


@pytest.mark.parametrize(
    "command",
    [
        "set -C; echo > c",
        "set -o noclobber; echo > c",
        "set -euC; echo &> c",
        "bash -C -c 'echo > c'",
        "sh -o noclobber -c 'echo > c'",
        "SHELLOPTS=noclobber bash -c 'echo > c'",
    ],
)
def test_noclobber_makes_an_existing_file_an_input(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, f"{command} || true", FILES)

    assert paths(facts) == ["c"]
    assert [reference.path for reference, _ in facts.contested] == ["c"]


@pytest.mark.parametrize("command", ["set -C; echo >| c", "set -C; set +C; echo > c"])
def test_forced_overwrite_with_noclobber_is_an_output(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, f"{command}; cat c", FILES)

    assert (paths(facts), outputs(facts, Certainty.SURE)) == ([], ["c"])


@pytest.mark.parametrize("command", ["bash -c 'cat $(cat x)'", "eval 'cat $(cat x)'", "trap 'cat $(cat x)' EXIT"])
def test_nested_shell_text_is_reported_at_the_line_that_runs_it(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, "sh a.sh", {"a.sh": f"true\ntrue\n{command}\ntrue\n", "x": ""})

    assert [location for found in facts.local_commands for location in found.unknown] == [
        SourceLocation(file="a.sh", line=3)
    ]
