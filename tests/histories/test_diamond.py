"""Four images in a diamond, in two regions and two accounts: the cost of each change, counted.

An image has one parent. So `top` has `left` as its parent, and depends on `right` through an input: both upload the
same file.

    base ── left ── top
        └── right ┄┄┘
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.local import LocalAws
from tests.conftest import ec2_client
from tests.harness import Harness, json_template
from tests.histories.test_sharing import can_launch, launchers

HOME, ABROAD = "us-east-1", "eu-west-1"
OTHER, THIRD = "444455556666", "777788889999"
NAMES = ("base", "left", "right", "top")
CONFIG = """\
version = 1
[defaults]
regions = ["us-east-1", "eu-west-1"]
[images.base]
template = "base/base.json"
[images.left]
template = "left/left.json"
from = "base"
[images.right]
template = "right/right.json"
from = "base"
[images.top]
template = "top/top.json"
inputs = ["top", "right/shared.sh"]
from = "left"
regions = ["us-east-1"]
"""


@dataclass
class Diamond:
    """The answer of a bake of all images, and its cost."""

    harness: Harness
    amis: dict[str, dict[str, str]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)

    def costs(self, **configured: str) -> dict[str, int]:
        """Bakes all images. Returns the numbers of Packer runs, copies and permission changes."""
        table = "".join(f"{key} = {value}\n" for key, value in configured.items())
        self.harness.write("bakery.toml", CONFIG + table)
        runs = self.harness.packer_runs
        self.harness.control.clear_report()
        planned = {plan["image"]: plan for plan in self.harness.run("plan", "--json", "--steps").images}
        to_do = [step["step"] for plan in planned.values() for step in plan["steps"]]
        assert bool(to_do) == (self.harness.run("plan", "--detailed-exitcode").status == 2)
        self.harness.control.clear_report()
        run = self.harness.run("bake", "--json")
        assert run.status == 0, run.stderr
        self.amis = {item["image"]: item["amis"] for item in run.images}
        self.outcomes = {item["image"]: item["outcome"] for item in run.images}
        calls = self.harness.calls()
        cost = {
            "bakes": self.harness.packer_runs - runs,
            "copies": calls.get("CopyImage", 0),
            "permissions": calls.get("ModifyImageAttribute", 0),
        }
        said = {"bakes": ["bake"], "copies": ["copy"], "permissions": ["grant", "revoke"]}
        assert cost == {name: sum(step in kinds for step in to_do) for name, kinds in said.items()}, "as planned"
        return cost


@pytest.fixture
def diamond(harness: Harness) -> Diamond:
    harness.write("base/base.json", json_template())
    for name in ("left", "right", "top"):
        template: dict[str, Any] = json_template(source_ami="{{user `source_ami`}}")
        del template["builders"][0]["source_ami_filter"]
        template["variables"]["source_ami"] = ""
        harness.write(f"{name}/{name}.json", template)
    for name in NAMES:
        harness.write(f"{name}/setup.sh", f"echo {name}\n")
    harness.write("right/shared.sh", "echo shared\n")
    return Diamond(harness)


@pytest.fixture
def others(local: LocalAws) -> Iterator[EC2Client]:
    with closing(ec2_client(local, account=1)) as client:
        yield client


def cost(*, bakes: int = 0, copies: int = 0, permissions: int = 0) -> dict[str, int]:
    return {"bakes": bakes, "copies": copies, "permissions": permissions}


def test_each_change_costs_only_the_necessary_builds(
    diamond: Diamond, ec2: EC2Client, others: EC2Client, local: LocalAws
) -> None:
    write = diamond.harness.write
    assert diamond.costs() == cost(bakes=4, copies=3), "the first time; the top is wanted in one region"
    first = diamond.amis
    assert {name: list(amis) for name, amis in first.items()} == {
        "base": [HOME, ABROAD],
        "left": [HOME, ABROAD],
        "right": [HOME, ABROAD],
        "top": [HOME],
    }
    for name, parent in (("left", "base"), ("right", "base"), ("top", "left")):
        (image,) = ec2.describe_images(ImageIds=[first[name][HOME]])["Images"]
        assert image.get("SourceImageId") == first[parent][HOME]

    assert diamond.costs() == cost(), "nothing changed"
    assert diamond.amis == first

    write("base/setup.sh", "echo another base\n")
    assert diamond.costs() == cost(bakes=4, copies=3), "the root: all that is made from it"
    second = diamond.amis
    assert all(second[name][HOME] != first[name][HOME] for name in NAMES)

    write("top/setup.sh", "echo another top\n")
    assert diamond.costs() == cost(bakes=1), "a leaf: itself alone"
    assert {name: diamond.amis[name] for name in NAMES[:3]} == {name: second[name] for name in NAMES[:3]}

    write("right/shared.sh", "echo shared otherwise\n")
    assert diamond.costs() == cost(bakes=2, copies=1), "what two corners share: both, and not the others"
    assert [name for name in NAMES if diamond.outcomes[name] == "baked"] == ["right", "top"]

    with closing(ec2_client(local, ABROAD)) as abroad:
        abroad.deregister_image(ImageId=diamond.amis["left"][ABROAD])
    assert diamond.costs() == cost(copies=1), "one region's AMI was deleted: a copy of what is there"
    assert diamond.outcomes == {"base": "reused", "left": "copied", "right": "reused", "top": "reused"}

    top = diamond.amis["top"][HOME]
    assert not can_launch(others, top)
    assert diamond.costs(share_with=f'["{OTHER}"]') == cost(permissions=1), "an account was added"
    assert diamond.amis["top"][HOME] == top
    assert can_launch(others, top)
    assert diamond.costs(share_with=f'["{OTHER}", "{THIRD}"]') == cost(permissions=1), "and another"
    assert diamond.costs(share_with=f'["{THIRD}"]') == cost(permissions=1), "one was removed"
    assert not can_launch(others, top)
    assert launchers(ec2, top) == {THIRD}
    assert diamond.costs() == cost(permissions=1), "the key was removed"
    assert launchers(ec2, top) == set()
    assert diamond.costs() == cost()
    assert diamond.amis["top"][HOME] == top
