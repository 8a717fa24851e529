"""Finds the AMIs that Auto Scaling groups, launch configurations and launch templates name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ami_bakery.adapters.aws.batches import batches
from ami_bakery.adapters.aws.errors import explained
from ami_bakery.core.ec2.usage import AmiReference, ReferenceKind, TemplateVersion
from ami_bakery.errors import AwsError, NotFoundError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.adapters.aws.session import AwsSession

_DEFAULT, _LATEST = "$Default", "$Latest"
_PAGE = 100
"""Auto Scaling's maximum page size."""
_RESOLVED = "resolve:"
"""The prefix of an image id that is an SSM parameter: `resolve:ssm:/path`."""
_VERSIONS = 200
"""EC2's maximum number of versions per call (API reference, DescribeLaunchTemplateVersions)."""
_NO_VERSION = "InvalidLaunchTemplateId.VersionNotFound"


class GroupReader:
    """Reads Auto Scaling groups and the launch templates that they use."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def amis(self, region: str) -> Mapping[str, tuple[AmiReference, ...]]:
        """Returns launch configurations and groups, by the AMI that they name."""
        # Groups first: a launch configuration cannot be deleted while a group has it.
        groups = list(self._pages(region, "describe_auto_scaling_groups", "AutoScalingGroups"))
        found: dict[str, list[AmiReference]] = {}
        configured: dict[str, str] = {}
        for configuration in self._pages(region, "describe_launch_configurations", "LaunchConfigurations"):
            name = configuration["LaunchConfigurationName"]
            configured[name] = _checked(configuration["ImageId"], f"the launch configuration {name}")
            arn = configuration.get("LaunchConfigurationARN", "")
            reference = AmiReference(kind=ReferenceKind.LAUNCH_CONFIGURATION, name=name, arn=arn)
            found.setdefault(configured[name], []).append(reference)
        templates = self._template_amis(region, {named for group in groups for named in _templates(group)})
        for group in groups:
            name, arn = group["AutoScalingGroupName"], group.get("AutoScalingGroupARN", "")
            reference = AmiReference(kind=ReferenceKind.AUTO_SCALING_GROUP, name=name, arn=arn)
            amis = {configured.get(group.get("LaunchConfigurationName", ""), "")}
            amis |= {templates.get(named, "") for named in _templates(group)}
            amis |= {_checked(ami, f"the Auto Scaling group {name}") for ami in _overrides(group)}
            for ami in sorted(amis - {""}):
                found.setdefault(ami, []).append(reference)
        return {ami: tuple(references) for ami, references in found.items()}

    def _pages(self, region: str, operation: str, member: str) -> Iterator[Any]:
        client: Any = self._session.client("autoscaling", region)
        action = f"Describe{member}"
        with explained(self._session.call("looking up the AMIs of Auto Scaling groups", "AutoScaling", action, region)):
            for page in client.get_paginator(operation).paginate(PaginationConfig={"PageSize": _PAGE}):
                yield from page[member]

    def _template_amis(self, region: str, named: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
        """Returns the AMI of each template version, by the template's id or name and the version."""
        by_template: dict[tuple[str, str], list[str]] = {}
        for member, template, version in sorted(named):
            by_template.setdefault((member, template), []).append(version)
        found = {}
        for (member, template), versions in by_template.items():
            for some in batches(versions, _VERSIONS):
                described = self._versions(region, {member: template}, some)
                for version in some:
                    ami = next((_ami(one) for one in described if _is_meant(one, version, described)), "")
                    found[member, template, version] = ami
        return found

    def _versions(self, region: str, template: Mapping[str, str], versions: Sequence[str]) -> list[Any]:
        """Returns the existing ones of these versions of a template."""
        try:
            return self.described(region, {**template, "Versions": list(versions)})
        except NotFoundError:
            return []  # a group whose template is deleted launches nothing
        except AwsError as error:
            if error.code != _NO_VERSION:
                raise
            # One missing version fails the whole call.
            return (
                [] if len(versions) == 1 else [v for one in versions for v in self._versions(region, template, [one])]
            )

    def described(self, region: str, request: Mapping[str, Any]) -> list[Any]:
        """Returns all versions that match, with SSM parameters resolved to AMIs."""
        found = self._described(region, request)
        if any(_image(version).startswith(_RESOLVED) for version in found):
            # Only now, because it needs permissions for SSM.
            return self._described(region, {**request, "ResolveAlias": True})
        return found

    def _described(self, region: str, request: Mapping[str, Any]) -> list[Any]:
        client: EC2Client = self._session.client("ec2", region)
        action = "DescribeLaunchTemplateVersions"
        with explained(self._session.call("reading launch templates", "EC2", action, region)):
            pages = client.get_paginator("describe_launch_template_versions").paginate(**request)
            return [version for page in pages for version in page["LaunchTemplateVersions"]]

    def template_versions(self, region: str, template: str) -> tuple[TemplateVersion, ...]:
        """Returns all versions of a launch template that name an AMI, oldest first. Empty if it does not exist."""
        try:
            described = self.described(region, {"LaunchTemplateId": template})
        except NotFoundError:
            return ()
        latest = max((version["VersionNumber"] for version in described), default=0)
        found = []
        for version in sorted(described, key=lambda version: version["VersionNumber"]):
            number, ami = version["VersionNumber"], _ami(version)
            if ami:
                aliases = ((_DEFAULT, version.get("DefaultVersion", False)), (_LATEST, number == latest))
                found.append(
                    TemplateVersion(
                        template=template,
                        name=version.get("LaunchTemplateName", ""),
                        version=number,
                        ami=ami,
                        aliases=tuple(alias for alias, holds in aliases if holds),
                    )
                )
        return tuple(found)


def _templates(group: Mapping[str, Any]) -> set[tuple[str, str, str]]:
    """Returns the launch templates of a group: the member that names it, the id or name, and the version."""
    policy = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    named = [group.get("LaunchTemplate"), policy.get("LaunchTemplateSpecification")]
    named += [override.get("LaunchTemplateSpecification") for override in policy.get("Overrides", ())]
    return {
        (member, template[member], template.get("Version") or _DEFAULT)
        for template in named
        if template
        for member in ("LaunchTemplateId", "LaunchTemplateName")[: 1 if template.get("LaunchTemplateId") else 2]
        if template.get(member)
    }


def _overrides(group: Mapping[str, Any]) -> set[str]:
    """Returns the AMIs that a group's overrides of instance types name."""
    policy = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    return {override["ImageId"] for override in policy.get("Overrides", ()) if override.get("ImageId")}


def _is_meant(described: Mapping[str, Any], version: str, others: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a described version is the one that a group names."""
    if version == _DEFAULT:
        return bool(described.get("DefaultVersion"))
    if version == _LATEST:
        return bool(described["VersionNumber"] == max(other["VersionNumber"] for other in others))
    return str(described["VersionNumber"]) == version


def _image(version: Mapping[str, Any]) -> str:
    return str(version.get("LaunchTemplateData", {}).get("ImageId") or "")


def _ami(version: Mapping[str, Any]) -> str:
    """Returns the version's AMI; empty if it has none. Raises `AwsError` for an unresolved parameter."""
    image = _image(version)
    return _checked(image, f"the launch template {version.get('LaunchTemplateId', '')}") if image else ""


def _checked(image: str, owner: str) -> str:
    """Returns an AMI's id. Raises `AwsError` if it is something else: then the AMI is unknown."""
    if image.startswith("ami-"):
        return image
    raise AwsError(
        "looking up the AMIs of Auto Scaling groups",
        f"{owner} has the image {image[:80]!r}, which is not the id of an AMI",
        "Set the id of an AMI there, or an SSM parameter that exists and has one.",
    )
