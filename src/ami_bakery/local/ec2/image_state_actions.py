"""EC2's actions that change the state of an AMI, such as DisableImage."""

from __future__ import annotations

import datetime

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError, InvalidSnapshotInUse, MissingParameterError

from ami_bakery.local.ec2.image_actions import StrictResponse, require_usable


class ImageStateActions(StrictResponse):
    """The actions, named as moto dispatches them. The codes of some errors are guesses, as marked."""

    def deregister_image(self) -> ActionResult:
        """Deregisters an AMI, even if disabled, and deletes its snapshots if requested."""
        image = self.own_image()
        if image.protection.prevents_deregistration(self.behaviour.cooldown_seconds):  # a guess
            raise EC2ClientError(
                "OperationNotPermitted",
                f"The AMI '{image.id}' cannot be deregistered, because its deregistration protection is enabled or in "
                "its cool-down period.",
            )
        self.error_on_dryrun()
        self.ec2_backend.deregister_image(image.id)
        self.ec2_backend.tags.pop(image.id, None)
        results = []
        if self._get_param("DeleteAssociatedSnapshots"):
            snapshot_ids = dict.fromkeys(device.snapshot_id for device in image.devices)
            results = [{"SnapshotId": one, "ReturnCode": self._delete_associated(one)} for one in snapshot_ids]
        return ActionResult({"Return": True, "DeleteSnapshotResults": results or None})

    def _delete_associated(self, snapshot_id: str) -> str:
        """Deletes a snapshot of a deregistered AMI; returns EC2's code for the result."""
        if self._image_with(snapshot_id):
            return "skipped"
        if not self.may("ec2:DeleteSnapshot", f"arn:{self.partition}:ec2:{self.region}::snapshot/{snapshot_id}"):
            return "missing-permissions"
        if self.fails("DeleteSnapshot"):
            return "internal-error"
        return "success" if self.ec2_backend.snapshots.pop(snapshot_id, None) else "client-error"

    def _image_with(self, snapshot_id: str) -> str | None:
        """Returns an AMI, even a disabled one, that has the snapshot."""
        for image in self.ec2_backend.amis.values():
            if any(device.snapshot_id == snapshot_id for device in image.devices):
                return image.id
        return None

    def delete_snapshot(self) -> ActionResult:
        snapshot_id = self._get_param("SnapshotId", "")
        if image_id := self._image_with(snapshot_id):
            raise InvalidSnapshotInUse(snapshot_id, image_id)
        super().delete_snapshot()
        return EmptyResult()

    def enable_image_deregistration_protection(self) -> ActionResult:
        image = self.own_image()
        self.error_on_dryrun()
        image.protection.enable(cooldown=bool(self._get_param("WithCooldown")))
        return ActionResult({"Return": image.protection.state})

    def disable_image_deregistration_protection(self) -> ActionResult:
        image = self.own_image()
        self.error_on_dryrun()
        image.protection.disable()
        return ActionResult({"Return": image.protection.state})

    def enable_image_deprecation(self) -> ActionResult:
        image = self.own_image()
        moment = self._get_param("DeprecateAt")
        if moment is None:
            raise MissingParameterError("deprecateAt")
        self.error_on_dryrun()
        if isinstance(moment, str):
            moment = datetime.datetime.fromisoformat(moment)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        if moment < datetime.datetime.now(datetime.UTC):
            raise EC2ClientError("InvalidParameterValue", "The deprecation date and time must be in the future.")
        image.deprecation_time = (moment + datetime.timedelta(seconds=30)).replace(second=0, microsecond=0)
        return ActionResult({"Return": True})

    def disable_image_deprecation(self) -> ActionResult:
        image = self.own_image()
        self.error_on_dryrun()
        image.deprecation_time = None
        return ActionResult({"Return": True})

    def disable_image(self) -> ActionResult:
        """Disables an available AMI, and removes all its launch permissions."""
        image = require_usable(self.own_image())
        self.error_on_dryrun()
        image.state = "disabled"
        image.launch_permissions.clear()
        return ActionResult({"Return": True})

    def enable_image(self) -> ActionResult:
        """Enables a disabled AMI. Its launch permissions do not come back."""
        image = self.own_image()
        if image.state != "disabled":  # a guess
            raise EC2ClientError(
                "IncorrectState",
                f"The AMI ID '{image.id}' is currently {image.state}; only a disabled AMI can be enabled",
            )
        self.error_on_dryrun()
        image.state = "available"
        return ActionResult({"Return": True})
