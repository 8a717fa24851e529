"""Child images are checked before their parent image is built."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Harness, json_template

TOML = """\
version = 1

[defaults]
regions = ["us-east-1"]

[images.base]
template = "base/base.json"

[images.app]
template = "app/app.pkr.hcl"
from     = "base"
"""
HCL = """\
variable "source_ami" {
  type = string
}
source "amazon-ebs" "app" {
  region        = "us-east-1"
  source_ami    = var.source_ami
  instance_type = "t3.micro"
  communicator  = "none"
  ami_name      = "app-{{timestamp}}"
}
build {
  sources = ["source.amazon-ebs.app"]
}
"""


@pytest.fixture
def two(harness: Harness) -> Harness:
    """`app` is built from `base`; neither has an AMI."""
    harness.write("bakery.toml", TOML)
    harness.write("base/base.json", json_template())
    harness.write("app/app.pkr.hcl", HCL)
    return harness


def findings(harness: Harness, *options: str) -> list[dict[str, Any]]:
    run = harness.run("check", "--json", *options)
    assert run.status in (0, 1), run.stderr
    assert "ami-00000000000000000" not in run.stdout + run.stderr
    assert "RunInstances" not in harness.calls()
    return [finding for image in run.images if image["image"] == "app" for finding in image["findings"]]


def test_valid_child_image_has_no_findings(two: Harness) -> None:
    assert findings(two, "--strict") == []
    assert two.run("check", "--strict").status == 0


BROKEN = {
    "a misspelt provisioner": (
        HCL.replace('ebs.app"]\n', 'ebs.app"]\n  provisioner "shel" {\n    inline = ["x"]\n  }\n'),
        "shel",
        13,
    ),
    "an unknown field": (
        HCL.replace("  communicator", '  nonsense = "x"\n  communicator'),
        "nonsense",
        8,
    ),
    "a missing required field": (
        HCL.replace('  ami_name      = "app-{{timestamp}}"\n', ""),
        "ami_name",
        4,
    ),
    "a variable that is not declared": (HCL.replace('"t3.micro"', "var.size"), "size", 7),
    "a required variable without a value": ('variable "size" {\n  type = string\n}\n' + HCL, "size", 1),
    "a template without an AMI builder": (
        'variable "source_ami" {\n  type = string\n}\nsource "null" "app" {\n  communicator = "none"\n}\n'
        'build {\n  sources = ["source.null.app"]\n}\n',
        "does not produce an AMI",
        4,
    ),
    "a builder that does not use the source AMI": (
        HCL.replace("var.source_ami", '"ami-0123456789abcdef0"'),
        "`from`",
        4,
    ),
    "a syntax error": (HCL.replace('"t3.micro"', '"t3.micro'), "Invalid multi-line string", 7),
}


@pytest.mark.parametrize("what", BROKEN)
def test_invalid_child_image_is_found_before_its_parent_is_built(two: Harness, what: str) -> None:
    text, words, line = BROKEN[what]
    two.write("app/app.pkr.hcl", text)
    found = [finding for finding in findings(two) if finding["level"] == "error"]
    assert {(finding["file"], finding["line"]) for finding in found} == {("app/app.pkr.hcl", line)}
    assert any(words in finding["message"] for finding in found)
    run = two.run("bake", "app")
    assert (run.status, two.packer_runs, words in run.stderr) == (1, 0, True)


def test_constant_ami_name_of_a_child_image_is_found(two: Harness) -> None:
    two.write("app/app.pkr.hcl", HCL.replace("app-{{timestamp}}", "app"))
    (found,) = findings(two)
    assert (found["code"], found["line"]) == ("constant-ami-name", 4)
    assert two.run("check", "--strict").status == 1


def test_parent_is_not_built_for_invalid_children_unless_it_is_selected_alone(two: Harness) -> None:
    two.write("app/app.pkr.hcl", BROKEN["a misspelt provisioner"][0])
    run = two.run("bake")
    assert (run.status, two.packer_runs) == (1, 0)
    assert "`ami-bakery bake base` builds base alone" in run.stderr
    assert two.run("bake", "base").status == 0
    assert two.packer_runs == 1


def test_parent_is_built_for_its_valid_children(two: Harness) -> None:
    two.write("bakery.toml", TOML + '\n[images.other]\ntemplate = "other/app.pkr.hcl"\nfrom = "base"\n')
    two.write("other/app.pkr.hcl", HCL.replace('"app-', '"other-'))
    two.write("app/app.pkr.hcl", BROKEN["a misspelt provisioner"][0])
    run = two.run("bake", "--json")
    assert {image["image"]: image["outcome"] for image in run.images} == {
        "base": "baked",
        "app": "failed",
        "other": "baked",
    }


def test_child_of_an_unplannable_parent_is_partly_checked(two: Harness) -> None:
    two.write("base/base.json", "{")
    two.write("app/app.pkr.hcl", BROKEN["a misspelt provisioner"][0])
    (found,) = findings(two)
    assert "shel" in found["message"]


def test_grandchild_image_is_checked(two: Harness) -> None:
    two.write("bakery.toml", TOML + '\n[images.leaf]\ntemplate = "leaf/app.pkr.hcl"\nfrom = "app"\n')
    two.write("leaf/app.pkr.hcl", BROKEN["a misspelt provisioner"][0])
    run = two.run("check")
    assert (run.status, "leaf/app.pkr.hcl:13: error:" in run.stdout) == (1, True)
    run = two.run("bake", "leaf")
    assert (run.status, two.packer_runs) == (1, 0)


@pytest.mark.parametrize("command", ["plan", "bake"])
def test_plan_names_a_missing_required_variable(two: Harness, command: str) -> None:
    template = json_template(instance_type="{{user `machine`}}")
    template["variables"]["machine"] = None
    two.write("base/base.json", template)
    run = two.run(command, "base")
    assert run.status == 1
    assert "the variable 'machine' has no default and no value" in run.stderr
    assert 'vars = { machine = "..." } in images.base' in run.stderr
    assert "`from`" not in run.stderr
    two.write("bakery.toml", TOML.replace("base.json", 'base.json"\nvars = { machine = "t3.micro" }\nsalt = "'))
    assert two.run("plan", "base").status == 0


def test_variable_from_the_environment_is_not_missing(two: Harness) -> None:
    two.write("app/app.pkr.hcl", 'variable "size" {\n  type = string\n}\n' + HCL.replace('"t3.micro"', "var.size"))
    assert two.run("plan", "app", environment={"PKR_VAR_size": "t3.micro"}).status == 0
    assert two.run("plan", "app").status == 1


@pytest.mark.parametrize("kind", ["null", "file"])
def test_template_without_an_ami_builder_is_not_built(two: Harness, kind: str) -> None:
    builder = {"type": kind, "communicator": "none", "content": "x", "target": "x"}
    two.write("base/base.json", {"builders": [builder]})
    run = two.run("plan", "base")
    assert (run.status, run.stdout) == (1, "")
    assert "does not produce an AMI" in run.stderr


@pytest.mark.parametrize("text", ['variable "x" {\n  default = 1\n}\n', "build {\n}\n"])
def test_template_without_a_build_block_is_not_built(two: Harness, text: str) -> None:
    """Packer 1.6.6 accepts it and builds nothing."""
    two.write("bakery.toml", TOML.replace("base/base.json", "base/base.pkr.hcl"))
    two.write("base/base.pkr.hcl", text)
    run = two.run("plan", "base")
    assert (run.status, run.stdout) == (1, "")
    assert "base/base.pkr.hcl:1" in run.stderr
    assert "not produce an AMI" in run.stderr
