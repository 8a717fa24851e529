"""Disabled, protected and deregistered AMIs of the embedded EC2, through real boto3."""

from __future__ import annotations

from typing import Any

import pytest

from ami_bakery.local import Control, InjectedFault

from .conftest import Client, bake, image, launch, tags
from .test_images import refusal
from .test_policy import allow, policy

OTHER = "444455556666"


def snapshot_of(ec2: Any, ami: str) -> str:
    return str(image(ec2, ami)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"])


def described(ec2: Any, ami: str) -> dict[str, Any]:
    (found,) = ec2.describe_images(ImageIds=[ami], IncludeDisabled=True)["Images"]
    return dict(found)


def register_from(ec2: Any, snapshot: str, name: str) -> str:
    mapping = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}]
    return str(ec2.register_image(Name=name, BlockDeviceMappings=mapping, RootDeviceName="/dev/sda1")["ImageId"])


def test_disabled_ami_is_described_only_with_include_disabled(ec2: Any) -> None:
    made = bake(ec2, "app")
    ec2.disable_image(ImageId=made)
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    assert ec2.describe_images(ImageIds=[made])["Images"] == []
    (found,) = ec2.describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
    assert (found["ImageId"], found["State"], described(ec2, made)["State"]) == (made, "disabled", "disabled")


def test_disabled_ami_cannot_be_launched_copied_or_shared(ec2: Any, client: Client) -> None:
    made = bake(ec2, "app")
    ec2.disable_image(ImageId=made)
    refused = (
        "InvalidAMIID.Unavailable",
        f"The AMI ID '{made}' is currently disabled and may not be used for this operation",
    )
    assert refusal(launch, ec2=ec2, ImageId=made) == refused
    west = client(region="us-west-2")
    assert refusal(west.copy_image, SourceImageId=made, SourceRegion="us-east-1", Name="copy") == refused
    share = {"Add": [{"UserId": OTHER}]}
    assert refusal(ec2.modify_image_attribute, ImageId=made, LaunchPermission=share) == refused


def test_disabling_removes_launch_permissions_and_enabling_does_not_restore_them(ec2: Any, client: Client) -> None:
    made, other = bake(ec2, "app"), client(account=1)
    everyone = [{"UserId": OTHER}, {"Group": "all"}]
    ec2.modify_image_attribute(ImageId=made, LaunchPermission={"Add": everyone})
    assert image(other, made)["Public"]
    ec2.disable_image(ImageId=made)
    assert refusal(other.describe_images, ImageIds=[made], IncludeDisabled=True)[0] == "InvalidAMIID.NotFound"
    ec2.enable_image(ImageId=made)
    assert (image(ec2, made)["State"], image(ec2, made)["Public"]) == ("available", False)
    assert ec2.describe_image_attribute(ImageId=made, Attribute="launchPermission")["LaunchPermissions"] == []
    assert refusal(launch, ec2=other, ImageId=made)[0] == "InvalidAMIID.NotFound"
    assert launch(ec2, ImageId=made)["ImageId"] == made


def test_disabled_ami_keeps_its_name_tags_and_snapshots(ec2: Any) -> None:
    made = bake(ec2, "app", TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "1"}]}])
    snapshot = snapshot_of(ec2, made)
    ec2.disable_image(ImageId=made)
    ec2.create_tags(Resources=[made], Tags=[{"Key": "b", "Value": "2"}])
    assert tags(described(ec2, made)) == {"a": "1", "b": "2"}
    assert refusal(bake, ec2=ec2, name="app")[0] == "InvalidAMIName.Duplicate"
    assert refusal(ec2.delete_snapshot, SnapshotId=snapshot) == (
        "InvalidSnapshot.InUse",
        f"The snapshot {snapshot} is currently in use by {made}",
    )


def test_only_available_amis_are_disabled_and_only_disabled_ones_enabled(ec2: Any, control: Control) -> None:
    made = bake(ec2, "app")
    assert refusal(ec2.enable_image, ImageId=made)[0] == "IncorrectState"
    ec2.disable_image(ImageId=made)
    assert refusal(ec2.disable_image, ImageId=made)[0] == "InvalidAMIID.Unavailable"
    control.change(pending_seconds=1000)
    assert refusal(ec2.disable_image, ImageId=bake(ec2, "pending"))[0] == "InvalidAMIID.Unavailable"


def test_another_accounts_ami_is_not_disabled_enabled_or_protected(ec2: Any, client: Client) -> None:
    other = client(account=1)
    made = bake(other, "app")
    other.modify_image_attribute(ImageId=made, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    calls = (
        ec2.disable_image,
        ec2.enable_image,
        ec2.enable_image_deregistration_protection,
        ec2.disable_image_deregistration_protection,
        ec2.deregister_image,
    )
    for call in calls:
        assert refusal(call, ImageId=made) == ("AuthFailure", f"Not authorized for image:{made}")
        assert refusal(call, ImageId="ami-12345678")[0] == "InvalidAMIID.NotFound"


def test_protected_ami_is_not_deregistered(ec2: Any) -> None:
    made = bake(ec2, "app")
    assert image(ec2, made)["DeregistrationProtection"] == "disabled"
    assert ec2.enable_image_deregistration_protection(ImageId=made)["Return"] == "enabled-without-cooldown"
    assert image(ec2, made)["DeregistrationProtection"] == "enabled-without-cooldown"
    assert refusal(ec2.deregister_image, ImageId=made)[0] == "OperationNotPermitted"
    assert ec2.disable_image_deregistration_protection(ImageId=made)["Return"] == "disabled"
    ec2.deregister_image(ImageId=made)


def test_cooldown_prevents_deregistration_after_the_protection_is_disabled(ec2: Any, control: Control) -> None:
    made = bake(ec2, "app")
    answer = ec2.enable_image_deregistration_protection(ImageId=made, WithCooldown=True)
    assert answer["Return"] == "enabled-with-cooldown"
    ec2.disable_image_deregistration_protection(ImageId=made)
    attribute = ec2.describe_image_attribute(ImageId=made, Attribute="deregistrationProtection")
    assert attribute["DeregistrationProtection"]["Value"] == "disabled"
    assert refusal(ec2.deregister_image, ImageId=made)[0] == "OperationNotPermitted"
    control.change(cooldown_seconds=0)
    ec2.deregister_image(ImageId=made)


def test_protected_ami_can_be_disabled(ec2: Any) -> None:
    made = bake(ec2, "app")
    ec2.enable_image_deregistration_protection(ImageId=made)
    ec2.disable_image(ImageId=made)
    assert refusal(ec2.deregister_image, ImageId=made)[0] == "OperationNotPermitted"


def test_disabled_ami_can_be_deregistered_with_its_snapshots(ec2: Any) -> None:
    made = bake(ec2, "app")
    snapshot = snapshot_of(ec2, made)
    ec2.disable_image(ImageId=made)
    answer = ec2.deregister_image(ImageId=made, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot, "ReturnCode": "success"}]
    assert refusal(ec2.describe_snapshots, SnapshotIds=[snapshot])[0] == "InvalidSnapshot.NotFound"


def test_snapshot_of_two_amis_is_skipped_until_the_last_is_deregistered(ec2: Any) -> None:
    first = bake(ec2, "app")
    snapshot = snapshot_of(ec2, first)
    second = register_from(ec2, snapshot, "again")
    answer = ec2.deregister_image(ImageId=first, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot, "ReturnCode": "skipped"}]
    assert refusal(ec2.delete_snapshot, SnapshotId=snapshot)[0] == "InvalidSnapshot.InUse"
    answer = ec2.deregister_image(ImageId=second, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"][0]["ReturnCode"] == "success"


def test_deregistering_keeps_snapshots_by_default(ec2: Any) -> None:
    made = bake(ec2, "app")
    snapshot = snapshot_of(ec2, made)
    assert "DeleteSnapshotResults" not in ec2.deregister_image(ImageId=made)
    assert ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    ec2.delete_snapshot(SnapshotId=snapshot)


def test_snapshots_stay_without_permission_to_delete_them(ec2: Any, control: Control) -> None:
    made = bake(ec2, "app")
    snapshot = snapshot_of(ec2, made)
    control.enforce(policy(allow("ec2:DeregisterImage")))
    try:
        answer = ec2.deregister_image(ImageId=made, DeleteAssociatedSnapshots=True)
    finally:
        control.enforce(None)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot, "ReturnCode": "missing-permissions"}]
    assert ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]


def test_fault_of_delete_snapshot_keeps_a_snapshot_of_a_deregistered_ami(ec2: Any, control: Control) -> None:
    made = bake(ec2, "app")
    snapshot = snapshot_of(ec2, made)
    control.plan(InjectedFault(action="DeleteSnapshot"))
    answer = ec2.deregister_image(ImageId=made, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot, "ReturnCode": "internal-error"}]
    assert ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    assert control.triggered() == 1


@pytest.mark.parametrize("attribute", ["lastLaunchedTime"])
def test_last_launch_is_reported_a_day_later_and_to_the_owner_only(
    ec2: Any, client: Client, control: Control, attribute: str
) -> None:
    made = bake(ec2, "app")
    ec2.modify_image_attribute(ImageId=made, LaunchPermission={"Add": [{"UserId": OTHER}]})
    launch(client(account=1), ImageId=made)
    assert "LastLaunchedTime" not in image(ec2, made)
    assert "LastLaunchedTime" not in ec2.describe_image_attribute(ImageId=made, Attribute=attribute)
    control.change(usage_lag_seconds=0)
    shown = image(ec2, made)["LastLaunchedTime"]
    found = ec2.describe_image_attribute(ImageId=made, Attribute=attribute)
    assert found["LastLaunchedTime"]["Value"] == shown
    assert "LastLaunchedTime" not in image(client(account=1), made)
