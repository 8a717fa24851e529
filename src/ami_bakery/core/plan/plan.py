"""The plan of a bake for one image: what it needs, what it does, and why."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.core.plan.tested import AmiTestState, tested_state
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from datetime import timedelta

    from ami_bakery.core.definition.digest import Digest
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.plan.desired_state import Step


class Action(StrEnum):
    REUSE = "reuse"
    BAKE = "bake"
    COPY = "copy"
    """Built, but not yet copied to all regions."""
    TEST = "test"
    """Built, but not tested by the current test. Nothing is built."""
    ENABLE = "enable"
    """Built, but disabled by prune. It is enabled and shared as before. Nothing is built."""
    WAIT = "wait"
    """Another runner is building it."""
    PENDING = "pending"
    """Its parent image must be built first."""


class Reason(Frozen):
    """A reason for an action.

    kind     a fixed word for programs
    subject  the file, AMI, region or image that it is about
    detail   a clause to show
    """

    kind: str
    subject: str
    detail: str

    def __init__(self, kind: str, subject: str, detail: str) -> None:
        super().__init__(kind=kind, subject=subject, detail=detail)


class Wanted(Frozen):
    """The AMIs that an image should have.

    digest       None if it is unknown because the parent image `awaits` must be built first
    copied_base  whether that parent is built, and is only to be copied to this image's build region
    regions      the first is for the build, the others are for copies
    base         its source AMIs; None if they are unknown
    kms_keys     the keys of copies, by region
    test         the digest of the image's test, as hex; empty if it has none
    """

    image: str
    digest: Digest | None
    regions: tuple[str, ...]
    test: str = ""
    base: tuple[str, ...] | None = None
    kms_keys: Mapping[str, str] = field(default_factory=dict)
    max_age: timedelta | None = None
    awaits: str | None = None
    copied_base: bool = False

    def is_tested(self, ami: Ami) -> bool:
        """Whether the AMI passed the current test. Without a test, every AMI counts."""
        return not self.test or tested_state(ami, self.test) is AmiTestState.PASSED

    def has_right_key(self, ami: Ami) -> bool:
        """Whether a copy has the configured KMS key. In the build region, the template decides."""
        home = ami.region == self.regions[0]
        return home or ami.kms_key == self.kms_keys.get(ami.region, "")


class ImagePlan(Frozen):
    """The plan of a bake for one image.

    amis    the AMIs that exist and have the right key, by region; for the action `test`, they do not count yet, and for
            `enable`, some are still to be enabled
    source  the source of copies: the AMI in the build region; otherwise preferably one without a KMS key
    test    the digest of the image's test, as hex; empty if it has none
    steps   in order; empty if they were not requested
    to_enable  those of `amis`, and the source, that must be enabled
    """

    image: str
    action: Action
    digest: Digest | None
    reasons: tuple[Reason, ...]
    regions: tuple[str, ...]
    amis: Mapping[str, Ami]
    source: Ami | None = None
    steps: tuple[Step, ...] = ()
    test: str = ""
    to_enable: tuple[Ami, ...] = ()

    @property
    def ready(self) -> Mapping[str, Ami]:
        """The AMIs that can be used now, by region."""
        if self.tests_existing_ami:
            return {}
        return {region: ami for region, ami in self.amis.items() if ami not in self.to_enable}

    @property
    def tests_existing_ami(self) -> bool:
        """Whether an AMI exists and is to be tested."""
        untested = self.tested not in (None, AmiTestState.PASSED)
        return self.action is Action.TEST or (self.action is Action.ENABLE and untested)

    @property
    def tested(self) -> AmiTestState | None:
        """The state of the source's test; of an AMI that is still to be built, `untested`. None without a test."""
        if not self.test:
            return None
        to_build = self.source is None or self.action in (Action.BAKE, Action.PENDING)
        return AmiTestState.UNTESTED if to_build or self.source is None else tested_state(self.source, self.test)

    @property
    def may_be_locked(self) -> bool:
        """Whether a bake acquires the digest's lock. It then uses the AMI if another runner builds it."""
        forced = any(reason.kind == "forced" for reason in self.reasons)
        return self.action in (Action.BAKE, Action.COPY, Action.TEST, Action.ENABLE) and not forced

    @property
    def to_do(self) -> bool:
        return self.action is not Action.REUSE or bool(self.steps)

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(region for region in self.regions if region not in self.amis)
