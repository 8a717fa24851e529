"""AMIs of several ages in the embedded EC2, made without Packer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ami_bakery.core.channel.parameter import channel_description
from ami_bakery.core.ec2.quarantine import quarantine_tags
from tests.conftest import ec2_client
from tests.release.channels import ssm_client, write_app

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ami_bakery.local import LocalAws
    from tests.harness import Harness

HOME, OTHER = "us-east-1", "eu-west-1"
KEEP = "keep = { last = 1 }\n"
FRIEND = "999988887777"


def days_ago(days: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)


class Stock:
    """Finished AMIs of the image `app` and others, by a name for each build."""

    def __init__(self, harness: Harness, local: LocalAws) -> None:
        self.harness, self.local = harness, local
        self._number = 0

    def build(
        self, age: float, *regions: str, image: str = "app", digest: str = "", base: str = "", **tags: str
    ) -> dict[str, str]:
        """Adds a finished build of this age in days, with a copy in each other region. Returns the AMIs by region."""
        self._number += 1
        amis: dict[str, str] = {}
        for region in regions or (HOME,):
            named = {
                "ami_config_checksum": digest or f"{self._number:064x}",
                "ami-bakery:format": "1",
                "ami-bakery:image": image,
                **({"ami-bakery:from": base} if base else {}),
                **({"ami-bakery:origin": next(iter(amis.values()))} if amis else {}),
                **{f"ami-bakery:{name}": value for name, value in tags.items()},
            }
            created = days_ago(age).strftime("%Y-%m-%dT%H:%M:%SZ")
            amis[region] = self.harness.control.add_image(
                region, {"name": f"{image}-{self._number}", "tags": named, "created": created}
            )
            if region == (regions or (HOME,))[0]:
                tag = [{"Key": "ami-bakery:origin", "Value": amis[region]}]
                ec2_client(self.local, region).create_tags(Resources=[amis[region]], Tags=tag)  # type: ignore[arg-type]
        return amis

    def quarantine(self, amis: dict[str, str], days: float, *shared_with: str) -> None:
        """Disables a build as prune did so many days ago."""
        for region, ami in amis.items():
            ec2 = ec2_client(self.local, region)
            tags = quarantine_tags(days_ago(days), shared_with)
            ec2.create_tags(Resources=[ami], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
            ec2.disable_image(ImageId=ami)

    def share(self, ami: str, account: str = FRIEND, region: str = HOME) -> None:
        permission: Any = {"Add": [{"UserId": account}]}
        ec2_client(self.local, region).modify_image_attribute(ImageId=ami, LaunchPermission=permission)

    def launch(self, ami: str, region: str = HOME) -> str:
        launched = ec2_client(self.local, region).run_instances(ImageId=ami, MinCount=1, MaxCount=1)
        return str(launched["Instances"][0]["InstanceId"])

    def promote(self, amis: dict[str, str], channel: str = "stable", image: str = "app") -> None:
        """Puts a build into a channel, without our program."""
        for region, ami in amis.items():
            ssm, name = ssm_client(self.local, region), f"/ami-bakery/{image}/{channel}"
            known = ssm.get_parameters(Names=[name])["Parameters"]
            first: dict[str, Any] = {} if known else {"Type": "String", "DataType": "aws:ec2:image"}
            about = channel_description(image, channel)
            ssm.put_parameter(Name=name, Value=ami, Description=about, Overwrite=bool(known), **first)

    def states(self, regions: Iterable[str] = (HOME, OTHER)) -> dict[str, str]:
        """Returns the state of each AMI of the account; deregistered ones are missing."""
        return {
            image["ImageId"]: image["State"]
            for region in regions
            for image in ec2_client(self.local, region).describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
        }

    def tags(self, ami: str, region: str = HOME) -> dict[str, str]:
        found = ec2_client(self.local, region).describe_images(
            Owners=["self"], IncludeDisabled=True, Filters=[{"Name": "image-id", "Values": [ami]}]
        )
        return {tag["Key"]: tag["Value"] for tag in found["Images"][0].get("Tags", ())}

    def snapshots(self, region: str = HOME) -> set[str]:
        found = ec2_client(self.local, region).describe_snapshots(OwnerIds=["self"])["Snapshots"]
        return {snapshot["SnapshotId"] for snapshot in found}

    def permissions(self, ami: str, region: str = HOME) -> list[str]:
        shown = ec2_client(self.local, region).describe_image_attribute(ImageId=ami, Attribute="launchPermission")
        return sorted(str(value) for one in shown["LaunchPermissions"] for value in one.values())


def stocked(harness: Harness, local: LocalAws, *, keep: str = KEEP, regions: tuple[str, ...] = (HOME,)) -> Stock:
    write_app(harness, regions=regions, more=keep)
    harness.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "24"  # prune waits for the settling time, a twelfth of it
    return Stock(harness, local)


def decided(harness: Harness, *arguments: str, status: int = 0) -> dict[str, str]:
    """Runs prune. Returns `action reason outcome` by AMI."""
    run = harness.run("prune", "--json", *arguments)
    assert run.status == status, run.stderr
    assert run.document["format"] == 1
    return {each["ami"]: f"{each['action']} {each['reason']} {each['outcome']}" for each in run.document["amis"]}
