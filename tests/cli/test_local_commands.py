"""Files read by local commands change the digest; `check` reports what is unknown about them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.harness import TOML, Harness, json_template

ONLY_READ = TOML.replace('["ami"]', '["ami/app.json"]')


def _write(app: Harness, parts: dict[str, Any], files: dict[str, str], config: str = ONLY_READ) -> None:
    app.write("bakery.toml", config)
    app.write("ami/app.json", {**json_template(), **parts})
    for name, content in files.items():
        app.write(name, content)


def _inline(*commands: str, **more: Any) -> dict[str, Any]:
    return {"provisioners": [{"type": "shell-local", "inline": list(commands), **more}]}


def _findings(app: Harness, *more: str) -> dict[str, list[dict[str, Any]]]:
    (image,) = json.loads(app.run("check", "--json", *more).stdout)["images"]
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in image["findings"]:
        found.setdefault(finding["code"], []).append(finding)
    return found


READ = {
    "an unknown part hides no known word": (
        _inline("cat local/payload.txt && echo {{build `User`}}"),
        "ami/local/payload.txt",
    ),
    "a script with an unknown argument": (_inline("sh local/x.sh {{build `ID`}}"), "ami/local/x.sh"),
    "file read by a script": (_inline("sh local/x.sh"), "ami/local/words.txt"),
    "a makefile's folder": (_inline("make -C ../src"), "src/part.mk"),
    "an archived folder": (_inline("tar czf /tmp/a.tgz app"), "ami/app/deep/file"),
    "a post-processor's script": (
        {"post-processors": [{"type": "shell-local", "inline": ["./sign.sh {{timestamp}}"]}]},
        "ami/sign.sh",
    ),
    "a component's variable": (_inline("cat $CONF", environment_vars=["CONF=conf/c.ini"]), "ami/conf/c.ini"),
    "the sources of an output": (_inline("cp conf/c.ini made && tar czf made.tgz made"), "ami/conf/c.ini"),
    "inspec's inputs": (
        {
            "provisioners": [
                {"type": "inspec", "profile": "https://h/p", "extra_arguments": ["--input-file", "conf/c.ini"]}
            ]
        },
        "ami/conf/c.ini",
    ),
}
FILES = {
    "ami/local/payload.txt": "1",
    "ami/local/x.sh": "cat local/words.txt\n",
    "ami/local/words.txt": "1",
    "ami/app/deep/file": "1",
    "ami/conf/c.ini": "1",
    "ami/sign.sh": "true\n",
    "src/part.mk": "all:\n",
}


@pytest.mark.parametrize("case", READ)
def test_files_read_by_local_commands_change_the_digest(case: str, app: Harness) -> None:
    parts, edited = READ[case]
    _write(app, parts, FILES)
    before = app.run("digest").answer

    app.write(edited, FILES[edited] + "\n# changed\n")
    assert app.run("digest").answer != before
    app.write(edited, FILES[edited])
    app.write("ami/unread", "x")
    assert app.run("digest").answer == before


def test_variable_read_by_a_local_command_changes_the_digest_but_the_ci_job_does_not(app: Harness) -> None:
    _write(app, _inline("echo $CHANNEL $CI_JOB_ID $HOME > out"), {})
    digests = {
        name: app.run("digest", environment={name: "other"}).answer
        for name in ("NOTHING", "CHANNEL", "CI_JOB_ID", "OUT")
    }
    assert digests["CHANNEL"] != digests["NOTHING"] == digests["CI_JOB_ID"] == digests["OUT"]

    found = _findings(app)["environment-not-hashed"]
    assert {finding["level"] for finding in found} == {"notice"}
    assert len(found) == 2


def test_ignore_applies_only_to_guessed_words(app: Harness) -> None:
    parts = {
        "provisioners": [
            {"type": "shell-local", "inline": ["./tool guessed.txt folder"]},
            {"type": "shell-local", "script": "sure.txt"},
        ]
    }
    files = {"ami/guessed.txt": "", "ami/sure.txt": "", "ami/folder/a.txt": "", "ami/folder/b.md": ""}
    _write(app, parts, files, ONLY_READ + 'ignore = ["*.txt"]\n')

    (image,) = app.run("inputs", "--json").images
    assert [entry["path"] for entry in image["inputs"]] == ["ami/app.json", "ami/folder/b.md", "ami/sure.txt"]


@pytest.mark.parametrize(
    "command",
    [
        "rm books/again",
        "rm -rf books/again",
        "rm -rf books/again/",
        "unlink books/again",
        "cd books && rm -f again",
        'L=books/again; rm "$L"',
    ],
)
def test_removing_a_link_keeps_its_target_in_the_digest(command: str, app: Harness) -> None:
    upload = {"type": "file", "source": "books", "destination": "/tmp/books"}
    removal = {"type": "shell-local", "inline": [command]}
    _write(app, {"provisioners": [removal, upload]}, {"ami/books/site.yml": "1", "ami/books/vars/a.yml": "1"})
    (app.folder / "ami/books/again").symlink_to(".")

    (image,) = app.run("inputs", "--json").images

    paths = [entry["path"] for entry in image["inputs"]]
    assert paths == ["ami/app.json", "ami/books/site.yml", "ami/books/vars/a.yml"]


def test_unknown_commands_are_reported_once_and_simple_ones_not(app: Harness) -> None:
    _write(
        app, _inline("echo {{uuid}}", "cat local/payload.txt", "sleep 0"), FILES, TOML.replace('inputs = ["ami"]\n', "")
    )
    assert _findings(app) == {}

    _write(app, _inline("make", "make", "python3 x.py"), {}, TOML.replace('inputs = ["ami"]\n', ""))
    (finding,) = _findings(app)["local-command"]
    assert finding["level"] == "warning"
    assert "`make` and `python3`" in finding["message"]
    assert (finding["file"], app.run("check", "--strict").status) == ("ami/app.json", 1)

    app.write("bakery.toml", TOML.replace('["ami"]', "[]"))
    (finding,) = _findings(app)["local-command"]
    assert finding["level"] == "warning"

    app.write("bakery.toml", TOML)
    (finding,) = _findings(app)["local-command"]
    assert (finding["level"], app.run("check", "--strict").status) == ("notice", 0)


def test_uploaded_file_outside_the_digest_is_a_finding(app: Harness) -> None:
    parts = {"provisioners": [{"type": "file", "source": "./", "destination": "/tmp/"}]}
    _write(
        app, parts, {"ami/.git/HEAD": "ref", "ami/crash.log": "", "ami/packer_cache/x": "", "ami/sub/.git": "gitdir: x"}
    )

    messages = [finding["message"] for finding in _findings(app)["upload-not-in-digest"]]
    for name in ("ami/.git", "ami/crash.log", "ami/packer_cache", "ami/sub/.git"):
        assert any(re.search(rf" {re.escape(name)}(,| and )", each) for each in messages), name
    assert len(messages) == 2, "one for files changed by each commit, and one for files written by bakes"


def test_excluded_files_in_a_folder_that_is_not_uploaded_are_no_finding(app: Harness) -> None:
    app.write("ami/.git/HEAD", "ref")
    app.write("ami/crash.log", "")

    assert "upload-not-in-digest" not in _findings(app)


def test_input_inside_the_git_folder_is_a_finding(app: Harness) -> None:
    parts = {"provisioners": [{"type": "file", "source": ".git/HEAD", "destination": "/tmp/"}]}
    _write(app, parts, {"ami/.git/HEAD": "ref: x"})

    (finding,) = _findings(app)["input-in-git"]
    assert "ami/.git/HEAD" in finding["message"]
    assert finding["level"] == "warning"


def test_uploaded_output_is_a_finding_before_and_after_it_exists(app: Harness) -> None:
    parts = {
        "provisioners": [
            {"type": "shell-local", "inline": ["date > dist/stamp"]},
            {"type": "file", "source": "dist/", "destination": "/tmp/"},
        ]
    }
    _write(app, parts, {"ami/dist/a": "1"})
    before = _findings(app)["output-inside"]
    app.write("ami/dist/stamp", "now")

    after = _findings(app)
    assert [finding["level"] for finding in before] == ["warning"]
    assert after["output-inside"] == before


def test_existing_files_that_match_a_partly_unknown_output_are_a_finding(app: Harness) -> None:
    steps = [
        {"type": "shell-local", "inline": ["date > conf/app-{{build `ID`}}.yml"]},
        {"type": "file", "direction": "download", "source": "/var/log/", "destination": "logs/"},
    ]
    _write(app, {"provisioners": steps}, {"ami/conf/app-base.yml": "1", "ami/logs/kept": "1"}, TOML)

    messages = [finding["message"] for finding in _findings(app)["output-inside"]]
    assert any("ami/conf/app-base.yml" in message for message in messages)
    assert any("ami/logs/kept" in message for message in messages)


def test_read_file_that_matches_a_partly_unknown_name_is_not_excluded(app: Harness) -> None:
    steps = _inline("date > conf/app-{{build `ID`}}.yml", "cat conf/app-base.yml")
    _write(app, steps, {"ami/conf/app-base.yml": "1"}, TOML)

    found = _findings(app)
    assert "output-inside" not in found
    assert len(found["input-written"]) == 1


def test_file_that_is_read_and_written_is_an_input_with_a_finding(app: Harness) -> None:
    _write(app, _inline("sed -i s/a/b/ conf/c.ini"), FILES)
    (finding,) = _findings(app)["input-written"]
    assert finding["level"] == "warning"
    before = app.run("digest").answer
    app.write("ami/conf/c.ini", "2")
    assert app.run("digest").answer != before

    _write(app, _inline("sed -i s/a/b/ conf/c.ini"), {}, ONLY_READ + 'ignore = ["c.ini"]\n')
    assert "input-written" not in _findings(app)


def test_generated_source_that_no_command_writes_is_an_input(app: Harness) -> None:
    step = {"type": "file", "source": "made.tgz", "destination": "/tmp/", "generated": True}
    _write(app, {"provisioners": [step]}, {"ami/made.tgz": "1"})
    assert [finding["level"] for finding in _findings(app)["generated-unseen"]] == ["notice"]
    before = app.run("digest").answer
    app.write("ami/made.tgz", "2")
    assert app.run("digest").answer != before

    maker = {"type": "shell-local", "inline": ["tar czf made.tgz conf"]}
    _write(app, {"provisioners": [maker, step]}, FILES)
    assert "generated-unseen" not in _findings(app)
    before = app.run("digest").answer
    app.write("ami/made.tgz", "3")
    assert app.run("digest").answer == before


def test_required_source_that_is_written_is_a_finding(app: Harness) -> None:
    step = {"type": "file", "source": "made.tgz", "destination": "/tmp/"}
    maker = {"type": "shell-local", "inline": ["tar czf made.tgz conf"]}
    _write(app, {"provisioners": [maker, step]}, {**FILES, "ami/made.tgz": ""})
    assert [finding["level"] for finding in _findings(app)["output-used"]] == ["warning"]

    maker["inline"] = ["./tool --output made.tgz"]
    _write(app, {"provisioners": [maker, step]}, {})
    assert [finding["level"] for finding in _findings(app)["input-written"]] == ["warning"]
    (image,) = app.run("inputs", "--json").images
    assert "ami/made.tgz" in [entry["path"] for entry in image["inputs"]]


def test_output_listed_in_inputs_is_hashed(app: Harness) -> None:
    files = {**FILES, "ami/conf.out": "1"}
    _write(app, _inline("./tool --output conf.out"), files, TOML.replace('["ami"]', '["ami/app.json", "ami/conf.out"]'))
    before = app.run("digest").answer
    app.write("ami/conf.out", "2")
    assert app.run("digest").answer != before


def test_function_that_reads_the_git_folder_is_a_finding(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    app.write("ami/.git/HEAD", "ref: x")
    app.write(
        "ami/app.pkr.hcl",
        'locals {\n  commit = file(".git/HEAD")\n}\nsource "null" "a" {}\nbuild {\n  sources = ["source.null.a"]\n}\n',
    )

    (finding,) = _findings(app)["input-in-git"]
    assert (finding["file"], finding["line"]) == ("ami/app.pkr.hcl", 2)


def test_used_output_is_named_as_in_the_template(app: Harness) -> None:
    steps = (
        'post-processor "manifest" {\n    output = var.w\n  }\n'
        '  post-processor "shell-local" {\n    script = var.w\n  }'
    )
    variable = 'variable "w" {\n  default   = "hunter2"\n  sensitive = true\n}\n'
    app.write("bakery.toml", TOML.replace("ami/app.json", "ami/app.pkr.hcl"))
    app.write(
        "ami/app.pkr.hcl",
        f'{variable}source "null" "x" {{\n  communicator = "none"\n}}\nbuild {{\n'
        f'  sources = ["null.x"]\n  {steps}\n}}\n',
    )

    (finding,) = _findings(app)["output-used"]

    assert finding["message"].startswith("var.w is not in the digest")


@pytest.mark.parametrize(
    "command",
    [
        "chmod +x sign.sh",
        "chmod -R go+r local",
        "touch sign.sh",
        "chown root sign.sh",
        "mv sign.sh old.sh",
        "chmod -x sign.sh",
    ],
)
def test_command_that_changes_only_metadata_of_an_input_is_a_finding(command: str, app: Harness) -> None:
    _write(app, _inline("true", command), FILES, TOML)

    (finding,) = _findings(app)["input-written"]
    assert (finding["level"], finding["file"]) == ("warning", "ami/app.json")
    assert re.search(r"ami/(sign\.sh|local/)", finding["message"])
    assert "git update-index" in finding["todo"]


@pytest.mark.parametrize("command", ["cp sign.sh run.sh; chmod +x run.sh", "chmod +x /tmp/x", "touch made"])
def test_command_that_changes_no_input_is_no_finding(command: str, app: Harness) -> None:
    _write(app, _inline(command), FILES, TOML)

    assert "input-written" not in _findings(app)


@pytest.mark.parametrize(("command", "path"), [("rm conf/c.ini", "ami/conf/c.ini"), ("rm -rf conf", "ami/conf")])
def test_removal_of_an_input_is_one_finding(command: str, path: str, app: Harness) -> None:
    _write(app, _inline(command), FILES, TOML)

    (finding,) = _findings(app)["output-inside"]
    assert f"the bake removes {path}" in finding["message"]


def test_redirection_target_is_not_an_unknown_path(app: Harness) -> None:
    _write(app, _inline("date > conf/app-{{build `ID`}}.yml", "cat > 'out/{{build `ID`}}-report.yml' < sign.sh"), FILES)

    assert "unresolved-path" not in _findings(app)


def test_files_outside_the_repository_are_no_finding(app: Harness, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text("{}")
    manifest = {"post-processors": [{"type": "manifest", "output": str(tmp_path / "elsewhere.json")}]}
    _write(app, manifest, FILES, TOML)

    assert "output-inside" not in _findings(app)
