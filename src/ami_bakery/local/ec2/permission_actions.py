"""EC2's permission actions on AMIs and snapshots. They have the checks that moto lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, MissingParameterError

from ami_bakery.local.ec2.image_actions import StrictResponse, require_usable

if TYPE_CHECKING:
    from moto.ec2.models.elastic_block_store import Snapshot

_ACCOUNT = re.compile(r"\d{12}")
_KEY_MESSAGE = "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot."
_SNAPSHOT_KEY_MESSAGE = "Encrypted snapshots with EBS default key cannot be shared"
_SNAPSHOT_CHANGES = 500
"""EC2 API reference, ModifySnapshotAttribute. The error code is a guess."""
_FLAT_MEMBERS = {
    "UserIds": "UserId",
    "UserGroups": "Group",
    "GroupNames": "Group",
    "OrganizationArns": "OrganizationArn",
    "OrganizationalUnitArns": "OrganizationalUnitArn",
}
Permission = dict[str, str]
"""A permission with one member: ``UserId``, ``Group`` (``all``), ``OrganizationArn`` or ``OrganizationalUnitArn``."""


class PermissionActions(StrictResponse):
    """The actions, named as moto dispatches them."""

    def modify_image_attribute(self) -> ActionResult:
        image = require_usable(self.own_image())
        description = self._get_param("Description.Value")
        if self._get_param("Attribute") == "description":
            description = self._get_param("Value")
        if description is not None:
            self.error_on_dryrun()
            image.description = description
            return ActionResult({})
        if self._get_param("Attribute") not in (None, "launchPermission"):
            raise EC2ClientError(
                "UnsupportedOperation",
                "The embedded EC2 supports only the attributes launchPermission and description.",
            )
        added, removed = self._changes("LaunchPermission")
        _check(added + removed, ("UserId", "Group", "OrganizationArn", "OrganizationalUnitArn"))
        if added and any(self._has_default_key(device.encrypted, device.kms_key_id) for device in image.devices):
            raise EC2ClientError("InvalidParameter", _KEY_MESSAGE)
        self.error_on_dryrun()
        image.launch_permissions[:] = _changed(image.launch_permissions, added, removed)
        return ActionResult({})

    def describe_image_attribute(self) -> ActionResult:
        image = self.own_image()
        attribute = self._get_param("Attribute")
        result: dict[str, Any] = {"ImageId": image.id}
        if attribute == "launchPermission":
            result["LaunchPermissions"] = image.launch_permissions
        elif attribute == "description":
            result["Description"] = {"Value": image.description}
        elif attribute == "deregistrationProtection":
            result["DeregistrationProtection"] = {"Value": image.protection.state}
        elif attribute == "lastLaunchedTime":
            launched = image.describe(self.current_account).get("LastLaunchedTime")
            result["LastLaunchedTime"] = {"Value": launched} if launched else None
        else:
            raise EC2ClientError(
                "UnsupportedOperation", f"The embedded EC2 does not support the image attribute '{attribute}'."
            )
        return ActionResult(result)

    def reset_image_attribute(self) -> ActionResult:  # type: ignore[override]
        image = require_usable(self.own_image())
        self.error_on_dryrun()
        image.launch_permissions.clear()
        return ActionResult({"Return": True})

    def modify_snapshot_attribute(self) -> ActionResult:
        snapshot = self._own_snapshot()
        added, removed = self._changes("CreateVolumePermission")
        _check(added + removed, ("UserId", "Group"))
        if len(added + removed) > _SNAPSHOT_CHANGES:
            message = f"More than {_SNAPSHOT_CHANGES} modifications of a snapshot in one call"
            raise EC2ClientError("InvalidParameterValue", message)
        if added and self._has_default_key(snapshot.encrypted, snapshot.kms_key_id):
            raise EC2ClientError("OperationNotPermitted", _SNAPSHOT_KEY_MESSAGE)
        self.error_on_dryrun()
        changed = _changed(_permissions(snapshot), added, removed)
        snapshot.create_volume_permission_userids = {one["UserId"] for one in changed if "UserId" in one}
        snapshot.create_volume_permission_groups = {one["Group"] for one in changed if "Group" in one}
        return ActionResult({})

    def describe_snapshot_attribute(self) -> ActionResult:
        snapshot = self._own_snapshot()
        return ActionResult({"SnapshotId": snapshot.id, "CreateVolumePermissions": _permissions(snapshot)})

    def describe_snapshots(self) -> ActionResult:
        """Lists the caller's snapshots, and those shared with it. The latter have no tags."""
        filters: Any = self._filters_from_querystring()
        asked = self._get_param("SnapshotIds", [])
        there = {*self.ec2_backend.snapshots, *(snapshot.id for snapshot in self._shared_snapshots(None))}
        for snapshot_id in asked:
            if snapshot_id not in there:
                raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        self.error_on_dryrun()
        found = [*self.ec2_backend.describe_snapshots(filters=filters), *self._shared_snapshots(filters)]
        owners = {self.current_account if one == "self" else one for one in self._get_param("OwnerIds", [])}
        listed = [
            snapshot if snapshot.owner_id == self.current_account else _without_tags(snapshot)
            for snapshot in found
            if (not asked or snapshot.id in asked) and (not owners or snapshot.owner_id in owners)
        ]
        snapshots, token = self.page(listed, "DescribeSnapshots")
        return ActionResult({"Snapshots": snapshots, "NextToken": token})

    def _shared_snapshots(self, filters: Any) -> Iterable[Snapshot]:
        for account_id, backend in self.state.backends(self.region).items():
            for snapshot in backend.describe_snapshots(filters=filters) if account_id != self.current_account else ():
                permitted = snapshot.create_volume_permission_userids | snapshot.create_volume_permission_groups
                if snapshot.owner_id == account_id and permitted & {self.current_account, "all"}:
                    yield snapshot

    def _own_snapshot(self) -> Snapshot:
        if self._get_param("Attribute") not in (None, "createVolumePermission"):
            raise EC2ClientError(
                "UnsupportedOperation", "The embedded EC2 supports only the snapshot attribute createVolumePermission."
            )
        snapshot_id = self._get_param("SnapshotId", "")
        snapshot = self.ec2_backend.snapshots.get(snapshot_id)
        if snapshot is None:
            raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        return snapshot

    def _changes(self, member: str) -> tuple[list[Permission], list[Permission]]:
        """Returns permissions to add and to remove: from lists, or from `OperationType` with flat lists."""
        modifications: dict[str, list[Permission]] = self._get_param(member, {}) or {}
        added, removed = list(modifications.get("Add", [])), list(modifications.get("Remove", []))
        flat = [{key: value} for name, key in _FLAT_MEMBERS.items() for value in self._get_param(name, [])]
        operation = self._get_param("OperationType")
        if operation:
            (added if operation == "add" else removed).extend(flat)
        if not added and not removed:
            raise MissingParameterError(member)
        return added, removed

    def _has_default_key(self, encrypted: bool, key: str | None) -> bool:
        return encrypted and (not key or key.endswith("alias/aws/ebs"))


def _check(permissions: Iterable[Permission], known: tuple[str, ...]) -> None:
    for permission in permissions:
        ((kind, value),) = permission.items()
        if kind not in known:
            raise EC2ClientError("InvalidParameterValue", f"{kind} is not a supported permission")
        if kind == "UserId" and not _ACCOUNT.fullmatch(value):
            raise _malformed(value, "userId")
        if kind == "Group" and value != "all":
            raise _malformed(value, "userGroup")
        if kind.endswith("Arn") and not value.startswith("arn:"):
            raise _malformed(value, kind[0].lower() + kind[1:])


def _malformed(value: str, kind: str) -> EC2ClientError:
    return EC2ClientError(
        "InvalidAMIAttributeItemValue", f'Invalid attribute item value "{value}" for {kind} item type.'
    )


def _changed(before: Iterable[Permission], added: list[Permission], removed: list[Permission]) -> list[Permission]:
    """Applies additions and removals, without duplicates."""
    kept = [permission for permission in before if permission not in removed]
    return kept + [permission for index, permission in enumerate(added) if permission not in kept + added[:index]]


def _permissions(snapshot: Snapshot) -> list[Permission]:
    return [
        *({"Group": group} for group in sorted(snapshot.create_volume_permission_groups)),
        *({"UserId": user} for user in sorted(snapshot.create_volume_permission_userids)),
    ]


def _without_tags(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "SnapshotId": snapshot.id,
        "VolumeId": "vol-ffffffff",
        "State": snapshot.status,
        "StartTime": snapshot.start_time,
        "Progress": snapshot.progress,
        "OwnerId": snapshot.owner_id,
        "Description": snapshot.description,
        "VolumeSize": snapshot.volume_size,
        "Encrypted": snapshot.encrypted,
        "KmsKeyId": snapshot.kms_key_id,
        "StorageTier": snapshot.storage_tier,
    }
