"""EC2's actions that show which resources use an AMI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidInstanceIdError, MalformedAMIIdError, MissingParameterError

from ami_bakery.local.ec2.image_actions import StrictResponse
from ami_bakery.local.ec2.local_images import check_value_count, compiled_filters
from ami_bakery.local.ssm.parameter_store import IMAGE_TYPE

if TYPE_CHECKING:
    from ami_bakery.local.ec2.local_launch_templates import LocalLaunchTemplate

INSTANCE, TEMPLATE, PARAMETER = "ec2:Instance", "ec2:LaunchTemplate", "ssm:Parameter"
_RECIPES = ("imagebuilder:ImageRecipe", "imagebuilder:ContainerRecipe")
REFERENCE_TYPES = (INSTANCE, TEMPLATE, PARAMETER, *_RECIPES)
_STATES = ("pending", "running", "shutting-down", "terminated", "stopping", "stopped")
_OPTIONS = {INSTANCE: "state-name", TEMPLATE: "version-depth"}
_DEFAULT_DEPTH = 10
_MAX_DEPTH = 10_000
_MAX_IMAGES = 10
_LEAST_RESULTS = 5
_METADATA_FILTERS = frozenset(
    {"availability-zone", "instance-id", "instance-state-name", "instance-type", "launch-time", "owner-id", "tag-key"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceScope:
    """The resource types to search, and the options of the search."""

    types: frozenset[str]
    states: tuple[str, ...] = _STATES
    depth: int = _DEFAULT_DEPTH


class ImageUsageActions(StrictResponse):
    """The actions, named as moto dispatches them.

    The codes of errors for invalid requests are guesses: EC2's documentation names only the limits.
    """

    def describe_image_references(self) -> ActionResult:
        """Lists the resources that name the AMIs, which need not exist."""
        image_ids = list(dict.fromkeys(self._get_param("ImageIds", [])))
        if not image_ids:
            raise MissingParameterError("ImageId")
        if len(image_ids) > _MAX_IMAGES:
            raise _invalid(f"The maximum number of image IDs is {_MAX_IMAGES}; the request has {len(image_ids)}.")
        malformed = [image_id for image_id in image_ids if not image_id.startswith("ami-")]
        if malformed:
            raise MalformedAMIIdError(malformed)
        scope = self._requested_scope()
        least = self._get_int_param("MaxResults")
        if least is not None and least < _LEAST_RESULTS:
            raise _invalid(f"Value ( {least} ) for parameter maxResults is invalid. The minimum is {_LEAST_RESULTS}.")
        self.error_on_dryrun()
        found = [
            {"ImageId": image_id, "ResourceType": kind, "Arn": arn}
            for image_id in image_ids
            for kind, arn in self._references(image_id, scope)
        ]
        listed, token = self.page(found, "DescribeImageReferences")
        return ActionResult({"ImageReferences": listed, "NextToken": token})

    def _requested_scope(self) -> ReferenceScope:
        requested: list[dict[str, Any]] = self._get_param("ResourceTypes", [])
        everything = bool(self._get_param("IncludeAllResourceTypes"))
        if not requested and not everything:
            raise MissingParameterError("ResourceTypes")
        types = set(REFERENCE_TYPES) if everything else set()
        options: dict[str, tuple[str, ...]] = {}
        for one in requested:
            kind = one.get("ResourceType") or ""
            if kind not in REFERENCE_TYPES:
                raise _invalid(f"'{kind}' is not a resource type. Valid values: {', '.join(REFERENCE_TYPES)}.")
            types.add(kind)
            options.update(checked_options(kind, one.get("ResourceTypeOptions") or []))
        depth = int(options.get("version-depth", (str(_DEFAULT_DEPTH),))[0])
        return ReferenceScope(types=frozenset(types), states=options.get("state-name", _STATES), depth=depth)

    def _references(self, image_id: str, scope: ReferenceScope) -> Iterator[tuple[str, str]]:
        """Yields the type and ARN of each resource that names an AMI."""
        prefix = f"arn:{self.partition}:ec2:{self.region}:{self.current_account}"
        if INSTANCE in scope.types:
            for instance in self.ec2_backend.all_instances():
                if instance.image_id == image_id and instance.state in scope.states:
                    yield INSTANCE, f"{prefix}:instance/{instance.id}"
        if TEMPLATE in scope.types:
            for template in self.ec2_backend.launch_templates.values():
                if names_image(cast("LocalLaunchTemplate", template), image_id, scope.depth):
                    yield TEMPLATE, f"{prefix}:launch-template/{template.id}"
        if PARAMETER in scope.types:
            for parameter in self.state.parameters(self.current_account, self.region).all():
                latest = parameter.latest
                if latest.data_type == IMAGE_TYPE and latest.value == image_id:
                    name = latest.name.lstrip("/")
                    yield PARAMETER, f"{prefix.replace(':ec2:', ':ssm:')}:parameter/{name}"

    def describe_instance_image_metadata(self) -> ActionResult:
        """Shows each instance's AMI, even if it is no longer visible."""
        filters: Any = self._filters_from_querystring()
        for name in filters:
            if name not in _METADATA_FILTERS and not name.startswith("tag:"):
                raise EC2ClientError("UnsupportedOperation", f"The embedded EC2 does not support the filter '{name}'.")
        check_value_count(filters)
        instances = {instance.id: instance for instance in self.ec2_backend.all_instances()}
        asked = self._get_param("InstanceIds", [])
        missing = [instance_id for instance_id in asked if instance_id not in instances]
        if missing:
            raise InvalidInstanceIdError(missing)
        self.error_on_dryrun()
        wanted = compiled_filters(filters)
        shown = [self._metadata(instance) for instance in instances.values() if not asked or instance.id in asked]
        found = [one for one in shown if all(any(map(v.matches, _values(one, n))) for n, v in wanted.items())]
        listed, token = self.page(found, "DescribeInstanceImageMetadata")
        return ActionResult({"InstanceImageMetadata": listed, "NextToken": token})

    def _metadata(self, instance: Any) -> dict[str, Any]:
        image = self.state.known_image(self.region, instance.image_id)
        known = {"ImageId": instance.image_id, "State": "deregistered"}
        if image is not None:
            described = image.describe(self.current_account)
            members = ("Name", "OwnerId", "ImageOwnerAlias", "CreationDate", "DeprecationTime")
            known |= {name: described[name] for name in members if name in described}
            known["IsPublic"] = described["Public"]
            registered = self.state.registered_image(self.region, instance.image_id)
            known["State"] = described["State"] if registered else "deregistered"
        return {
            "InstanceId": instance.id,
            "InstanceType": instance.instance_type,
            "LaunchTime": instance.launch_time,
            "AvailabilityZone": instance.placement.zone,
            "State": {"Code": instance.state_code, "Name": instance.state},
            "OwnerId": self.current_account,
            "Tags": instance.get_tags() or None,
            "ImageMetadata": known,
        }


def checked_options(kind: str, options: list[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Returns the options of a resource type by name. Raises for invalid ones."""
    found = {}
    for option in options:
        name, values = option.get("OptionName") or "", tuple(option.get("OptionValues") or ())
        if name != _OPTIONS.get(kind):
            raise _invalid(f"The option '{name}' is not valid for the resource type {kind}.")
        valid = all(map(_is_depth, values)) and len(values) == 1 if kind == TEMPLATE else set(values) <= set(_STATES)
        if not values or not valid:
            raise _invalid(f"The value [{', '.join(values)}] is not valid for the option {name}.")
        found[name] = values
    return found


def _is_depth(value: str) -> bool:
    return value.isdecimal() and 1 <= int(value) <= _MAX_DEPTH


def names_image(template: LocalLaunchTemplate, image_id: str, depth: int) -> bool:
    """Whether a recent version of a launch template has the AMI's id."""
    return any(version.data.get("ImageId") == image_id for version in template.newest(depth))


def _invalid(text: str) -> EC2ClientError:
    return EC2ClientError("InvalidParameterValue", text)


def _values(shown: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Returns the values that a filter of DescribeInstanceImageMetadata compares."""
    tags = shown["Tags"] or ()
    if name == "tag-key":
        return tuple(tag["key"] for tag in tags)
    if name.startswith("tag:"):
        return tuple(tag["value"] for tag in tags if tag["key"] == name[4:])
    members = {
        "availability-zone": shown["AvailabilityZone"],
        "instance-id": shown["InstanceId"],
        "instance-state-name": shown["State"]["Name"],
        "instance-type": shown["InstanceType"],
        "launch-time": shown["LaunchTime"].strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "owner-id": shown["OwnerId"],
    }
    return (members[name],)
