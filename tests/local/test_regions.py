"""The regions of an account of the embedded EC2, through real boto3."""

from __future__ import annotations

from typing import Any

from .conftest import Client


def enabled(ec2: Any, **options: Any) -> set[str]:
    return {region["RegionName"] for region in ec2.describe_regions(**options)["Regions"]}


def test_only_enabled_regions_are_described(ec2: Any) -> None:
    found = enabled(ec2)
    assert len(found) == 17
    assert {"us-east-1", "ap-northeast-3", "sa-east-1"} < found
    assert not found & {"af-south-1", "ap-southeast-3", "cn-north-1", "eu-south-1", "us-gov-west-1"}


def test_all_regions_of_the_partition_are_described_on_request(ec2: Any) -> None:
    found = ec2.describe_regions(AllRegions=True)["Regions"]
    status = {region["RegionName"]: region["OptInStatus"] for region in found}
    assert status["us-east-1"] == "opt-in-not-required"
    assert status["af-south-1"] == status["ap-east-1"] == "not-opted-in"
    assert not status.keys() & {"cn-north-1", "us-gov-west-1"}


def test_region_that_the_account_has_called_is_opted_in(ec2: Any, client: Client) -> None:
    client("ec2", region="ap-east-1").describe_images(Owners=["self"])
    (described,) = ec2.describe_regions(RegionNames=["ap-east-1"])["Regions"]
    assert described["OptInStatus"] == "opted-in"
    assert "ap-east-1" in enabled(ec2)
    assert "ap-east-1" not in enabled(client("ec2", account=1))


def test_named_regions_must_be_enabled_too(ec2: Any) -> None:
    assert enabled(ec2, RegionNames=["us-west-2", "ap-east-1"]) == {"us-west-2"}
    assert enabled(ec2, RegionNames=["ap-east-1"], AllRegions=True) == {"ap-east-1"}
