"""Finds and deletes temporary resources of builds in EC2. Finds them by id, name or tag."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ami_bakery.adapters.aws.batches import FILTER_VALUES, batches
from ami_bakery.adapters.aws.ec2_xml import security_groups
from ami_bakery.adapters.aws.errors import explained
from ami_bakery.core.ec2.resource import Resource, ResourceKind
from ami_bakery.errors import DeniedError, NotFoundError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.adapters.aws.session import AwsSession

_THERE = ("pending", "running", "shutting-down", "stopping", "stopped")
"""States of an instance that is not terminated."""


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

    def source_amis(self, region: str, instances: Sequence[str]) -> Mapping[str, str]:
        with self._explained("DescribeInstances", region):
            pages = self._pages(region, "describe_instances", "Reservations", **{"instance-id": instances})
            return {one["InstanceId"]: one["ImageId"] for page in pages for one in page["Instances"]}

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
        if len(values) <= FILTER_VALUES:
            request = {"Filters": [{"Name": name, "Values": list(values)}]}
            found = self._session.query.call(region, "DescribeSecurityGroups", request, security_groups)
            if found is not None:
                return [_resource(ResourceKind.SECURITY_GROUP, group, region) for group in found]
        with self._explained("DescribeSecurityGroups", region):
            pages = self._pages(region, "describe_security_groups", "SecurityGroups", **{name: values})
            return [_resource(ResourceKind.SECURITY_GROUP, group, region) for group in pages]

    def key_pairs(self, region: str) -> tuple[Resource, ...] | None:
        client: EC2Client = self._session.client("ec2", region)
        try:
            with self._explained("DescribeKeyPairs", region):
                pairs = client.describe_key_pairs()["KeyPairs"]
                return tuple(_resource(ResourceKind.KEY_PAIR, pair, region) for pair in pairs)
        except DeniedError:
            return None

    def volumes(self, region: str, ids: Sequence[str]) -> tuple[Resource, ...]:
        with self._explained("DescribeVolumes", region):
            volumes = self._pages(region, "describe_volumes", "Volumes", **{"volume-id": ids})
            return tuple(_resource(ResourceKind.VOLUME, volume, region) for volume in volumes)

    def snapshots(self, region: str, ids: Sequence[str]) -> tuple[Resource, ...]:
        with self._explained("DescribeSnapshots", region):
            snapshots = self._pages(region, "describe_snapshots", "Snapshots", **{"snapshot-id": ids})
            return tuple(_resource(ResourceKind.SNAPSHOT, snapshot, region) for snapshot in snapshots)

    def remove(self, resource: Resource) -> None:
        client: EC2Client = self._session.client("ec2", resource.region)
        action, call = _deletion(client, resource)
        with (
            suppress(NotFoundError),
            explained(self._session.call(f"deleting {resource}", "EC2", action, resource.region)),
        ):
            call()

    def _explained(self, action: str, region: str) -> AbstractContextManager[None]:
        """Explains errors of a call. Use it around the parsing, too: a response can lack members."""
        return explained(self._session.call("looking up temporary resources", "EC2", action, region))

    def _pages(self, region: str, operation: str, member: str, **filters: Sequence[str]) -> Iterator[Any]:
        """Yields the items that match all filters. The first filter may have any number of values."""
        client: EC2Client = self._session.client("ec2", region)
        (name, values), *others = filters.items()
        rest = [{"Name": other, "Values": list(few)} for other, few in others]
        for some in batches(values, FILTER_VALUES - sum(len(few) for _, few in others)):
            conditions = [{"Name": name, "Values": list(some)}, *rest]
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


_MEMBERS = {
    ResourceKind.INSTANCE: ("InstanceId", "", "LaunchTime"),
    ResourceKind.VOLUME: ("VolumeId", "", "CreateTime"),
    ResourceKind.SECURITY_GROUP: ("GroupId", "GroupName", ""),
    ResourceKind.KEY_PAIR: ("KeyPairId", "KeyName", "CreateTime"),
    ResourceKind.SNAPSHOT: ("SnapshotId", "", "StartTime"),
}
"""EC2's members for the id, the name and the time of creation."""


def _resource(kind: ResourceKind, described: Mapping[str, Any], region: str) -> Resource:
    identifier, name, began = _MEMBERS[kind]
    return Resource(
        kind=kind,
        id=described[identifier],
        region=region,
        name=described.get(name, ""),
        began=described.get(began),
        tags={tag["Key"]: tag["Value"] for tag in described.get("Tags", ())},
    )


def _instance(instance: Mapping[str, Any], region: str) -> Resource:
    mappings = (mapping["Ebs"] for mapping in instance.get("BlockDeviceMappings", ()) if "Ebs" in mapping)
    return replace(
        _resource(ResourceKind.INSTANCE, instance, region),
        uses=tuple(filter(None, [instance.get("KeyName")])),
        groups=tuple(group["GroupId"] for group in instance.get("SecurityGroups", ())),
        parts=tuple(volume["VolumeId"] for volume in mappings if not volume.get("DeleteOnTermination", True)),
    )
