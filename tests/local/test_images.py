"""AMIs of the embedded EC2, through real boto3: names, states, copies, pages, owners, filters, deprecation."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ami_bakery.local import Control

from .conftest import UBUNTU, Client, bake, base_image, image, launch, tags


def refusal(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_used_name_is_refused_by_create_copy_and_register(ec2: Any) -> None:
    first = bake(ec2, "app")
    wording = ("InvalidAMIName.Duplicate", f"AMI name app is already in use by AMI {first}")
    instance_id = launch(ec2)["InstanceId"]
    snapshot = image(ec2, first)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    mapping = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}]
    assert refusal(ec2.create_image, InstanceId=instance_id, Name="app") == wording
    assert refusal(ec2.copy_image, SourceImageId=first, SourceRegion="us-east-1", Name="app") == wording
    assert refusal(ec2.register_image, Name="app", BlockDeviceMappings=mapping) == wording


def test_name_is_unique_per_account_and_region_until_deregistered(ec2: Any, client: Client) -> None:
    first = bake(ec2, "app")
    bake(client(region="eu-west-1"), "app")
    bake(client(account=1), "app")
    ec2.deregister_image(ImageId=first)
    bake(ec2, "app")


def test_invalid_ami_name_is_refused(ec2: Any) -> None:
    assert refusal(ec2.create_image, InstanceId=launch(ec2)["InstanceId"], Name="a:b")[0] == "InvalidAMIName.Malformed"


def test_new_ami_is_pending_then_available(ec2: Any, control: Control) -> None:
    control.change(pending_seconds=1000)
    made = bake(ec2, "app")
    assert image(ec2, made)["State"] == "pending"
    pending = (
        "InvalidAMIID.Unavailable",
        f"The AMI ID '{made}' is currently pending and may not be used for this operation",
    )
    assert refusal(ec2.copy_image, SourceImageId=made, SourceRegion="us-east-1", Name="copy") == pending
    assert refusal(ec2.run_instances, ImageId=made, MinCount=1, MaxCount=1) == pending
    assert refusal(ec2.modify_image_attribute, ImageId=made, Description={"Value": "x"}) == pending
    control.change(pending_seconds=0)
    assert image(ec2, made)["State"] == "available"
    control.change(pending_seconds=1000)
    assert image(ec2, made)["State"] == "available", "an available AMI is never pending again"


def test_new_ami_and_its_tags_can_be_invisible_for_a_while(ec2: Any, control: Control) -> None:
    seen = bake(ec2, "seen")
    control.change(lag_seconds=600)
    made = bake(ec2, "late")
    ec2.create_tags(Resources=[seen], Tags=[{"Key": "a", "Value": "1"}])
    assert refusal(ec2.describe_images, ImageIds=[made])[0] == "InvalidAMIID.NotFound"
    assert tags(image(ec2, seen)) == {}
    control.change(lag_seconds=0)
    assert len(ec2.describe_images(Owners=["self"])["Images"]) == 2
    assert tags(image(ec2, seen)) == {"a": "1"}


def test_ami_can_fail(ec2: Any, control: Control) -> None:
    control.change(image_outcome="failed")
    found = image(ec2, bake(ec2, "app"))
    assert (found["State"], found["StateReason"]["Code"]) == ("failed", "Client.InternalError")


def test_created_ami_names_its_source_ami_and_instance(ec2: Any) -> None:
    instance = launch(ec2)
    made = ec2.create_image(
        InstanceId=instance["InstanceId"],
        Name="app",
        Description="of a test",
        TagSpecifications=[
            {"ResourceType": "image", "Tags": [{"Key": "a", "Value": "1"}]},
            {"ResourceType": "snapshot", "Tags": [{"Key": "s", "Value": "2"}]},
        ],
    )["ImageId"]
    found = image(ec2, made)
    assert (found["SourceImageId"], found["SourceImageRegion"]) == (base_image(ec2), "us-east-1")
    assert (found["SourceInstanceId"], found["Description"]) == (instance["InstanceId"], "of a test")
    assert (found["RootDeviceName"], tags(found)) == ("/dev/sda1", {"a": "1"})
    snapshot_id = found["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    (snapshot,) = ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    assert (tags(snapshot), snapshot["State"], made in snapshot["Description"]) == ({"s": "2"}, "completed", True)


def test_copy_has_the_tags_only_if_requested(ec2: Any, client: Client) -> None:
    made = bake(ec2, "app", TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "1"}]}])
    west = client(region="us-west-2")
    plain = west.copy_image(SourceImageId=made, SourceRegion="us-east-1", Name="plain")["ImageId"]
    tagged = west.copy_image(
        SourceImageId=made,
        SourceRegion="us-east-1",
        Name="tagged",
        CopyImageTags=True,
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "b", "Value": "2"}]}],
    )["ImageId"]
    assert tags(image(west, plain)) == {}
    assert tags(image(west, tagged)) == {"a": "1", "b": "2"}
    found = image(west, tagged)
    assert (found["SourceImageId"], found["SourceImageRegion"]) == (made, "us-east-1")


def test_encrypted_copy_is_marked_and_its_snapshot_names_the_key(ec2: Any, client: Client) -> None:
    key = "arn:aws:kms:us-west-2:111122223333:key/1234"
    west = client(region="us-west-2")
    copied = west.copy_image(
        SourceImageId=bake(ec2, "app"), SourceRegion="us-east-1", Name="app", Encrypted=True, KmsKeyId=key
    )["ImageId"]
    device = image(west, copied)["BlockDeviceMappings"][0]["Ebs"]
    (snapshot,) = west.describe_snapshots(SnapshotIds=[device["SnapshotId"]])["Snapshots"]
    assert (device["Encrypted"], snapshot["Encrypted"], snapshot["KmsKeyId"]) == (True, True, key)


def test_pages_are_complete_and_refuse_a_foreign_token(ec2: Any, control: Control) -> None:
    names = {f"app-{number}" for number in range(5)}
    for name in names:
        bake(ec2, name)
    control.change(page_cap=2)
    pages = list(ec2.get_paginator("describe_images").paginate(Owners=["self"], MaxResults=500))
    assert [len(page["Images"]) for page in pages] == [2, 2, 1]
    assert {found["Name"] for page in pages for found in page["Images"]} == names
    assert len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 2
    reservations = list(ec2.get_paginator("describe_instances").paginate())
    assert [len(page["Reservations"]) for page in reservations] == [2, 2, 1]
    assert refusal(ec2.describe_images, NextToken="nonsense")[0] == "InvalidNextToken"


def test_unknown_and_malformed_ids_are_refused(ec2: Any) -> None:
    assert refusal(ec2.describe_images, ImageIds=["ami-12345678"]) == (
        "InvalidAMIID.NotFound",
        "The image id '[ami-12345678]' does not exist",
    )
    assert refusal(ec2.describe_images, ImageIds=["i-1"])[0] == "InvalidAMIID.Malformed"
    assert refusal(ec2.run_instances, ImageId="ami-12345678", MinCount=1, MaxCount=1)[0] == "InvalidAMIID.NotFound"
    assert refusal(ec2.deregister_image, ImageId="ami-12345678")[0] == "InvalidAMIID.NotFound"


def test_filters_match_like_ec2(ec2: Any) -> None:
    bake(ec2, "app-1", TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "sum", "Value": "abc"}]}])
    bake(ec2, "app-2", TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "sum", "Value": "ABD"}]}])

    def found(**filters: list[str]) -> set[str]:
        asked = [
            {"Name": name.replace("__", ":").replace("_", "-"), "Values": values} for name, values in filters.items()
        ]
        return {one["Name"] for one in ec2.describe_images(Owners=["self"], Filters=asked)["Images"]}

    assert found(tag__sum=["abc", "nothing"]) == {"app-1"}
    assert found(tag__sum=["ab?"]) == {"app-1"}
    assert found(name=["app-*"], state=["available"]) == {"app-1", "app-2"}
    assert found(name=["app-[12]"]) == set()
    assert found(tag_key=["sum"]) == {"app-1", "app-2"}
    many = [{"Name": "name", "Values": [str(number) for number in range(201)]}]
    assert refusal(ec2.describe_images, Filters=many)[0] == "FilterLimitExceeded"
    assert refusal(ec2.describe_images, Filters=[{"Name": "nmae", "Values": ["x"]}])[0] == "InvalidParameterValue"


def test_another_account_sees_shared_amis_without_tags(ec2: Any, client: Client) -> None:
    other = client(account=1)
    made = bake(ec2, "app", TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "1"}]}])
    assert refusal(other.describe_images, ImageIds=[made])[0] == "InvalidAMIID.NotFound"
    permission = [{"UserId": "444455556666"}]
    ec2.modify_image_attribute(ImageId=made, LaunchPermission={"Add": permission})
    granted = ec2.describe_image_attribute(ImageId=made, Attribute="launchPermission")["LaunchPermissions"]
    assert granted == permission
    shared = image(other, made)
    assert (shared["OwnerId"], tags(shared)) == ("111122223333", {})
    assert other.describe_images(Owners=["self"])["Images"] == []
    assert [one["ImageId"] for one in other.describe_images(ExecutableUsers=["self"])["Images"]] == [made]
    assert refusal(other.deregister_image, ImageId=made)[0] == "AuthFailure"
    copied = other.copy_image(SourceImageId=made, SourceRegion="us-east-1", Name="app", CopyImageTags=True)["ImageId"]
    assert tags(image(other, copied)) == {}
    assert launch(other, ImageId=made)["Architecture"] == "x86_64"
    ec2.modify_image_attribute(ImageId=made, LaunchPermission={"Remove": permission})
    assert refusal(other.describe_images, ImageIds=[made])[0] == "InvalidAMIID.NotFound"


def test_deprecated_ami_is_hidden_from_others_and_disabled_one_from_lists(ec2: Any, client: Client) -> None:
    made = bake(ec2, "app")
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    ec2.enable_image_deprecation(ImageId=made, DeprecateAt=moment)
    assert image(ec2, made)["DeprecationTime"].startswith(f"{moment:%Y-%m-%dT%H:}")
    ec2.disable_image_deprecation(ImageId=made)
    assert "DeprecationTime" not in image(ec2, made)
    ec2.disable_image(ImageId=made)
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    (disabled,) = ec2.describe_images(ImageIds=[made], IncludeDisabled=True)["Images"]
    assert disabled["State"] == "disabled"
    assert refusal(ec2.run_instances, ImageId=made, MinCount=1, MaxCount=1)[0] == "InvalidAMIID.Unavailable"
    ec2.enable_image(ImageId=made)
    assert image(ec2, made)["State"] == "available"


def test_invalid_tags_are_refused(ec2: Any) -> None:
    made, instance_id = bake(ec2, "app"), launch(ec2)["InstanceId"]
    for tag in ({"Key": "aws:a", "Value": ""}, {"Key": "k" * 129, "Value": ""}, {"Key": "k", "Value": "v" * 257}):
        assert refusal(ec2.create_tags, Resources=[made], Tags=[tag])[0] == "InvalidParameterValue"
        specification = [{"ResourceType": "image", "Tags": [tag]}]
        call = {"InstanceId": instance_id, "Name": "other", "TagSpecifications": specification}
        assert refusal(ec2.create_image, **call)[0] == "InvalidParameterValue"
    many = [{"Key": str(number), "Value": ""} for number in range(51)]
    assert refusal(ec2.create_tags, Resources=[made], Tags=many)[0] == "TagLimitExceeded"
    assert tags(image(ec2, made)) == {}


def test_deregistering_deletes_snapshots_if_requested(ec2: Any) -> None:
    made = bake(ec2, "app")
    snapshot = image(ec2, made)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert refusal(ec2.delete_snapshot, SnapshotId=snapshot)[0] == "InvalidSnapshot.InUse"
    ec2.deregister_image(ImageId=made, DeleteAssociatedSnapshots=True)
    assert refusal(ec2.describe_snapshots, SnapshotIds=[snapshot])[0] == "InvalidSnapshot.NotFound"


def test_public_amis_are_constant_and_ssm_names_the_newest(ec2: Any, client: Client) -> None:
    asked = [{"Name": "name", "Values": ["ubuntu/images/*22.04-amd64-server-*"]}]
    found = ec2.describe_images(Owners=["099720109477"], Filters=asked)["Images"]
    newest = max(found, key=lambda one: one["CreationDate"])
    assert (len(found), newest["ImageId"]) == (2, "ami-9bc25ed5138ed75cf")
    for region in ("us-east-1", "eu-central-1"):
        for name, owner in (
            ("/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id", "099720109477"),
            ("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64", "137112412989"),
        ):
            ami_id = client("ssm", region).get_parameter(Name=name)["Parameter"]["Value"]
            assert image(client(region=region), ami_id)["OwnerId"] == owner
    assert {one["Name"][:4] for one in ec2.describe_images(Owners=["amazon"])["Images"]} >= {"al20"}


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("volume-type", "gp2", True),
        ("volume-type", "io1", False),
        ("volume-size", "8", True),
        ("delete-on-termination", "true", True),
        ("encrypted", "true", False),
        ("device-name", "/dev/sda1", True),
    ],
)
def test_amis_are_found_by_their_volumes(ec2: Any, name: str, value: str, found: bool) -> None:
    """Public templates search for AMIs by {"block-device-mapping.volume-type": "gp2"}."""
    filters = [{"Name": "name", "Values": [UBUNTU]}, {"Name": f"block-device-mapping.{name}", "Values": [value]}]
    assert bool(ec2.describe_images(Filters=filters)["Images"]) is found


def test_seeded_amis_are_available_at_once(control: Control, ec2: Any) -> None:
    made = control.seed("us-east-1", {f"stocked-{number}": {"number": str(number)} for number in range(300)})
    filters = [{"Name": "tag:number", "Values": ["7", "299"]}]
    found = ec2.describe_images(Owners=["self"], Filters=filters)["Images"]
    assert {image["Name"]: image["ImageId"] for image in found} == {
        name: made[name] for name in made if name.endswith(("-7", "-299"))
    }
    assert {image["State"] for image in found} == {"available"}
    with pytest.raises(ValueError, match="an AMI name can be used once"):
        control.seed("us-east-1", {"another": {}, "stocked-7": {}})
    assert len(ec2.describe_images(Owners=["self"])["Images"]) == 300
