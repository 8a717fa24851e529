"""Source AMIs of the same second: Packer uses one of them, and which one is unknown."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import FROM_TAG
from tests.harness import TOML, Harness, json_template
from tests.seed import own_ami

GOLDEN = {"owners": ["self"], "filters": {"name": "golden-*"}, "most_recent": True}


def twins(ec2: EC2Client) -> list[str]:
    """Two AMIs of one second, as EC2 lists them; the last one does not have the greatest id."""
    for number in range(100):
        time.sleep(1 - datetime.now(UTC).microsecond / 1_000_000)
        made = {own_ami(ec2, f"golden-{number}-{letter}") for letter in "ab"}
        found = [
            (image["ImageId"], image["CreationDate"])
            for image in ec2.describe_images(Owners=["self"])["Images"]
            if image["ImageId"] in made
        ]
        ids = [ami for ami, _ in found]
        if found[0][1] == found[1][1] and ids[-1] != max(ids):
            return ids
        for ami in ids:
            ec2.deregister_image(ImageId=ami)
    raise AssertionError("no two AMIs of one second")


def source_of(ec2: EC2Client, ami: str) -> str:
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    return {tag["Key"]: tag["Value"] for tag in image["Tags"]}[FROM_TAG]


def test_image_from_either_of_two_source_amis_is_baked_once(app: Harness, ec2: EC2Client) -> None:
    app.write("ami/app.json", json_template(source_ami_filter=GOLDEN))
    ids = twins(ec2)
    ami = app.run("bake").answer
    assert source_of(ec2, ami) == ids[-1], "the one that Packer took"
    assert app.run("bake").answer == ami
    assert app.packer_runs == 1
    checked = app.run("check").stdout
    assert "same second" in checked
    assert all(one in checked for one in ids)

    ec2.deregister_image(ImageId=ids[0])
    (plan,) = app.run("plan", "--json").images
    assert plan["action"] == "bake", "what it could have been made from is another set"


def test_from_selects_one_of_them(app: Harness, ec2: EC2Client) -> None:
    app.write("bakery.toml", TOML + 'from = { owners = ["self"], filters = { name = "golden-*" } }\n')
    template = json_template(source_ami="{{user `source_ami`}}")
    del template["builders"][0]["source_ami_filter"]
    template["variables"]["source_ami"] = ""
    app.write("ami/app.json", template)
    ids = twins(ec2)
    ami = app.run("bake").answer
    assert source_of(ec2, ami) == max(ids)
    assert app.run("bake").answer == ami
    assert app.packer_runs == 1
