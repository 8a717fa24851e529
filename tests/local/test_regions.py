"""The regions of an account of the embedded EC2, through real boto3."""

from __future__ import annotations

from typing import Any

from .conftest import Client
from .test_images import refusal


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


def test_named_region_is_described_even_if_it_is_not_enabled(ec2: Any) -> None:
    found = ec2.describe_regions(RegionNames=["us-west-2", "ap-east-1"])["Regions"]
    assert {region["RegionName"]: region["OptInStatus"] for region in found} == {
        "us-west-2": "opt-in-not-required",
        "ap-east-1": "not-opted-in",
    }


def test_unknown_region_is_refused(ec2: Any) -> None:
    code, text = refusal(ec2.describe_regions, RegionNames=["xx-nowhere-1"])
    assert code == "InvalidParameterValue"
    assert "xx-nowhere-1" in text


def test_refused_copy_from_a_region_does_not_enable_it(ec2: Any) -> None:
    code, _ = refusal(ec2.copy_image, SourceRegion="eu-south-1", SourceImageId="ami-0123456789abcdef0", Name="copy")
    assert code == "InvalidAMIID.NotFound"
    assert "eu-south-1" not in enabled(ec2)


def test_other_partitions_have_their_own_regions(client: Client) -> None:
    assert enabled(client("ec2", region="cn-north-1")) == {"cn-north-1", "cn-northwest-1"}
