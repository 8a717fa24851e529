"""What is put up in EC2 to make an AMI: found by id, by name or by tag, and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ami_bakery.adapters.aws.ec2_xml import security_groups
from ami_bakery.adapters.aws.errors import explained
from ami_bakery.core.ec2.resource import Resource, ResourceKind
from ami_bakery.errors import DENIED, AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.adapters.aws.session import AwsSession

_FILTER_VALUES = 190
"""EC2 takes 200 values a call, for all filters together; beside ids there are states."""
_THERE = ("pending", "running", "shutting-down", "stopping", "stopped")
"""The states of an instance that is not terminated."""
_GONE = frozenset(
    {
        "InvalidInstanceID.NotFound",
        "InvalidVolume.NotFound",
        "InvalidGroup.NotFound",
        "InvalidKeyPair.NotFound",
        "InvalidAMIID.NotFound",
        "InvalidAMIID.Unavailable",
        "InvalidSnapshot.NotFound",
    }
)


class BotoTemporaryResources:
    """A `Scaffold` port."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def tagged(self, region: str, keys: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        found: dict[str, dict[str, str]] = {}
        with self._explained("DescribeTags", region):
            for tag in self._pages(region, "describe_tags", "Tags", key=keys):
                found.setdefault(tag["ResourceId"], {})[tag["Key"]] = tag.get("Value", "")
        return found

    def instances(
        self, region: str, *, ids: Sequence[str] = (), key_pairs: Sequence[str] = (), amis: Sequence[str] = ()
    ) -> tuple[Resource, ...]:
        things = {}
        for name, values in (("instance-id", ids), ("key-name", key_pairs), ("image-id", amis)):
            asked = {name: values, "instance-state-name": _THERE}
            with self._explained("DescribeInstances", region):
                for reservation in self._pages(region, "describe_instances", "Reservations", **asked):
                    for instance in reservation["Instances"]:
                        things[instance["InstanceId"]] = _instance(instance, region)
        return tuple(things.values())

    def security_groups(
        self, region: str, *, ids: Sequence[str] = (), names: Sequence[str] = ()
    ) -> tuple[Resource, ...]:
        things = {}
        for name, values in (("group-id", ids), ("group-name", names)):
            for group in self._security_groups(region, name, values):
                things[group.id] = group
        return tuple(things.values())

    def _security_groups(self, region: str, name: str, values: Sequence[str]) -> Sequence[Resource]:
        """Plainly, where few are asked for: the mark that a group gets is not to wait for botocore."""
        if not values:
            return ()
        if len(values) <= _FILTER_VALUES:
            asked = {"Filters": [{"Name": name, "Values": list(values)}]}
            found = self._session.query.ask(region, "DescribeSecurityGroups", asked, security_groups)
            if found is not None:
                return [_security_group(group, region) for group in found]
        with self._explained("DescribeSecurityGroups", region):
            pages = self._pages(region, "describe_security_groups", "SecurityGroups", **{name: values})
            return [_security_group(group, region) for group in pages]

    def key_pairs(self, region: str) -> tuple[Resource, ...] | None:
        client: EC2Client = self._session.client("ec2", region)
        try:
            with self._explained("DescribeKeyPairs", region):
                return tuple(
                    Resource(
                        kind=ResourceKind.KEY_PAIR,
                        id=pair["KeyPairId"],
                        region=region,
                        name=pair["KeyName"],
                        began=pair.get("CreateTime"),
                        tags=_tags(pair),
                    )
                    for pair in client.describe_key_pairs()["KeyPairs"]
                )
        except AwsError as error:
            if error.code in DENIED:
                return None
            raise

    def volumes(self, region: str, ids: Sequence[str]) -> tuple[Resource, ...]:
        with self._explained("DescribeVolumes", region):
            return tuple(
                Resource(
                    kind=ResourceKind.VOLUME,
                    id=volume["VolumeId"],
                    region=region,
                    began=volume.get("CreateTime"),
                    tags=_tags(volume),
                )
                for volume in self._pages(region, "describe_volumes", "Volumes", **{"volume-id": ids})
            )

    def snapshots(self, region: str, ids: Sequence[str]) -> tuple[Resource, ...]:
        with self._explained("DescribeSnapshots", region):
            return tuple(
                Resource(
                    kind=ResourceKind.SNAPSHOT,
                    id=snapshot["SnapshotId"],
                    region=region,
                    began=snapshot.get("StartTime"),
                    tags=_tags(snapshot),
                )
                for snapshot in self._pages(region, "describe_snapshots", "Snapshots", **{"snapshot-id": ids})
            )

    def remove(self, thing: Resource) -> None:
        client: EC2Client = self._session.client("ec2", thing.region)
        action, call = _removal(client, thing)
        try:
            with explained(self._session.call(f"removing {thing}", "EC2", action, thing.region)):
                call()
        except AwsError as error:
            if error.code not in _GONE:
                raise

    def _explained(self, action: str, region: str) -> AbstractContextManager[None]:
        """Around the reading of the answer, too: it may lack what it should have."""
        return explained(self._session.call("looking at what runs have left", "EC2", action, region))

    def _pages(self, region: str, operation: str, member: str, **filters: Sequence[str]) -> Iterator[Any]:
        """Everything that matches all filters, of which the first has as many values as one likes."""
        client: EC2Client = self._session.client("ec2", region)
        (name, values), *others = filters.items()
        rest = [{"Name": other, "Values": list(few)} for other, few in others]
        for start in range(0, len(values), _FILTER_VALUES):
            asked = [{"Name": name, "Values": list(values[start : start + _FILTER_VALUES])}, *rest]
            owners = {"OwnerIds": ["self"]} if operation == "describe_snapshots" else {}
            for page in client.get_paginator(operation).paginate(Filters=asked, **owners):  # type: ignore[call-overload]
                yield from page[member]


def _removal(client: EC2Client, thing: Resource) -> tuple[str, Callable[[], object]]:
    """The name of EC2's action, and the call."""
    match thing.kind:
        case ResourceKind.INSTANCE:
            return "TerminateInstances", lambda: client.terminate_instances(InstanceIds=[thing.id])
        case ResourceKind.VOLUME:
            return "DeleteVolume", lambda: client.delete_volume(VolumeId=thing.id)
        case ResourceKind.SECURITY_GROUP:
            return "DeleteSecurityGroup", lambda: client.delete_security_group(GroupId=thing.id)
        case ResourceKind.KEY_PAIR | ResourceKind.LOCK if thing.id.startswith("key-"):
            return "DeleteKeyPair", lambda: client.delete_key_pair(KeyPairId=thing.id)
        case ResourceKind.KEY_PAIR | ResourceKind.LOCK:
            return "DeleteKeyPair", lambda: client.delete_key_pair(KeyName=thing.id)
        case ResourceKind.AMI:
            return "DeregisterImage", lambda: client.deregister_image(ImageId=thing.id)
        case ResourceKind.SNAPSHOT:
            return "DeleteSnapshot", lambda: client.delete_snapshot(SnapshotId=thing.id)


def _instance(instance: Mapping[str, Any], region: str) -> Resource:
    return Resource(
        kind=ResourceKind.INSTANCE,
        id=instance["InstanceId"],
        region=region,
        began=instance.get("LaunchTime"),
        tags=_tags(instance),
        uses=tuple(filter(None, [instance.get("KeyName")])),
        groups=tuple(group["GroupId"] for group in instance.get("SecurityGroups", ())),
        parts=tuple(
            mapping["Ebs"]["VolumeId"]
            for mapping in instance.get("BlockDeviceMappings", ())
            if "Ebs" in mapping and not mapping["Ebs"].get("DeleteOnTermination", True)
        ),
    )


def _security_group(group: Mapping[str, Any], region: str) -> Resource:
    return Resource(
        kind=ResourceKind.SECURITY_GROUP,
        id=group["GroupId"],
        region=region,
        name=group.get("GroupName", ""),
        tags=_tags(group),
    )


def _tags(described: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", ())}
