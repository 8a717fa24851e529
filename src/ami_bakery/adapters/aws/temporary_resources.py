"""Finds temporary resources of builds in EC2, by id, name or tag, and deletes them."""

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
"""EC2's maximum is 200 values per call, all filters counted together; a filter for states needs some of them."""
_THERE = ("pending", "running", "shutting-down", "stopping", "stopped")
"""States of an instance that is not terminated."""
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
    """A `TemporaryResources` port."""

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
        found = {}
        for name, values in (("instance-id", ids), ("key-name", key_pairs), ("image-id", amis)):
            conditions = {name: values, "instance-state-name": _THERE}
            with self._explained("DescribeInstances", region):
                for reservation in self._pages(region, "describe_instances", "Reservations", **conditions):
                    for instance in reservation["Instances"]:
                        found[instance["InstanceId"]] = _instance(instance, region)
        return tuple(found.values())

    def security_groups(
        self, region: str, *, ids: Sequence[str] = (), names: Sequence[str] = ()
    ) -> tuple[Resource, ...]:
        found = {}
        for name, values in (("group-id", ids), ("group-name", names)):
            for group in self._security_groups(region, name, values):
                found[group.id] = group
        return tuple(found.values())

    def _security_groups(self, region: str, name: str, values: Sequence[str]) -> Sequence[Resource]:
        """Finds groups by a filter. Uses `Ec2Query` for few values, so that a new group is tagged without botocore."""
        if not values:
            return ()
        if len(values) <= _FILTER_VALUES:
            request = {"Filters": [{"Name": name, "Values": list(values)}]}
            found = self._session.query.call(region, "DescribeSecurityGroups", request, security_groups)
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

    def remove(self, resource: Resource) -> None:
        client: EC2Client = self._session.client("ec2", resource.region)
        action, call = _deletion(client, resource)
        try:
            with explained(self._session.call(f"deleting {resource}", "EC2", action, resource.region)):
                call()
        except AwsError as error:
            if error.code not in _GONE:
                raise

    def _explained(self, action: str, region: str) -> AbstractContextManager[None]:
        """Explains errors of a call. Use it around the parsing, too: a response can lack members."""
        return explained(self._session.call("looking up temporary resources", "EC2", action, region))

    def _pages(self, region: str, operation: str, member: str, **filters: Sequence[str]) -> Iterator[Any]:
        """Yields the items that match all filters. The first filter may have any number of values."""
        client: EC2Client = self._session.client("ec2", region)
        (name, values), *others = filters.items()
        rest = [{"Name": other, "Values": list(few)} for other, few in others]
        for start in range(0, len(values), _FILTER_VALUES):
            conditions = [{"Name": name, "Values": list(values[start : start + _FILTER_VALUES])}, *rest]
            owners = {"OwnerIds": ["self"]} if operation == "describe_snapshots" else {}
            for page in client.get_paginator(operation).paginate(Filters=conditions, **owners):  # type: ignore[call-overload]
                yield from page[member]


def _deletion(client: EC2Client, resource: Resource) -> tuple[str, Callable[[], object]]:
    """Returns the name of EC2's action, and the call."""
    match resource.kind:
        case ResourceKind.INSTANCE:
            return "TerminateInstances", lambda: client.terminate_instances(InstanceIds=[resource.id])
        case ResourceKind.VOLUME:
            return "DeleteVolume", lambda: client.delete_volume(VolumeId=resource.id)
        case ResourceKind.SECURITY_GROUP:
            return "DeleteSecurityGroup", lambda: client.delete_security_group(GroupId=resource.id)
        case ResourceKind.KEY_PAIR | ResourceKind.LOCK if resource.id.startswith("key-"):
            return "DeleteKeyPair", lambda: client.delete_key_pair(KeyPairId=resource.id)
        case ResourceKind.KEY_PAIR | ResourceKind.LOCK:
            return "DeleteKeyPair", lambda: client.delete_key_pair(KeyName=resource.id)
        case ResourceKind.AMI:
            return "DeregisterImage", lambda: client.deregister_image(ImageId=resource.id)
        case ResourceKind.SNAPSHOT:
            return "DeleteSnapshot", lambda: client.delete_snapshot(SnapshotId=resource.id)


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
