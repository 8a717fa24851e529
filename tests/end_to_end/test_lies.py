"""Packer reports success although the build is wrong: no digest is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import DIGEST_TAG, FORMAT_TAG
from ami_bakery.local import LocalAws
from tests.harness import TOML, Harness, json_template

TEMPLATE = """\
packer {
  required_plugins {
    amazon = { source = "github.com/hashicorp/amazon", version = "~> 1.8" }
  }
}

variable "config_checksum" {}

source "amazon-ebs" "app" {
  region        = "us-east-1"
  instance_type = "t3.micro"
  communicator  = "none"
  ami_name      = "app-${uuidv4()}"
  source_ami_filter {
    owners      = ["099720109477"]
    most_recent = true
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
  }
  tags = { ami_config_checksum = var.config_checksum }
}

build {
  sources = ["source.amazon-ebs.app"]

  provisioner "shell-local" {
    inline            = ["STATUS"]
    continue_on_error = true
  }
}
"""

LYING_PACKER = """\
#!/bin/sh
# Not Packer: it prints what a Packer could, and makes nothing.
case "$1" in
  version) echo Packer v1.6.6 ;;
  build) cat {words} ;;
  *) exit 9 ;;
esac
"""


def tags_of(ec2: EC2Client, ami: str) -> dict[str, str]:
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    return {tag["Key"]: tag["Value"] for tag in image.get("Tags", ())}


@pytest.fixture
def tolerant(tmp_path: Path, local: LocalAws, current_packer: Path) -> Harness:
    """A template whose provisioner may fail; only current Packer supports this."""
    harness = Harness(tmp_path, local, current_packer)
    harness.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    harness.write("ami/app.pkr.hcl", TEMPLATE.replace("STATUS", "exit 3"))
    return harness


def test_provisioner_that_was_allowed_to_fail_leaves_no_digest(tolerant: Harness, ec2: EC2Client) -> None:
    run = tolerant.run("bake")
    assert run.status == 1
    assert "Running local shell script" in run.stderr
    assert "(amazon-ebs.app) failed with" in run.stderr
    assert "ami/app.pkr.hcl:25 (shell-local) (continue_on_error)" in run.stderr
    (image,) = ec2.describe_images(Owners=["self"])["Images"]
    assert f"{image['ImageId']} of us-east-1 remains, without the digest" in run.stderr
    assert not {DIGEST_TAG, FORMAT_TAG} & tags_of(ec2, image["ImageId"]).keys()
    assert tolerant.run("images").stdout == ""


def test_provisioner_that_may_fail_but_succeeds_is_accepted(tolerant: Harness) -> None:
    tolerant.write("ami/app.pkr.hcl", TEMPLATE.replace("STATUS", "exit 0"))
    ami = tolerant.run("bake").answer
    assert tolerant.run("bake").answer == ami
    (check,) = tolerant.run("check", "--json").images
    assert [one["code"] for one in check["findings"] if one["line"] == 25] == ["failure-tolerated"]


def lying(app: Harness, ami: str, *, status: int = 0) -> str:
    """A stand-in for Packer that reports the creation of `ami`."""
    words = app.folder.parent / "words"
    words.write_text(
        "1795417088,,ui,say,==> amazon-ebs: Creating AMI app from instance i-00000000000000001\n"
        f"1795417088,amazon-ebs,artifact,0,id,us-east-1:{ami}\n"
    )
    return str(app.program("lying-packer", LYING_PACKER.format(words=words)))


def test_ami_of_another_account_is_not_accepted(app: Harness, ec2: EC2Client) -> None:
    public = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    run = app.run("bake", "--packer", lying(app, public))
    assert run.status == 1
    assert f"checking {public} of image app in us-east-1" in run.stderr
    assert "it belongs to the account 099720109477" in run.stderr
    assert "remains" not in run.stderr
    assert app.calls().get("DeleteTags", 0) == 0


def test_finished_ami_is_not_accepted_and_keeps_its_digest(app: Harness, ec2: EC2Client) -> None:
    finished = app.run("bake").answer
    before = tags_of(ec2, finished)
    app.write("ami/setup.sh", "echo otherwise\n")
    run = app.run("bake", "--packer", lying(app, finished))
    assert run.status == 1
    assert "it was finished before this build" in run.stderr
    assert tags_of(ec2, finished) == before


def test_ami_of_another_run_is_not_accepted(app: Harness, ec2: EC2Client) -> None:
    other = app.run("bake").answer
    ec2.delete_tags(Resources=[other], Tags=[{"Key": FORMAT_TAG}])
    before = tags_of(ec2, other)
    run = app.run("bake", "--force", "--packer", lying(app, other))
    assert run.status == 1
    assert f"another run created it: {before['ami-bakery:run']}" in run.stderr
    assert tags_of(ec2, other) == before


def test_ami_that_does_not_exist_is_not_accepted(app: Harness) -> None:
    run = app.run("bake", "--packer", lying(app, "ami-00000000000000001"), timeout=180)
    assert run.status == 1
    assert "it does not exist in EC2" in run.stderr


@pytest.mark.parametrize("finished", [True, False])
def test_message_for_a_taken_name_says_which_ami_has_it(app: Harness, ec2: EC2Client, finished: bool) -> None:
    app.write("ami/app.json", json_template(ami_name="one-name"))
    holder = app.run("bake").answer
    if not finished:
        ec2.delete_tags(Resources=[holder], Tags=[{"Key": FORMAT_TAG}])
    app.write("ami/setup.sh", "echo otherwise\n")
    run = app.run("bake")
    assert run.status == 1
    if finished:
        assert f"{holder} has the name: a finished AMI of image app. Put {{{{timestamp}}}} into ami_name" in run.stderr
    else:
        assert f"{holder} has the name: an unfinished AMI of image app" in run.stderr
        assert "`ami-bakery images app --orphans` shows whether it is orphaned" in run.stderr
