"""A configuration with AMIs of many kinds in the embedded EC2, made without Packer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conftest import ec2_client
from tests.harness import json_template
from tests.release.pruning import HOME, OTHER, Stock
from tests.report.past_builds import BuiltRepository
from tests.seed import public_ami

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.harness import Harness

RICH = """\
version = 1

[images.base]
template = "base/base.json"
inputs = ["base"]
regions = ["us-east-1"]
tags = { team = "platform" }

[images.app]
template = "app/app.json"
inputs = ["app"]
from = "base"
regions = ["us-east-1", "eu-west-1"]
vars = { size = "t3.small" }
keep = { last = 1, within = "10d" }
test = "app/test.json"
"""
RUN_TAGS = {"ami-bakery:run": "20260101000000-0a0b0c0d", "ami-bakery:image": "app"}
"""Tags of resources of a run that was interrupted."""
TEST = {
    "variables": {"source_ami": ""},
    "builders": [{"type": "amazon-ebs", "source_ami": "{{user `source_ami`}}", "communicator": "none"}],
}


ALL_REGIONS = "ec2:DescribeRegions"
"""Without it, only the configured regions are read: the embedded EC2 takes seconds to make the AMIs of all regions."""


def denied(harness: Harness, *actions: str) -> None:
    """Denies these actions, and allows all others, until the embedded EC2 is reset or all are allowed."""
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": list(actions), "Resource": "*"}
    harness.control.enforce({"Version": "2012-10-17", "Statement": [allow, deny]})


def write_rich(harness: Harness) -> None:
    harness.write("bakery.toml", RICH)
    harness.write("base/base.json", json_template())
    app = json_template()
    app["variables"]["source_ami"] = ""
    app["builders"][0].pop("source_ami_filter")
    app["builders"][0]["source_ami"] = "{{user `source_ami`}}"
    harness.write("app/app.json", app)
    harness.write("app/setup.sh", "echo 1\n")
    harness.write("app/test.json", TEST)


class RichFleet:
    """A parent, a child with copies, a channel, a revoked build, a test, an orphan, a quarantine, and uses."""

    def __init__(self, harness: Harness, local: LocalAws) -> None:
        write_rich(harness)
        repository = BuiltRepository(harness.folder)
        self.commit = repository.commit("Add the images\n\nmore")
        repository.run("remote", "add", "origin", "https://user:swordfish@github.com/acme/images.git")
        self.stock = stock = Stock(harness, local)
        source = public_ami(ec2_client(local, HOME))
        digest = harness.run("digest", "base").answer
        self.parent = stock.build(40, image="base", digest=digest, base=source)[HOME]
        (child,) = harness.run("digest", "app", "--json").images
        self.old = stock.build(60, HOME, OTHER, base=self.parent, tested="1" * 64)
        self.bad = stock.build(50, HOME, OTHER, base=self.parent, revoked="CVE-2026-1234")
        self.hidden = stock.build(45, base=self.parent)
        self.unused = stock.build(44, base=self.parent)
        self.newest = stock.build(2, HOME, OTHER, base=self.parent, digest=child["digest"], commit=self.commit)
        stock.promote(self.old)
        stock.promote(self.bad)
        stock.quarantine(self.hidden, 20)
        stock.share(self.newest[HOME])
        self.instance = stock.launch(self.old[HOME])
        ec2: Any = ec2_client(local, HOME)
        ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": self.old[HOME]})
        self.orphan = "packer_orphan"
        tags = [{"Key": key, "Value": value} for key, value in RUN_TAGS.items()]
        kind = [{"ResourceType": "key-pair", "Tags": tags}]
        ec2.create_key_pair(KeyName=self.orphan, TagSpecifications=kind)
