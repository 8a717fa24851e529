"""What became of one image in a bake."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.core.ec2.image import Ami
    from ami_bakery.core.plan.desired_state import Step
    from ami_bakery.core.plan.plan import ImagePlan
    from ami_bakery.errors import BakeryError


class Result(StrEnum):
    BAKED = "baked"
    REUSED = "reused"
    COPIED = "copied"
    FAILED = "failed"


class Copies(Frozen):
    """AMIs by region, those that were there included; and what failed, region by region."""

    amis: Mapping[str, Ami]
    failures: tuple[BakeryError, ...] = ()


class Outcome(Frozen):
    """What became of one image.

    amis   by region, in the order of the image's regions; of one that failed, those that are finished all the same
    kept   what was done about tags and permissions
    error  where it failed
    """

    plan: ImagePlan
    result: Result
    amis: Mapping[str, Ami] = field(default_factory=dict)
    kept: tuple[Step, ...] = ()
    seconds: float = 0.0
    error: BakeryError | None = None

    @property
    def image(self) -> str:
        return self.plan.image
