"""EC2's actions on security groups and volumes, stricter than moto: resources in use, pages."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import DependencyViolationError, EC2ClientError, MissingParameterError

from ami_bakery.local.ec2.image_actions import StrictResponse
from ami_bakery.local.ec2.local_images import check_value_count


class GroupVolumeActions(StrictResponse):
    """The actions, named as moto dispatches them."""

    def delete_security_group(self) -> ActionResult:
        """Deletes a group. Raises if an instance that is not terminated, or a rule of another group, uses it."""
        if not self._get_param("GroupId") and not self._get_param("GroupName"):
            raise MissingParameterError("groupId")
        group = self._requested_group()
        if group is not None and (group.name == "default" or self._is_used(group)):
            if group.name == "default":
                raise EC2ClientError("CannotDelete", f'the specified group: "{group.id}" cannot be deleted by a user')
            raise DependencyViolationError(f"resource {group.id} has a dependent object")
        return super().delete_security_group()

    def _requested_group(self) -> Any:
        backend = self.ec2_backend
        if group_id := self._get_param("GroupId"):
            return backend.get_security_group_from_id(group_id)
        return backend.get_security_group_from_name(self._get_param("GroupName"))

    def _is_used(self, group: Any) -> bool:
        for reservation in self.ec2_backend.describe_instances():
            for instance in reservation.instances:
                groups = [*instance.security_groups, *(one for nic in instance.nics.values() for one in nic.group_set)]
                if instance.state != "terminated" and group.id in {one.id for one in groups}:
                    return True
        others = [one for groups in self.ec2_backend.groups.values() for one in groups.values() if one is not group]
        return any(rule.source_group.get("GroupId") == group.id for other in others for rule in other.ingress_rules)

    def describe_security_groups(self) -> ActionResult:
        filters: Any = self._filters_from_querystring()
        check_value_count(filters)
        described: Any = super().describe_security_groups().result
        groups, token = self.page(described["SecurityGroups"], "DescribeSecurityGroups")
        return ActionResult({"SecurityGroups": groups, "NextToken": token})

    def describe_volumes(self) -> ActionResult:
        filters: Any = self._filters_from_querystring()
        check_value_count(filters)
        described: Any = super().describe_volumes().result
        volumes, token = self.page(described["Volumes"], "DescribeVolumes")
        return ActionResult({"Volumes": volumes, "NextToken": token})
