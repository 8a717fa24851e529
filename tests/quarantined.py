"""Finished AMIs of the embedded EC2, made without Packer, that prune disabled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ami_bakery.core.ec2.ami import DIGEST_TAG, FORMAT_TAG, IMAGE_TAG, ORIGIN_TAG
from ami_bakery.core.ec2.quarantine import quarantine_tags
from tests.conftest import ec2_client

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ami_bakery.local import LocalAws

FRIEND = "111122223333"


def finish_build(
    local: LocalAws, digest: str, regions: Iterable[str] = ("us-east-1",), *, image: str = "app", name: str = "app"
) -> dict[str, str]:
    """Creates the AMIs of a finished build. Returns them by region."""
    amis: dict[str, str] = {}
    for region in regions:
        ec2 = ec2_client(local, region)
        base = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
        amis[region] = ec2.copy_image(SourceImageId=base, SourceRegion=region, Name=name)["ImageId"]
        tags = {DIGEST_TAG: digest, FORMAT_TAG: "1", IMAGE_TAG: image, ORIGIN_TAG: next(iter(amis.values()))}
        write_tags(local, region, amis[region], tags)
    return amis


def quarantine(local: LocalAws, amis: Mapping[str, str], permissions: Iterable[str] = (), days: int = 2) -> None:
    """Disables AMIs as prune does."""
    since = datetime.now(UTC) - timedelta(days=days)
    for region, ami in amis.items():
        write_tags(local, region, ami, quarantine_tags(since, permissions))
        ec2_client(local, region).disable_image(ImageId=ami)


def write_tags(local: LocalAws, region: str, ami: str, tags: Mapping[str, str]) -> None:
    listed: Any = [{"Key": name, "Value": value} for name, value in tags.items()]
    ec2_client(local, region).create_tags(Resources=[ami], Tags=listed)


def state_of(local: LocalAws, region: str, ami: str) -> tuple[str, list[str], set[str]]:
    """Returns an AMI's state, the accounts that may launch it, and the names of the tags of its quarantine."""
    ec2 = ec2_client(local, region)
    found = ec2.describe_images(ImageIds=[ami], IncludeDisabled=True)["Images"]
    if not found:
        return "deregistered", [], set()
    shares = ec2.describe_image_attribute(ImageId=ami, Attribute="launchPermission")["LaunchPermissions"]
    tags = {tag["Key"] for tag in found[0].get("Tags", []) if tag["Key"].startswith("ami-bakery:quarantined")}
    return found[0]["State"], sorted(str(value) for share in shares for value in share.values()), tags
