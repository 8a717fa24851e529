"""Plans, lists and checks of images with a test, without running one: the AMIs are made with the tags of a bake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import COMMIT_TAG, DIGEST_TAG, FROM_TAG, TEST_FAILED_TAG, TESTED_TAG
from ami_bakery.local import LocalAws
from tests.conftest import ec2_client
from tests.harness import Harness, json_template
from tests.histories.test_why import commit, git
from tests.seed import finished, own_ami

TOML = """\
version = 1

[images.app]
template = "app/app.json"
regions = ["us-east-1"]
workdir = "."
test = { template = "app/test.pkr.hcl", workdir = "." }
"""
CHILD = """
[images.child]
template = "child/child.json"
regions = ["us-east-1"]
from = "app"
"""
TEST = """\
variable "source_ami" {
  type = string
}

source "amazon-ebsvolume" "test" {
  region        = "us-east-1"
  source_ami    = var.source_ami
  instance_type = "t3.micro"
  communicator  = "none"
}

build {
  sources = ["source.amazon-ebsvolume.test"]

  provisioner "shell-local" {
    script = "app/check.sh"
  }
}
"""


@pytest.fixture
def bakery(harness: Harness) -> Harness:
    harness.write("bakery.toml", TOML)
    harness.write("app/app.json", json_template())
    harness.write("app/setup.sh", "echo set up\n")
    harness.write("app/check.sh", "true\n")
    harness.write("app/test.pkr.hcl", TEST)
    return harness


def planned(harness: Harness) -> dict[str, Any]:
    return {image["image"]: image for image in harness.run("plan", "--json", "--steps").images}


def kinds(plan: dict[str, Any]) -> list[str]:
    return [reason["kind"] for reason in plan["reasons"]]


def seed(harness: Harness, ec2: EC2Client, **tags: str) -> str:
    """Creates an AMI of the current definition of `app`. `tags`: `tested`, and others by their names."""
    app = planned(harness)["app"]
    named = finished("app", app["digest"])
    if tags.pop("tested", "") == "current":
        named[TESTED_TAG] = app["test"]["digest"]
    return own_ami(ec2, f"app-{len(ec2.describe_images(Owners=['self'])['Images'])}", {**named, **tags})


def set_tags(ec2: EC2Client, ami: str, tags: dict[str, str | None]) -> None:
    ec2.delete_tags(Resources=[ami], Tags=[{"Key": name} for name, value in tags.items() if value is None])
    kept = [{"Key": name, "Value": value} for name, value in tags.items() if value is not None]
    if kept:
        ec2.create_tags(Resources=[ami], Tags=kept)  # type: ignore[arg-type]


def listed(harness: Harness) -> list[str | None]:
    return [image["tested"] for image in harness.run("images", "--json").images]


def test_untested_ami_is_tested_and_a_tested_one_is_reused(bakery: Harness, ec2: EC2Client) -> None:
    ami = seed(bakery, ec2)
    plan = planned(bakery)["app"]
    assert (plan["action"], kinds(plan), plan["amis"]) == ("test", ["untested"], {"us-east-1": ami})
    assert plan["test"]["state"] == "untested"
    assert plan["steps"] == [{"step": "test", "region": "us-east-1", "ami": ami}]
    assert listed(bakery) == ["no"]
    assert bakery.run("plan", "--detailed-exitcode").status == 2
    text = bakery.run("plan").answer
    assert text.startswith("* test    app")
    assert f"{ami} (us-east-1, built just now) was never tested" in text
    assert text.endswith("1 to test.")

    set_tags(ec2, ami, {TESTED_TAG: plan["test"]["digest"]})
    plan = planned(bakery)["app"]
    assert (plan["action"], kinds(plan), plan["test"]["state"], plan["steps"]) == ("reuse", ["unchanged"], "passed", [])
    assert "matches and passed its test" in bakery.run("plan").answer
    assert listed(bakery) == ["yes"]
    assert bakery.packer_runs == 0


def test_changed_test_names_its_changed_files_and_builds_nothing(bakery: Harness, ec2: EC2Client) -> None:
    git(bakery, "init", "--quiet", "--initial-branch=main")
    head = commit(bakery)
    ami = seed(bakery, ec2, tested="current", **{COMMIT_TAG: head})
    digest = bakery.run("digest").answer
    bakery.write("app/check.sh", "false\n")
    plan = planned(bakery)["app"]
    assert plan["action"] == "test"
    assert [(reason["kind"], reason["subject"]) for reason in plan["reasons"]] == [
        ("test-changed", ami),
        ("file-changed", "app/check.sh"),
    ]
    assert bakery.run("digest").answer == digest, "the test is not in the image's digest"
    assert listed(bakery) == ["old"]
    assert "TESTED" in bakery.run("images").answer
    assert [image["image"] for image in bakery.run("plan", "--json", "--changed-since", "HEAD").images] == ["app"]
    commit(bakery)
    assert bakery.run("plan", "--json", "--changed-since", "HEAD").images == []

    set_tags(ec2, ami, {TESTED_TAG: "d" * 64})
    assert kinds(planned(bakery)["app"]) == ["test-changed", "file-changed", "commit-incomplete"]


def test_ami_that_failed_its_test_is_tested_again_and_not_built(bakery: Harness, ec2: EC2Client) -> None:
    digest = planned(bakery)["app"]["digest"]
    older = seed(bakery, ec2, **{TEST_FAILED_TAG: digest})
    ami = seed(bakery, ec2, **{TEST_FAILED_TAG: digest})
    for each in (older, ami):
        set_tags(ec2, each, {DIGEST_TAG: None})
    plan = planned(bakery)["app"]
    assert (plan["action"], kinds(plan), plan["test"]["state"]) == ("test", ["test-failed"], "failed")
    assert plan["amis"]["us-east-1"] in (older, ami)
    assert "failed its test and is tested again" in bakery.run("plan").answer
    assert listed(bakery) == ["failed", "failed"]

    bakery.write("app/setup.sh", "echo other\n")
    assert planned(bakery)["app"]["action"] == "bake", "the AMI has another digest"


def test_plan_needs_one_more_call_only_for_an_image_with_a_test_and_without_an_ami(
    bakery: Harness, ec2: EC2Client
) -> None:
    bakery.control.clear_report()
    bakery.run("plan")
    with_test = bakery.calls()["DescribeImages"]
    text = (bakery.folder / "bakery.toml").read_text()
    bakery.write("bakery.toml", "".join(line for line in text.splitlines(True) if not line.startswith("test =")))
    bakery.control.clear_report()
    bakery.run("plan")
    assert with_test == bakery.calls()["DescribeImages"] + 1
    bakery.write("bakery.toml", text)
    seed(bakery, ec2, tested="current")
    bakery.control.clear_report()
    bakery.run("plan")
    # One call by digest, and one for the source AMI's filter.
    assert bakery.calls()["DescribeImages"] == 2


def test_only_a_tested_ami_is_copied(bakery: Harness, ec2: EC2Client) -> None:
    ami = seed(bakery, ec2)
    text = (bakery.folder / "bakery.toml").read_text()
    bakery.write("bakery.toml", text.replace('["us-east-1"]', '["us-east-1", "eu-west-1"]'))
    plan = planned(bakery)["app"]
    assert plan["action"] == "test"
    assert [(step["step"], step["region"]) for step in plan["steps"]] == [("test", "us-east-1"), ("copy", "eu-west-1")]
    set_tags(ec2, ami, {TESTED_TAG: plan["test"]["digest"]})
    assert planned(bakery)["app"]["action"] == "copy"


def test_child_of_an_image_to_be_tested_is_planned_with_the_known_ami(
    bakery: Harness, ec2: EC2Client, local: LocalAws
) -> None:
    pinned = json_template(source_ami="{{user `source_ami`}}")
    del pinned["builders"][0]["source_ami_filter"]
    pinned["variables"]["source_ami"] = ""
    bakery.write("child/child.json", pinned)
    bakery.write("bakery.toml", (bakery.folder / "bakery.toml").read_text() + CHILD)
    assert planned(bakery)["child"]["action"] == "pending"
    parent = seed(bakery, ec2)
    plan = planned(bakery)
    assert (plan["app"]["action"], plan["child"]["action"]) == ("test", "bake")
    child = own_ami(ec2, "child", {**finished("child", plan["child"]["digest"]), FROM_TAG: parent})
    plan = planned(bakery)
    assert (plan["child"]["action"], plan["child"]["amis"]) == ("reuse", {"us-east-1": child})
    europe = ec2_client(local, "eu-west-1")
    assert europe.describe_images(Owners=["self"])["Images"] == []
    europe.close()


def test_outputs_for_ci_do_not_offer_an_untested_ami(bakery: Harness, ec2: EC2Client, tmp_path: Path) -> None:
    ami = seed(bakery, ec2)
    output, summary = tmp_path / "output", tmp_path / "summary"
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
    assert bakery.run("plan", "--output", str(output), environment=environment).status == 0
    assert "outcome=test" in output.read_text()
    assert ami not in output.read_text()
    assert "ami-bakery plan: 1 test" in summary.read_text()
    assert "was never tested" in summary.read_text()


def test_inputs_of_the_test_are_listed_apart(bakery: Harness) -> None:
    (image,) = bakery.run("inputs", "--json").images
    assert [item["path"] for item in image["inputs"]] == ["app/app.json", "app/setup.sh"]
    assert [item["path"] for item in image["test"]["inputs"]] == ["app/check.sh", "app/test.pkr.hcl"]
    assert image["test"].keys() == {"inputs", "unresolved"}
    assert image["test"]["inputs"][0]["named_by"] == [{"file": "app/test.pkr.hcl", "line": 16}]
    assert image["test"]["inputs"][1]["named_by"] == [{"file": "bakery.toml", "line": 7}]
    lines = bakery.run("inputs").answer.splitlines()
    assert (lines[0], lines[3]) == ("app:", "test of app:")
    assert len(lines) == 6


def test_check_validates_the_template_of_the_test(bakery: Harness) -> None:
    done = bakery.run("check", "--strict")
    assert done.status == 0, done.stdout + done.stderr
    bakery.write("app/test.pkr.hcl", TEST.replace("instance_type", "instance_typ"))
    done = bakery.run("check")
    assert done.status == 1
    assert "app/test.pkr.hcl:8: error: " in done.stdout
    assert "[packer-validate, image app]" in done.stdout

    bakery.write("app/test.pkr.hcl", TEST)
    (bakery.folder / "app/check.sh").unlink()
    done = bakery.run("check")
    assert "app/test.pkr.hcl:16: error: looking for app/check.sh: no such file or folder" in done.stdout

    bakery.write("app/check.sh", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "[lfs-pointer, image app]" in bakery.run("check").stdout


def test_check_says_which_files_of_a_test_the_digest_of_the_image_does_not_cover(bakery: Harness) -> None:
    left_out = "bakery.toml:7: notice: the image's digest does not cover the files of its test"
    lines = bakery.run("check").stdout.splitlines()
    assert any(line.startswith(f"{left_out} (app/check.sh, app/test.pkr.hcl)") for line in lines), lines
    template = json_template()
    bakery.write("app/app.json", {**template, "provisioners": [{"type": "shell-local", "inline": ["make"]}]})
    lines = bakery.run("check").stdout.splitlines()
    assert any(line.startswith(f"{left_out} (app/test.pkr.hcl)") for line in lines), lines
    (found,) = (line for line in lines if "shell-local may read files that nothing names" in line)
    assert found.startswith("app/app.json:")
    assert "the image's digest covers the files of its test, except the template and var-files" in found


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (
            "ebsvolume",
            "ebs",
            "app/test.pkr.hcl:5: warning: amazon-ebs.test of the test creates an AMI, which is removed",
        ),
        ("var.source_ami", '"ami-0123456789abcdef0"', "app/test.pkr.hcl:5: error: amazon-ebsvolume.test has ami-0"),
        (
            'variable "source_ami"',
            'variable "other"',
            "bakery.toml:7: error: test.template: app/test.pkr.hcl must declare the",
        ),
        ("type = string\n}", 'type = string\n}\nvariable "x" {}', "app/test.pkr.hcl:4: error: the variable 'x' has no"),
        ('["source.amazon-ebsvolume.test"]', "[]", "app/test.pkr.hcl:1: error: no build of the test is selected"),
    ],
)
def test_tests_that_cannot_work_are_findings_and_stop_a_bake_before_packer(
    bakery: Harness, old: str, new: str, finding: str
) -> None:
    text = TEST.replace(old, new)
    if new == "ebs":
        text = text.replace('communicator  = "none"', 'communicator  = "none"\n  ami_name      = "x"')
    bakery.write("app/test.pkr.hcl", text)
    found = [line for line in bakery.run("check").stdout.splitlines() if not line.startswith(" ")]
    assert [line for line in found if line.startswith(finding)], found
    if ": error:" in finding:
        done = bakery.run("bake")
        assert (done.status, done.stdout, bakery.packer_runs) == (1, "", 0)
        error = done.stderr.splitlines()
        assert [line for line in error if "error: " in line], error
        assert len([line for line in error if line.startswith("  ")]) >= 2, "the cause and the advice"
        assert bakery.calls().get("RunInstances", 0) == 0


def test_test_that_packer_refuses_stops_a_bake_before_the_image_is_built(bakery: Harness) -> None:
    bakery.write("app/test.pkr.hcl", TEST.replace("instance_type", "instance_typ"))
    done = bakery.run("bake")
    assert (done.status, bakery.packer_runs) == (1, 0)
    assert "validating the test of image app before the image is built" in done.stderr
    assert "app/test.pkr.hcl:8: Unsupported argument" in done.stderr


def test_output_file_must_not_be_an_input_of_the_test(bakery: Harness) -> None:
    bakery.write("verify/test.pkr.hcl", TEST.replace("app/check.sh", "verify/check.sh"))
    bakery.write("verify/check.sh", "true\n")
    text = (bakery.folder / "bakery.toml").read_text()
    bakery.write("bakery.toml", text.replace("app/test.pkr.hcl", "verify/test.pkr.hcl"))
    done = bakery.run("bake", "--output", "verify/ami.env")
    assert done.status == 2
    assert "it would be an input of the test of image app" in done.stderr
    assert "force a new test" in done.stderr
