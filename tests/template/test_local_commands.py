"""Files that local commands and scripts read and write, and findings if they are unknown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import Any

import pytest

from ami_bakery.template.facts import Certainty, TemplateFacts
from tests.template.reading import BUILD, paths, read


def run_here(root: Path, commands: str | Sequence[str], files: dict[str, str], **more: Any) -> TemplateFacts:
    step = {"type": "shell-local", "inline": [commands] if isinstance(commands, str) else list(commands)}
    template = {"builders": [{"type": "null", "communicator": "none"}], "provisioners": [step]}
    return read(root, {"a.json": dumps(template), **files}, "a.json", **more)


def outputs(facts: TemplateFacts, *certainties: Certainty) -> list[str]:
    return [
        output.path
        for output in facts.outputs
        if not output.is_folder and (not certainties or output.certainty in certainties)
    ]


READS = {
    ". local/lib.sh": (
        {"local/lib.sh": "cat data.txt\nsource local/more.sh", "data.txt": "", "local/more.sh": ""},
        None,
    ),
    "tar czf /tmp/a.tgz app": ({"app/x": ""}, ["app"]),
    "tar -C app -czf /tmp/a.tgz .": ({"app/x": "", "x": ""}, ["app"]),
    "cd local && ./y.sh": ({"local/y.sh": "cat z.txt", "local/z.txt": "", "z.txt": ""}, ["local/y.sh", "local/z.txt"]),
    "pushd local; cat z.txt; popd; cat y.txt": (
        {"local/z.txt": "", "y.txt": "", "z.txt": ""},
        ["local/z.txt", "y.txt"],
    ),
    "(cd local; cat a); cat b": ({"local/a": "", "local/b": "", "b": "", "a": ""}, ["b", "local/a"]),
    "zip /tmp/x.zip local/*.sh": ({"local/a.sh": "", "local/b.txt": "", "local/.c.sh": ""}, ["local/a.sh"]),
    "bash -c 'cat q.txt'": ({"q.txt": ""}, None),
    "bash -euo pipefail q.sh": ({"q.sh": ""}, None),
    "cat local/{a,b}.txt": ({"local/a.txt": "", "local/b.txt": ""}, None),
    "for f in a/*.sh b.sh; do sh $f; done": ({"a/1.sh": "cat q", "b.sh": "", "q": ""}, None),
    "DIR=conf; cat $DIR/x.ini": ({"conf/x.ini": ""}, None),
    'D="conf"\ncat "${D}/x.ini"': ({"conf/x.ini": ""}, None),
    'if [ -n "$P" ]; then F=a; else F=b; fi; cat $F': ({"a": "", "b": "", "c": ""}, ["a", "b"]),
    "CONF=conf/a.yml ./run": ({"run": "cat $CONF", "conf/a.yml": ""}, None),
    "cat < in.txt | sed -f s.sed": ({"in.txt": "", "s.sed": ""}, None),
    "bash <<'EOF'\ncat in.txt\nEOF": ({"in.txt": ""}, None),
    "curl -d @body.json -T up.bin https://h/": ({"body.json": "", "up.bin": ""}, None),
    "sudo -u root sh x.sh": ({"x.sh": ""}, None),
    "env A=1 nice -n 5 ./x.sh": ({"x.sh": ""}, None),
    "f() { cat $1; }; f a.txt": ({"a.txt": ""}, None),
    "./x.sh one": ({"x.sh": "cat conf/$1.txt", "conf/one.txt": "", "conf/two.txt": ""}, ["conf/one.txt", "x.sh"]),
    "find conf -name '*.x' -exec cat tool.txt {} \\;": ({"conf/x": "", "tool.txt": ""}, ["conf", "tool.txt"]),
    "echo list.txt | xargs cat": ({"list.txt": ""}, None),
    "diff <(sort a) b": ({"a": "", "b": ""}, None),
    "aws s3 cp dist.tgz s3://bucket/": ({"dist.tgz": ""}, None),
    "aws ec2 x --user-data file://ud.sh": ({"ud.sh": ""}, None),
    "ln -s ../shared/f local/f": ({"shared/f": "", "local/x": ""}, ["shared/f"]),
    "rsync -a --exclude-from ex.txt src/ host:/srv": ({"src/a": "", "ex.txt": ""}, ["ex.txt", "src"]),
    "[ -f maybe ] && cat maybe": ({"maybe": ""}, None),
    "case $X in a) cat one;; *) cat two;; esac": ({"one": "", "two": ""}, None),
    "eval 'cat e.txt'": ({"e.txt": ""}, None),
    "! cat a || cat b": ({"a": "", "b": ""}, None),
    "x=$(cat a.txt)": ({"a.txt": ""}, None),
    "while read l; do echo; done < list": ({"list": ""}, None),
    "base64 --wrap=0 key.txt": ({"key.txt": ""}, None),
    "grep app list.txt": ({"app/x": "", "list.txt": ""}, ["list.txt"]),
    "sh a.sh": ({"a.sh": 'cd "$(dirname "$0")" && . ./lib/l.sh', "lib/l.sh": "cat t", "t": ""}, None),
}


@pytest.mark.parametrize("command", READS)
def test_inputs_of_simple_commands_are_found_without_a_finding(command: str, tmp_path: Path) -> None:
    files, named = READS[command]
    facts = run_here(tmp_path, command, files)

    assert paths(facts) == (sorted(files) if named is None else named)
    assert all(reference.guessed and not reference.required for reference in facts.references)
    assert facts.local_commands == ()
    assert facts.unresolved == ()


SAYS = {
    "make -C ../src": ({"../src/Makefile": ""}, ["../src"], ("make",)),
    "make": ({"Makefile": "", "x": ""}, ["Makefile"], ("make",)),
    "python3 tools/x.py --file=conf/a.yml": (
        {"tools/x.py": "from helper import z\nopen('t.j2')", "tools/helper.py": "", "conf/a.yml": "", "tools/t.j2": ""},
        None,
        ("python3",),
    ),
    "./tool.rb": ({"tool.rb": "#!/usr/bin/env ruby\nload 'conf/x.rb'\n", "conf/x.rb": ""}, None, ("ruby",)),
    "docker run -v $PWD/app:/app i": ({"app/x": ""}, ["app"], ("docker",)),
    "terraform -chdir=infra apply": ({"infra/m.tf": ""}, ["infra"], ("terraform",)),
    "./wrap.sh": ({"wrap.sh": "#!/bin/bash\nnpm --prefix web run build", "web/x": ""}, ["web", "wrap.sh"], ("npm",)),
    "/opt/tool conf.ini": ({"conf.ini": ""}, None, ("tool",)),
}


@pytest.mark.parametrize("command", SAYS)
def test_program_that_may_read_other_files_is_reported_once(command: str, tmp_path: Path) -> None:
    files, named, programs = SAYS[command]
    root = tmp_path / "root"
    facts = run_here(root, [command, command], files)

    assert paths(facts) == (sorted(files) if named is None else named)
    assert [found.programs for found in facts.local_commands] == [programs]


@pytest.mark.parametrize(
    "command", ["echo a.txt", "sleep 1; true", "printf '%s' a.txt", "cat /etc/hosts", "ls", "echo hello > /dev/null"]
)
def test_command_that_reads_no_repository_file_has_no_finding(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, command, {"a.txt": ""})

    assert (paths(facts), facts.local_commands, facts.unresolved, outputs(facts)) == ([], (), (), [])


WRITES = {
    "tar czf app.tgz src": ({"src/x": "", "app.tgz": ""}, ["src"], ["app.tgz"]),
    "tar -cz -f app.tgz src": ({"src/x": "", "app.tgz": ""}, ["src"], ["app.tgz"]),
    "tar --create --file=app.tgz src": ({"src/x": "", "app.tgz": ""}, ["src"], ["app.tgz"]),
    "zip -r app src": ({"src/x": "", "app.zip": ""}, ["src"], ["app.zip"]),
    "echo x > ami.txt": ({"ami.txt": ""}, [], ["ami.txt"]),
    "date >> log; echo 2>err": ({"log": "", "err": ""}, [], ["err", "log"]),
    "echo x | tee -a log": ({"log": ""}, [], ["log"]),
    "curl -sSfLo b.bin https://h/b": ({"b.bin": ""}, [], ["b.bin"]),
    "curl --output=b.bin https://h/b": ({"b.bin": ""}, [], ["b.bin"]),
    "curl -O https://h/b.tgz?x=1": ({"b.tgz": ""}, [], ["b.tgz"]),
    "wget -P dl https://h/b.tgz": ({"dl/b.tgz": ""}, [], []),
    "wget -qO b https://h/b.tgz": ({"b": ""}, [], ["b"]),
    "gcc -o app m.c": ({"m.c": "", "app": ""}, ["m.c"], ["app"]),
    "go build -o bin/app ./cmd": ({"cmd/m.go": "", "bin/app": ""}, ["cmd"], ["bin/app"]),
    "cp a b && zip c.zip b": ({"a": "", "b": "", "c.zip": ""}, ["a"], ["b", "c.zip"]),
    "cp a dist/": ({"a": "", "dist/a": "", "dist/c": ""}, ["a"], ["dist/a"]),
    "gzip -k a": ({"a": "", "a.gz": ""}, ["a"], ["a.gz"]),
    "openssl req -x509 -out c.pem -keyout k": ({"c.pem": ""}, [], ["c.pem", "k"]),
    "ssh-keygen -t rsa -f key": ({"key": "", "key.pub": ""}, [], ["key", "key.pub"]),
    "docker save -o i.tar img": ({"i.tar": ""}, [], ["i.tar"]),
    "dd if=a of=b": ({"a": "", "b": ""}, ["a"], ["b"]),
    "OUT=m.json; echo > $OUT; cat m.json": ({"m.json": ""}, [], ["m.json"]),
    "sh g.sh": ({"g.sh": "f() { echo > o.txt; }\nf", "o.txt": ""}, ["g.sh"], ["o.txt"]),
    "touch made": ({"made": ""}, [], ["made"]),
    "aws s3 cp s3://b/x.bin got.bin": ({"got.bin": ""}, [], ["got.bin"]),
    "cat > out <<EOF\nx\nEOF": ({"out": ""}, [], ["out"]),
}


@pytest.mark.parametrize("command", WRITES)
def test_written_file_is_an_output_and_not_an_input(command: str, tmp_path: Path) -> None:
    files, named, written = WRITES[command]
    facts = run_here(tmp_path, command, files)

    assert paths(facts) == named
    assert outputs(facts, Certainty.SURE) == written


def test_file_read_before_it_is_written_is_a_reported_input(tmp_path: Path) -> None:
    for number, command in enumerate(["jq . c.json > t && mv t c.json", "sed -i s/a/b/ c.json"]):
        facts = run_here(tmp_path / str(number), command, {"c.json": "{}"})

        assert paths(facts) == ["c.json"]
        assert [(reference.path, output.path) for reference, output in facts.contested] == [("c.json", "c.json")]


@pytest.mark.parametrize(
    "command",
    ["[ -f c ] || curl -o c http://h/", 'if test -n "$X"; then echo > c; fi; cat c', "grep -q x c && echo > c"],
)
def test_file_written_on_a_condition_is_an_input(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, command, {"c": "1"})

    assert paths(facts) == ["c"]
    assert outputs(facts, Certainty.SURE) == []
    assert [reference.path for reference, _ in facts.contested] == ["c"]


@pytest.mark.parametrize(
    "text",
    [
        "if [ -f c ]; then exit 0; fi\necho > c",
        "[ -f c ] && exit\necho > c",
        "f() { [ -f c ] && return; echo > c; }; f",
        "for x in 1 2; do [ -f c ] && continue; echo > c; done",
        "exit 0; echo > c",
        "./tool -o c",
    ],
)
def test_unreachable_write_hides_no_input(text: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, f"cat c; {text}" if "cat" not in text else text, {"c": "1"})

    assert outputs(facts, Certainty.SURE, Certainty.LIKELY) == []
    assert paths(facts) == ["c"]


def test_check_that_fails_the_bake_keeps_later_writes_sure(tmp_path: Path) -> None:
    commands = ['[ -n "$X" ] || { echo missing; exit 1; }', "f() { [ -f a ] && return; true; }", "f", "echo > c"]

    assert outputs(run_here(tmp_path, commands, {"c": ""}), Certainty.SURE) == ["c"]


@pytest.mark.parametrize("command", ["npm run build", "make dist", "make dist/app.tgz", "cargo build"])
def test_task_name_is_not_an_input(command: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, command, {"build/x": "", "dist/app.tgz": ""})

    assert paths(facts) == []
    assert len(facts.local_commands) == 1


def test_touch_of_a_file_with_content_is_not_an_output(tmp_path: Path) -> None:
    facts = run_here(tmp_path, "touch kept made; cat kept", {"kept": "1", "made": ""})

    assert (paths(facts), outputs(facts)) == (["kept"], ["made"])


def test_unknown_part_of_a_command_hides_no_known_word(tmp_path: Path) -> None:
    hcl = BUILD % (
        '  provisioner "shell-local" {\n    inline = ["cat local/payload.txt && echo ${build.User}"]\n  }\n'
        '  provisioner "shell-local" {\n    command = "local/x.sh ${build.ID}"\n  }\n'
        '  provisioner "shell-local" {\n    environment_vars = ["CONF=local/c.ini", "I=${build.ID}"]\n'
        '    execute_command = ["/bin/bash", "-c", ". local/env.sh; {{.Vars}} {{.Script}}"]\n    inline = ["true"]\n  }\n'
        '  post-processor "shell-local" {\n    inline = ["./sign.sh ${build.PackerRunUUID} {{timestamp}}"]\n  }'
    )
    names = ["local/payload.txt", "local/x.sh", "local/c.ini", "local/env.sh", "sign.sh"]
    facts = read(tmp_path, {"a.pkr.hcl": hcl, **dict.fromkeys(names, "")})

    assert paths(facts) == sorted(names)
    assert (facts.unresolved, facts.local_commands) == ((), ())


@pytest.mark.parametrize("hole", ["{{build `Host`}}", "{{timestamp}}", "{{uuid}}", "{{.Vars}}", "{{isotime `06`}}"])
def test_unknown_part_of_a_json_command_hides_no_known_word(hole: str, tmp_path: Path) -> None:
    facts = run_here(tmp_path, [f"cat local/p.txt {hole}; sh x.sh"], {"local/p.txt": "", "x.sh": ""})

    assert paths(facts) == ["local/p.txt", "x.sh"]


KNOWN_OF = {
    'join(" && ", ["cat a", "echo ${build.ID}", "cat b"])': ["a", "b"],
    'format("cat %s %s", "a", build.ID)': ["a"],
    'replace("cat a ${build.ID}", "x", "y")': ["a"],
    '"%{ if build.ID == "" }cat a%{ else }cat b%{ endif }"': ["a", "b"],
    '"%{ for x in split(",", build.ID) }cat a ${x}; %{ endfor }"': ["a"],
    'build.ID == "" ? "cat a" : "cat b"': ["a", "b"],
    'templatefile("t", { id = build.ID })': ["a", "b"],
    'trimspace(" cat a ${build.ID}")': ["a"],
}


@pytest.mark.parametrize("expression", KNOWN_OF)
def test_function_of_an_unknown_text_hides_no_known_word(expression: str, tmp_path: Path) -> None:
    hcl = BUILD % f'  provisioner "shell-local" {{\n    inline = [{expression}]\n  }}'
    facts = read(tmp_path, {"a.pkr.hcl": hcl, "a": "", "b": "", "t": "cat a ${id}\nsh b"})

    assert [path for path in paths(facts) if path != "t"] == KNOWN_OF[expression]


@pytest.mark.parametrize("command", ["${build.ID}", "${build.ID} a.txt", "true; ${build.ID}"])
def test_completely_unknown_command_is_reported(command: str, tmp_path: Path) -> None:
    facts = read(tmp_path, {"a.pkr.hcl": BUILD % f'  provisioner "shell-local" {{\n    inline = ["{command}"]\n  }}'})

    assert [found.programs for found in facts.local_commands] == [()]


def test_sourced_file_sees_the_path_of_its_script(tmp_path: Path) -> None:
    files = {
        "a/b/run.sh": ". a/lib/l.sh",
        "a/lib/l.sh": 'cat "$(dirname "$0")/own" "$(dirname "${BASH_SOURCE[0]}")/of_lib"',
        "a/b/own": "",
        "a/lib/of_lib": "",
        "a/lib/own": "",
        "a/b/of_lib": "",
    }

    assert paths(run_here(tmp_path, "bash a/b/run.sh", files)) == [
        "a/b/own",
        "a/b/run.sh",
        "a/lib/l.sh",
        "a/lib/of_lib",
    ]


def test_word_with_an_unknown_part_is_reported_as_written(tmp_path: Path) -> None:
    hcl = BUILD % (
        '  provisioner "shell-local" {\n    inline = ["cat local/${build.ID}.sh", "echo ${build.ID} https://h/${build.ID}"]\n  }'
    )
    facts = read(tmp_path, {"a.pkr.hcl": hcl})

    assert [found.expression for found in facts.unresolved] == ["local/${build.ID}.sh"]
    assert facts.local_commands == ()


def test_secret_in_a_command_is_in_no_message(tmp_path: Path) -> None:
    hcl = (
        'variable "s" {\n  default = "hunter2"\n  sensitive = true\n}\n'
        + BUILD
        % '  provisioner "shell-local" {\n    inline = ["hunter2 x", "${var.s} conf/${var.s}/${build.ID}.x", "cat < q-${var.s}"]\n  }'
    )
    facts = read(tmp_path, {"a.pkr.hcl": hcl})

    assert len(facts.unresolved) == 1
    assert "hunter2" not in repr((facts.unresolved, facts.local_commands))


def test_environment_variables_of_local_commands_are_recorded(tmp_path: Path) -> None:
    commands = ["A=1; echo $A $B '$C' ${D:-x} $1 $? $HOME $CI_JOB_ID $MY_TOKEN $PACKER_BUILD_NAME $RANDOM", "./s.sh $B"]
    facts = run_here(tmp_path, commands, {"s.sh": 'E="${E:-1}"\nfor x in $F; do echo $x $E; done\nread G; echo $G'})

    assert [name for name, _ in facts.environment] == ["B", "D", "E", "F"]
    assert [name for name, _, _ in facts.unhashed_environment] == ["CI_JOB_ID", "HOME", "MY_TOKEN"]


def test_variable_value_is_used_in_file_names(tmp_path: Path) -> None:
    files = {"prod/x": "", "dev/x": ""}
    for stage in ("prod", "dev"):
        facts = run_here(
            tmp_path, "cat ${STAGE:-dev}/x", files, environment={"STAGE": stage} if stage == "prod" else {}
        )
        assert paths(facts) == [f"{stage}/x"]


def test_local_commands_of_other_components_are_read(tmp_path: Path) -> None:
    template = {
        "builders": [
            {
                "type": "amazon-chroot",
                "source_ami": "ami-1",
                "command_wrapper": "tools/wrap.sh {{.Command}}",
                "pre_mount_commands": ["sh part.sh {{.Device}}"],
                "post_mount_commands": ["cp -r overlay/. {{.MountPath}}"],
            }
        ],
        "provisioners": [
            {
                "type": "inspec",
                "profile": "https://h/p.tgz",
                "command": "./inspec.sh",
                "extra_arguments": ["--input-file", "in.yml", "--reporter", "cli", "json:out.json"],
            },
            {"type": "acme", "local_command": "acme --with conf.acme"},
        ],
    }
    names = ["tools/wrap.sh", "part.sh", "overlay/x", "inspec.sh", "in.yml", "out.json", "conf.acme"]
    facts = read(tmp_path, {"a.json": dumps(template), **dict.fromkeys(names, "")}, "a.json")

    assert paths(facts) == ["conf.acme", "in.yml", "inspec.sh", "overlay", "part.sh", "tools/wrap.sh"]
    assert outputs(facts) == ["out.json"]


def test_program_of_a_data_source_is_read(tmp_path: Path) -> None:
    hcl = (
        'data "external" "x" {\n  program = ["python3", "q.py", "--db=db.json"]\n  working_dir = "tools"\n}\n'
        + BUILD % ""
    )
    facts = read(tmp_path, {"a.pkr.hcl": hcl, "tools/q.py": "", "tools/db.json": "", "q.py": ""})

    assert paths(facts) == ["tools/db.json", "tools/q.py"]
    assert [found.programs for found in facts.local_commands] == [("python3",)]


def test_recursive_scripts_terminate(tmp_path: Path) -> None:
    files = {"a.sh": "sh b.sh", "b.sh": "sh a.sh; . ./b.sh; f() { f; }; f"}

    assert paths(run_here(tmp_path, "sh a.sh", files)) == ["a.sh", "b.sh"]


def test_deeply_nested_functions_terminate_with_a_finding(tmp_path: Path) -> None:
    text = "".join(f"f{number}() {{ {f'f{number + 1}; ' * 9}}}\n" for number in range(12)) + "f12() { cat a; }\nf0"
    facts = run_here(tmp_path, text, {"a": ""})

    assert len(facts.local_commands) == 1


def test_words_of_invalid_shell_text_are_searched(tmp_path: Path) -> None:
    facts = run_here(tmp_path, 'cat "a.txt; (( { x.txt', {"a.txt": "", "x.txt": ""})

    assert "x.txt" in paths(facts)


def test_script_sees_exported_variables(tmp_path: Path) -> None:
    files = {"x.sh": "cat f${X:-b}", "fa": "", "fb": ""}

    for command, named in (("X=a; sh x.sh", "fb"), ("export X=a; sh x.sh", "fa"), ("X=a; export X; sh x.sh", "fa")):
        assert paths(run_here(tmp_path / command[:9], command, files)) == [named, "x.sh"]
    perhaps = run_here(tmp_path / "perhaps", 'if test "$Z"; then export X=a; fi; sh x.sh', files)
    assert paths(perhaps) == ["fa", "fb", "x.sh"]


def test_script_that_assembles_a_salt_state_tree_is_read(tmp_path: Path) -> None:
    """A script assembles a state tree, and `salt-masterless` uploads it."""
    wrapper = 'set -eu\nHERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)\nrm -rf .tmp\nmkdir -p .tmp\ncp -r "$HERE/../states" .tmp/states\n'
    template = {
        "builders": [{"type": "null", "communicator": "none"}],
        "provisioners": [
            {"type": "shell-local", "script": "bin/prepare.sh"},
            {"type": "salt-masterless", "local_state_tree": ".tmp/states"},
        ],
    }
    files = {"a.json": dumps(template), "bin/prepare.sh": wrapper, "states/top.sls": "", ".tmp/states/top.sls": ""}
    facts = read(tmp_path, files, "a.json")

    assert "states" in paths(facts)
    assert ".tmp/states/top.sls" in outputs(facts)


# --- files that Packer writes


def _outputs_of(root: Path, *provisioners: dict[str, Any], after: Sequence[Any] = (), **files: str) -> TemplateFacts:
    template = {
        "builders": [{"type": "amazon-ebs"}],
        "provisioners": list(provisioners),
        "post-processors": list(after),
    }
    return read(root, {"a.json": dumps(template), **files}, "a.json")


def test_downloaded_files_and_folders_are_outputs_even_with_unknown_names(tmp_path: Path) -> None:
    def download(source: str, destination: str) -> dict[str, Any]:
        return {"type": "file", "direction": "download", "source": source, "destination": destination}

    facts = _outputs_of(
        tmp_path,
        download("/var/log/x", "got/"),
        download("/var/log/x", "logs/{{build `ID`}}.log"),
        download("/var/log/", "all/"),
        download("/var/*.log", "some"),
        download("/var/log/", "./"),
    )

    assert outputs(facts) == ["all/**", "got/x", "logs/*.log", "some/**"]
    assert [found.expression for found in facts.unresolved] == ["./"]
    matcher = {output.path: output.pattern for output in facts.outputs}["logs/*.log"]
    names = ["logs/i-0123456789abcdef0.log", "logs/config.log", "logs/a/i-01234567.log", "other/i-01234567.log"]
    assert [name for name in names if re.fullmatch(matcher, name)] == ["logs/i-0123456789abcdef0.log"]


def test_output_with_a_completely_unknown_name_is_reported(tmp_path: Path) -> None:
    hcl = BUILD % '  post-processor "manifest" {\n    output = "${data.x.y.z}"\n  }'
    facts = read(tmp_path, {"a.pkr.hcl": hcl})

    assert outputs(facts) == []
    assert len(facts.unresolved) == 1


def test_outputs_of_newer_packer_versions_are_known(tmp_path: Path) -> None:
    facts = _outputs_of(
        tmp_path,
        {"type": "hcp-sbom", "source": "/tmp/s", "destination": "sbom.json"},
        {"type": "hcp-sbom", "auto_generate": True, "destination": "sboms/"},
        after=[
            {"type": "provenance", "output_dir": "att"},
            {"type": "checksum"},
            {"type": "compress", "output": "x.tgz"},
        ],
    )

    assert {"sbom.json", "sboms/packer-user-sbom-*.json", "att/*.provenance.json", "x.tgz"} <= set(outputs(facts))
