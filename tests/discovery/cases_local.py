"""Templates whose local commands and scripts read files; all child processes are traced."""

from __future__ import annotations

import json
from typing import Any

from tests.discovery.case import Case


def _case(name: str, steps: list[dict[str, Any]], files: dict[str, str], *, after: Any = None, **more: Any) -> Case:
    template: dict[str, Any] = {"builders": [{"type": "amazon-ebs"}], "provisioners": steps}
    if after is not None:
        template["post-processors"] = after
    return Case(name=name, template="a.json", files={"a.json": json.dumps(template), **files}, run_local=True, **more)


def _here(*commands: str, **more: Any) -> dict[str, Any]:
    return {"type": "shell-local", "inline": list(commands), **more}


_LIB = 'HERE=$(cd "$(dirname "$0")" && pwd)\n. "$HERE/lib/common.sh"\ncat "${HERE%/*}/data/$1.txt"\n'

LOCAL = (
    _case(
        "make_in_another_folder",
        [_here("make -s -C src")],
        {"src/Makefile": "all:\n\t@cat in.txt\n", "src/in.txt": "x"},
    ),
    _case(
        "a_sourced_file_that_sources_another",
        [_here(". ./local/lib.sh", "cat $NAME")],
        {"local/lib.sh": ". ./local/more.sh\n", "local/more.sh": "NAME=data/x\n", "data/x": "1"},
    ),
    _case(
        "an_archive_of_a_folder_and_its_upload",
        [
            _here("tar czf app.tgz src"),
            {"type": "file", "source": "app.tgz", "destination": "/tmp/x", "generated": True},
        ],
        {"src/a": "1", "src/.b": "1", "src/sub/c": "1"},
    ),
    _case(
        "an_archive_from_another_folder",
        [_here('tar -C src -czf "$(mktemp)" .')],
        {"src/a": "1", "a": "not this one"},
    ),
    _case(
        "a_script_in_another_folder",
        [_here("cd local && ./y.sh")],
        {"local/y.sh": "#!/bin/sh\ncat z.txt\n", "local/z.txt": "1", "z.txt": "not this one"},
    ),
    _case(
        "a_pattern_and_a_loop",
        [_here("cat local/*.txt", "for f in scripts/*.sh; do sh $f; done")],
        {"local/a.txt": "1", "local/b.md": "1", "scripts/1.sh": "cat one", "one": "1", "scripts/x.py": ""},
    ),
    _case("a_shell_in_a_shell", [_here("bash -c 'cat q.txt; sh ./r.sh'")], {"q.txt": "1", "r.sh": "cat s", "s": "1"}),
    _case(
        "scripts_that_find_themselves",
        [{"type": "shell-local", "script": "bin/run.sh"}],
        {"bin/run.sh": f"#!/bin/sh\nset -- one\n{_LIB}", "bin/lib/common.sh": "true\n", "data/one.txt": "1"},
        extra=frozenset(),
    ),
    _case(
        "a_python_script_and_its_module",
        [_here("python3 tools/x.py --file=conf/a.yml")],
        {
            "tools/x.py": "import sys\nsys.dont_write_bytecode = True\nfrom helper import go\ngo()\nopen(sys.argv[1][7:]).read()\n",
            "tools/helper.py": "def go():\n    open('tools/table.csv').read()\n",
            "tools/table.csv": "1",
            "conf/a.yml": "1",
        },
    ),
    _case(
        "variables_of_a_component",
        [_here("cat $CONF", "sh x.sh", environment_vars=["CONF=conf/c.ini", "OTHER=conf/d.ini"])],
        {"conf/c.ini": "1", "conf/d.ini": "1", "x.sh": 'cat "$OTHER"'},
    ),
    _case(
        "a_variable_of_the_environment",
        [_here("cat ${STAGE:-dev}/x")],
        {"prod/x": "1", "dev/x": "1"},
        environment={"STAGE": "prod"},
    ),
    _case("a_default_for_a_variable", [_here("cat ${STAGE:-dev}/x")], {"prod/x": "1", "dev/x": "1"}),
    _case(
        "redirections_and_heredocs",
        [_here("cat < in.txt > out.txt", "cat - a.txt <<EOF > joined\nb.txt\nEOF", "sh <<'EOF'\ncat c.txt\nEOF")],
        {"in.txt": "1", "a.txt": "1", "b.txt": "not read", "c.txt": "1"},
    ),
    _case(
        "an_unknown_part_beside_a_known_word",
        [_here("cat local/payload.txt && echo {{build `Host`}} {{timestamp}}", "sh local/x.sh {{uuid}}")],
        {"local/payload.txt": "1", "local/x.sh": "cat y", "y": "1"},
    ),
    _case(
        "the_command_that_executes",
        [_here("true", execute_command=["/bin/bash", "-c", ". local/env.sh; {{.Vars}} {{.Script}}"])],
        {"local/env.sh": "cat local/more", "local/more": "1"},
    ),
    _case(
        "a_manifest_that_a_script_signs",
        [_here("true")],
        {"sign.sh": "#!/bin/sh\nsha256sum $1 key.txt > $1.sig\n", "key.txt": "1"},
        after=[[{"type": "manifest", "output": "m.json"}, {"type": "shell-local", "inline": ["./sign.sh m.json"]}]],
    ),
    _case(
        "a_copy_that_is_uploaded",
        [
            _here("rm -rf build && mkdir build && cp -r src/. build/"),
            {"type": "file", "source": "build/", "destination": "/tmp/x", "generated": True},
        ],
        {"src/a": "1", "src/sub/b": "1"},
    ),
    _case(
        "functions_and_arguments",
        [_here("read_it() { cat $1/$2; }", "read_it conf a.ini; read_it conf b.ini")],
        {"conf/a.ini": "1", "conf/b.ini": "1", "conf/c.ini": "not read"},
    ),
    _case(
        "both_arms_of_a_condition",
        [_here('if [ "$X" = 1 ]; then F=one; else F=two; fi', "cat $F")],
        {"one": "1", "two": "1"},
        extra=frozenset({"one"}),
    ),
    _case(
        "links_and_folders_with_blanks",
        [_here("cat 'my conf/a b.txt' link.txt", 'cd "my conf"', "cat c\\ d")],
        {"my conf/a b.txt": "1", "my conf/c d": "1", "link.txt": "-> my conf/real", "my conf/real": "1"},
    ),
    _case(
        "find_and_xargs",
        [_here("find conf -name '*.x' -exec cat {} +", "printf '%s\\n' a b | xargs cat")],
        {"conf/1.x": "1", "a": "1", "b": "1"},
    ),
    _case(
        "files_of_an_interpreter_without_a_name",
        [_here("perl -e 'open F, \"<conf/p.txt\"; print <F>'")],
        {"conf/p.txt": "1"},
    ),
    Case(
        name="keys_that_go_folds",
        template="a.json",
        files={
            "a.json": '{"builders": [{"type": "amazon-ebs"}], "provi\u017fioners": [{"type": "file", "\u017fource": "f", "destination": "/tmp/x"},'
            ' {"\u017fcript": "s.sh", "type": "shell"}]}',
            "f": "1",
            "s.sh": "true",
        },
    ),
    Case(
        name="a_source_that_looks_like_a_url",
        template="w/a.json",
        workdir="w",
        files={
            "w/a.json": '{"builders": [{"type": "amazon-ebs"}], "provisioners": [{"type": "file", "source": "../lib://z", "destination": "/tmp/x"}]}',
            "lib:/z": "1",
        },
    ),
    Case(
        name="local_commands_in_hcl2",
        template="w/a.pkr.hcl",
        workdir="w",
        run_local=True,
        files={
            "w/a.pkr.hcl": 'locals {\n  dir = "../conf"\n}\nsource "amazon-ebs" "one" {\n}\nbuild {\n  sources = ["source.amazon-ebs.one"]\n'
            '  provisioner "shell-local" {\n    inline = ["cat ${local.dir}/x.txt && echo ${build.ID} ${uuidv4()}", "sh y.sh $${NAME:-n}"]\n  }\n'
            '  provisioner "shell-local" {\n    command = "cd ../conf && cat z.txt && echo ${build.Host}"\n  }\n'
            '  post-processor "shell-local" {\n    inline = [<<-EOT\n      for f in ../post/*; do\n        cat "$f"\n      done\n    EOT\n    ]\n  }\n}\n',
            "conf/x.txt": "1",
            "conf/z.txt": "1",
            "w/y.sh": 'cat "$1.txt"',
            "w/n.txt": "1",
            "post/p": "1",
        },
    ),
)
