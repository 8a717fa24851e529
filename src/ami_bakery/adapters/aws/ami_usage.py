"""Finds what uses AMIs in EC2, and disables, enables and deregisters AMIs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ami_bakery.adapters.aws.auto_scaling import GroupReader
from ami_bakery.adapters.aws.batches import FILTER_VALUES, batches
from ami_bakery.adapters.aws.ec2 import moment_of, state_of
from ami_bakery.adapters.aws.errors import explained
from ami_bakery.core.ec2.usage import AmiReference, InstanceAmi, ReferenceKind, SnapshotDeletion, TemplateVersion
from ami_bakery.core.prune.prunable import UsageReport
from ami_bakery.errors import AwsError, DeniedError, NotFoundError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.adapters.aws.session import AwsSession

Item = TypeVar("Item")

_IMAGES = 10
"""EC2's maximum number of AMIs per call (API reference, DescribeImageReferences)."""
_REPORTS = 200
"""EC2's maximum number of AMIs or reports per call (API reference, DescribeImageUsageReports)."""
_LIVE = ("pending", "running", "shutting-down", "stopping", "stopped")
"""States of an instance that is not terminated. By default, EC2 returns terminated ones, too."""
_DEPTH = {"OptionName": "version-depth", "OptionValues": ["10000"]}
"""The newest versions of a launch template to look at: EC2's maximum. Its default is 10."""
_INSTANCE, _TEMPLATE = "ec2:Instance", "ec2:LaunchTemplate"
_RECIPES = ("imagebuilder:ImageRecipe", "imagebuilder:ContainerRecipe")
_REFERENCES: Any = [
    {"ResourceType": _INSTANCE, "ResourceTypeOptions": [{"OptionName": "state-name", "OptionValues": list(_LIVE)}]},
    {"ResourceType": _TEMPLATE, "ResourceTypeOptions": [_DEPTH]},
    {"ResourceType": "ssm:Parameter"},
    *({"ResourceType": recipe} for recipe in _RECIPES),
]
_REPORTED: Any = [
    {"ResourceType": _INSTANCE},
    {"ResourceType": _TEMPLATE, "ResourceTypeOptions": [_DEPTH]},
    *({"ResourceType": recipe} for recipe in _RECIPES),
]
_KINDS = {
    _INSTANCE: ReferenceKind.INSTANCE,
    _TEMPLATE: ReferenceKind.LAUNCH_TEMPLATE,
    "ssm:Parameter": ReferenceKind.PARAMETER,
    "imagebuilder:ImageRecipe": ReferenceKind.IMAGE_RECIPE,
    "imagebuilder:ContainerRecipe": ReferenceKind.CONTAINER_RECIPE,
}
_UNKNOWN_ACTION = frozenset({"InvalidAction", "UnknownOperation", "UnsupportedOperation"})
_PENDING_REPORT = "ResourceLimitExceeded"
_MISSING = "InvalidAMIID.NotFound"
_GIBIBYTE = 2**30


class BotoAmiUsage:
    """An `AmiUsage` port."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    @cached_property
    def _groups(self) -> GroupReader:
        return GroupReader(self._session)

    def references(self, region: str, amis: Sequence[str]) -> Mapping[str, tuple[AmiReference, ...]]:
        found: dict[str, list[AmiReference]] = {ami: [] for ami in amis}
        for some in batches(amis, _IMAGES):
            request = {"ImageIds": list(some), "ResourceTypes": _REFERENCES}
            doing = "looking up uses of AMIs"
            for ami, reference in self._read(doing, region, "describe_image_references", request, _reference):
                found.setdefault(ami, []).append(reference)
        return {ami: tuple(references) for ami, references in found.items()}

    def auto_scaling_amis(self, region: str) -> Mapping[str, tuple[AmiReference, ...]]:
        return self._groups.amis(region)

    def template_versions(self, region: str, templates: Sequence[str]) -> tuple[TemplateVersion, ...]:
        return tuple(
            version
            for template in dict.fromkeys(templates)
            for version in self._groups.template_versions(region, template)
        )

    def instance_amis(self, region: str) -> tuple[InstanceAmi, ...]:
        request = {"Filters": [{"Name": "instance-state-name", "Values": list(_LIVE)}]}
        doing = "looking up the AMIs of instances"
        try:
            found = self._read(doing, region, "describe_instance_image_metadata", request, _instance)
        except AwsError as error:
            if not isinstance(error, DeniedError) and error.code not in _UNKNOWN_ACTION:
                raise
            reservations = self._read(doing, region, "describe_instances", request, _instances)
            found = [instance for instances in reservations for instance in instances]
        # EC2 may change a state between the filter and the answer.
        return tuple(instance for instance in found if instance.state != "terminated")

    def usage_reports(self, region: str, amis: Sequence[str]) -> Mapping[str, UsageReport]:
        doing = "reading usage reports of AMIs"
        newest: dict[str, _Report] = {}
        for some in batches(amis, _REPORTS):
            request = {"ImageIds": list(some)}
            for report in self._read(doing, region, "describe_image_usage_reports", request, _report):
                known = newest.get(report.ami)
                if report.counts and (known is None or report.created > known.created):
                    newest[report.ami] = report
        users: dict[str, set[str]] = {report.id: set() for report in newest.values() if report.available}
        for some in batches(users, _REPORTS):
            request = {"ReportIds": list(some)}
            for report_id, user in self._read(doing, region, "describe_image_usage_report_entries", request, _entry):
                users.setdefault(report_id, set()).add(user)
        return {
            ami: UsageReport(
                created=report.created, used_by=tuple(sorted(users[report.id])) if report.available else None
            )
            for ami, report in newest.items()
        }

    def request_usage_report(self, region: str, ami: str) -> bool:
        client: EC2Client = self._session.client("ec2", region)
        call = self._session.call(f"requesting a usage report of {ami}", "EC2", "CreateImageUsageReport", region)
        try:
            with explained(call):
                client.create_image_usage_report(ImageId=ami, ResourceTypes=_REPORTED)
        except AwsError as error:
            if error.code == _PENDING_REPORT:
                return False
            raise
        return True

    def disable(self, region: str, ami: str) -> None:
        client: EC2Client = self._session.client("ec2", region)
        try:
            with explained(self._session.call(f"disabling {ami}", "EC2", "DisableImage", region)):
                client.disable_image(ImageId=ami)
        except AwsError as error:
            if isinstance(error, DeniedError) or self._state(region, ami) != "disabled":
                raise

    def enable(self, region: str, ami: str) -> None:
        client: EC2Client = self._session.client("ec2", region)
        try:
            with explained(self._session.call(f"enabling {ami}", "EC2", "EnableImage", region)):
                client.enable_image(ImageId=ami)
        except AwsError as error:
            if isinstance(error, DeniedError) or self._state(region, ami) != "available":
                raise

    def deregister(self, region: str, ami: str) -> tuple[SnapshotDeletion, ...]:
        client: EC2Client = self._session.client("ec2", region)
        try:
            with explained(self._session.call(f"deregistering {ami}", "EC2", "DeregisterImage", region)):
                response = client.deregister_image(ImageId=ami, DeleteAssociatedSnapshots=True)
                return tuple(
                    SnapshotDeletion(snapshot=result["SnapshotId"], code=result["ReturnCode"])
                    for result in response.get("DeleteSnapshotResults", ())
                )
        except NotFoundError as error:
            # InvalidAMIID.Unavailable: deregistered, or in a state that EC2 does not allow.
            if error.code != _MISSING and self._state(region, ami) not in ("", "deregistered"):
                raise
            return ()

    def _state(self, region: str, ami: str) -> str:
        """Returns the state of an AMI of this account, even of a disabled one; empty if it does not exist."""
        client: EC2Client = self._session.client("ec2", region)
        with explained(self._session.call(f"looking up {ami}", "EC2", "DescribeImages", region)):
            filters: Any = [{"Name": "image-id", "Values": [ami]}]
            images = client.describe_images(Owners=["self"], Filters=filters, IncludeDisabled=True)["Images"]
            return next((image["State"] for image in images if image["ImageId"] == ami), "")

    def snapshot_sizes(self, region: str, snapshots: Sequence[str]) -> Mapping[str, int]:
        doing = "reading sizes of snapshots"
        found: dict[str, int] = {}
        for some in batches(snapshots, FILTER_VALUES):
            request = {"OwnerIds": ["self"], "Filters": [{"Name": "snapshot-id", "Values": list(some)}]}
            found |= self._read(doing, region, "describe_snapshots", request, _size)
        return found

    def _read(
        self, doing: str, region: str, operation: str, request: Mapping[str, Any], parse: Callable[[Any], Item]
    ) -> list[Item]:
        """Returns the parsed items of all pages. `parse` may raise `LookupError` for a missing member."""
        client: EC2Client = self._session.client("ec2", region)
        action, member = _ACTIONS[operation]
        with self._session.waiting(doing, region), explained(self._session.call(doing, "EC2", action, region)):
            pages = client.get_paginator(operation).paginate(**request)  # type: ignore[call-overload]
            return [parse(item) for page in pages for item in page[member]]


_ACTIONS = {
    "describe_image_references": ("DescribeImageReferences", "ImageReferences"),
    "describe_image_usage_reports": ("DescribeImageUsageReports", "ImageUsageReports"),
    "describe_image_usage_report_entries": ("DescribeImageUsageReportEntries", "ImageUsageReportEntries"),
    "describe_instance_image_metadata": ("DescribeInstanceImageMetadata", "InstanceImageMetadata"),
    "describe_instances": ("DescribeInstances", "Reservations"),
    "describe_snapshots": ("DescribeSnapshots", "Snapshots"),
}
"""EC2's action and the member with the items, by boto3's name of the operation."""


def _reference(one: Mapping[str, Any]) -> tuple[str, AmiReference]:
    """Returns an AMI, and a resource that names it."""
    kind, arn = _KINDS.get(one.get("ResourceType", ""), ReferenceKind.OTHER), one.get("Arn", "")
    name = arn.rpartition(":")[2].partition("/")[2]
    if kind is ReferenceKind.PARAMETER and "/" in name:
        name = f"/{name}"  # the ARN has no leading slash; SSM allows slashes only in names that begin with one
    return one["ImageId"], AmiReference(kind=kind, name=name or arn, arn=arn)


def _instance(described: Mapping[str, Any]) -> InstanceAmi:
    """Converts an instance of DescribeInstanceImageMetadata or DescribeInstances."""
    ami: Mapping[str, Any] = described.get("ImageMetadata") or {}
    launched: datetime | None = described.get("LaunchTime")
    return InstanceAmi(
        instance=described["InstanceId"],
        ami=ami.get("ImageId") or described["ImageId"],
        state=described["State"]["Name"],
        launched=launched.astimezone(UTC) if launched else None,
        ami_name=ami.get("Name", ""),
        ami_state=state_of(ami["State"]) if ami.get("State") else None,
        deprecated_at=moment_of(ami.get("DeprecationTime", "")),
    )


def _instances(reservation: Mapping[str, Any]) -> list[InstanceAmi]:
    return [_instance(one) for one in reservation["Instances"]]


class _Report(Frozen):
    """A usage report.

    counts  whether it can say that no account uses the AMI: it covers all accounts, types and versions. Anyone can
            request a report of some accounts. A failed report says nothing, so that a new one is requested
    """

    id: str
    ami: str
    created: datetime
    available: bool
    counts: bool


def _report(described: Mapping[str, Any]) -> _Report:
    options = {one["ResourceType"]: one.get("ResourceTypeOptions", ()) for one in described.get("ResourceTypes", ())}
    covers_all = options.keys() >= {one["ResourceType"] for one in _REPORTED} and _DEPTH in options[_TEMPLATE]
    return _Report(
        id=described["ReportId"],
        ami=described["ImageId"],
        created=described["CreationTime"].astimezone(UTC),
        available=described["State"] == "available",
        counts=covers_all and not described.get("AccountIds") and described["State"] != "error",
    )


def _entry(described: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the id of a report, and an account that uses its AMI."""
    return described["ReportId"], described["AccountId"]


def _size(described: Mapping[str, Any]) -> tuple[str, int]:
    """Returns a snapshot's id, and an upper bound of its size in bytes."""
    return described["SnapshotId"], described.get("FullSnapshotSizeInBytes") or described["VolumeSize"] * _GIBIBYTE
