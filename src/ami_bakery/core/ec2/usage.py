"""What uses an AMI in EC2, and what EC2 answers when an AMI is deregistered."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from datetime import datetime

    from ami_bakery.core.ec2.ami import AmiState


class ReferenceKind(StrEnum):
    """Kinds of resources that name AMIs."""

    INSTANCE = "instance"
    LAUNCH_TEMPLATE = "launch-template"
    LAUNCH_CONFIGURATION = "launch-configuration"
    AUTO_SCALING_GROUP = "auto-scaling-group"
    PARAMETER = "parameter"
    IMAGE_RECIPE = "image-recipe"
    CONTAINER_RECIPE = "container-recipe"
    OTHER = "other"
    """A kind that EC2 reports and this version of ami-bakery does not know. It counts as a use."""


_SHOWN = {
    ReferenceKind.AUTO_SCALING_GROUP: "Auto Scaling group",
    ReferenceKind.PARAMETER: "SSM parameter",
    ReferenceKind.OTHER: "resource",
}


class AmiReference(Frozen):
    """A resource that names an AMI.

    name  an instance's or launch template's id; another resource's name
    arn   empty if EC2 gives none
    """

    kind: ReferenceKind
    name: str
    arn: str = ""

    def __str__(self) -> str:
        return f"{_SHOWN.get(self.kind) or self.kind.replace('-', ' ')} {self.name}"


class InstanceAmi(Frozen):
    """The AMI that an instance runs. It may be deregistered.

    state      the instance's state: `pending`, `running`, `stopping`, `stopped` or `shutting-down`
    launched   None if EC2 has no date
    ami_name   empty if unknown
    ami_state  None if unknown
    """

    instance: str
    ami: str
    state: str
    launched: datetime | None
    ami_name: str = ""
    ami_state: AmiState | None = None
    deprecated_at: datetime | None = None


class TemplateVersion(Frozen):
    """A version of a launch template that names an AMI.

    template  the launch template's id
    aliases   those of `$Default` and `$Latest` that mean this version
    """

    template: str
    name: str
    version: int
    ami: str
    aliases: tuple[str, ...] = ()


class SnapshotDeletion(Frozen):
    """EC2's result for one snapshot of an AMI that it deregistered.

    code  EC2's return code: `success`, `skipped` (another AMI has it), `missing-permissions`, `internal-error`,
          `client-error`, or a newer one
    """

    snapshot: str
    code: str

    @property
    def deleted(self) -> bool:
        return self.code == "success"
