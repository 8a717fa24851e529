"""Security groups, volumes and snapshots cannot be deleted while they are in use."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from ami_bakery.local import Control
from tests.local.conftest import UBUNTU


def launched(ec2: Any, group: str) -> str:
    (image,) = ec2.describe_images(Filters=[{"Name": "name", "Values": [UBUNTU]}])["Images"]
    started = ec2.run_instances(
        ImageId=image["ImageId"], MinCount=1, MaxCount=1, InstanceType="t3.micro", SecurityGroupIds=[group]
    )
    identifier: str = started["Instances"][0]["InstanceId"]
    return identifier


def group_of(ec2: Any, name: str) -> str:
    identifier: str = ec2.create_security_group(GroupName=name, Description="for a test")["GroupId"]
    return identifier


def state_of(ec2: Any, instance: str) -> str:
    described = ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [instance]}])
    name: str = described["Reservations"][0]["Instances"][0]["State"]["Name"]
    return name


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    code: str = caught.value.response["Error"]["Code"]
    return code


def test_security_group_of_an_instance_cannot_be_deleted(ec2: Any, control: Control) -> None:
    group = group_of(ec2, "in-use")
    instance = launched(ec2, group)
    assert refused(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    ec2.stop_instances(InstanceIds=[instance])
    assert refused(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    control.change(terminating_seconds=600)
    ec2.terminate_instances(InstanceIds=[instance])
    assert state_of(ec2, instance) == "shutting-down"
    assert refused(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    control.change(terminating_seconds=0)
    assert state_of(ec2, instance) == "terminated"
    ec2.delete_security_group(GroupId=group)
    assert refused(ec2.delete_security_group, GroupId=group) == "InvalidGroup.NotFound"


def test_security_group_in_another_groups_rule_cannot_be_deleted(ec2: Any) -> None:
    named, naming = group_of(ec2, "named"), group_of(ec2, "naming")
    ec2.authorize_security_group_ingress(
        GroupId=naming,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [{"GroupId": named}]}],
    )
    assert refused(ec2.delete_security_group, GroupId=named) == "DependencyViolation"
    ec2.delete_security_group(GroupId=naming)
    ec2.delete_security_group(GroupId=named)


def test_default_security_group_cannot_be_deleted(ec2: Any) -> None:
    (default,) = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    assert refused(ec2.delete_security_group, GroupId=default["GroupId"]) == "CannotDelete"


def test_security_groups_and_volumes_are_paged(ec2: Any, control: Control) -> None:
    for number in range(3):
        launched(ec2, group_of(ec2, f"group-{number}"))
    control.change(page_cap=1)
    for operation, member, count in (
        ("describe_security_groups", "SecurityGroups", 4),
        ("describe_volumes", "Volumes", 3),
    ):
        pages = [page[member] for page in ec2.get_paginator(operation).paginate()]
        assert [len(page) for page in pages] == [1] * count


def test_attached_volume_and_snapshot_of_an_ami_cannot_be_deleted(ec2: Any) -> None:
    instance = launched(ec2, group_of(ec2, "group"))
    (volume,) = ec2.describe_volumes()["Volumes"]
    assert refused(ec2.delete_volume, VolumeId=volume["VolumeId"]) == "VolumeInUse"
    image = ec2.create_image(InstanceId=instance, Name="an-image")["ImageId"]
    (snapshot,) = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert refused(ec2.delete_snapshot, SnapshotId=snapshot["SnapshotId"]) == "InvalidSnapshot.InUse"
    ec2.deregister_image(ImageId=image)
    ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_repeated_client_token_launches_instances_once(ec2: Any) -> None:
    """A client that got no answer repeats its call."""
    (image,) = ec2.describe_images(Filters=[{"Name": "name", "Values": [UBUNTU]}])["Images"]
    asked = {"ImageId": image["ImageId"], "MinCount": 1, "MaxCount": 1, "InstanceType": "t3.micro"}
    first, again, another = (
        ec2.run_instances(**asked, ClientToken=token)["Instances"][0]["InstanceId"] for token in ("a", "a", "b")
    )
    assert first == again != another
