"""Outputs are never inputs: an image whose build writes into its own folder is built once.

It is built again only if the sources of its outputs change.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness import TOML, Harness, json_template

SIGN = {"sign.sh": '#!/bin/sh\nset -e\nsha256sum "$1" > "$1.sig"\n'}


def _local(*commands: str, **more: Any) -> dict[str, Any]:
    return {"type": "shell-local", "inline": list(commands), **more}


def _last(*steps: Any) -> dict[str, Any]:
    return {"post-processors": [list(steps)]}


IDIOMS: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "a manifest that is signed": (
        _last({"type": "manifest", "output": "manifest.json"}, _local("sh ./sign.sh manifest.json")),
        SIGN,
        "sign.sh",
    ),
    "a manifest that is read by a script": (
        _last({"type": "manifest", "output": "manifest.json"}, {"type": "shell-local", "script": "show.sh"}),
        {"show.sh": "#!/bin/sh\ncat manifest.json > /dev/null\n"},
        "show.sh",
    ),
    "a manifest by a name that only Packer knows": (
        _last({"type": "manifest", "output": "manifest-{{build `ID`}}.json"}),
        {},
        "setup.sh",
    ),
    "a manifest in a folder of the template": (
        {"provisioners": [_local("mkdir -p out/deep")], **_last({"type": "manifest", "output": "out/manifest.json"})},
        {},
        "setup.sh",
    ),
    "an archive that is uploaded": (
        {"provisioners": [_local("tar czf app.tgz src")]},
        {"src/main.c": "int x;\n"},
        "src/main.c",
    ),
    "an archive in a folder that is made anew": (
        {
            "provisioners": [
                _local("rm -rf build", "cp -r src build", "date > build/stamp", "tar czf build/app.tgz build/main.c")
            ]
        },
        {"src/main.c": "int x;\n"},
        "src/main.c",
    ),
    "a copy that is changed": (
        {"provisioners": [_local("cp conf.ini out.ini && date >> out.ini && cat out.ini > /dev/null")]},
        {"conf.ini": "a\n"},
        "conf.ini",
    ),
    "an id in a file": (
        {"provisioners": [_local("date +%N > ami.txt", "echo done >> log", "echo x | tee -a tee.log > /dev/null")]},
        {},
        "setup.sh",
    ),
    "a log of each build": (
        {"provisioners": [_local("echo x > build-$(date +%N).log")]},
        {},
        "setup.sh",
    ),
    "a script that writes": (
        {"provisioners": [{"type": "shell-local", "script": "gen.sh"}]},
        {"gen.sh": '#!/bin/bash\nHERE=$(cd "$(dirname "$0")" && pwd)\nmain() { date +%N > "$HERE/gen.json"; }\nmain\n'},
        "gen.sh",
    ),
    "a program's output option": (
        {
            "provisioners": [
                _local("openssl rand -out key.bin 16", "sort -o sorted.txt words.txt", "date +%N | gzip -c > d.gz")
            ]
        },
        {"words.txt": "b\na\n"},
        "words.txt",
    ),
    "a python script with a module": (
        {"provisioners": [_local("python3 tools/x.py")]},
        {"tools/x.py": "import helper\n", "tools/helper.py": "pass\n"},
        "tools/helper.py",
    ),
    "a temporary file beside the inputs": (
        {"provisioners": [_local("T=$(mktemp ./work.XXXXXX)", "date > $T", "rm $T")]},
        {},
        "setup.sh",
    ),
    "a command with an unknown part that writes": (
        {"provisioners": [_local("cat conf.ini > all.txt; echo {{uuid}} >> all.txt")]},
        {"conf.ini": "a\n"},
        "conf.ini",
    ),
}


def _app(app: Harness, parts: dict[str, Any], files: dict[str, str], inputs: str = '["ami"]') -> None:
    app.write("ami/app.json", {**json_template(), **parts})
    app.write("bakery.toml", TOML.replace('["ami"]', inputs))
    for name, content in files.items():
        app.write(f"ami/{name}", content).chmod(0o755)


@pytest.mark.parametrize("idiom", IDIOMS)
def test_build_that_writes_into_its_folder_is_built_once(idiom: str, app: Harness) -> None:
    parts, files, edited = IDIOMS[idiom]
    _app(app, parts, files)
    before = _findings(app)

    first = app.run("bake").answer
    assert app.run("bake").answer == first
    assert app.packer_runs == 1
    assert _findings(app) - before <= {"output-inside"}, "what `check` says is true before and after the first bake"

    app.write(f"ami/{edited}", (app.folder / f"ami/{edited}").read_text() + "\n# changed\n")
    (plan,) = app.run("plan", "--json").images
    assert plan["action"] == "bake"


def test_ignore_ends_a_rebuild_loop_that_only_the_user_can_know(app: Harness) -> None:
    """A custom program writes files that no option names."""
    tool = "#!/usr/bin/env python3\nimport time\nopen('made.bin', 'w').write(str(time.time_ns()))\n"
    _app(app, {"provisioners": [_local("./tool.py", "cat made.bin > /dev/null")]}, {"tool.py": tool})
    assert "local-command" in _findings(app)
    failed = app.run("bake")
    assert (failed.status, "made.bin changed while Packer ran" in failed.stderr) == (1, True)
    assert "belongs in `ignore`" in failed.stderr

    app.write("bakery.toml", TOML + 'ignore = ["made.bin"]\n')
    ami = app.run("bake").answer
    assert app.run("bake").answer == ami
    assert app.packer_runs == 2


def test_conditional_output_is_reported_before_the_first_bake_and_ignored_afterwards(app: Harness) -> None:
    _app(app, {"provisioners": [_local("[ -e made.txt ] || date +%N > made.txt")]}, {})
    assert "input-written" in _findings(app)
    runs = [app.run("bake") for _ in range(3)]
    messages = "\n".join(run.stderr for run in runs)
    assert [run.status for run in runs] == [1, 0, 0], messages
    assert runs[1].answer == runs[2].answer
    assert app.packer_runs == 2, messages
    assert "input-written" in _findings(app)


def _findings(app: Harness) -> set[str]:
    (image,) = json.loads(app.run("check", "--json").stdout)["images"]
    assert not [found for found in image["findings"] if found["level"] == "error"], image
    return {found["code"] for found in image["findings"]}
