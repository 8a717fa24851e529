"""A command does not surely write its file if the build ignores its failure, or does not wait for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ami_bakery.template.facts import Certainty, TemplateFacts
from tests.template.reading import BUILD, paths, read
from tests.template.test_local_commands import outputs, run_here

FILES = {
    "c": "committed",
    "d": "",
    "plain.sh": "cp d c\ntrue",
    "errexit.sh": "#!/bin/sh -e\ncp d c\ntrue",
    "env.sh": "#!/usr/bin/env -S bash -eu\ncp d c\ntrue",
    "noclobber.sh": "#!/bin/sh -C\necho > c || true",
    "set.sh": "set -e\ncp d c\ntrue",
    "src/c": "",
}


def run_inline(root: Path, settings: str, lines: str = '"cp d c", "cat c"') -> TemplateFacts:
    block = f'  provisioner "shell-local" {{\n    {settings}\n    inline = [{lines}]\n  }}\n'
    return read(root, {"a.pkr.hcl": BUILD % block, **FILES})


@pytest.mark.parametrize(
    "settings",
    [
        'inline_shebang = "/bin/sh"',
        'inline_shebang = "/bin/bash -u"',
        'inline_shebang = "/usr/bin/env bash"',
        'inline_shebang = "/bin/sh -C"',
        'execute_command = ["/bin/bash", "{{.Script}}"]',
        'execute_command = ["/bin/sh", "-c", "{{.Vars}} bash {{.Script}}"]',
        'execute_command = ["/bin/sh", "-c", "{{.Vars}} {{.Script}} || true"]',
    ],
)
def test_inline_script_without_errexit_may_not_write_its_file(settings: str, tmp_path: Path) -> None:
    facts = run_inline(tmp_path, settings)

    assert "c" in paths(facts)
    assert "c" not in outputs(facts, Certainty.SURE, Certainty.LIKELY)


@pytest.mark.parametrize(
    "settings",
    [
        "",
        'inline_shebang = "/bin/bash -e"',
        'inline_shebang = "/bin/bash -euo pipefail"',
        'inline_shebang = "/usr/bin/env -S bash -e"',
        'execute_command = ["/bin/sh", "-c", "{{.Vars}} {{.Script}}"]',
        'execute_command = ["/bin/bash", "-c", "chmod +x {{.Script}}; {{.Vars}} {{.Script}}"]',
    ],
)
def test_inline_script_with_errexit_surely_writes_its_file(settings: str, tmp_path: Path) -> None:
    facts = run_inline(tmp_path, settings)

    assert "c" not in paths(facts)
    assert "c" in outputs(facts, Certainty.SURE)


def test_noclobber_in_a_shebang_is_read(tmp_path: Path) -> None:
    own = run_inline(tmp_path / "own", 'inline_shebang = "/bin/sh -C"', '"echo > c || true"')
    of_script = run_here(tmp_path / "script", "./noclobber.sh", FILES)
    of_option = run_here(tmp_path / "option", "sh -C plain.sh", {**FILES, "plain.sh": "echo > c || true"})

    assert "c" in paths(own)
    assert "c" in paths(of_script)
    assert "c" in paths(of_option)


MAY_NOT_BE_WRITTEN = [
    "./plain.sh",
    "sh plain.sh",
    "bash plain.sh",
    "bash -c 'cp d c; true'",
    "bash +e errexit.sh",
    "sh errexit.sh",
    "set +e; cp d c",
    "set +o errexit; cp d c",
    "shopt -uo errexit; cp d c",
    "set +e; (set -e); cp d c",
    "set -C; (set +C); echo > c || true",
    "set +e; f() { cp d c; }; f",
    "set +e; (cp d c || exit 1)",
    "set +e; sh errexit.sh",
    "sh errexit.sh || true",
    "if sh set.sh; then true; fi",
    "cp d c & cat c; wait",
    "{ cp d c; } & wait",
    "(sleep 1; cp d c) & cat c",
    "echo x > c & cat c",
    "f() { cp d c; }; f & cat c",
    "sudo -b cp d c",
    "setsid -f cp d c",
    "setsid --fork cp d c",
    "coproc cp d c",
    "cat d > >(tee c)",
    "! cp q c",
    "! { cp q c; }",
    "cp q c || true",
    "cp q c || :",
    "if cp q c; then true; fi",
    "if ! cp q c; then echo failed; fi",
    "while cp q c; do break; done",
    "while ! cp q c; do break; done",
    "cp q c | cat",
    "cp d c | cat c",
    "date > c | cat c",
    "echo $(cp q c)",
    "cat < q > c || true",
    "flock -n -E 0 lock cp d c",
    "trap 'exit 0' EXIT; cp q c",
    "trap 'echo failed; exit' 0; cp q c",
    "trap 'exit 0' ERR; cp q c",
    "cleanup() { exit 0; }; trap cleanup EXIT; cp q c",
    "SHELLOPTS=errexit sh plain.sh",
    "rm -i c",
    "rm -I c",
    "rm --interactive=always c",
    "rm c || true",
    "ln -sfi d c",
    "mv --exchange d c",
    "cp --attributes-only d c",
    "truncate -s 100 c",
    "tar rf c d",
    "tar --append -f c d",
    "rsync -a --exclude c src/ .",
    "rsync -a --max-size 1k d c",
    "wget https://host/c",
    "wget --spider -O c https://host/c",
]


@pytest.mark.parametrize("command", MAY_NOT_BE_WRITTEN)
def test_file_of_a_command_with_ignored_failure_is_an_input(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, f"{command}\ncat c\ntrue", FILES)

    assert "c" in paths(facts)


@pytest.mark.parametrize(
    "command",
    [
        "./errexit.sh",
        "./env.sh",
        "sh -e plain.sh",
        "bash -o errexit plain.sh",
        "sh set.sh",
        "(cp d c)",
        "set +e; set -e; cp d c",
        "set +e; cp d c || exit 1",
        "cp d c || { echo failed; exit 1; }",
        "echo x | tee c",
        "set +e; echo x > c",
        "date > c | cat",
        "set -o pipefail; cp d c | cat",
        "until cp d c; do sleep 1; done",
        "truncate -s 0 c",
        "trap 'rm -f d' EXIT; cp d c",
        "rm -f c; cp d c",
        "wget -O c https://host/c",
        "touch d & cp d c",
    ],
)
def test_file_of_a_command_that_must_succeed_is_an_output(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, f"{command}\ncat c\ntrue", FILES)

    assert "c" not in paths(facts)
    assert "c" in outputs(facts, Certainty.SURE)


def test_last_command_without_errexit_fails_the_build(tmp_path: Path) -> None:
    facts = run_inline(tmp_path, 'inline_shebang = "/bin/sh"', '"true", "cp d c"')

    assert "c" in outputs(facts, Certainty.SURE)


@pytest.mark.parametrize("settings", ["valid_exit_codes = [0, 1]", "valid_exit_codes = [3]"])
def test_valid_exit_codes_make_a_failure_acceptable(settings: str, tmp_path: Path) -> None:
    assert "c" in paths(run_inline(tmp_path, settings))


@pytest.mark.parametrize("inline", ['"#!/bin/bash -e", "cp d c", "cat c"', '"set $OPTIONS", "cp d c", "cat c"'])
def test_uncertain_shell_options_do_not_count_as_errexit(inline: str, tmp_path: Path) -> None:
    assert "c" in paths(run_inline(tmp_path, 'inline_shebang = "/bin/sh"', inline))
