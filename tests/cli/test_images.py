"""`images`: lists of AMIs, outdated AMIs and their lineage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client
from mypy_boto3_ec2.type_defs import RequestLaunchTemplateDataTypeDef

from ami_bakery.core.ec2.ami import FROM_TAG, IMAGE_TAG
from ami_bakery.local import LocalAws
from tests.conftest import aws_client, ec2_client
from tests.documents import ROOT
from tests.harness import Harness, json_template
from tests.histories.test_why import commit, git
from tests.seed import finished, own_ami, public_ami
from tests.terminal import Terminal

HEAD = 'version = 1\n[defaults]\nregions = ["us-east-1", "eu-west-1"]\n'
TABLES = {"base": "", "app": 'from = "base"\n'}
DIGEST = "0" * 64
JAMMY = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240927"


@pytest.fixture
def europe(local: LocalAws) -> Iterator[EC2Client]:
    client = ec2_client(local, "eu-west-1")
    yield client
    client.close()


@pytest.fixture
def bakery(harness: Harness) -> Harness:
    """The images `base`, and `app` built from it, in two regions. They are in a git repository."""
    pinned = json_template(source_ami="{{user `source_ami`}}")
    del pinned["builders"][0]["source_ami_filter"]
    pinned["variables"]["source_ami"] = ""
    for name, template in (("base", json_template()), ("app", pinned)):
        harness.write(f"{name}/{name}.json", template)
        harness.write(f"{name}/setup.sh", "echo set up\n")
    write_config(harness, TABLES)
    git(harness, "init", "--quiet", "--initial-branch=main")
    commit(harness)
    return harness


def write_config(harness: Harness, tables: dict[str, str]) -> None:
    text = "".join(f'[images.{name}]\ntemplate = "{name}/{name}.json"\n{table}' for name, table in tables.items())
    harness.write("bakery.toml", HEAD + text)


def baked(harness: Harness) -> dict[str, dict[str, str]]:
    run = harness.run("bake", "--json")
    assert run.status == 0, run.stderr
    return {item["image"]: item["amis"] for item in run.images}


def test_images_lists_source_ami_commit_and_origin_of_each_ami(bakery: Harness, ec2: EC2Client) -> None:
    amis = baked(bakery)
    listed = {(item["image"], item["region"]): item for item in bakery.run("images", "--json").images}
    assert set(listed) == {(name, region) for name in TABLES for region in ("us-east-1", "eu-west-1")}
    base, app, copy = (listed[key] for key in (("base", "us-east-1"), ("app", "us-east-1"), ("app", "eu-west-1")))
    assert (app["ami"], app["state"], app["copy_of"]) == (amis["app"]["us-east-1"], "available", None)
    assert (app["base"], app["base_region"], app["base_created"]) == (base["ami"], "us-east-1", base["created"])
    assert (base["base"], base["base_name"], base["base_state"]) == (public_ami(ec2), JAMMY, "available")
    assert base["base_created"] == "2024-09-27T05:42:44+00:00"
    assert (copy["ami"], copy["copy_of"]) == (amis["app"]["eu-west-1"], app["ami"])
    assert (copy["base"], copy["base_region"]) == (base["ami"], "us-east-1")
    assert {item["commit"] for item in listed.values()} == {git(bakery, "rev-parse", "HEAD")}
    digests = {item["image"]: item["digest"] for item in bakery.run("digest", "--json").images}
    assert {name: item["digest"] for (name, _), item in listed.items()} == digests
    for item in listed.values():
        assert datetime.fromisoformat(item["created"]).utcoffset() is not None
        assert item["age_seconds"] >= 0

    bakery.control.clear_report()
    lines = bakery.run("images", "base").answer.splitlines()
    assert bakery.calls() == {"DescribeImages": 3}, "one call per region, and one for the source AMI"
    columns = ["IMAGE", "REGION", "AMI", "AGE", "STATE", "DIGEST", "BASE", "BASE AGE", "COMMIT"]
    assert re.split(r" {2,}", lines[0]) == columns
    row = dict(zip(columns, re.split(r" {2,}", next(line for line in lines if "us-east-1" in line)), strict=True))
    assert row["AMI"] == base["ami"]
    assert (row["DIGEST"], row["COMMIT"]) == (base["digest"][:12], base["commit"][:12])
    assert (row["BASE"], row["STATE"]) == (base["base"], "available")
    assert re.fullmatch(r"\d+ days", row["BASE AGE"])


def test_newest_ami_of_each_image_comes_first(bakery: Harness, ec2: EC2Client) -> None:
    source = public_ami(ec2)
    for name in ("app", "base", "app"):
        own_ami(ec2, f"{name}-{len(ec2.describe_images(Owners=['self'])['Images'])}", finished(name, DIGEST))
    listed = bakery.run("images", "--json").images
    assert [item["image"] for item in listed] == ["app", "app", "base"]
    assert listed[0]["created"] >= listed[1]["created"]
    assert {item["base"] for item in listed} == {source}, "from EC2, if there is no tag"


def test_number_of_api_calls_does_not_grow_with_the_images(bakery: Harness, ec2: EC2Client, europe: EC2Client) -> None:
    names = [f"image-{number}" for number in range(50)]
    write_config(bakery, dict.fromkeys(names, ""))
    for client in (ec2, europe):
        for name in names:
            own_ami(client, name, finished(name, DIGEST, base=own_ami(client, f"base-of-{name}")))
    for option, calls in (("--json", 2 + 2), ("--lineage", 2 + 2 + 2)):
        bakery.control.clear_report()
        assert bakery.run("images", option).status == 0
        # Per region: the AMIs and their source AMIs; for the tree also the origins of these.
        assert bakery.calls() == {"DescribeImages": calls}


def test_copy_without_an_origin_tag_is_recognized(bakery: Harness, ec2: EC2Client, europe: EC2Client) -> None:
    """Copies by the original bakery or Packer's `ami_regions` have no origin tag."""
    ami = own_ami(ec2, "base", finished("base", DIGEST, base=public_ami(ec2)))
    copy = europe.copy_image(Name="base", SourceImageId=ami, SourceRegion="us-east-1", CopyImageTags=True)["ImageId"]
    copies = {item["ami"]: (item["copy_of"], item["base_name"]) for item in bakery.run("images", "--json").images}
    assert copies == {ami: (None, JAMMY), copy: (ami, JAMMY)}


def test_deleted_source_ami_is_shown_as_gone(bakery: Harness, ec2: EC2Client) -> None:
    base = own_ami(ec2, "golden")
    ami = own_ami(ec2, "base", finished("base", DIGEST, base=base))
    ec2.deregister_image(ImageId=base)
    (item,) = bakery.run("images", "--json").images
    assert (item["ami"], item["base"], item["base_state"], item["base_created"]) == (ami, base, "gone", None)
    assert re.search(rf"{base}  gone ", bakery.run("images").answer)
    assert bakery.run("images", "--lineage").answer.splitlines()[:2] == ["us-east-1", f"`-- {base}  gone"]


def test_lineage_starts_at_source_amis_of_other_accounts(bakery: Harness, ec2: EC2Client) -> None:
    amis = baked(bakery)
    digests = {item["image"]: item["digest"][:12] for item in bakery.run("digest", "--json").images}
    text = re.sub(r"just now|\d+ (second|minute|day)s?", "AGE", bakery.run("images", "--lineage").answer)
    american, european = ({name: ids[region] for name, ids in amis.items()} for region in ("us-east-1", "eu-west-1"))
    base, app = (f"{name}  AGE  {digests[name]}" for name in ("base", "app"))
    assert text.splitlines() == [
        "eu-west-1",
        f"|-- {american['app']}  (us-east-1)  {app}",
        f"|   `-- {european['app']}  {app}",
        f"`-- {american['base']}  (us-east-1)  {base}",
        f"    `-- {european['base']}  {base}",
        "us-east-1",
        f"`-- {public_ami(ec2)}  {JAMMY}  AGE",
        f"    `-- {american['base']}  {base}",
        f"        `-- {american['app']}  {app}",
    ]


def test_lineage_of_one_image_shows_only_its_ancestors(bakery: Harness, ec2: EC2Client) -> None:
    write_config(bakery, TABLES | {"other": 'from = "base"\n'})
    golden = own_ami(ec2, "golden", {IMAGE_TAG: "forged\nus-east-1", FROM_TAG: "ami-00000000"})
    base = own_ami(ec2, "base", finished("base", DIGEST, base=golden))
    app, _ = (own_ami(ec2, name, finished(name, DIGEST, base=base)) for name in ("app", "other"))
    run = bakery.run("images", "--lineage", "app")
    ids = re.findall(r"ami-[0-9a-f]+", run.answer)
    assert ids == ["ami-00000000", golden, base, app]
    assert "forged\\nus-east-1" in run.stdout, "a tag cannot forge a line"
    (region,) = bakery.run("images", "--lineage", "app", "--json").document["regions"]
    at, path = region["roots"], []
    while at:
        (node,) = at
        path.append((node["ami"], node["state"]))
        at = node["children"]
    assert path == [("ami-00000000", "gone"), *((ami, "available") for ami in (golden, base, app))]


def test_outdated_shows_amis_with_what_changed(bakery: Harness) -> None:
    amis = baked(bakery)
    run = bakery.run("images", "--outdated")
    assert (run.status, run.stdout, run.stderr) == (0, "", "all images are up to date\n")
    bakery.write("app/setup.sh", "other\n")
    (item,) = bakery.run("images", "--outdated", "--json").images
    assert (item["image"], item["ami"], item["changed"]) == ("app", amis["app"]["us-east-1"], ["files"])
    assert item["current_digest"] == bakery.run("digest", "app").answer != item["digest"]
    write_config(bakery, TABLES | {"base": 'salt = "2"\nvars = { size = "t3.small" }\n'})
    run = bakery.run("images", "--outdated")
    assert run.status == 0
    rows = [re.split(r" {2,}", line) for line in run.answer.splitlines()]
    assert rows[0] == ["IMAGE", "REGION", "AMI", "AGE", "DIGEST", "CURRENT DIGEST", "CHANGED"]
    changes = {row[0]: row[-2:] for row in rows[1:]}
    assert changes["base"] == [bakery.run("digest", "base").answer[:12], "variables, settings"]
    assert changes["app"] == ["unknown", "files, base (waiting for base)"]
    assert [item["awaits"] for item in bakery.run("images", "--outdated", "--json").images] == [None, "base"]
    assert bakery.packer_runs == 2


def test_reverted_change_is_not_outdated(bakery: Harness) -> None:
    """After a built change is reverted, the earlier AMI matches again."""
    first = baked(bakery)
    bakery.write("app/setup.sh", "other\n")
    assert baked(bakery)["app"] != first["app"]
    bakery.write("app/setup.sh", "echo set up\n")
    assert bakery.run("images", "--outdated", "--json").images == []
    assert baked(bakery) == first


def test_images_without_amis_print_a_message(bakery: Harness) -> None:
    for options in ((), ("--outdated",), ("--lineage",)):
        run = bakery.run("images", *options)
        assert (run.status, run.stdout) == (0, "")
    assert bakery.run("images").stderr == "no AMIs found for these images\n"


def test_used_shows_what_uses_each_ami(bakery: Harness, ec2: EC2Client, local: LocalAws) -> None:
    old = bakery.control.add_image(
        "us-east-1",
        {"name": "app-old", "tags": finished("app", "1" * 64), "created": "2026-06-01T12:00:00Z"},
    )
    new = own_ami(ec2, "app-new", finished("app", DIGEST))
    running = ec2.run_instances(ImageId=old, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    data: RequestLaunchTemplateDataTypeDef = {"ImageId": old, "InstanceType": "t3.small"}
    made = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)["LaunchTemplate"]
    scaling, ssm = aws_client(local, "autoscaling"), aws_client(local, "ssm")
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="web",
        MinSize=0,
        MaxSize=0,
        AvailabilityZones=["us-east-1a"],
        LaunchTemplate={"LaunchTemplateName": "web"},
    )
    ssm.put_parameter(Name="/app/golden", Value=new, Type="String", DataType="aws:ec2:image")
    for client in (scaling, ssm):
        client.close()

    listed = {item["ami"]: item for item in bakery.run("images", "--used", "app", "--json").images}
    assert list(listed) == [new, old]
    assert [instance["id"] for instance in listed[old]["instances"]] == [running]
    assert listed[old]["launch_templates"] == [
        {
            "id": made["LaunchTemplateId"],
            "name": "web",
            "versions": [{"number": 1, "aliases": ["$Default", "$Latest"]}],
        }
    ]
    assert (listed[old]["auto_scaling_groups"], listed[old]["others"]) == (["web"], [])
    assert (listed[old]["behind_builds"], listed[new]["behind_builds"]) == (1, 0)
    assert listed[old]["behind_seconds"] > 0
    assert [other["name"] for other in listed[new]["others"]] == ["/app/golden"]

    bakery.control.enforce(without("usage-policy.json", "autoscaling:DescribeAutoScalingGroups"))
    run = bakery.run("images", "--used", "app", "--region", "us-east-1")
    bakery.control.enforce(None)
    assert run.status == 0
    assert "Allow the action autoscaling:DescribeAutoScalingGroups" in run.stderr
    (row,) = (line for line in run.answer.splitlines() if old in line)
    assert f"instance {running}; launch template {made['LaunchTemplateId']} web (1 $Default $Latest)" in row
    assert row.endswith("unknown: Auto Scaling groups, launch configurations")


def without(name: str, action: str) -> dict[str, Any]:
    """Returns a policy of the documentation without one action."""
    policy: dict[str, Any] = json.loads((ROOT / "docs/guides/iam" / name).read_text())
    for statement in policy["Statement"]:
        if isinstance(statement["Action"], list):
            statement["Action"] = [one for one in statement["Action"] if one != action]
    return policy


def test_images_lists_amis_of_drop_in_mode(drop_in: Harness, ec2: EC2Client) -> None:
    ami = drop_in.run("bake").answer
    (item,) = drop_in.run("images", "--json").images
    assert (item["image"], item["ami"], item["base"]) == ("default", ami, public_ami(ec2))
    lines = drop_in.run("images", "--lineage").answer.splitlines()
    assert [re.findall(r"ami-\w+|us-east-1", line)[0] for line in lines] == ["us-east-1", public_ami(ec2), ami]
    assert drop_in.run("images", "--outdated", "--json").images == []
    drop_in.write("ami/setup.sh", "other\n")
    (item,) = drop_in.run("images", "--outdated", "--json").images
    assert (item["ami"], item["changed"]) == (ami, ["files"])


def test_terminal_shows_tables_in_color_and_trees(bakery: Harness, ec2: EC2Client) -> None:
    ami = own_ami(ec2, "base", finished("base", DIGEST))
    for option, drawn in (("--color=always", "\x1b[1mIMAGE"), ("--lineage", "`-- ")):
        terminal = Terminal(bakery, "images", option)
        assert terminal.watch(lambda _: "") == 0
        assert drawn in terminal.seen
        assert ami in terminal.seen, "not truncated on a narrow terminal"


def test_lineage_and_outdated_are_mutually_exclusive(bakery: Harness) -> None:
    run = bakery.run("images", "--lineage", "--outdated")
    assert (run.status, run.stdout) == (2, "")
