"""Permissions of AMIs and snapshots, and encryption of copies, as in EC2."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Client, bake, image, launch
from .test_images import refusal

OTHER = "444455556666"
SHARE = {"Add": [{"UserId": OTHER}]}
KEY = "arn:aws:kms:us-west-2:111122223333:key/1234"


def snapshot_of(ec2: Any, ami: str) -> str:
    return str(image(ec2, ami)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"])


def launchers(ec2: Any, ami: str) -> list[dict[str, str]]:
    permissions: list[dict[str, str]] = ec2.describe_image_attribute(ImageId=ami, Attribute="launchPermission")[
        "LaunchPermissions"
    ]
    return permissions


def test_copy_has_no_launch_permissions(ec2: Any, client: Client) -> None:
    made, west = bake(ec2, "app"), client(region="us-west-2")
    ec2.modify_image_attribute(ImageId=made, LaunchPermission=SHARE)
    copied = west.copy_image(SourceImageId=made, SourceRegion="us-east-1", Name="app", CopyImageTags=True)["ImageId"]
    assert (launchers(ec2, made), launchers(west, copied)) == ([{"UserId": OTHER}], [])
    other = client(region="us-west-2", account=1)
    assert refusal(other.describe_images, ImageIds=[copied])[0] == "InvalidAMIID.NotFound"
    assert refusal(launch, ec2=other, ImageId=copied)[0] == "InvalidAMIID.NotFound"


def test_permissions_are_unique_and_of_every_kind(ec2: Any) -> None:
    made = bake(ec2, "app")
    organization = {"OrganizationArn": "arn:aws:organizations::123456789012:organization/o-123example"}
    unit = {"OrganizationalUnitArn": "arn:aws:organizations::123456789012:ou/o-123example/ou-1234-5example"}
    ec2.modify_image_attribute(ImageId=made, LaunchPermission={"Add": [organization, unit, organization]})
    ec2.modify_image_attribute(ImageId=made, OperationType="add", UserIds=[OTHER], Attribute="launchPermission")
    ec2.modify_image_attribute(ImageId=made, LaunchPermission={"Remove": [unit, {"UserId": "123456789012"}]})
    assert launchers(ec2, made) == [organization, {"UserId": OTHER}]


@pytest.mark.parametrize("permission", [{"UserId": "12"}, {"Group": "everyone"}, {"OrganizationArn": "o-123example"}])
def test_invalid_permission_is_refused_and_changes_nothing(ec2: Any, permission: dict[str, str]) -> None:
    made = bake(ec2, "app")
    change = {"Add": [{"UserId": OTHER}, permission]}
    code, _ = refusal(ec2.modify_image_attribute, ImageId=made, LaunchPermission=change)
    assert (code, launchers(ec2, made)) == ("InvalidAMIAttributeItemValue", [])
    assert refusal(ec2.modify_image_attribute, ImageId=made, LaunchPermission={})[0] == "MissingParameter"


def test_snapshot_is_visible_to_accounts_that_it_is_shared_with(ec2: Any, client: Client) -> None:
    other, snapshot = client(account=1), snapshot_of(ec2, bake(ec2, "app"))
    ec2.create_tags(Resources=[snapshot], Tags=[{"Key": "a", "Value": "1"}])
    assert refusal(other.describe_snapshots, SnapshotIds=[snapshot])[0] == "InvalidSnapshot.NotFound"
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission=SHARE)
    granted = ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    assert granted["CreateVolumePermissions"] == [{"UserId": OTHER}]
    (seen,) = other.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    assert (seen["OwnerId"], seen.get("Tags")) == ("111122223333", None)
    assert other.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    call = {"SnapshotId": snapshot, "CreateVolumePermission": SHARE}
    assert refusal(other.modify_snapshot_attribute, **call)[0] == "InvalidSnapshot.NotFound"
    ec2.modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="remove", UserIds=[OTHER]
    )
    assert refusal(other.describe_snapshots, SnapshotIds=[snapshot])[0] == "InvalidSnapshot.NotFound"


def test_ami_encrypted_with_the_default_key_cannot_be_shared(ec2: Any, client: Client) -> None:
    west = client(region="us-west-2")
    source = {"SourceImageId": bake(ec2, "app"), "SourceRegion": "us-east-1", "Encrypted": True}
    default = west.copy_image(Name="default", **source)["ImageId"]
    assert refusal(west.modify_image_attribute, ImageId=default, LaunchPermission=SHARE) == (
        "InvalidParameter",
        "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.",
    )
    call = {"SnapshotId": snapshot_of(west, default), "CreateVolumePermission": SHARE}
    assert refusal(west.modify_snapshot_attribute, **call) == (
        "OperationNotPermitted",
        "Encrypted snapshots with EBS default key cannot be shared",
    )
    own = west.copy_image(Name="own", KmsKeyId=KEY, **source)["ImageId"]
    west.modify_image_attribute(ImageId=own, LaunchPermission=SHARE)
    assert launchers(west, own) == [{"UserId": OTHER}]


def test_copy_of_an_encrypted_ami_is_encrypted(ec2: Any, client: Client) -> None:
    west, south = client(region="us-west-2"), client(region="ap-south-1")
    source = {"SourceImageId": bake(ec2, "app"), "SourceRegion": "us-east-1"}
    call = {"KmsKeyId": KEY, "Name": "app", **source}
    assert refusal(west.copy_image, **call)[0] == "InvalidParameterDependency"
    first = west.copy_image(Encrypted=True, **call)["ImageId"]
    again = {"SourceImageId": first, "SourceRegion": "us-west-2", "Name": "again"}
    assert refusal(south.copy_image, Encrypted=False, **again)[0] == "InvalidRequest"
    second = south.copy_image(**again)["ImageId"]
    (snapshot,) = south.describe_snapshots(SnapshotIds=[snapshot_of(south, second)])["Snapshots"]
    assert snapshot["Encrypted"]
    assert snapshot["KmsKeyId"].endswith("alias/aws/ebs"), "a key belongs to one region"


def test_repeated_client_token_makes_one_copy(ec2: Any, client: Client) -> None:
    west, source = client(region="us-west-2"), {"SourceImageId": bake(ec2, "app"), "SourceRegion": "us-east-1"}
    copies = {west.copy_image(Name="app", ClientToken="once", **source)["ImageId"] for _ in range(2)}
    assert len(copies) == 1
    assert refusal(west.copy_image, Name="app", ClientToken="twice", **source)[0] == "InvalidAMIName.Duplicate"


def test_at_most_500_snapshot_permissions_change_in_one_call(ec2: Any) -> None:
    snapshot = snapshot_of(ec2, bake(ec2, "app"))
    accounts: list[Any] = [{"UserId": f"{number:012}"} for number in range(501)]
    change = {"SnapshotId": snapshot, "CreateVolumePermission": {"Add": accounts}}
    assert refusal(ec2.modify_snapshot_attribute, **change)[0] == "InvalidParameterValue"
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={"Add": accounts[:500]})
