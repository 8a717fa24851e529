"""The result of a bake for one image."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.core.audit.comparison import AuditReport
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.plan.desired_state import Step
    from ami_bakery.core.plan.plan import ImagePlan
    from ami_bakery.errors import BakeryError


class Result(StrEnum):
    BAKED = "baked"
    REUSED = "reused"
    COPIED = "copied"
    TESTED = "tested"
    """An AMI that existed passed its test."""
    ENABLED = "enabled"
    """Prune had disabled an AMI; it is available again."""
    FAILED = "failed"


class Copies(Frozen):
    """AMIs by region, including those that existed before, and regions' failures."""

    amis: Mapping[str, Ami]
    failures: tuple[BakeryError, ...] = ()


class Outcome(Frozen):
    """The result of one image.

    amis   by region, in the order of the image's regions; if the image failed, those that are finished
    kept   the steps that changed tags and permissions
    error  None unless the image failed
    audit  None if it was not built, or not audited
    """

    plan: ImagePlan
    result: Result
    amis: Mapping[str, Ami] = field(default_factory=dict)
    kept: tuple[Step, ...] = ()
    seconds: float = 0.0
    error: BakeryError | None = None
    audit: AuditReport | None = None

    @property
    def image(self) -> str:
        return self.plan.image
