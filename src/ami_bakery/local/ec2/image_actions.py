"""EC2's actions that find, create and copy AMIs, stricter than moto."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionContext, ActionResult
from moto.core.serialize import EC2Serializer
from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError, MalformedAMIIdError, MissingParameterError
from moto.ec2.responses import EC2Response
from moto.ec2.utils import random_ami_id

from ami_bakery.local.ec2 import local_images
from ami_bakery.local.ec2.local_images import Device, LocalAmi
from ami_bakery.local.ec2.paging import page
from ami_bakery.local.iam_requests import RESOLVE, RequestArns, refusal_text
from ami_bakery.local.local_settings import ACCOUNTS

if TYPE_CHECKING:
    from moto.core.common_types import TYPE_RESPONSE

    from ami_bakery.local.ec2.moto_state import LocalBackend, MotoState
    from ami_bakery.local.local_settings import Behaviour

_IMAGE_NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")
_MAX_TAGS = 50


class StrictResponse(EC2Response):
    """moto's EC2 with the state and behaviour of one embedded EC2; created for each request."""

    # Filters compare dates as text, so LocalAmi has them as text.
    RESPONSE_KEY_PATH_TO_TRANSFORMER: dict[str, Callable[[Any], Any]] = {  # noqa: RUF012  # as moto declares it
        path: transform
        for path, transform in EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER.items()
        if path != "Image.CreationDate"
    }

    state: MotoState
    behaviour: Behaviour
    may: Callable[[str, str], bool]
    """Whether the caller's policy allows an action on a resource."""
    fails: Callable[[str], bool]
    """Whether an injected fault makes an action fail that EC2 does as a part of this call."""

    @property
    def ec2_backend(self) -> LocalBackend:
        return self.state.backend(self.current_account, self.region)

    def page(self, items: list[Any], action: str, *, most: int = 1000) -> tuple[Any, str | None]:
        """Returns the requested page and the token of the next one. A page has at most `most` items."""
        return page(
            items,
            action=action,
            max_results=self._get_int_param("MaxResults"),
            token=self._get_param("NextToken"),
            cap=min(self.behaviour.page_cap, most),
        )

    def idempotent(self, carry_out: Callable[[], Any]) -> ActionResult:
        """Carries out the request; a repeated client token returns the answer to the first call."""
        token, answers = self._get_param("ClientToken"), self.ec2_backend.answers
        key = (self._get_action(), token)
        answer = answers.get(key) if token else None
        if answer is None:
            answer = carry_out()
            if token:
                answers[key] = answer
        return ActionResult(answer)

    def visible_images(self, region: str) -> dict[str, LocalAmi]:
        """Returns a region's AMIs that the caller can see, by id: own, public and shared ones."""
        return self.state.visible_images(self.current_account, region)

    def visible_image(self, image_id: str, region: str) -> LocalAmi:
        if not image_id.startswith("ami-"):
            raise MalformedAMIIdError([image_id])
        image = self.visible_images(region).get(image_id)
        if image is None:
            raise InvalidAMIIdError(image_id)
        return image

    def resolved_image_id(self, named: str) -> str:
        """Returns the AMI id of `resolve:ssm:NAME`, or `named`.

        Raises if the parameter names no AMI, or if the caller may not read it.
        """
        if named.startswith(RESOLVE):
            arn = RequestArns(self.region, self.current_account).parameter(named.removeprefix(RESOLVE))
            if not self.may("ssm:GetParameters", arn):
                text = refusal_text(self.current_account, "ssm:GetParameters", arn)
                raise EC2ClientError("UnauthorizedOperation", text)
        image_id = self.state.resolve_image(named, self.current_account, self.region)
        if image_id is None:  # the code is a guess
            raise EC2ClientError("InvalidParameterValue", f"The parameter '{named}' does not resolve to an AMI")
        return image_id

    def own_image(self) -> LocalAmi:
        """Returns the AMI that the request names. Raises if it is not the caller's."""
        image = self.visible_image(self._get_param("ImageId", ""), self.region)
        if image.owner_id != self.current_account:
            raise EC2ClientError("AuthFailure", f"Not authorized for image:{image.id}")
        return image


def check_tags(tags: Mapping[str, str]) -> None:
    """Raises for tags that EC2 does not accept."""
    if len(tags) > _MAX_TAGS:
        raise EC2ClientError("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
    for key, value in tags.items():
        if key.startswith("aws:"):
            raise EC2ClientError("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
        for what, text, limit in (("key", key, 128), ("value", value, 256)):
            if len(text) > limit:
                raise EC2ClientError(
                    "InvalidParameterValue", f"Tag {what} exceeds the maximum length of {limit} characters"
                )


def require_usable(image: LocalAmi) -> LocalAmi:
    """Returns the AMI. Raises if it is not available, so that it cannot be launched, copied or shared."""
    if image.state != "available":
        raise EC2ClientError(
            "InvalidAMIID.Unavailable",
            f"The AMI ID '{image.id}' is currently {image.state} and may not be used for this operation",
        )
    return image


class _DescribedSerializer(EC2Serializer):
    def get_value(self, value: Any, key: str, shape: Any) -> Any:
        return value.get(key)


class Described(ActionResult):
    """A result with members named as in EC2's model. It is serialized faster than moto's objects."""

    def execute_result(self, context: ActionContext) -> TYPE_RESPONSE:
        serializer = _DescribedSerializer(operation_model=context.operation_model)
        serialized = serializer.serialize(self.result)
        return serialized["status_code"], dict(serialized["headers"]), serialized["body"]


class ImageActions(StrictResponse):
    """The actions, named as moto dispatches them."""

    def describe_images(self) -> ActionResult:
        self.error_on_dryrun()
        filters: dict[str, Any] = self._filters_from_querystring()
        local_images.check_filters(filters)
        viewer = self.current_account
        wanted = local_images.compiled_filters(filters)
        shown = [
            image.describe(viewer)
            for image in local_images.with_matching_tags(self._requested_images(), viewer, wanted)
        ]
        listed, token = self.page([one for one in shown if local_images.matches(one, wanted)], "DescribeImages")
        return Described({"Images": listed, "NextToken": token})

    def _requested_images(self) -> list[LocalAmi]:
        visible = self.visible_images(self.region)
        image_ids: list[str] = self._get_param("ImageIds", [])
        malformed = [image_id for image_id in image_ids if not image_id.startswith("ami-")]
        if malformed:
            raise MalformedAMIIdError(malformed)
        missing = [image_id for image_id in image_ids if image_id not in visible]
        if missing:
            raise InvalidAMIIdError(missing)
        found = [visible[image_id] for image_id in dict.fromkeys(image_ids)] if image_ids else list(visible.values())
        owners = {self.current_account if owner == "self" else owner for owner in self._get_param("Owners", [])}
        if owners:
            found = [image for image in found if image.owner_id in owners or image.owner_alias in owners]
        for user in self._get_param("ExecutableUsers", []):
            found = [image for image in found if self._executable_by(image, user)]
        if not self._get_param("IncludeDisabled"):
            found = [image for image in found if image.state != "disabled"]
        if image_ids or self._get_param("IncludeDeprecated"):
            return found
        return [image for image in found if image.owner_id == self.current_account or not image.deprecated()]

    def _executable_by(self, image: LocalAmi, user: str) -> bool:
        if user == "all":
            return image.is_public
        return {"UserId": self.current_account if user == "self" else user} in image.launch_permissions

    def create_image(self) -> ActionResult:
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId", ""))
        name = self._unused_name()
        tags = self._tag_specifications(("image", "snapshot"))
        self.error_on_dryrun()
        devices = _instance_devices(instance) + tuple(
            _requested_device(mapping) for mapping in self._get_param("BlockDeviceMappings", []) if "Ebs" in mapping
        )
        ami_id = random_ami_id()
        image = LocalAmi(
            self.ec2_backend,
            ami_id,
            devices=tuple({device.name: device for device in devices}.values()),
            behaviour=self.behaviour,
            source_image_id=instance.image_id,
            source_image_region=self.region,
            snapshot_description=f"Created by CreateImage({instance.id}) for {ami_id}",
            instance=instance,
            name=name,
            description=self._get_param("Description"),
        )
        self._register(image, tags)
        return ActionResult({"ImageId": image.id})

    def copy_image(self) -> ActionResult:
        """Copies an AMI; a repeated client token returns the copy of the first call."""
        return self.idempotent(lambda: {"ImageId": self._copy().id})

    def _copy(self) -> LocalAmi:
        source_region = self._get_param("SourceRegion")
        source = require_usable(self.visible_image(self._get_param("SourceImageId", ""), source_region))
        name = self._unused_name()
        tags = self._tag_specifications(("image", "snapshot"))
        self.error_on_dryrun()
        encryption = self._encryption(source)
        if self._get_param("CopyImageTags") and source.owner_id == self.current_account:
            copied = {key: value for key, value in source.own_tags().items() if not key.startswith("aws:")}
            tags["image"] = copied | tags["image"]
        image = LocalAmi(
            self.ec2_backend,
            random_ami_id(),
            devices=tuple(replace(device, snapshot_id="", **encryption(device)) for device in source.devices),
            behaviour=self.behaviour,
            source_image_id=source.id,
            source_image_region=source_region,
            snapshot_description=f"Copied for DestinationAmi from SourceAmi {source.id} in {source_region}",
            name=name,
            description=self._get_param("Description", f"[Copied {source.id} from {source_region}] {source.name}"),
            architecture=source.architecture,
        )
        image.fails = not _is_usable_key(self._get_param("KmsKeyId"))
        self._register(image, tags)
        return image

    def _encryption(self, source: LocalAmi) -> Callable[[Device], dict[str, Any]]:
        """Returns how to encrypt each snapshot of a copy: as requested, and always if the source is encrypted.

        KMS keys are regional, so a copy gets the default key of its region if the request names none.
        """
        asked, key = self._get_param("Encrypted"), self._get_param("KmsKeyId")
        if key and not asked:
            raise EC2ClientError(
                "InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted"
            )
        for device in source.devices:
            if device.encrypted and asked is False:
                raise EC2ClientError(
                    "InvalidRequest",
                    f"Snapshot {device.snapshot_id} is encrypted. "
                    "Creating an unencrypted copy from an encrypted snapshot is not supported.",
                )
        encrypted = {"encrypted": True, "kms_key_id": key or self.ec2_backend.default_key}
        return lambda device: encrypted if asked or device.encrypted else {}

    def register_image(self) -> ActionResult:
        name = self._unused_name()
        tags = self._tag_specifications(("image",))
        self.error_on_dryrun()
        mappings = [mapping for mapping in self._get_param("BlockDeviceMappings", []) if "Ebs" in mapping]
        if not mappings:
            raise EC2ClientError("UnsupportedOperation", "The embedded EC2 registers AMIs from EBS snapshots only.")
        image = LocalAmi(
            self.ec2_backend,
            random_ami_id(),
            devices=tuple(_requested_device(mapping) for mapping in mappings),
            behaviour=self.behaviour,
            name=name,
            description=self._get_param("Description"),
            architecture=self._get_param("Architecture", "i386"),
        )
        self._register(image, tags)
        return ActionResult({"ImageId": image.id})

    def _register(self, image: LocalAmi, tags: dict[str, dict[str, str]]) -> None:
        self.ec2_backend.amis[image.id] = image
        image.add_tags(tags["image"])
        for device in image.devices:
            self.ec2_backend.snapshots[device.snapshot_id].add_tags(tags["snapshot"])

    def _unused_name(self) -> str:
        name: str | None = self._get_param("Name")
        if name is None:
            raise MissingParameterError("name")
        if not _IMAGE_NAME.fullmatch(name):
            raise EC2ClientError(
                "InvalidAMIName.Malformed",
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
                "'(', ')', '.', '-', '/' and '_'",
            )
        for image in self.ec2_backend.amis.values():
            if image.name == name and image.owner_id == self.current_account:
                raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")
        return name

    def _tag_specifications(self, allowed: tuple[str, ...]) -> dict[str, dict[str, str]]:
        """Returns tags by resource type, always with `image` and `snapshot`."""
        tags: dict[str, dict[str, str]] = {"image": {}, "snapshot": {}}
        for specification in self._get_param("TagSpecifications", []):
            resource_type = specification.get("ResourceType")
            if resource_type not in allowed:
                raise EC2ClientError(
                    "InvalidParameterValue",
                    f"'{resource_type}' is not a valid taggable resource type for this operation.",
                )
            tags[resource_type].update((tag["Key"], tag.get("Value", "")) for tag in specification.get("Tags", []))
            check_tags(tags[resource_type])
        return tags


def _requested_device(mapping: dict[str, Any]) -> Device:
    ebs = mapping["Ebs"]
    return Device(
        name=mapping["DeviceName"],
        size_gib=int(ebs.get("VolumeSize", 8)),
        volume_type=ebs.get("VolumeType", "gp2"),
        delete_on_termination=bool(ebs.get("DeleteOnTermination", True)),
        encrypted=bool(ebs.get("Encrypted", False)),
        kms_key_id=ebs.get("KmsKeyId"),
        snapshot_id=ebs.get("SnapshotId", ""),
    )


def _instance_devices(instance: Any) -> tuple[Device, ...]:
    """Returns the volumes of the instance, the root volume first."""
    devices = {}
    for name, block in instance.block_device_mapping.items():
        volume = instance.ec2_backend.get_volume(block.volume_id)
        devices[name] = Device(
            name=name,
            size_gib=volume.size,
            volume_type=volume.volume_type,
            delete_on_termination=bool(block.delete_on_termination),
            encrypted=bool(volume.encrypted),
            kms_key_id=volume.kms_key_id,
        )
    root = devices.pop(instance.root_device_name, None) or Device(name=instance.root_device_name, size_gib=8)
    return (root, *devices.values())


def _is_usable_key(key: str | None) -> bool:
    """Whether a KMS key is usable: it does not belong to an unknown account.

    With an unusable key, EC2 accepts the call, but the copy fails.
    """
    account = key.split(":")[4] if key and key.startswith("arn:") else ""
    return not account or account in {known.account_id for known in ACCOUNTS}
