"""Image usage reports of the embedded EC2, through real boto3: asynchronous, and a day late."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ami_bakery.local import Control

from .conftest import Client, bake, launch, tags
from .test_images import refusal
from .test_launch_templates import add_version, template

OTHER = "444455556666"
BOTH = [{"ResourceType": "ec2:Instance"}, {"ResourceType": "ec2:LaunchTemplate"}]


@pytest.fixture
def other(client: Client) -> Any:
    return client(account=1)


@pytest.fixture
def shared(ec2: Any, control: Control) -> str:
    """An AMI that is shared with the other account; reports are complete at once and not late."""
    control.change(report_seconds=0, usage_lag_seconds=0)
    made = bake(ec2, "app")
    ec2.modify_image_attribute(ImageId=made, LaunchPermission={"Add": [{"UserId": OTHER}]})
    return made


def report(ec2: Any, ami: str, **options: Any) -> str:
    return str(ec2.create_image_usage_report(**{"ImageId": ami, "ResourceTypes": BOTH} | options)["ReportId"])


def entries(ec2: Any, report_id: str, **options: Any) -> dict[tuple[str, str], int]:
    found = ec2.describe_image_usage_report_entries(ReportIds=[report_id], **options)["ImageUsageReportEntries"]
    return {(one["ResourceType"], one["AccountId"]): one["UsageCount"] for one in found}


def described(ec2: Any, report_id: str) -> dict[str, Any]:
    (found,) = ec2.describe_image_usage_reports(ReportIds=[report_id])["ImageUsageReports"]
    return dict(found)


def test_report_counts_the_uses_of_other_accounts(ec2: Any, other: Any, shared: str) -> None:
    for _ in range(2):
        launch(other, ImageId=shared)
    made = template(other, shared)
    add_version(other, made, shared)
    launch(ec2, ImageId=shared)
    assert entries(ec2, report(ec2, shared)) == {("ec2:Instance", OTHER): 2, ("ec2:LaunchTemplate", OTHER): 1}
    assert entries(ec2, report(ec2, bake(ec2, "unused"))) == {}


def test_report_is_pending_first_and_has_no_entries_then(ec2: Any, other: Any, shared: str, control: Control) -> None:
    launch(other, ImageId=shared)
    control.change(report_seconds=1000)
    made = report(ec2, shared)
    assert (described(ec2, made)["State"], entries(ec2, made)) == ("pending", {})
    control.change(report_seconds=0)
    found = described(ec2, made)
    assert (found["State"], entries(ec2, made)) == ("available", {("ec2:Instance", OTHER): 1})
    assert found["ExpirationTime"] - found["CreationTime"] == datetime.timedelta(days=30)
    assert (found["ImageId"], found["ResourceTypes"][0]["ResourceType"]) == (shared, "ec2:Instance")


def test_uses_of_the_last_day_are_missing(ec2: Any, other: Any, shared: str, control: Control) -> None:
    launch(other, ImageId=shared)
    template(other, shared)
    control.change(usage_lag_seconds=24 * 3600)
    assert entries(ec2, report(ec2, shared)) == {}


def test_report_can_fail(ec2: Any, other: Any, shared: str, control: Control) -> None:
    launch(other, ImageId=shared)
    control.change(report_outcome="error")
    made = report(ec2, shared)
    assert (described(ec2, made)["State"], entries(ec2, made)) == ("error", {})


def test_report_is_limited_to_accounts_types_and_depth(ec2: Any, other: Any, shared: str) -> None:
    launch(other, ImageId=shared)
    made = template(other, shared)
    for _ in range(20):
        add_version(other, made, bake(other, f"other-{_}"))
    assert entries(ec2, report(ec2, shared)) == {("ec2:Instance", OTHER): 1}
    options = [{"OptionName": "version-depth", "OptionValues": ["21"]}]
    deep = [{"ResourceType": "ec2:LaunchTemplate", "ResourceTypeOptions": options}]
    assert entries(ec2, report(ec2, shared, ResourceTypes=deep)) == {("ec2:LaunchTemplate", OTHER): 1}
    assert entries(ec2, report(ec2, shared, AccountIds=["999988887777"])) == {}


def test_disabled_ami_has_reports_too(ec2: Any, other: Any, shared: str) -> None:
    launch(other, ImageId=shared)
    ec2.disable_image(ImageId=shared)
    assert entries(ec2, report(ec2, shared)) == {("ec2:Instance", OTHER): 1}


def test_one_pending_report_is_allowed_per_ami(ec2: Any, shared: str, control: Control) -> None:
    control.change(report_seconds=1000)
    report(ec2, shared)
    assert refusal(report, ec2=ec2, ami=shared)[0] == "ResourceLimitExceeded"
    report(ec2, bake(ec2, "app-2"))


def test_invalid_requests_are_refused(ec2: Any, other: Any, shared: str) -> None:
    foreign = bake(other, "foreign")
    other.modify_image_attribute(ImageId=foreign, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    assert refusal(report, ec2=ec2, ami=foreign)[0] == "AuthFailure"
    assert refusal(report, ec2=ec2, ami="ami-12345678")[0] == "InvalidAMIID.NotFound"
    many = [f"{number:012}" for number in range(201)]
    assert refusal(report, ec2=ec2, ami=shared, AccountIds=many)[0] == "InvalidParameterValue"
    parameter = [{"ResourceType": "ssm:Parameter"}]
    assert refusal(report, ec2=ec2, ami=shared, ResourceTypes=parameter)[0] == "InvalidParameterValue"
    assert refusal(report, ec2=ec2, ami=shared, ResourceTypes=[])[0] == "MissingParameter"


def test_deleted_and_unknown_reports_are_not_found(ec2: Any, shared: str, client: Client) -> None:
    made = report(ec2, shared)
    assert refusal(described, ec2=client(region="eu-west-1"), report_id=made)[0] == "InvalidImageUsageReportId.NotFound"
    ec2.delete_image_usage_report(ReportId=made)
    assert refusal(described, ec2=ec2, report_id=made)[0] == "InvalidImageUsageReportId.NotFound"
    assert refusal(ec2.delete_image_usage_report, ReportId=made)[0] == "InvalidImageUsageReportId.NotFound"


def test_reports_are_filtered_and_have_pages(ec2: Any, shared: str) -> None:
    specification = [{"ResourceType": "image-usage-report", "Tags": [{"Key": "a", "Value": "1"}]}]
    first = report(ec2, shared, TagSpecifications=specification)
    second = report(ec2, bake(ec2, "app-2"))
    assert tags(described(ec2, first)) == {"a": "1"}
    filters = [{"Name": "tag:a", "Values": ["1"]}, {"Name": "state", "Values": ["available"]}]
    found = ec2.describe_image_usage_reports(Filters=filters)["ImageUsageReports"]
    assert [one["ReportId"] for one in found] == [first]
    found = ec2.describe_image_usage_reports(ImageIds=[shared])["ImageUsageReports"]
    assert [one["ReportId"] for one in found] == [first]
    pages = ec2.get_paginator("describe_image_usage_reports").paginate(MaxResults=1)
    assert [one["ReportId"] for page in pages for one in page["ImageUsageReports"]] == [first, second]


def test_repeated_client_token_makes_one_report(ec2: Any, shared: str) -> None:
    assert report(ec2, shared, ClientToken="once") == report(ec2, shared, ClientToken="once")
    assert len(ec2.describe_image_usage_reports()["ImageUsageReports"]) == 1
