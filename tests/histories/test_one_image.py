"""Histories of one image. They state the number of Packer runs after each step."""

from __future__ import annotations

import json

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import COMPONENTS_TAG, DIGEST_TAG, FORMAT_TAG, FROM_TAG, IMAGE_TAG
from tests.harness import TOML, Harness, json_template


def tags_of(ec2: EC2Client, ami: str) -> dict[str, str]:
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    return {tag["Key"]: tag["Value"] for tag in image.get("Tags", [])}


@pytest.mark.parametrize("way_in", ["app", "drop_in"])
def test_packer_runs_only_if_the_definition_changed(
    way_in: str, request: pytest.FixtureRequest, ec2: EC2Client
) -> None:
    harness: Harness = request.getfixturevalue(way_in)
    first = harness.run("bake").answer
    assert harness.packer_runs == 1
    assert harness.run("bake").answer == first
    assert harness.packer_runs == 1

    harness.write("ami/setup.sh", "echo set uq\n")
    second = harness.run("bake").answer
    assert second != first
    assert harness.packer_runs == 2

    harness.write("ami/setup.sh", "echo set up\n")
    assert harness.run("bake").answer == first
    assert harness.packer_runs == 2

    forced = harness.run("bake", "--force")
    assert forced.answer not in (first, second)
    assert harness.packer_runs == 3
    assert "--force" in forced.stderr or "asked for" in forced.stderr
    assert harness.run("bake").answer == forced.answer, "the newest AMI of a digest wins"

    for ami in (first, forced.answer):
        ec2.deregister_image(ImageId=ami)
    assert harness.run("bake").answer not in (first, second, forced.answer)
    assert harness.packer_runs == 4


def test_bake_does_what_plan_shows(app: Harness) -> None:
    (before,) = app.run("plan", "--json").images
    assert (before["action"], before["amis"]) == ("bake", {})
    assert [reason["kind"] for reason in before["reasons"]] == ["never-baked", "no-ami"]
    assert app.packer_runs == 0

    (baked,) = app.run("bake", "--json").images
    assert (baked["outcome"], baked["digest"]) == ("baked", before["digest"])
    (after,) = app.run("plan", "--json").images
    assert (after["action"], after["amis"]) == ("reuse", baked["amis"])
    assert [reason["kind"] for reason in after["reasons"]] == ["unchanged"]

    app.write("ami/setup.sh", "echo changed\n")
    (changed,) = app.run("plan", "--json").images
    assert changed["action"] == "bake"
    assert "files-changed" in [reason["kind"] for reason in changed["reasons"]]
    assert app.run("plan", "--detailed-exitcode").status == 2
    app.run("bake")
    assert app.run("plan", "--detailed-exitcode").status == 0


def test_ami_has_the_tags_that_a_later_plan_needs(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    tags = tags_of(ec2, ami)
    assert tags[DIGEST_TAG] == app.run("digest").answer
    assert tags[IMAGE_TAG] == "app"
    assert tags[FORMAT_TAG] == "1"
    assert tags[FROM_TAG].startswith("ami-")
    assert "files=" in tags[COMPONENTS_TAG]


def test_template_without_the_checksum_variable_is_tagged_by_ami_bakery(app: Harness, ec2: EC2Client) -> None:
    template = json_template(tags={"Name": "mine"})
    del template["variables"]["config_checksum"]
    app.write("ami/app.json", template)
    ami = app.run("bake").answer
    assert tags_of(ec2, ami)["Name"] == "mine"
    assert tags_of(ec2, ami)[DIGEST_TAG] == app.run("digest").answer
    assert app.run("bake").answer == ami
    assert app.packer_runs == 1


def test_drop_in_mode_tags_an_ami_whose_template_does_not(drop_in: Harness, ec2: EC2Client) -> None:
    template = json_template(tags={"Name": "mine"})
    del template["variables"]["config_checksum"]
    drop_in.write("ami/packer/ami.json", template)
    ami = drop_in.run("bake").answer
    assert tags_of(ec2, ami)[DIGEST_TAG] == drop_in.run("digest").answer
    assert drop_in.run("bake").answer == ami
    assert drop_in.packer_runs == 1


def test_digest_tag_of_packer_alone_does_not_count_for_an_image_of_bakery_toml(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    ec2.delete_tags(Resources=[ami], Tags=[{"Key": FORMAT_TAG}])
    (plan,) = app.run("plan", "--json").images
    assert [reason["kind"] for reason in plan["reasons"]][-2:] == ["no-ami", "not-finished"]
    assert app.run("bake").answer != ami


def test_id_file_is_written_next_to_the_template_baked_or_not(drop_in: Harness) -> None:
    answer = drop_in.folder / "ami/packer/.ami_id.json"
    ami = drop_in.run(program="bake").answer
    assert json.loads(answer.read_text()) == {"ami_id": ami}
    answer.unlink()
    drop_in.run(program="bake")
    assert answer.read_text() == f'{{"ami_id": "{ami}"}}'
    assert drop_in.packer_runs == 1


def test_relative_template_and_folder_find_the_same_ami(drop_in: Harness) -> None:
    ami = drop_in.run(program="bake").answer
    relative = {"PACKER_JSON_PATH": "ami/packer/ami.json", "AMI_DEFINITION_DIRS": " ami/ "}
    assert drop_in.run(program="bake", environment=relative).answer == ami
    drop_in.write("ami/setup.sh", "changed\n")
    assert drop_in.run(program="bake", environment=relative).status == 0
    beside = {"PACKER_JSON_PATH": "ami.json", "AMI_DEFINITION_DIRS": ".."}
    again = drop_in.run(program="bake", environment=beside, cwd=drop_in.folder / "ami/packer")
    assert again.status == 0
    assert drop_in.packer_runs == 2


def test_ami_of_another_account_with_the_tag_is_not_returned(drop_in: Harness, ec2: EC2Client) -> None:
    """The original did not filter by owner. It returned anyone's public AMI with the checksum."""
    digest = drop_in.run("digest").answer
    (ubuntu, *_) = ec2.describe_images(Owners=["099720109477"])["Images"]
    ec2.create_tags(Resources=[ubuntu["ImageId"]], Tags=[{"Key": DIGEST_TAG, "Value": digest}])
    assert drop_in.run(program="bake").answer != ubuntu["ImageId"]
    assert drop_in.packer_runs == 1


def test_variables_after_the_dashes_are_part_of_the_definition(app: Harness) -> None:
    plain = app.run("bake").answer
    other = app.run("bake", "--", "-var", "size=t3.small").answer
    assert other != plain
    assert app.run("bake", "--", "-var=size=t3.small").answer == other
    assert app.run("bake", "--", "-on-error=cleanup").answer == plain
    assert app.packer_runs == 2


def test_packer_uses_the_pinned_source_ami(app: Harness, ec2: EC2Client) -> None:
    template = json_template(source_ami="{{user `source_ami`}}")
    del template["builders"][0]["source_ami_filter"]
    template["variables"]["source_ami"] = ""
    app.write("ami/app.json", template)
    images = ec2.describe_images(Owners=["099720109477"], Filters=[{"Name": "name", "Values": ["*jammy*amd64*"]}])
    old, new = sorted(images["Images"], key=lambda image: image["CreationDate"])
    for base in (old, new):
        app.write("bakery.toml", f'{TOML}from = "{base["ImageId"]}"\n')
        ami = app.run("bake").answer
        (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
        assert image.get("SourceImageId") == base["ImageId"]
    name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"
    app.write("bakery.toml", f'{TOML}from = {{ owners = ["099720109477"], filters = {{ name = "{name}" }} }}\n')
    assert app.run("bake").answer == ami, "the filter resolves to the same AMI, so the definition is the same"
    assert app.packer_runs == 2


def test_template_with_another_filter_for_the_same_source_ami_has_the_same_source_ami(
    app: Harness, ec2: EC2Client
) -> None:
    app.run("bake")
    (newest,) = (
        image["ImageId"]
        for image in ec2.describe_images(
            Filters=[{"Name": "name", "Values": ["ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240927"]}]
        )["Images"]
    )
    template = json_template()
    template["builders"][0]["source_ami_filter"]["filters"] = {"image-id": newest}
    app.write("ami/app.json", template)
    (plan,) = app.run("plan", "--json").images
    kinds = {reason["kind"] for reason in plan["reasons"]}
    assert "files-changed" in kinds
    assert "base-changed" not in kinds, "the template changed, and the base that it finds did not"


def test_child_is_baked_after_its_parent_and_from_its_ami(harness: Harness, ec2: EC2Client) -> None:
    child = json_template(source_ami="{{user `source_ami`}}")
    del child["builders"][0]["source_ami_filter"]
    child["variables"]["source_ami"] = ""
    harness.write("base/base.json", json_template())
    harness.write("child/child.json", child)
    harness.write(
        "bakery.toml",
        'version = 1\n[defaults]\nregions = ["us-east-1"]\n'
        '[images.child]\ntemplate = "child/child.json"\nfrom = "base"\n'
        '[images.base]\ntemplate = "base/base.json"\n',
    )
    plans = harness.run("plan", "--json").images
    assert [(plan["image"], plan["action"]) for plan in plans] == [("base", "bake"), ("child", "pending")]
    answer = harness.run("bake", "child").answer
    amis = dict(line.split("\tus-east-1\t") for line in harness.run("bake").answer.splitlines())
    assert answer == amis["child"]
    (image,) = ec2.describe_images(ImageIds=[answer])["Images"]
    assert image.get("SourceImageId") == amis["base"]
    assert harness.packer_runs == 2


def test_second_region_is_a_copy_and_a_missing_one_is_repaired_by_a_copy(app: Harness) -> None:
    app.run("bake")
    app.write("bakery.toml", TOML.replace('["us-east-1"]', '["us-east-1", "eu-west-1"]'))
    (plan,) = app.run("plan", "--json").images
    assert plan["action"] == "copy"
    (outcome,) = app.run("bake", "--json").images
    assert outcome["outcome"] == "copied"
    assert sorted(outcome["amis"]) == ["eu-west-1", "us-east-1"]
    assert app.packer_runs == 1
    assert app.run("plan", "--detailed-exitcode").status == 0
    lines = app.run("bake").answer.splitlines()
    assert lines == [f"app\t{region}\t{outcome['amis'][region]}" for region in ("us-east-1", "eu-west-1")]


def test_image_is_shared_with_accounts_that_do_not_have_it_yet(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    app.write("bakery.toml", TOML + 'share_with = ["444455556666"]\n')
    assert app.run("bake").answer == ami
    permissions = ec2.describe_image_attribute(ImageId=ami, Attribute="launchPermission")["LaunchPermissions"]
    assert permissions == [{"UserId": "444455556666"}]
    app.run("bake")
    assert (app.packer_runs, app.calls()["ModifyImageAttribute"]) == (1, 1)


def test_tags_of_an_image_are_not_part_of_its_digest(app: Harness) -> None:
    digest = app.run("digest").answer
    app.run("bake")
    app.write("bakery.toml", f'{TOML}tags = {{ team = "web" }}\n\n[defaults]\ntags = {{ tier = "1" }}\n')
    assert app.run("digest").answer == digest
    app.run("bake")
    assert app.packer_runs == 1
