"""Finished AMIs of the embedded EC2, made without Packer, that prune disabled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import DIGEST_TAG, FORMAT_TAG, IMAGE_TAG, ORIGIN_TAG
from ami_bakery.core.ec2.quarantine import quarantine_tags
from tests.conftest import ec2_client

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws

FRIEND = "111122223333"


def finish_ami(ec2: EC2Client, digest: str, *, origin: str = "", image: str = "app", name: str = "app") -> str:
    """Creates a finished AMI. Returns its id. `origin`: the AMI of its build region."""
    base = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    ami = ec2.copy_image(SourceImageId=base, SourceRegion=ec2.meta.region_name, Name=name)["ImageId"]
    tag(ec2, ami, {DIGEST_TAG: digest, FORMAT_TAG: "1", IMAGE_TAG: image, ORIGIN_TAG: origin or ami})
    return ami


def disable_ami(ec2: EC2Client, ami: str, permissions: Iterable[str] = ()) -> None:
    """Disables an AMI as prune does."""
    tag(ec2, ami, quarantine_tags(datetime.now(UTC) - timedelta(days=2), permissions))
    ec2.disable_image(ImageId=ami)


def finish_build(local: LocalAws, digest: str, regions: Iterable[str] = ("us-east-1",)) -> dict[str, str]:
    """Creates the AMIs of a finished build. Returns them by region."""
    amis: dict[str, str] = {}
    for region in regions:
        amis[region] = finish_ami(ec2_client(local, region), digest, origin=next(iter(amis.values()), ""))
    return amis


def quarantine(local: LocalAws, amis: Mapping[str, str], permissions: Iterable[str] = ()) -> None:
    listed = tuple(permissions)
    for region, ami in amis.items():
        disable_ami(ec2_client(local, region), ami, listed)


def tag(ec2: EC2Client, ami: str, tags: Mapping[str, str]) -> None:
    ec2.create_tags(Resources=[ami], Tags=[{"Key": name, "Value": value} for name, value in tags.items()])


def state_of(local: LocalAws, region: str, ami: str) -> tuple[str, list[str], set[str]]:
    """Returns an AMI's state, the accounts that may launch it, and the tags of its quarantine that are not empty."""
    ec2 = ec2_client(local, region)
    found = ec2.describe_images(ImageIds=[ami], IncludeDisabled=True)["Images"]
    if not found:
        return "deregistered", [], set()
    shares = ec2.describe_image_attribute(ImageId=ami, Attribute="launchPermission")["LaunchPermissions"]
    tags = {
        tag["Key"]
        for tag in found[0].get("Tags", [])
        if tag["Key"].startswith("ami-bakery:quarantined") and tag["Value"]
    }
    return found[0]["State"], sorted(str(value) for share in shares for value in share.values()), tags
