"""Auto Scaling groups and launch configurations, stricter than moto."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError

from ami_bakery.local.ec2.paging import ForeignTokenError, cut_page
from ami_bakery.local.http.input_constraints import CheckedResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moto.core.common_types import TYPE_RESPONSE

    from ami_bakery.local.ec2.local_images import LocalAmi
    from ami_bakery.local.ec2.moto_state import MotoState
    from ami_bakery.local.local_settings import Behaviour

_MODELLED = frozenset(
    {
        "CreateAutoScalingGroup",
        "CreateLaunchConfiguration",
        "CreateOrUpdateTags",
        "DeleteAutoScalingGroup",
        "DeleteLaunchConfiguration",
        "DeleteTags",
        "DescribeAutoScalingGroups",
        "DescribeAutoScalingInstances",
        "DescribeLaunchConfigurations",
        "DescribeTags",
        "SetDesiredCapacity",
        "UpdateAutoScalingGroup",
    }
)
_UNMODELLED_MEMBERS = (
    "InstanceId",
    "LoadBalancerNames",
    "TargetGroupARNs",
    "TrafficSources",
    "LifecycleHookSpecificationList",
)
_SOURCES = ("LaunchConfigurationName", "LaunchTemplate", "MixedInstancesPolicy")
_TEMPLATE_TEXT = "You must use a valid fully-formed launch template."
_PAGE, _MAX_PAGE = 50, 100


class GroupActions(CheckedResponse, AutoScalingResponse):
    """The actions, named as moto dispatches them."""

    state: MotoState
    behaviour: Behaviour

    def violation(self, text: str) -> ValidationError:
        return ValidationError(text)

    def call_action(self) -> TYPE_RESPONSE:
        if self._get_action() not in _MODELLED:
            raise NotImplementedError("Auto Scaling is modelled only as far as it names AMIs")
        for member in _UNMODELLED_MEMBERS:
            if self._get_param(member):
                raise NotImplementedError(member)
        answer: TYPE_RESPONSE = super().call_action()
        return answer

    def create_launch_configuration(self) -> ActionResult:
        name = self._get_param("LaunchConfigurationName")
        if name in self.autoscaling_backend.launch_configurations:
            raise _already_exists(
                "Launch Configuration by this name already exists - "
                f"A launch configuration already exists with the name {name}"
            )
        if image_id := self._get_param("ImageId"):
            self._require_image(image_id, "AMI cannot be described:")
        return super().create_launch_configuration()

    def delete_launch_configuration(self) -> ActionResult:
        name = self._get_param("LaunchConfigurationName")
        if name not in self.autoscaling_backend.launch_configurations:
            raise ValidationError(f"Launch configuration name not found - Launch configuration {name} not found")
        for group in self.autoscaling_backend.autoscaling_groups.values():
            if group.launch_config and group.launch_config.name == name:
                raise AutoscalingClientError(
                    "ResourceInUse",
                    f"Cannot delete launch configuration {name} because it is attached to AutoScalingGroup "
                    f"{group.name}",
                )
        return super().delete_launch_configuration()

    def describe_launch_configurations(self) -> ActionResult:
        names = self._get_param("LaunchConfigurationNames", [])
        found = self.autoscaling_backend.describe_launch_configurations(names)
        listed, token = self._page(list(found))
        return ActionResult({"LaunchConfigurations": listed, "NextToken": token})

    def create_auto_scaling_group(self) -> ActionResult:
        name = self._get_param("AutoScalingGroupName")
        if name in self.autoscaling_backend.autoscaling_groups:
            raise _already_exists(
                f"AutoScalingGroup by this name already exists - A group with the name {name} already exists"
            )
        _check_sizes(*self._sizes(0, 0))
        self._check_source()
        return super().create_auto_scaling_group()

    def update_auto_scaling_group(self) -> ActionResult:
        """Changes a group. A new launch template, launch configuration or policy replaces the old one."""
        group = self._group()
        _check_sizes(*self._sizes(group.min_size, group.max_size))
        self._check_source()
        given = [name for name in _SOURCES if self._get_param(name)]
        if len(given) > 1:
            raise ValidationError(f"Valid requests must contain at most one of {', '.join(_SOURCES)}.")
        policy = group.mixed_instances_policy
        answer = super().update_auto_scaling_group()
        if given == ["LaunchConfigurationName"]:
            group.ec2_launch_template = None
        elif given:
            group.launch_config = group.launch_configuration_name = None
            if given == ["MixedInstancesPolicy"]:
                # moto shows a LaunchTemplate for as long as the group has this member.
                vars(group).pop("provided_launch_template_version", None)
        else:
            group.mixed_instances_policy = policy
        return answer

    def set_desired_capacity(self) -> ActionResult:
        group = self._group()
        wanted = self._get_int_param("DesiredCapacity")
        _check_sizes(group.min_size, group.max_size, wanted)
        if wanted > len(group.active_instances()):
            self._require_image(group.image_id, _TEMPLATE_TEXT)
        return super().set_desired_capacity()

    def delete_auto_scaling_group(self) -> ActionResult:
        """Deletes a group; its instances only with ForceDelete."""
        group = self._group()
        if group.instance_states:
            if not self._get_param("ForceDelete"):
                raise AutoscalingClientError(
                    "ResourceInUse",
                    "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance "
                    "request(s) still in the group.",
                )
            group.set_desired_capacity(0)
        return super().delete_auto_scaling_group()

    def describe_auto_scaling_groups(self) -> ActionResult:
        found = self.autoscaling_backend.describe_auto_scaling_groups(
            self._get_param("AutoScalingGroupNames", []), filters=self._get_param("Filters", [])
        )
        listed, token = self._page(list(found))
        return ActionResult({"AutoScalingGroups": listed, "NextToken": token})

    def describe_auto_scaling_instances(self) -> ActionResult:
        found = self.autoscaling_backend.describe_auto_scaling_instances(self._get_param("InstanceIds", []))
        listed, token = self._page(list(found))
        return ActionResult({"AutoScalingInstances": listed, "NextToken": token})

    def create_or_update_tags(self) -> ActionResult:
        for tag in self._get_param("Tags", []):
            self._group(tag.get("ResourceId"))
        return super().create_or_update_tags()

    def _group(self, name: str | None = None) -> Any:
        name = name or self._get_param("AutoScalingGroupName")
        group = self.autoscaling_backend.autoscaling_groups.get(name)
        if group is None:
            raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        return group

    def _sizes(self, least: int, most: int) -> tuple[int, int, int | None]:
        """Returns the minimum, maximum and desired sizes, with defaults."""
        return (
            _first(self._get_int_param("MinSize"), least),
            _first(self._get_int_param("MaxSize"), most),
            self._get_int_param("DesiredCapacity"),
        )

    def _check_source(self) -> None:
        """Checks the launch configuration, and the AMIs of the launch templates."""
        name = self._get_param("LaunchConfigurationName")
        if name and name not in self.autoscaling_backend.launch_configurations:
            raise ValidationError(f"Launch configuration name not found - Launch configuration {name} not found")
        for named in self._templates():
            version = self._template_version(named)
            image_id = version.data.get("ImageId")
            if not image_id:
                raise ValidationError(f"{_TEMPLATE_TEXT} The launch template must include an AMI ID.")  # a guess
            self._require_image(image_id, _TEMPLATE_TEXT)
        launch = (self._get_param("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
        for override in launch.get("Overrides") or ():
            if image_id := override.get("ImageId"):
                self._require_image(image_id, _TEMPLATE_TEXT)  # the text is a guess

    def _templates(self) -> Iterator[dict[str, Any]]:
        """Yields the specification of each launch template that the request names."""
        if template := self._get_param("LaunchTemplate"):
            yield template
        policy = self._get_param("MixedInstancesPolicy") or {}
        launch = policy.get("LaunchTemplate") or {}
        for one in (launch, *(launch.get("Overrides") or ())):
            if specification := one.get("LaunchTemplateSpecification"):
                yield specification

    def _template_version(self, named: dict[str, Any]) -> Any:
        backend = self.autoscaling_backend.ec2_backend
        try:
            if template_id := named.get("LaunchTemplateId"):
                template = backend.get_launch_template(template_id)
            else:
                template = backend.get_launch_template_by_name(named.get("LaunchTemplateName") or "")
            return template.get_version(named.get("Version") or "$Default")
        except EC2ClientError as error:
            raise ValidationError(f"{_TEMPLATE_TEXT} {error.message}") from None

    def _require_image(self, named: str, prefix: str) -> LocalAmi:
        """Returns an AMI. Raises if the account cannot launch it."""
        image_id = self.state.resolve_image(named, self.current_account, self.region) or named
        image = self.state.visible_images(self.current_account, self.region).get(image_id)
        if image is None:
            raise ValidationError(f"{prefix} The image id '[{image_id}]' does not exist")
        if image.state != "available":  # a guess
            raise ValidationError(f"{prefix} The AMI ID '{image_id}' is currently {image.state}")
        return image

    def _page(self, items: list[Any]) -> tuple[Any, str | None]:
        size = self._get_int_param("MaxRecords") or _PAGE
        if not 1 <= size <= _MAX_PAGE:
            raise ValidationError(f"Max records must be between 1 and {_MAX_PAGE}")  # a guess
        size = min(size, self.behaviour.page_cap)
        try:
            return cut_page(items, action=self._get_action(), size=size, token=self._get_param("NextToken"))
        except ForeignTokenError:
            raise AutoscalingClientError("InvalidNextToken", "The NextToken value is not valid.") from None


def _first(given: int | None, default: int) -> int:
    return default if given is None else given


def _check_sizes(least: int, most: int, desired: int | None) -> None:
    if most < least:
        raise ValidationError(f"Max bound, {most}, must be greater than or equal to min bound, {least}")
    if desired is not None and not least <= desired <= most:
        raise ValidationError(
            f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}"
        )


def _already_exists(text: str) -> AutoscalingClientError:
    return AutoscalingClientError("AlreadyExists", text)
