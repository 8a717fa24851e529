"""Terraform integration: the snippets of docs/guides/terraform.md with real Terraform, and the `external` protocol."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from tests.documents import blocks
from tests.harness import PROGRAMS, TOML, Harness, Run, json_template

DOCUMENT = "docs/guides/terraform.md"
TERRAFORM = shutil.which("terraform")
with_terraform = pytest.mark.skipif(TERRAFORM is None, reason="there is no terraform on PATH")

TWO_IMAGES = """\
version = 1

[defaults]
inputs = ["ami"]

[images.app]
template = "ami/app.json"
regions = ["us-east-1", "eu-west-1"]

[images.bastion]
template = "ami/app.json"
regions = ["us-east-1"]
"""


@pytest.fixture
def infra(app: Harness) -> Path:
    """The folder with Terraform's files, next to the image's folder."""
    return app.make_folder(app.folder / "infra")


def terraform(harness: Harness, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return shell(harness, folder, "terraform " + " ".join(arguments) + " -no-color")


def shell(harness: Harness, folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=harness.environment, capture_output=True, text=True, timeout=300
    )


def inputs(harness: Harness, folder: Path) -> dict[str, Any]:
    """Returns the input of each `terraform_data` resource in the state, by address."""
    shown = json.loads(terraform(harness, folder, "show", "-json").stdout)
    return {item["address"]: item["values"]["input"] for item in shown["values"]["root_module"]["resources"]}


@with_terraform
@pytest.mark.parametrize("snippet", blocks(DOCUMENT, "hcl"))
def test_each_snippet_is_formatted_by_terraform_fmt(tmp_path: Path, snippet: str) -> None:
    (tmp_path / "main.tf").write_text(snippet)
    done = subprocess.run(["terraform", "fmt", "-check", "-diff"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@with_terraform
@pytest.mark.parametrize("snippet", blocks(DOCUMENT, "hcl", mark="validated"))
def test_each_snippet_that_needs_no_provider_is_valid(app: Harness, infra: Path, snippet: str) -> None:
    (infra / "main.tf").write_text(snippet)
    assert terraform(app, infra, "init").returncode == 0
    done = terraform(app, infra, "validate")
    assert done.returncode == 0, done.stdout + done.stderr


@with_terraform
def test_terraform_accepts_the_id_on_the_command_line(app: Harness, infra: Path) -> None:
    on_the_command_line, _ = blocks(DOCUMENT, "hcl", mark="validated")
    (infra / "main.tf").write_text(on_the_command_line)
    (line,) = (block for block in blocks(DOCUMENT, "sh") if "-var ami_id=" in block)
    terraform(app, infra, "init")
    done = shell(app, infra, line.replace("apply", "apply -auto-approve"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert inputs(app, infra) == {"terraform_data.app": app.run("bake", "app").answer}
    plan = line.replace("apply", "plan -detailed-exitcode")
    assert shell(app, infra, plan).returncode == 0, "no change: no build, and nothing to apply"
    app.write("ami/setup.sh", "echo set up otherwise\n")
    time.sleep(1.1)
    assert shell(app, infra, plan).returncode == 2, "a new AMI is a change"
    assert app.packer_runs == 2


@with_terraform
def test_failed_bake_does_not_run_terraform_apply(app: Harness, infra: Path) -> None:
    on_the_command_line, _ = blocks(DOCUMENT, "hcl", mark="validated")
    (infra / "main.tf").write_text(on_the_command_line)
    app.write("ami/app.json", json_template(instance_type=""))
    terraform(app, infra, "init")
    done = shell(app, infra, "terraform apply -no-color -auto-approve -var ami_id=$(ami-bakery bake app)")
    assert done.returncode == 1
    assert "There is no AMI id: the bake failed." in done.stderr


@with_terraform
def test_terraform_reads_the_variables_file(app: Harness, infra: Path) -> None:
    _, by_file = blocks(DOCUMENT, "hcl", mark="validated")
    (infra / "main.tf").write_text(by_file)
    app.write("bakery.toml", TWO_IMAGES)
    terraform(app, infra, "init")
    (script,) = (block for block in blocks(DOCUMENT, "sh") if "--output" in block)
    done = shell(app, app.folder, "set -e\n" + script.replace(" apply", " apply -no-color -auto-approve"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout, "no value for an undeclared variable"
    made = {image["image"]: image["amis"] for image in app.run("bake", "--json").images}
    assert inputs(app, infra) == {
        'terraform_data.fleet["us-east-1"]': {"region": "us-east-1", "ami": made["app"]["us-east-1"]},
        'terraform_data.fleet["eu-west-1"]': {"region": "eu-west-1", "ami": made["app"]["eu-west-1"]},
        "terraform_data.bastion": made["bastion"]["us-east-1"],
    }
    assert app.packer_runs == 2


def test_file_named_after_a_variable_contains_only_that_variable(app: Harness) -> None:
    app.write("bakery.toml", TWO_IMAGES)
    ids = app.run("bake", "app", "--json").images[0]["amis"]
    for name, value in (("ami_id", ids["us-east-1"]), ("ami_ids", ids), ("amis", {"app": ids})):
        for suffix in (".auto.tfvars.json", ".tfvars.json"):
            app.run("bake", "app", "--output", name + suffix)
            assert json.loads((app.folder / (name + suffix)).read_text()) == {name: value}


def test_ami_id_file_for_two_images_is_refused_before_the_build(app: Harness) -> None:
    app.write("bakery.toml", TWO_IMAGES)
    for name in ("ami_id", "ami_ids"):
        run = app.run("bake", "--output", f"{name}.auto.tfvars.json")
        assert run.status == 2
        assert f"{name} holds one image, but 2 are selected: app, bastion" in run.stderr
    assert app.packer_runs == 0


def ask(harness: Harness, *arguments: str, **query: str) -> Run:
    return harness.run("terraform-external", *arguments, stdin=json.dumps(query))


def refused(run: Run, *words: str) -> None:
    """Asserts status 1, an empty stdout, and only the error on stderr."""
    assert run.status == 1, run.stderr
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    for word in words:
        assert word in run.stderr


def test_find_returns_the_existing_ami(app: Harness) -> None:
    ami = app.run("bake").answer
    run = ask(app, image="app")
    assert json.loads(run.answer) == {
        "image": "app",
        "region": "us-east-1",
        "ami_id": ami,
        "digest": app.run("digest").answer,
        "amis": json.dumps({"us-east-1": ami}),
    }
    assert run.stderr == ""
    assert ask(app).answer == run.answer, "the only image need not be named"
    assert app.packer_runs == 1


def test_find_never_builds_and_explains_why_a_build_is_needed(app: Harness) -> None:
    refused(
        ask(app, image="app"), "it has not been built yet (bake): no AMI found for this image", "ami-bakery bake app"
    )
    app.run("bake")
    app.write("ami/setup.sh", "echo set up otherwise\n")
    refused(ask(app, image="app", action="find"), "the definition changed since", 'action = "bake"')
    assert app.packer_runs == 1


def test_bake_action_returns_the_ami_that_it_built(app: Harness) -> None:
    run = ask(app, image="app", action="bake")
    assert json.loads(run.answer)["ami_id"] == app.run("bake").answer
    assert run.stderr == ""
    assert ask(app, image="app", action="bake").answer == run.answer
    assert app.packer_runs == 1


def test_every_value_of_the_result_is_a_string(app: Harness) -> None:
    app.write("bakery.toml", TWO_IMAGES)
    answer = json.loads(ask(app, image="app", action="bake").answer)
    assert {type(value) for value in answer.values()} == {str}
    assert set(json.loads(answer["amis"])) == {"us-east-1", "eu-west-1"}


def test_query_region_selects_one_of_the_image(app: Harness) -> None:
    app.write("bakery.toml", TWO_IMAGES)
    ids = app.run("bake", "app", "--json").images[0]["amis"]
    answer = json.loads(ask(app, image="app", region="eu-west-1").answer)
    assert (answer["region"], answer["ami_id"]) == ("eu-west-1", ids["eu-west-1"])
    refused(ask(app, image="app", region="eu-west-2"), "us-east-1, eu-west-1; did you mean 'eu-west-1'?")


def test_image_without_regions_uses_the_query_region(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace('regions = ["us-east-1"]\n', ""))
    answer = json.loads(ask(app, region="eu-west-1", action="bake").answer)
    assert answer["ami_id"] == app.run("bake", "--region", "eu-west-1").answer
    assert answer["region"] == "eu-west-1"
    assert app.packer_runs == 1


def test_missing_copy_is_an_error_only_in_its_region(app: Harness, ec2: EC2Client) -> None:
    app.write("bakery.toml", TOML)
    home = app.run("bake").answer
    app.write("bakery.toml", TOML.replace('["us-east-1"]', '["us-east-1", "eu-west-1"]'))
    assert json.loads(ask(app, region="us-east-1").answer)["ami_id"] == home
    refused(ask(app, region="eu-west-1"), "it has not been built yet (copy): ")


def test_config_path_is_relative_to_terraforms_working_directory(app: Harness, infra: Path) -> None:
    ami = app.run("bake").answer
    nested = app.make_folder(app.folder.parent / "elsewhere")
    query = json.dumps({"config": "../repository/bakery.toml"})
    run = app.run("terraform-external", stdin=query, cwd=nested)
    assert json.loads(run.answer)["ami_id"] == ami
    refused(app.run("terraform-external", stdin="{}", cwd=nested), "looking for bakery.toml")
    assert json.loads(app.run("terraform-external", stdin="{}", cwd=infra).answer)["ami_id"] == ami


def test_arguments_after_dashes_are_part_of_the_definition(app: Harness) -> None:
    ami = app.run("bake", "--", "-var", "size=t3.large").answer
    assert json.loads(ask(app, "--", "-var", "size=t3.large").answer)["ami_id"] == ami
    refused(ask(app), "it has not been built yet")


def test_terraform_external_works_in_drop_in_mode(drop_in: Harness) -> None:
    ami = drop_in.run(program="bake").answer
    assert json.loads(ask(drop_in).answer)["ami_id"] == ami


def test_invalid_query_is_refused_without_an_aws_call(app: Harness) -> None:
    refused(app.run("terraform-external", stdin="image=app"), "reading Terraform's query", "is not JSON")
    refused(app.run("terraform-external"), "is not JSON")
    refused(ask(app, imgae="app"), "there is no key 'imgae'; did you mean 'image'?")
    refused(ask(app, image="ap"), "bakery.toml has no image 'ap'; did you mean 'app'?", "Name one of app.")
    app.write("bakery.toml", TWO_IMAGES)
    refused(ask(app), "it names no image", "Name one of app, bastion.")
    app.write("bakery.toml", TWO_IMAGES + "enabled = false\n")
    refused(ask(app, image="bastion"), "it is disabled")
    assert app.calls() == {}


def test_terminal_as_stdin_is_refused(app: Harness) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(ours), os.fdopen(theirs) as terminal:
        done = subprocess.run(
            [str(PROGRAMS / "ami-bakery"), "terraform-external"],
            cwd=app.folder,
            env=app.environment,
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 1
    assert "standard input is a terminal, or closed" in done.stderr


def test_terraform_shows_only_the_error_of_a_failed_bake(app: Harness) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": ["echo no luck; exit 3"]}]
    app.write("ami/app.json", template)
    refused(ask(app, action="bake"), "building image app with Packer", "no luck")


def test_aws_ami_data_source_finds_only_verified_amis(app: Harness, ec2: EC2Client) -> None:
    """Queries EC2 with the filters of the documentation."""
    ami = app.run("bake").answer
    digest = app.run("digest").answer
    (snippet,) = (block for block in blocks(DOCUMENT, "hcl") if 'data "aws_ami"' in block)
    pairs = re.findall(r'name\s+= "([^"]+)"\n\s+values = \[([^]]+)\]', snippet)
    assert len(pairs) == snippet.count("filter {") == 4
    filters = [
        {"Name": name, "Values": [digest if value == "var.digest" else value.strip('"')]} for name, value in pairs
    ]

    def found(client: EC2Client) -> list[str]:
        return [image["ImageId"] for image in client.describe_images(Owners=["self"], Filters=filters)["Images"]]  # type: ignore[arg-type]

    assert found(ec2) == [ami]
    ec2.delete_tags(Resources=[ami], Tags=[{"Key": "ami-bakery:format"}])
    assert found(ec2) == [], "the digest tag alone does not mean that the AMI was verified"
