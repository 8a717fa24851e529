"""AMIs of the embedded EC2, their form in DescribeImages, and EC2's filters."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.amis import Ami

if TYPE_CHECKING:
    from ami_bakery.local.ec2.public_images import PublicImage
    from ami_bakery.local.http.service import SeedImage
    from ami_bakery.local.local_settings import Behaviour

_MAX_FILTER_VALUES = 200
_UNMODELLED_FILTERS = frozenset(
    {
        "free-tier-eligible",
        "image-allowed",
        "kernel-id",
        "manifest-location",
        "product-code",
        "product-code.type",
        "ramdisk-id",
        "state-reason-code",
        "state-reason-message",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """One EBS volume of an AMI."""

    name: str
    size_gib: int
    volume_type: str = "gp2"
    delete_on_termination: bool = True
    encrypted: bool = False
    kms_key_id: str | None = None
    snapshot_id: str = ""

    def describe(self) -> dict[str, Any]:
        # DescribeImages does not name the KMS key; DescribeSnapshots does.
        return {
            "DeviceName": self.name,
            "Ebs": {
                "DeleteOnTermination": self.delete_on_termination,
                "SnapshotId": self.snapshot_id,
                "VolumeSize": self.size_gib,
                "VolumeType": self.volume_type,
                "Encrypted": self.encrypted,
            },
        }


@dataclass(kw_only=True, slots=True)
class Protection:
    """The deregistration protection of an AMI. `ended`: when it was disabled, if a cool-down followed."""

    state: str = "disabled"
    """`enabled-with-cooldown`, `enabled-without-cooldown` or `disabled`."""
    ended: float | None = None

    def enable(self, *, cooldown: bool) -> None:
        self.state = "enabled-with-cooldown" if cooldown else "enabled-without-cooldown"
        self.ended = None

    def disable(self) -> None:
        """Disables the protection. Disabling it again does not restart a cool-down."""
        if self.state == "enabled-with-cooldown":
            self.ended = time.monotonic()
        self.state = "disabled"

    def prevents_deregistration(self, cooldown_seconds: float) -> bool:
        if self.state != "disabled":
            return True
        return self.ended is not None and time.monotonic() < self.ended + cooldown_seconds


class LocalAmi(Ami):
    """moto's AMI, with features that moto lacks: `pending` state, devices, source AMI, deprecation."""

    def __init__(
        self,
        backend: Any,
        ami_id: str,
        *,
        devices: tuple[Device, ...],
        behaviour: Behaviour | None,
        source_image_id: str | None = None,
        source_image_region: str | None = None,
        snapshot_description: str | None = None,
        **fields: Any,
    ) -> None:
        """Creates an AMI; `behaviour` is None for one that is not new."""
        self._behaviour = behaviour
        self._born = time.monotonic()
        self._pending_seconds = behaviour.pending_seconds if behaviour else 0.0
        self._visibility_lag = self._lag()
        self._state = ""
        self.fails = False
        self._tags_before: Mapping[str, str] = {}
        self._tags_changed = 0.0
        self._tags_lag = 0.0
        self.source_image_id = source_image_id
        self.source_image_region = source_image_region
        self.deprecation_time: datetime.datetime | None = None
        self.protection = Protection()
        self._launches: list[tuple[datetime.datetime, Behaviour]] = []
        instance = fields.get("instance")
        super().__init__(
            backend,
            ami_id,
            region_name=f"{backend.region_name}a",
            root_device_name=devices[0].name,
            root_device_type="ebs",
            snapshot_description=snapshot_description,
            hypervisor="xen",
            **fields,
        )
        self.architecture = fields.get("architecture") or (instance.architecture if instance else "x86_64")
        self.virtualization_type = "hvm"
        del backend.snapshots[self.ebs_snapshot.id]  # moto's snapshot has a fixed size
        self.devices = tuple(self._with_snapshot(device, snapshot_description) for device in devices)

    def _with_snapshot(self, device: Device, description: str | None) -> Device:
        backend = self.ec2_backend
        if device.snapshot_id:  # an AMI registered from existing snapshots
            self.ebs_snapshot = backend.get_snapshot(device.snapshot_id)
            return device
        volume = backend.create_volume(size=device.size_gib, zone_name=f"{backend.region_name}a")
        snapshot = backend.create_snapshot(volume.id, description or "", self.owner_id, from_ami=self.id)
        snapshot.encrypted, snapshot.kms_key_id = device.encrypted, device.kms_key_id
        del backend.volumes[volume.id]
        self.ebs_snapshot = snapshot
        return replace(device, snapshot_id=snapshot.id)

    @property
    def state(self) -> str:
        if self._state == "disabled" or self._behaviour is None:
            return self._state
        # The setting at creation, or the current one if it is lower. An available AMI is never pending again.
        if time.monotonic() < self._born + min(self._pending_seconds, self._behaviour.pending_seconds):
            return "pending"
        self._pending_seconds = 0.0
        return "failed" if self.fails else self._behaviour.image_outcome

    @state.setter
    def state(self, state: str) -> None:
        self._state = state

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        return [device.describe() for device in self.devices]

    def own_tags(self) -> Mapping[str, str]:
        """Returns the owner's tags, which other accounts do not see."""
        tags: Mapping[str, str] = self.ec2_backend.tags.get(self.id, {})
        return tags

    def is_visible(self) -> bool:
        """Whether the AMI is visible, after the replication lag."""
        return time.monotonic() >= self._born + min(self._visibility_lag, self._lag())

    def prepare_tag_change(self) -> None:
        """Prepares a change of tags: the current ones stay visible during the replication lag."""
        self._tags_before, self._tags_lag, self._tags_changed = dict(self.visible_tags()), self._lag(), time.monotonic()

    def visible_tags(self) -> Mapping[str, str]:
        """Returns the owner's tags that are visible, after the replication lag."""
        late = time.monotonic() < self._tags_changed + min(self._tags_lag, self._lag())
        return self._tags_before if late else self.own_tags()

    def _lag(self) -> float:
        return self._behaviour.lag_seconds if self._behaviour else 0.0

    def launchable_by(self, account_id: str) -> bool:
        return (
            self.owner_id == account_id
            or self.is_public
            or any(permission.get("UserId") == account_id for permission in self.launch_permissions)
        )

    def deprecated(self) -> bool:
        return self.deprecation_time is not None and self.deprecation_time <= datetime.datetime.now(datetime.UTC)

    def record_launch(self, moment: datetime.datetime, behaviour: Behaviour) -> None:
        self._launches.append((moment, behaviour))

    def reported_launch(self) -> datetime.datetime | None:
        """Returns the last launch that EC2 reports, some time after it."""
        now = datetime.datetime.now(datetime.UTC)
        ages = ((moment, (now - moment).total_seconds(), behaviour) for moment, behaviour in self._launches)
        return max((moment for moment, age, behaviour in ages if age >= behaviour.usage_lag_seconds), default=None)

    def describe(self, viewer: str) -> dict[str, Any]:
        """Returns the members of `Image` in DescribeImages for account `viewer`."""
        tags = self.visible_tags() if self.owner_id == viewer else {}
        shown = {
            "ImageId": self.id,
            "ImageLocation": f"{self.owner_alias or self.owner_id}/{self.name}",
            "State": self.state,
            "OwnerId": self.owner_id,
            "ImageOwnerAlias": self.owner_alias,
            "CreationDate": _timestamp(self.creation_date),
            "Public": self.is_public,
            "Architecture": self.architecture,
            "ImageType": "machine",
            "Name": self.name,
            "Description": self.description,
            "PlatformDetails": "Linux/UNIX",
            "UsageOperation": "RunInstances",
            "EnaSupport": True,
            "Hypervisor": self.hypervisor,
            "RootDeviceName": self.root_device_name,
            "RootDeviceType": self.root_device_type,
            "SriovNetSupport": "simple",
            "VirtualizationType": self.virtualization_type,
            "BlockDeviceMappings": self.block_device_mappings,
            "SourceInstanceId": self.instance_id if self.owner_id == viewer else None,
            "SourceImageId": self.source_image_id,
            "SourceImageRegion": self.source_image_region,
            "DeprecationTime": _timestamp(self.deprecation_time),
            "DeregistrationProtection": self.protection.state if self.owner_id == viewer else None,
            "LastLaunchedTime": _timestamp(self.reported_launch()) if self.owner_id == viewer else None,
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()] or None,
        }
        if shown["State"] == "failed":
            message = "Copy image failed with an internal error." if self.fails else "Client.InternalError"
            shown["StateReason"] = {"Code": "Client.InternalError", "Message": message}
        return {name: value for name, value in shown.items() if value is not None}


def public_image(backend: Any, image: PublicImage) -> LocalAmi:
    """Returns a public AMI in one region."""
    volume_type = "gp3" if re.search("gp3|al2023", image.name) else "gp2"
    device = Device(name=image.root_device_name, size_gib=image.size_gib, volume_type=volume_type)
    return LocalAmi(
        backend,
        image.ami_id,
        devices=(device,),
        behaviour=None,
        name=image.name,
        description=image.description,
        owner_id=image.owner_id,
        owner_alias=image.owner_alias,
        public=True,
        architecture=image.architecture,
        creation_date=image.created,
    )


def seed_image(backend: Any, ami_id: str, image: SeedImage) -> LocalAmi:
    """Returns an available AMI."""
    owner = image.owner or backend.account_id
    return LocalAmi(
        backend,
        ami_id,
        devices=(Device(name=image.root_device, size_gib=8, volume_type=image.volume_type),),
        behaviour=None,
        name=image.name,
        description=image.description,
        architecture=image.architecture,
        owner_id=owner,
        owner_alias=image.alias or None,
        public=owner != backend.account_id,
        creation_date=image.created,
        source_image_id=image.source or None,
        source_image_region=backend.region_name if image.source else None,
    )


def check_filters(filters: Mapping[str, list[str]]) -> None:
    """Raises for unknown or unsupported filters, and for more than 200 values."""
    for name in filters:
        if name in _UNMODELLED_FILTERS:
            raise EC2ClientError("UnsupportedOperation", f"The embedded EC2 does not support the filter '{name}'.")
        if not _is_filter(name):
            raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
    check_value_count(filters)


def check_value_count(filters: Mapping[str, list[str]]) -> None:
    if sum(len(values) for values in filters.values()) > _MAX_FILTER_VALUES:
        raise EC2ClientError(
            "FilterLimitExceeded",
            f"The maximum number of filter values specified on a single call is {_MAX_FILTER_VALUES}",
        )


class AnyOf:
    """The values of one filter. A text must match one of them.

    Values without wildcards are in a set: a call may have 200 of them, and an account many AMIs.
    """

    def __init__(self, values: Iterable[str]) -> None:
        texts = frozenset(values)
        self._literal = frozenset(text for text in texts if not re.search(r"[*?\\]", text))
        self._wild = tuple(_pattern(text) for text in texts - self._literal)

    def matches(self, value: str) -> bool:
        return value in self._literal or any(pattern.fullmatch(value) for pattern in self._wild)


Filters = Mapping[str, AnyOf]
"""Filters by EC2's name."""


def compiled_filters(filters: Mapping[str, Iterable[str]]) -> Filters:
    return {name: AnyOf(values) for name, values in filters.items()}


_DEVICE_FILTER = "block-device-mapping."
_DEVICE_MEMBERS = {
    "delete-on-termination": "DeleteOnTermination",
    "encrypted": "Encrypted",
    "snapshot-id": "SnapshotId",
    "volume-size": "VolumeSize",
    "volume-type": "VolumeType",
}
_FILTER_MEMBERS = {
    "architecture": "Architecture",
    "creation-date": "CreationDate",
    "description": "Description",
    "image-id": "ImageId",
    "hypervisor": "Hypervisor",
    "image-type": "ImageType",
    "name": "Name",
    "owner-alias": "ImageOwnerAlias",
    "owner-id": "OwnerId",
    "platform": "Platform",
    "root-device-name": "RootDeviceName",
    "root-device-type": "RootDeviceType",
    "source-image-id": "SourceImageId",
    "source-image-region": "SourceImageRegion",
    "source-instance-id": "SourceInstanceId",
    "sriov-net-support": "SriovNetSupport",
    "state": "State",
    "virtualization-type": "VirtualizationType",
}


def _is_filter(name: str) -> bool:
    device = name.removeprefix(_DEVICE_FILTER)
    if device != name:
        return device == "device-name" or device in _DEVICE_MEMBERS
    return name in _FILTER_MEMBERS or name in ("tag-key", "is-public", "ena-support") or name.startswith("tag:")


def with_matching_tags(found: Iterable[LocalAmi], viewer: str, filters: Filters) -> list[LocalAmi]:
    """Returns the AMIs whose tags pass, before their other members are computed."""
    wanted = [(name[4:], values) for name, values in filters.items() if name.startswith("tag:")]
    if not wanted:
        return list(found)

    def tags_pass(image: LocalAmi) -> bool:
        seen = image.visible_tags()
        return all(key in seen and values.matches(seen[key]) for key, values in wanted)

    return [image for image in found if image.owner_id != viewer or tags_pass(image)]


def matches(shown: Mapping[str, Any], filters: Filters) -> bool:
    """Whether an AMI, as shown to the calling account, passes every filter."""
    return all(any(map(values.matches, _values(shown, name))) for name, values in filters.items())


def _values(shown: Mapping[str, Any], name: str) -> Iterable[str]:
    if name == "is-public":
        return ("true" if shown["Public"] else "false",)
    if name == "ena-support":
        return ("true",)
    if name.startswith(_DEVICE_FILTER):
        return _device_values(shown["BlockDeviceMappings"], name.removeprefix(_DEVICE_FILTER))
    tags = shown.get("Tags", ())
    if name == "tag-key":
        return tuple(tag["Key"] for tag in tags)
    if name.startswith("tag:"):
        return tuple(tag["Value"] for tag in tags if tag["Key"] == name[4:])
    value = shown.get(_FILTER_MEMBERS[name])
    return () if value is None else (value,)


def _device_values(devices: Iterable[Mapping[str, Any]], name: str) -> tuple[str, ...]:
    """Returns a member of every volume of an AMI as text. Booleans are in lower case."""
    if name == "device-name":
        return tuple(device["DeviceName"] for device in devices)
    found = (device["Ebs"].get(_DEVICE_MEMBERS[name]) for device in devices)
    return tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in found if value is not None)


def _pattern(pattern: str) -> re.Pattern[str]:
    """Compiles EC2's wildcards `*` and `?`; a backslash escapes the next character. Case matters."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL)


def _timestamp(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
