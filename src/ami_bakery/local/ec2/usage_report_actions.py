"""EC2's image usage reports, which show accounts that use an AMI."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, MissingParameterError
from moto.ec2.utils import random_resource_id

from ami_bakery.local.ec2.image_actions import StrictResponse, check_tags
from ami_bakery.local.ec2.image_usage_actions import INSTANCE, REFERENCE_TYPES, TEMPLATE, checked_options
from ami_bakery.local.ec2.local_images import Filters, check_value_count, compiled_filters
from ami_bakery.local.ec2.moto_state import with_zone

if TYPE_CHECKING:
    from ami_bakery.local.ec2.moto_state import LocalBackend
    from ami_bakery.local.local_settings import Behaviour

_KEPT = datetime.timedelta(days=30)
_DEFAULT_DEPTH = 20
_MAX_IDS = 200
_TYPES = tuple(kind for kind in REFERENCE_TYPES if kind != "ssm:Parameter")
_TIME = "%Y-%m-%dT%H:%M:%S.000Z"


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalUsageReport:
    """A report, with the numbers of uses by resource type and account.

    began    when it was created, by the monotonic clock; the report is pending for `pending_seconds` from then on
    depths   the number of launch template versions to check, by resource type; None for other types
    """

    report_id: str
    image_id: str
    created: datetime.datetime
    began: float
    pending_seconds: float
    depths: Mapping[str, int | None]
    accounts: tuple[str, ...]
    tags: Mapping[str, str]
    uses: Mapping[tuple[str, str], int]

    def state(self, behaviour: Behaviour) -> str:
        waits = min(self.pending_seconds, behaviour.report_seconds)
        return "pending" if time.monotonic() < self.began + waits else behaviour.report_outcome

    def describe(self, behaviour: Behaviour) -> dict[str, Any]:
        state = self.state(behaviour)
        shown = {
            "ImageId": self.image_id,
            "ReportId": self.report_id,
            "ResourceTypes": [_described_type(kind, depth) for kind, depth in self.depths.items()],
            "AccountIds": list(self.accounts) or None,
            "State": state,
            "StateReason": "The report could not be created." if state == "error" else None,
            "CreationTime": self.created,
            "ExpirationTime": self.created + _KEPT,
            "Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()],
        }
        return {name: value for name, value in shown.items() if value is not None}

    def entries(self) -> Iterator[dict[str, Any]]:
        for (kind, account), count in self.uses.items():
            yield {
                "ImageId": self.image_id,
                "ReportId": self.report_id,
                "ResourceType": kind,
                "AccountId": account,
                "UsageCount": count,
                "ReportCreationTime": self.created,
            }


class UsageReportActions(StrictResponse):
    """The actions, named as moto dispatches them. The codes of errors for invalid requests are guesses."""

    def create_image_usage_report(self) -> ActionResult:
        return self.idempotent(self._created_report)

    def _created_report(self) -> dict[str, str]:
        image = self.own_image()
        depths = _requested_depths(self._get_param("ResourceTypes", []))
        accounts = tuple(self._limited("AccountIds"))
        tags = self._report_tags()
        reports = self.ec2_backend.usage_reports
        if any(one.image_id == image.id and one.state(self.behaviour) == "pending" for one in reports.values()):
            raise EC2ClientError(
                "ResourceLimitExceeded", f"The AMI '{image.id}' has the maximum number of pending usage reports: 1."
            )
        self.error_on_dryrun()
        report = LocalUsageReport(
            report_id=f"amiur-{random_resource_id(17)}",
            image_id=image.id,
            created=datetime.datetime.now(datetime.UTC),
            began=time.monotonic(),
            pending_seconds=self.behaviour.report_seconds,
            depths=depths,
            accounts=accounts,
            tags=tags,
            uses=self._uses(image.id, depths, accounts),
        )
        reports[report.report_id] = report
        return {"ReportId": report.report_id}

    def _report_tags(self) -> dict[str, str]:
        tags: dict[str, str] = {}
        for specification in self._get_param("TagSpecifications", []):
            if (kind := specification.get("ResourceType")) != "image-usage-report":
                text = f"'{kind}' is not a valid taggable resource type for this operation."
                raise EC2ClientError("InvalidParameterValue", text)
            tags.update((tag["Key"], tag.get("Value", "")) for tag in specification.get("Tags", []))
        check_tags(tags)
        return tags

    def _uses(
        self, image_id: str, depths: Mapping[str, int | None], accounts: tuple[str, ...]
    ) -> dict[tuple[str, str], int]:
        """Counts the uses of other accounts, without those of the last `usage_lag_seconds`."""
        until = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=self.behaviour.usage_lag_seconds)
        found = {}
        for account, backend in self.state.backends(self.region).items():
            if account != self.current_account and account in (accounts or (account,)):
                found[INSTANCE, account] = _instances(backend, image_id, until) if INSTANCE in depths else 0
                found[TEMPLATE, account] = _templates(backend, image_id, until, depths.get(TEMPLATE) or 0)
        return {key: count for key, count in found.items() if count}

    def describe_image_usage_reports(self) -> ActionResult:
        filters = self._checked_filters(("creation-time", "state", "tag-key"))
        self.error_on_dryrun()
        described = [report.describe(self.behaviour) for report in self._requested_reports()]
        found = [one for one in described if _passes(filters, lambda name, one=one: _report_values(one, name))]
        listed, token = self.page(found, "DescribeImageUsageReports")
        return ActionResult({"ImageUsageReports": listed, "NextToken": token})

    def describe_image_usage_report_entries(self) -> ActionResult:
        """Describes the entries of available reports; a pending report has none."""
        filters = self._checked_filters(("account-id", "creation-time", "resource-type"))
        self.error_on_dryrun()
        available = [report for report in self._requested_reports() if report.state(self.behaviour) == "available"]
        entries = [entry for report in available for entry in report.entries()]
        found = [one for one in entries if _passes(filters, lambda name, one=one: (_entry_value(one, name),))]
        listed, token = self.page(found, "DescribeImageUsageReportEntries")
        return ActionResult({"ImageUsageReportEntries": listed, "NextToken": token})

    def delete_image_usage_report(self) -> ActionResult:
        report_id = self._get_param("ReportId")
        if not report_id:
            raise MissingParameterError("ReportId")
        self._check_exists(report_id)
        self.error_on_dryrun()
        del self.ec2_backend.usage_reports[report_id]
        return ActionResult({"Return": True})

    def _requested_reports(self) -> list[LocalUsageReport]:
        report_ids, image_ids = self._limited("ReportIds"), self._limited("ImageIds")
        for report_id in report_ids:
            self._check_exists(report_id)
        return [
            report
            for report in self.ec2_backend.usage_reports.values()
            if (not report_ids or report.report_id in report_ids) and (not image_ids or report.image_id in image_ids)
        ]

    def _check_exists(self, report_id: str) -> None:
        if report_id not in self.ec2_backend.usage_reports:
            raise EC2ClientError(
                "InvalidImageUsageReportId.NotFound", f"The image usage report ID '{report_id}' does not exist"
            )

    def _limited(self, member: str) -> list[str]:
        values: list[str] = self._get_param(member, [])
        if len(values) > _MAX_IDS:
            raise EC2ClientError("InvalidParameterValue", f"The maximum number of {member} is {_MAX_IDS}.")
        return values

    def _checked_filters(self, known: tuple[str, ...]) -> Filters:
        filters: Any = self._filters_from_querystring()
        check_value_count(filters)
        for name in filters:
            if name not in known and not ("tag-key" in known and name.startswith("tag:")):
                raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        return compiled_filters(filters)


def _requested_depths(requested: list[dict[str, Any]]) -> dict[str, int | None]:
    if not requested:
        raise MissingParameterError("ResourceTypes")
    depths: dict[str, int | None] = {}
    for one in requested:
        kind = one.get("ResourceType") or ""
        options = one.get("ResourceTypeOptions") or []
        if kind not in _TYPES or (options and kind != TEMPLATE):
            what = f"The resource type {kind} has no options" if kind in _TYPES else f"'{kind}' is not a resource type"
            raise EC2ClientError("InvalidParameterValue", f"{what}. Valid resource types: {', '.join(_TYPES)}.")
        depth = checked_options(kind, options).get("version-depth", (str(_DEFAULT_DEPTH),))[0]
        depths[kind] = int(depth) if kind == TEMPLATE else None
    return depths


def _instances(backend: LocalBackend, image_id: str, until: datetime.datetime) -> int:
    return sum(
        instance.image_id == image_id and instance.state != "terminated" and with_zone(instance.launch_time) <= until
        for instance in backend.all_instances()
    )


def _templates(backend: LocalBackend, image_id: str, until: datetime.datetime, depth: int) -> int:
    """Counts the templates that name an AMI in a reported version."""
    count = 0
    for template in backend.launch_templates.values():
        known = [version for version in template.versions if with_zone(version.create_time) <= until]
        count += any(version.data.get("ImageId") == image_id for version in known[::-1][:depth])
    return count


def _described_type(kind: str, depth: int | None) -> dict[str, Any]:
    if depth is None:
        return {"ResourceType": kind}
    options = [{"OptionName": "version-depth", "OptionValues": [str(depth)]}]
    return {"ResourceType": kind, "ResourceTypeOptions": options}


def _passes(filters: Filters, values_of: Any) -> bool:
    return all(any(map(values.matches, values_of(name))) for name, values in filters.items())


def _report_values(described: Mapping[str, Any], name: str) -> Iterable[str]:
    if name == "state":
        return (described["State"],)
    if name == "creation-time":
        return (described["CreationTime"].strftime(_TIME),)
    if name == "tag-key":
        return tuple(tag["Key"] for tag in described["Tags"])
    return tuple(tag["Value"] for tag in described["Tags"] if tag["Key"] == name[4:])


def _entry_value(entry: Mapping[str, Any], name: str) -> str:
    members = {"account-id": entry["AccountId"], "resource-type": entry["ResourceType"]}
    return str(members.get(name) or entry["ReportCreationTime"].strftime(_TIME))
