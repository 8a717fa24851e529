"""What became of one image in a bake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ami_bakery.core.image import Ami
from ami_bakery.core.plan import ImagePlan
from ami_bakery.errors import BakeryError


class Result(StrEnum):
    BAKED = "baked"
    REUSED = "reused"
    COPIED = "copied"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """`amis` by region, in the order of the image's regions; `error` where it failed."""

    plan: ImagePlan
    result: Result
    amis: Mapping[str, Ami] = field(default_factory=dict)
    seconds: float = 0.0
    error: BakeryError | None = None

    @property
    def image(self) -> str:
        return self.plan.image
