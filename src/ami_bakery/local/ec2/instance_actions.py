"""EC2's actions on key pairs and instances, stricter than moto: ids, states, addresses, pages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, MissingParameterError
from moto.ec2.models.instances import Instance, InstanceState

from ami_bakery.local.ec2.group_volume_actions import GroupVolumeActions
from ami_bakery.local.ec2.image_actions import ImageActions, require_usable
from ami_bakery.local.ec2.image_state_actions import ImageStateActions
from ami_bakery.local.ec2.image_usage_actions import ImageUsageActions
from ami_bakery.local.ec2.launch_template_actions import LaunchTemplateActions
from ami_bakery.local.ec2.permission_actions import PermissionActions
from ami_bakery.local.ec2.region_actions import RegionActions
from ami_bakery.local.ec2.tag_actions import TagActions
from ami_bakery.local.ec2.usage_report_actions import UsageReportActions

if TYPE_CHECKING:
    from ami_bakery.local.local_settings import Behaviour


class InstanceHost(Protocol):
    """Runs servers at the addresses of instances."""

    def launch(self, instance_id: str, public_key: str | None) -> str:
        """Starts the server of a new instance; returns its address. `public_key`: in OpenSSH's format, if any."""

    def set_running(self, instance_id: str, running: bool) -> None:
        """Starts or stops the server of an instance."""


class LocalInstance(Instance):
    """moto's instance with a loopback address, which is also its DNS name."""

    local_address: str
    terminated_at: float | None = None
    behaviour: Behaviour

    @property
    def _state(self) -> InstanceState:  # type: ignore[override]
        """The instance's state, which is `shutting-down` for some time before `terminated`."""
        state: InstanceState = self.__dict__["_state"]
        gone_at = 0.0 if self.terminated_at is None else self.terminated_at + self.behaviour.terminating_seconds
        return InstanceState("shutting-down", 32) if time.monotonic() < gone_at else state

    @property
    def private_ip_address(self) -> str:
        return self.local_address

    @property
    def private_dns_name(self) -> str:
        return self.local_address

    @property
    def public_ip_address(self) -> str | None:
        return self.local_address if self.nics[0].public_ip else None

    @property
    def public_dns_name(self) -> str | None:
        return self.public_ip_address

    private_ip = private_ip_address
    public_ip = public_ip_address


class EmbeddedEc2(
    PermissionActions,
    ImageActions,
    ImageStateActions,
    ImageUsageActions,
    LaunchTemplateActions,
    UsageReportActions,
    GroupVolumeActions,
    RegionActions,
    TagActions,
):
    """All EC2 actions of the embedded EC2; moto has those that are not overridden."""

    host: InstanceHost

    def create_key_pair(self) -> ActionResult:
        if not self._get_param("KeyName"):
            raise MissingParameterError("KeyName")
        result: Any = super().create_key_pair()
        self.ec2_backend.key_pair_lag.record_change(result.result.id, None, self.behaviour.lag_seconds)
        return ActionResult(result.result)

    def delete_key_pair(self) -> ActionResult:
        """Deletes a key pair by name or id. As in EC2, deleting a missing one is no error."""
        name, key_id = self._get_param("KeyName"), self._get_param("KeyPairId")
        if not name and not key_id:
            raise MissingParameterError("KeyName")
        self.error_on_dryrun()
        pairs = self.ec2_backend.key_pairs
        found = [pair for pair in pairs.values() if (pair.id == key_id if key_id else pair.key_name == name)]
        for pair in found:
            del pairs[pair.key_name]
            before = self.ec2_backend.tags.pop(pair.id, {})
            self.ec2_backend.key_pair_lag.record_change(pair.id, before, self.behaviour.lag_seconds)
        return ActionResult({"Return": True, "KeyPairId": found[0].id if found else None})

    def describe_key_pairs(self) -> ActionResult:
        pairs = self.ec2_backend.key_pairs
        known_ids = {pair.id for pair in pairs.values()}
        for name in self._get_param("KeyNames", []):
            if name not in pairs:
                raise EC2ClientError("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
        key_ids = self._get_param("KeyPairIds", [])
        for key_id in key_ids:
            if key_id not in known_ids:
                raise EC2ClientError("InvalidKeyPair.NotFound", f"The key pair ID '{key_id}' does not exist")
        result: Any = super().describe_key_pairs()
        if key_ids:
            return ActionResult({"KeyPairs": [pair for pair in result.result["KeyPairs"] if pair.id in key_ids]})
        return ActionResult(result.result)

    def run_instances(self) -> ActionResult:
        """Launches instances; a repeated client token returns the instances of the first call."""
        return self.idempotent(self._launch)

    def _launch(self) -> Any:
        template = self._template_data()
        named = self._get_param("ImageId") or template.get("ImageId")
        if not named:
            raise MissingParameterError("ImageId")
        image_id = self.params["ImageId"] = self.resolved_image_id(named)
        image = require_usable(self.visible_image(image_id, self.region))
        key_name = self._get_param("KeyName") or template.get("KeyName")
        key_pair = self.ec2_backend.key_pairs.get(key_name) if key_name else None
        if key_name and key_pair is None:
            raise EC2ClientError("InvalidKeyPair.NotFound", f"The key pair '{key_name}' does not exist")
        result: Any = super().run_instances()
        for instance in result.result.instances:
            _name_root_device(instance, image.root_device_name)
            instance.__class__ = LocalInstance
            instance.behaviour = self.behaviour
            instance.local_address = self.host.launch(instance.id, key_pair.public_key if key_pair else None)
            instance.nics[0].private_ip_address = instance.local_address
        return result.result

    def _template_data(self) -> dict[str, Any]:
        """Returns the launch parameters of the request's launch template; empty if it names none."""
        named = self._get_param("LaunchTemplate")
        if not named:
            return {}
        data: dict[str, Any] = self.template_of(named).get_version(named.get("Version") or "$Default").data
        return data

    def start_instances(self) -> ActionResult:
        return self._follow_states(super().start_instances())

    def stop_instances(self) -> ActionResult:
        return self._follow_states(super().stop_instances())

    def terminate_instances(self) -> ActionResult:
        # Not moto's method, which imports many services to notify autoscaling and load balancers.
        self.error_on_dryrun()
        terminated = self.ec2_backend.terminate_instances(self._get_param("InstanceIds", []))
        for instance, _ in terminated:
            if isinstance(instance, LocalInstance) and instance.terminated_at is None:
                instance.terminated_at = time.monotonic()
        result = [
            {
                "InstanceId": instance.id,
                "CurrentState": {"Code": 32, "Name": "shutting-down"},
                "PreviousState": previous,
            }
            for instance, previous in terminated
        ]
        return self._follow_states(ActionResult({"TerminatingInstances": result}))

    def _follow_states(self, result: ActionResult) -> ActionResult:
        for instance in self.ec2_backend.get_multi_instances_by_id(self._get_param("InstanceIds", [])):
            self.host.set_running(instance.id, instance.is_running())
        return result

    def describe_instances(self) -> ActionResult:
        if self._get_param("InstanceIds") and self._get_param("MaxResults"):
            raise EC2ClientError(
                "InvalidParameterCombination",
                "The parameter instancesSet cannot be used with the parameter maxResults",
            )
        self.error_on_dryrun()
        filters: Any = self._filters_from_querystring()
        instance_ids = self._get_param("InstanceIds", [])
        if instance_ids:
            found = self.ec2_backend.get_reservations_by_instance_ids(instance_ids, filters=filters)
        else:
            found = self.ec2_backend.describe_instances(filters=filters)
        reservations, token = self.page(found, "DescribeInstances")
        return ActionResult({"Reservations": reservations, "NextToken": token})


def _name_root_device(instance: Any, name: str) -> None:
    """Renames the root device as in the AMI; moto always calls it /dev/sda1."""
    devices = instance.block_device_mapping
    if name not in devices and "/dev/sda1" in devices:
        devices[name] = devices.pop("/dev/sda1")
    instance.root_device_name = name
