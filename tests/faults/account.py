"""The state of EC2 in the regions of a bake: finished AMIs, and resources that remain of runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ami_bakery.core.ec2.ami import DIGEST_TAG, FORMAT_TAG
from ami_bakery.core.lock.lock import LOCK_TAG
from tests.conftest import ec2_client

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws

REGIONS = ("us-east-1", "eu-west-1")
_LOCK = "ami-bakery-lock-"


@dataclass(frozen=True, kw_only=True, order=True)
class Remaining:
    """A resource that no finished AMI needs.

    name  of a key pair or a security group; otherwise empty
    hint  what refers to it: the name of an instance's key pair, the instance of an AMI
    """

    region: str
    kind: str
    id: str
    name: str = ""
    hint: str = ""

    def is_named_in(self, text: str) -> bool:
        return self.id in text or bool(self.name and self.name in text)


def recorded_values(local: LocalAws) -> str:
    """Returns the values of all tags of all locks: their records."""
    locks_filter: Any = [{"Name": "key", "Values": [LOCK_TAG]}]
    found = []
    for region in REGIONS:
        ec2 = _client(local, region)
        locks = [tag["ResourceId"] for tag in ec2.describe_tags(Filters=locks_filter)["Tags"]]
        found += ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": locks}])["Tags"] if locks else []
    return " ".join(tag["Value"] for tag in found)


def finished(local: LocalAws) -> dict[str, list[str]]:
    """Returns the finished AMIs by region: available, with digest and format."""
    return {region: _ids(filter(_is_finished, _own(_client(local, region)))) for region in REGIONS}


def remaining(local: LocalAws) -> tuple[Remaining, ...]:
    """Returns resources that cost money or block a name, and locks."""
    return tuple(sorted(one for region in REGIONS for one in _remaining_in(_client(local, region), region)))


def describe(resources: Iterable[Remaining]) -> str:
    """Returns ``2 key pairs, AMI``; empty for nothing."""
    kinds = [one.kind for one in resources]
    return ", ".join(
        kind if kinds.count(kind) == 1 else f"{kinds.count(kind)} {kind}s" for kind in dict.fromkeys(kinds)
    )


@cache
def _client(local: LocalAws, region: str) -> EC2Client:
    """Cached: botocore needs longer to create it than a bake needs for all of its calls."""
    return ec2_client(local, region)


def _own(ec2: EC2Client) -> list[Any]:
    return list(ec2.describe_images(Owners=["self"])["Images"])


def _ids(images: Iterable[Any]) -> list[str]:
    return [image["ImageId"] for image in images]


def _is_finished(image: Any) -> bool:
    names = {tag["Key"] for tag in image.get("Tags", ()) if tag["Value"]}
    return image["State"] == "available" and {DIGEST_TAG, FORMAT_TAG} <= names


def _remaining_in(ec2: EC2Client, region: str) -> Iterator[Remaining]:
    for reservation in ec2.describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] != "terminated":
                yield Remaining(
                    region=region, kind="instance", id=instance["InstanceId"], hint=instance.get("KeyName", "")
                )
    for pair in ec2.describe_key_pairs()["KeyPairs"]:
        kind = "lock" if pair["KeyName"].startswith(_LOCK) else "key pair"
        yield Remaining(region=region, kind=kind, id=pair["KeyPairId"], name=pair["KeyName"])
    for group in ec2.describe_security_groups()["SecurityGroups"]:
        if group["GroupName"] != "default":
            yield Remaining(region=region, kind="security group", id=group["GroupId"], name=group["GroupName"])
    images = _own(ec2)
    for image in images:
        if not _is_finished(image):
            yield Remaining(region=region, kind="AMI", id=image["ImageId"], hint=image.get("SourceInstanceId", ""))
    used = {mapping["Ebs"]["SnapshotId"] for image in images for mapping in image["BlockDeviceMappings"]}
    for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
        if snapshot["SnapshotId"] not in used:
            yield Remaining(region=region, kind="snapshot", id=snapshot["SnapshotId"])
