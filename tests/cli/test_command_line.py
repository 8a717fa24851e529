"""The command line: words, options, exit statuses and the shape of every JSON document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from tests.harness import TOML, Harness, json_template
from tests.seed import seed_images


@pytest.mark.parametrize(
    ("arguments", "usage", "said"),
    [
        ("bkae app", "ami-bakery bake", "unknown command 'bkae'; did you mean 'bake'?"),
        ("plna --json", "ami-bakery plan", "unknown command 'plna'; did you mean 'plan'?"),
        ("-C bakery.toml imges", "ami-bakery images", "unknown command 'imges'; did you mean 'images'?"),
        ("help chek", "ami-bakery check", "unknown command 'chek'; did you mean 'check'?"),
        ("xyzzy", "ami-bakery [-h]", "unknown command 'xyzzy'; the commands are bake, plan,"),
        ("bake --frce", "ami-bakery bake", "unknown option --frce; did you mean '--force'?"),
        ("plan --detailed-exit-code", "ami-bakery plan", "unknown option --detailed-exit-code; did you mean '--det"),
        ("images --orfans", "ami-bakery images", "unknown option --orfans; did you mean '--orphans'?"),
        ("digest --regions=x", "ami-bakery digest", "unknown option --regions; did you mean '--region'?"),
        ("test --no-test", "ami-bakery test", "unknown option --no-test"),
        ("test --audit", "ami-bakery test", "unknown option --audit; did you mean '--quiet'?"),
        ("bake --no-test", "ami-bakery bake", "unknown option --no-test"),
        ("check --xyzzy", "ami-bakery check", "unknown option --xyzzy"),
        ("--cofig x bake", "ami-bakery [-h]", "unknown option --cofig; did you mean '--config'?"),
        ("completion bash now", "ami-bakery completion", "unexpected argument 'now'"),
        ("completion bash -- now", "ami-bakery completion", "takes no arguments after `--`"),
        ("bake -only=app", "ami-bakery bake", "-only=app is a Packer option: write it after `--`"),
    ],
)
def test_misspelt_word_is_an_error_with_the_usage_of_its_command(
    app: Harness, arguments: str, usage: str, said: str
) -> None:
    run = app.run(*arguments.split())
    assert (run.status, run.stdout) == (2, "")
    assert run.stderr.startswith(f"usage: {usage}")
    assert said in run.stderr
    assert "did you mean" in said or "did you mean" not in run.stderr


def test_no_arguments_print_the_help(app: Harness) -> None:
    run = app.run()
    assert (run.status, run.stdout) == (2, "")
    assert run.stderr == app.run("--help").answer + "\n"


@pytest.mark.parametrize("words", [("help",), ("help", "bake"), ("-q", "help", "images"), ("help", "local")])
def test_help_is_accepted_as_a_command(app: Harness, words: tuple[str, ...]) -> None:
    command = [word for word in words if word in ("bake", "images", "local")]
    assert app.run(*words).answer == app.run(*command, "--help").answer


def test_version_is_accepted_as_a_command(app: Harness) -> None:
    assert app.run("version").answer == app.run("--version").answer


@pytest.mark.parametrize("word", ["prune", "clean", "list", "orphans", "outdated"])
def test_view_of_images_written_as_a_subcommand_is_explained(app: Harness, word: str) -> None:
    run = app.run("images", word)
    assert (run.status, run.stdout) == (2, "")
    assert f"`images` has no subcommand '{word}': the words after it are names of images" in run.stderr
    assert "Run `ami-bakery images" in run.stderr or "run `ami-bakery images" in run.stderr
    app.write("bakery.toml", TOML.replace("app]", f"{word}]"))
    assert app.run("images", word).status == 0


@pytest.mark.parametrize("given", ["bakery.toml", ".", "", "../repository", "../repository/"])
def test_config_option_accepts_a_file_or_a_folder(app: Harness, given: str) -> None:
    digest = app.run("digest").answer
    elsewhere = app.folder.parent / "elsewhere"
    elsewhere.mkdir()
    cwd = elsewhere if given.startswith("..") else app.folder
    path = given or str(app.folder)
    assert app.run("-C", path, "digest", cwd=cwd).answer == digest
    assert app.run("digest", f"--config={path}", cwd=cwd).answer == digest


def test_folder_without_bakery_toml_is_an_error(app: Harness) -> None:
    run = app.run("-C", "ami", "plan")
    assert run.status == 2
    assert "ami/bakery.toml" in run.stderr
    assert "no such file" in run.stderr


# JSON


def test_json_of_plan_has_the_documented_shape(app: Harness) -> None:
    template = json_template(source_ami="{{user `source_ami`}}")
    template["variables"]["source_ami"] = ""
    del template["builders"][0]["source_ami_filter"]
    app.write("ami/child.json", template)
    app.write("bakery.toml", TOML + CHILD)
    run = app.run("plan", "--json", "--detailed-exitcode")
    assert run.status == 2
    assert set(run.document) == {"format", "images"}
    assert run.document["format"] == 1
    first, second = run.images
    for image in (first, second):
        assert set(image) == {"image", "action", "digest", "reasons", "amis"}
        assert all(set(reason) == {"kind", "subject", "detail"} for reason in image["reasons"])
    assert (first["image"], first["action"], first["amis"]) == ("app", "bake", {})
    assert (second["image"], second["action"], second["digest"]) == ("child", "pending", None)
    assert [set(image) for image in app.run("plan", "--json", "--steps").images] == [{*first, "steps"}] * 2


CHILD = '\n[images.child]\ntemplate = "ami/child.json"\nregions = ["us-east-1"]\nfrom = "app"\n'


def test_json_of_bake_has_the_documented_shape(app: Harness, ec2: EC2Client) -> None:
    (ami,) = seed_images(app, [ec2])["app"].values()
    run = app.run("bake", "--json")
    (image,) = run.images
    assert set(run.document) == {"format", "images"}
    assert {**image, "seconds": 0} == {
        "image": "app",
        "outcome": "reused",
        "digest": app.run("digest").answer,
        "amis": {"us-east-1": ami},
        "seconds": 0,
    }
    assert isinstance(image["seconds"], int | float)
    app.write("ami/app.json", json_template(source_ami="ami-0123456789abcdef0"))
    run = app.run("bake", "--json")
    (image,) = run.images
    assert (run.status, image["outcome"], set(image)) == (
        1,
        "failed",
        {"image", "outcome", "digest", "amis", "seconds", "error"},
    )


def test_json_of_inputs_has_the_documented_shape(app: Harness) -> None:
    app.write("ami/app.json", json_template() | {"provisioners": [{"type": "shell", "script": "{{user `unset`}}"}]})
    (app.folder / "ami/setup.sh").chmod(0o755)
    (app.folder / "ami/link.sh").symlink_to("setup.sh")
    run = app.run("inputs", "--json")
    (image,) = run.images
    assert set(run.document) == {"format", "images"}
    assert set(image) == {"image", "inputs", "unresolved"}
    by_path = {item["path"]: item for item in image["inputs"]}
    assert set(by_path) == {"ami/app.json", "ami/setup.sh", "ami/link.sh"}
    for item in by_path.values():
        assert set(item) == {"path", "type", "executable", "sha256", "named_by"}
        assert all(set(place) == {"file", "line"} for place in item["named_by"])
    assert (by_path["ami/setup.sh"]["type"], by_path["ami/setup.sh"]["executable"]) == ("file", True)
    assert by_path["ami/link.sh"]["type"] == "symlink"
    assert all(set(item) == {"file", "line", "expression", "why"} for item in image["unresolved"])
    assert "ami/link.sh -> setup.sh" in app.run("inputs").answer


# bake --id


def test_id_option_prints_the_ami_of_the_first_region(app: Harness, ec2: EC2Client) -> None:
    app.write("bakery.toml", TOML.replace('"us-east-1"]', '"us-east-1", "eu-west-1"]'))
    amis = dict(line.split("\t")[1:] for line in app.run("bake").answer.splitlines())
    assert set(amis) == {"us-east-1", "eu-west-1"}
    assert app.run("bake", "app", "--id").answer == amis["us-east-1"]
    assert app.run("--id", program="bake").answer == amis["us-east-1"]
    assert app.run("bake", "--id", "-C", ".", "--output", "ids.json").answer == amis["us-east-1"]
    assert json.loads((app.folder / "ids.json").read_text())["images"][0]["amis"] == amis


@pytest.mark.parametrize("arguments", [(), ("app", "other"), ("*",), ("app", "--json"), ("--tag", "no-such-tag")])
def test_id_option_requires_exactly_one_image(app: Harness, arguments: tuple[str, ...]) -> None:
    app.write("bakery.toml", TOML + TOML.partition("\n\n")[2].replace("app]", "other]"))
    run = app.run("bake", "--id", *arguments)
    assert (run.status, run.stdout, app.packer_runs) == (2, "", 0)
    assert "--id" in run.stderr


def test_id_option_prints_nothing_after_a_failure(app: Harness) -> None:
    app.write("ami/app.json", json_template(source_ami="ami-0123456789abcdef0"))
    run = app.run("bake", "--id")
    assert (run.status, run.stdout) == (1, "")


# inputs --template


HCL = """
source "null" "x" {
  communicator = "none"
}
build {
  sources = ["source.null.x"]
  provisioner "file" {
    source      = "../files/app.conf"
    destination = "/tmp/app.conf"
  }
}
"""


def paths(document: Any) -> list[str]:
    return [item["path"] for item in document["images"][0]["inputs"]]


@pytest.mark.parametrize("template", ["packer/app.pkr.hcl", "packer"])
def test_template_option_needs_no_bakery_toml(harness: Harness, template: str) -> None:
    harness.write("packer/app.pkr.hcl", HCL)
    harness.write("files/app.conf", "a = 1\n")
    harness.write("packer/unrelated.txt", "")
    run = harness.run("inputs", "--template", template, "--json", environment={"AWS_DEFAULT_REGION": None})
    assert run.status == 0, run.stderr
    assert paths(run.document) == ["files/app.conf", "packer/app.pkr.hcl"]
    (conf, _) = run.images[0]["inputs"]
    assert conf["named_by"] == [{"file": "packer/app.pkr.hcl", "line": 8}]
    assert run.images[0]["image"] == ("packer" if template == "packer" else "app")
    assert "files/app.conf" in harness.run("inputs", "--template", template).answer


def test_template_option_accepts_a_template_outside_the_current_folder(harness: Harness) -> None:
    harness.write("packer/app.pkr.hcl", HCL)
    harness.write("files/app.conf", "a = 1\n")
    (harness.folder / ".git").mkdir()
    elsewhere = harness.folder / "elsewhere"
    elsewhere.mkdir()
    run = harness.run("inputs", "--json", "--template", "../packer/app.pkr.hcl", cwd=elsewhere)
    assert paths(run.document) == ["files/app.conf", "packer/app.pkr.hcl"]


def test_check_of_one_template_needs_no_bakery_toml(harness: Harness) -> None:
    harness.write("packer/app.json", json_template())
    run = harness.run("check", "--template", "packer/app.json")
    assert (run.status, run.stdout) == (0, "")
    assert run.stderr.endswith("OK: 1 image, no problems\n")
    harness.write("packer/app.json", json_template(source_ami="ami-0123456789abcdef0", source_ami_filter={}))
    run = harness.run("check", "--json", "--template", "packer/app.json")
    assert run.status == 1
    assert {finding["file"] for finding in run.images[0]["findings"]} == {"packer/app.json"}
    assert run.images[0]["image"] == "app"


@pytest.mark.parametrize(
    ("file", "template", "advice"),
    [
        (
            "packer/app.json",
            json_template() | {"variables": {"size": None}},
            'Set a default in the template, or define the image in a bakery.toml with vars = { size = "..." }.',
        ),
        (
            "packer/app.pkr.hcl",
            'variable "size" {}\n' + HCL,
            "Set a default in the template, or set PKR_VAR_size, or define the image in a bakery.toml with "
            'vars = { size = "..." }.',
        ),
        (
            "packer/app.json",
            json_template() | {"provisioners": [{"type": "shell", "script": "scripts/a.sh"}]},
            'Define the image in a bakery.toml with workdir = ".": there, 1 of 1 missing path is found.',
        ),
    ],
)
def test_advice_of_check_for_one_template_needs_no_bakery_toml(
    harness: Harness, file: str, template: str | dict[str, Any], advice: str
) -> None:
    harness.write(file, template)
    harness.write("scripts/a.sh", "")
    harness.write("files/app.conf", "")
    run = harness.run("check", "--json", "--template", file)
    assert advice in {finding["todo"] for finding in run.images[0]["findings"]}


@pytest.mark.parametrize("command", ["inputs", "check"])
@pytest.mark.parametrize(
    "arguments",
    [("absent.json",), ("ami/app.json", "app"), ("ami/app.json", "--tag", "x"), ("ami/app.json", "-C", ".")],
)
def test_template_option_cannot_be_combined_with_a_selection(
    app: Harness, command: str, arguments: tuple[str, ...]
) -> None:
    run = app.run(command, "--template", *arguments)
    assert (run.status, run.stdout) == (2, "")
    assert "--template" in run.stderr


def test_empty_inputs_key_means_the_files_that_the_template_reads(app: Harness) -> None:
    app.write("ami/app.json", json_template() | {"provisioners": [{"type": "shell", "script": "other.sh"}]})
    app.write("bakery.toml", TOML.replace('inputs = ["ami"]', 'inputs = []\nworkdir = "."'))
    app.write("other.sh", "echo other\n")
    assert paths(app.run("inputs", "--json").document) == ["ami/app.json", "other.sh"]
    digest = app.run("digest").answer
    app.write("ami/setup.sh", "echo changed\n")
    assert app.run("digest").answer == digest
    app.write("other.sh", "echo changed\n")
    assert app.run("digest").answer != digest


def test_completion_offers_regions_and_packer_options(app: Harness) -> None:
    script = """
        eval "$(ami-bakery completion bash)"
        complete_line() {
            COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9 COMP_WORDS=($1) COMP_CWORD=1
            COMPREPLY=()
            _python_argcomplete "${1%% *}"
            echo "${COMPREPLY[*]}"
        }
        complete_line "ami-bakery bake --region eu-west-"
        complete_line "ami-bakery bake app -- -on-error=a"
        complete_line "ami-bakery plan -- -va"
        complete_line "bake -- -deb"
        complete_line "ami-bakery bake -- -xyz"
        complete_line "ami-bakery ini"
        complete_line "ami-bakery sche"
        complete_line "ami-bakery init --dr"
        complete_line "ami-bakery init am"
        complete_line "ami-bakery check --tem"
    """
    run = app.run("-c", script, program="/bin/bash")
    regions, error, plan, bake, nothing, *first_day = run.stdout.splitlines()
    assert regions.split() == ["eu-west-1", "eu-west-2", "eu-west-3"]
    assert error.split() == ["abort", "ask"]
    assert plan.split() == ["-var", "-var-file="]
    assert bake.split() == ["-debug"]
    assert nothing == ""
    assert [line.strip() for line in first_day] == ["init", "schema", "--dry-run", "ami/", "--template"]
