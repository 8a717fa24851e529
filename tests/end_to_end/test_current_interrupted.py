"""Current Packer, with plugins as separate programs: interrupted, killed, and what remains."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.local import LocalAws
from tests.harness import TOML, Harness, leftover_resources, unlock
from tests.processes import bake_until, kill_everything_of, processes_with, wait_until

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
  run_tags      = { ami_config_checksum = var.config_checksum }
  source_ami_filter {
    owners      = ["099720109477"]
    most_recent = true
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
  }
}

build {
  name    = "of-a-name"
  sources = ["source.amazon-ebs.app"]

  provisioner "shell-local" {
    inline = ["echo at work; sleep 60"]
  }
}
"""
AT_WORK = "amazon-ebs.app: at work"


@pytest.fixture
def current(tmp_path: Path, local: LocalAws, current_packer: Path) -> Harness:
    harness = Harness(tmp_path, local, current_packer)
    harness.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    harness.write("ami/app.pkr.hcl", TEMPLATE)
    return harness


def kinds_marked(ec2: EC2Client) -> set[str]:
    tags = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["ami-bakery:run"]}])["Tags"]
    return {tag["ResourceType"] for tag in tags}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
def test_current_packer_cleans_up(current: Harness, ec2: EC2Client, number: int) -> None:
    process = bake_until(current, AT_WORK)
    assert len(leftover_resources(ec2, locks=False)) == 3
    os.kill(process.pid, number)
    _, rest = process.communicate(timeout=300)
    if number == signal.SIGTERM:
        assert process.returncode == 130
        assert "app: Packer has cleaned up: nothing of this run remains in EC2" in rest
    assert wait_until(lambda: leftover_resources(ec2, locks=False) == []), leftover_resources(ec2, locks=False)
    assert wait_until(lambda: processes_with(str(current.folder)) == [])


def test_pending_ami_of_current_packer_is_removed(current: Harness, ec2: EC2Client) -> None:
    current.write("ami/app.pkr.hcl", TEMPLATE.replace("sleep 60", "true"))
    current.control.change(pending_seconds=60)
    process = bake_until(current, "Waiting for AMI to become ready")
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "app: removed orphaned resources: AMI ami-" in rest
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_resources_of_a_dead_run_of_current_packer_are_found(current: Harness, ec2: EC2Client) -> None:
    """The template tags them, too, in the calls that create them."""
    process = bake_until(current, AT_WORK)
    assert wait_until(lambda: {"instance", "security-group"} <= kinds_marked(ec2))
    kill_everything_of(current, process)
    unlock(ec2)
    orphans = current.run("images", "--orphans", "--json").document["orphans"]
    assert [one["kind"] for one in orphans] == ["instance", "security-group", "key-pair"]
    for tag in ec2.describe_tags(Filters=[{"Name": "key", "Values": ["ami-bakery:*"]}])["Tags"]:
        ec2.delete_tags(Resources=[tag["ResourceId"]], Tags=[{"Key": tag["Key"]}])
    orphans = current.run("images", "--orphans", "--json").document["orphans"]
    assert [(one["kind"], one["why"]) for one in orphans] == [
        ("instance", "it has a digest tag, but no run"),
        ("security-group", "it has a digest tag, but no run"),
        ("key-pair", "it has a digest tag, but no run"),
    ]
