"""EC2's actions on launch templates, stricter than moto."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from moto.core.responses import ActionResult
from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidLaunchTemplateIdNotFound,
    InvalidLaunchTemplateNameAlreadyExistsError,
    InvalidLaunchTemplateVersionNotFound,
    MissingParameterError,
)
from moto.ec2.utils import parse_user_data

from ami_bakery.local.ec2.image_actions import StrictResponse, check_tags
from ami_bakery.local.ec2.local_images import check_value_count, compiled_filters
from ami_bakery.local.ec2.local_launch_templates import LocalLaunchTemplate

if TYPE_CHECKING:
    from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion

_NAME = re.compile(r"[a-zA-Z0-9().\-/_]{3,128}")
_MAX_DELETED = 200
_PAGE = 200
_FILTERS = {"image-id": "ImageId", "instance-type": "InstanceType", "kernel-id": "KernelId", "ram-disk-id": "RamDiskId"}


class LaunchTemplateActions(StrictResponse):
    """The actions, named as moto dispatches them."""

    def create_launch_template(self) -> ActionResult:
        name = self._get_param("LaunchTemplateName") or ""
        if not _NAME.fullmatch(name):
            raise EC2ClientError(
                "InvalidLaunchTemplateName.MalformedException",
                "Launch template names must be between 3 and 128 characters long, and may contain letters, numbers, "
                "and the following characters: - ( ) . / _",
            )
        return self.idempotent(lambda: self._created(name))

    def _created(self, name: str) -> dict[str, Any]:
        if name in self.ec2_backend.launch_template_name_to_ids:
            raise InvalidLaunchTemplateNameAlreadyExistsError
        tags = self._template_tags()
        data = self._launch_data()
        self.error_on_dryrun()
        template = LocalLaunchTemplate(  # type: ignore[abstract]
            self.ec2_backend, name, data, self._get_param("VersionDescription"), {"launch-template": tags}
        )
        self.ec2_backend.add_launch_template(template)
        return {"LaunchTemplate": self._described(template)}

    def _template_tags(self) -> dict[str, str]:
        tags: dict[str, str] = {}
        for specification in self._get_param("TagSpecifications", []):
            if specification.get("ResourceType") != "launch-template":
                raise EC2ClientError(
                    "InvalidParameterValue",
                    f"'{specification.get('ResourceType')}' is not a valid taggable resource type for this operation.",
                )
            tags.update((tag["Key"], tag.get("Value", "")) for tag in specification.get("Tags", []))
        check_tags(tags)
        return tags

    def _launch_data(self) -> dict[str, Any]:
        data = dict(self._get_param("LaunchTemplateData") or {})
        if "UserData" in data:
            data["UserData"] = parse_user_data(data["UserData"])
        return data

    def create_launch_template_version(self) -> ActionResult:
        return self.idempotent(self._created_version)

    def _created_version(self) -> dict[str, Any]:
        template = self._named_template()
        source = self._get_param("SourceVersion")
        inherited = template.get_version(source).data if source else {}
        data = {**inherited, **self._launch_data()}
        self.error_on_dryrun()
        version = template.create_version(data, self._get_param("VersionDescription"))
        return {"LaunchTemplateVersion": self._described_version(version)}

    def delete_launch_template(self) -> ActionResult:
        template = self._named_template()
        self.error_on_dryrun()
        described = self._described(template)
        self.ec2_backend.delete_launch_template(template.name, None)
        return ActionResult({"LaunchTemplate": described})

    def delete_launch_template_versions(self) -> ActionResult:
        """Deletes versions, each on its own; the default version cannot be deleted."""
        template = self._named_template()
        numbers: list[str] = self._get_param("Versions", [])
        if not numbers:
            raise MissingParameterError("Versions")
        for number in numbers:
            _checked_number(number)
        if len(numbers) > _MAX_DELETED:  # a guess
            raise EC2ClientError("InvalidParameterValue", f"You can specify up to {_MAX_DELETED} versions.")
        self.error_on_dryrun()
        deleted: list[dict[str, Any]] = []
        kept: list[dict[str, Any]] = []
        for number in numbers:
            wrong = _delete_version(template, number)
            item = {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "VersionNumber": number}
            if wrong:
                kept.append({**item, "ResponseError": wrong})
            else:
                deleted.append(item)
        return ActionResult(
            {
                "SuccessfullyDeletedLaunchTemplateVersions": deleted,
                "UnsuccessfullyDeletedLaunchTemplateVersions": kept,
            }
        )

    def modify_launch_template(self) -> ActionResult:
        template = self._named_template()
        number = self._get_param("DefaultVersion")
        if not number:
            raise MissingParameterError("SetDefaultVersion")
        version = template.get_version(number)
        self.error_on_dryrun()
        template.default_version_number = version.number
        return ActionResult({"LaunchTemplate": self._described(template)})

    def describe_launch_templates(self) -> ActionResult:
        ids, names = self._get_param("LaunchTemplateIds", []), self._get_param("LaunchTemplateNames", [])
        filters: Any = self._filters_from_querystring()
        check_value_count(filters)
        self.error_on_dryrun()
        for template_id in ids:
            if template_id not in self.ec2_backend.launch_templates:
                raise InvalidLaunchTemplateIdNotFound(template_id)
        for name in names:
            self.ec2_backend.get_launch_template_by_name(name)
        found = [
            self._described(template)
            for template in self.ec2_backend.describe_launch_templates(filters=filters)
            if (not ids or template.id in ids) and (not names or template.name in names)
        ]
        listed, token = self.page(found, "DescribeLaunchTemplates", most=_PAGE)
        return ActionResult({"LaunchTemplates": listed, "NextToken": token})

    def describe_launch_template_versions(self) -> ActionResult:
        """Describes versions of one template, or one version of all templates."""
        self.error_on_dryrun()
        described = [self._described_version(version) for version in self._requested_versions()]
        filters: Any = self._filters_from_querystring()
        check_value_count(filters)
        for name in filters:
            if name not in (*_FILTERS, "is-default-version"):
                raise EC2ClientError("UnsupportedOperation", f"The embedded EC2 does not support the filter '{name}'.")
        wanted = compiled_filters(filters)
        found = [one for one in described if all(values.matches(_member(one, name)) for name, values in wanted.items())]
        listed, token = self.page(found, "DescribeLaunchTemplateVersions", most=_PAGE)
        return ActionResult({"LaunchTemplateVersions": listed, "NextToken": token})

    def _requested_versions(self) -> list[LaunchTemplateVersion]:
        numbers: list[str] = self._get_param("Versions", [])
        lowest, highest = self._get_param("MinVersion"), self._get_param("MaxVersion")
        if not self._names_template():
            if not numbers or set(numbers) - {"$Latest", "$Default"}:
                raise EC2ClientError(
                    "InvalidParameterValue",
                    "To describe versions of all launch templates, specify $Latest, $Default, or both, and no numbers.",
                )
            templates = cast("list[LocalLaunchTemplate]", list(self.ec2_backend.launch_templates.values()))
            return [version for one in templates for version in _selected(one, numbers)]
        template = self._named_template()
        if numbers:
            if lowest or highest:
                raise EC2ClientError("InvalidParameterCombination", "Specify either versions or a range of versions.")
            return _selected(template, numbers)
        last = _checked_number(highest) if highest else template.versions[-1].number
        inside = range(_checked_number(lowest) if lowest else 1, last + 1)
        return [version for version in template.newest(len(template.versions)) if version.number in inside]

    def _names_template(self) -> bool:
        return bool(self._get_param("LaunchTemplateId") or self._get_param("LaunchTemplateName"))

    def _named_template(self) -> LocalLaunchTemplate:
        template_id, name = self._get_param("LaunchTemplateId"), self._get_param("LaunchTemplateName")
        if template_id and name:
            raise EC2ClientError(
                "InvalidParameterCombination", "Specify either a launch template ID or name, but not both."
            )
        return self.template_of({"LaunchTemplateId": template_id, "LaunchTemplateName": name})

    def template_of(self, named: dict[str, str | None]) -> LocalLaunchTemplate:
        """Returns the launch template that an id or a name specifies."""
        if template_id := named.get("LaunchTemplateId"):
            return cast("LocalLaunchTemplate", self.ec2_backend.get_launch_template(template_id))
        name = named.get("LaunchTemplateName")
        if not name:
            raise MissingParameterError("launch template ID or launch template name")
        return cast("LocalLaunchTemplate", self.ec2_backend.get_launch_template_by_name(name))

    def _described(self, template: LaunchTemplate) -> dict[str, Any]:
        return {
            "CreateTime": template.create_time,
            "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
            "DefaultVersionNumber": template.default_version_number,
            "LatestVersionNumber": template.versions[-1].number,
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "Tags": template.get_tags(),
        }

    def _described_version(self, version: LaunchTemplateVersion) -> dict[str, Any]:
        template, data = version.template, dict(version.data)
        if self._get_param("ResolveAlias") and data.get("ImageId"):
            data["ImageId"] = self.resolved_image_id(data["ImageId"])
        return {
            "CreateTime": version.create_time,
            "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
            "DefaultVersion": template.is_default(version),
            "LaunchTemplateData": data,
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "VersionDescription": version.description,
            "VersionNumber": version.number,
        }


def _checked_number(number: str) -> int:
    if not number.isdecimal():
        raise EC2ClientError("InvalidParameterValue", f"The launch template version number '{number}' is not valid.")
    return int(number)


def _selected(template: LocalLaunchTemplate, numbers: list[str]) -> list[LaunchTemplateVersion]:
    found = (template.get_version(number) for number in numbers)
    return list({version.number: version for version in found}.values())


def _delete_version(template: LocalLaunchTemplate, number: str) -> dict[str, str] | None:
    """Deletes a version; returns the error if it cannot be deleted. The texts are guesses."""
    try:
        version = template.get_version(number)
    except InvalidLaunchTemplateVersionNotFound as error:
        return {"Code": "launchTemplateVersionDoesNotExist", "Message": error.message}
    if template.is_default(version):
        return {"Code": "unexpectedError", "Message": "The default version of a launch template cannot be deleted."}
    template.versions.remove(version)
    return None


def _member(described: dict[str, Any], name: str) -> str:
    if name == "is-default-version":
        return str(described["DefaultVersion"]).lower()
    return str(described["LaunchTemplateData"].get(_FILTERS[name], ""))
