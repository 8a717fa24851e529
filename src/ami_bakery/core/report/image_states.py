"""Decides the states of an image and its builds for a report."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

from ami_bakery.core.ec2.ami import DIGEST_TAG, AmiState
from ami_bakery.core.plan.plan import Action
from ami_bakery.core.plan.tested import AmiTestState, tested_state

if TYPE_CHECKING:
    from collections.abc import Collection

    from ami_bakery.core.definition.digest import Digest
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.plan.plan import ImagePlan


class ImageState(StrEnum):
    """The state of an image. The report's schema has the same words."""

    CURRENT = "current"
    BEHIND = "behind"
    NOT_BUILT = "not-built"
    BUILDING = "building"
    PENDING = "pending"
    NOT_COPIED = "not-copied"
    UNTESTED = "untested"
    FAILING_TEST = "failing-test"
    REVOKED = "revoked"
    DISABLED = "disabled"
    UNKNOWN = "unknown"
    """Its plan failed."""


class BuildState(StrEnum):
    """The state of a build and its copies."""

    CURRENT = "current"
    SUPERSEDED = "superseded"
    """It has an older definition."""
    UNTESTED = "untested"
    """It did not pass the current test, or is not finished."""
    FAILING_TEST = "failing-test"
    REVOKED = "revoked"
    DISABLED = "disabled"
    UNKNOWN = "unknown"
    """The digest of the current definition is unknown."""


def state_of_image(plan: ImagePlan | None, *, built: bool) -> ImageState:
    """Returns the state of an image. `plan`: None if it failed; `built`: whether the image has any AMI."""
    if plan is None:
        return ImageState.UNKNOWN
    match plan.action:
        case Action.REUSE:
            return ImageState.CURRENT
        case Action.COPY:
            return ImageState.NOT_COPIED
        case Action.TEST:
            return ImageState.FAILING_TEST if plan.tested is AmiTestState.FAILED else ImageState.UNTESTED
        case Action.ENABLE:
            return ImageState.DISABLED
        case Action.WAIT:
            return ImageState.BUILDING
        case Action.PENDING:
            return ImageState.PENDING
        case Action.BAKE:
            if any(reason.kind == "revoked" for reason in plan.reasons):
                return ImageState.REVOKED
            return ImageState.BEHIND if built else ImageState.NOT_BUILT
        case _:
            assert_never(plan.action)


def state_of_build(amis: Collection[Ami], digest: Digest | None, test: str) -> BuildState:
    """Returns the state of a build.

    amis    the AMI that Packer created, and its copies; a revoked or failed one counts for all
    digest  that of the current definition; None if it is unknown
    test    the digest of the image's current test, as hex; empty if it has none
    """
    if any(ami.revoked for ami in amis):
        return BuildState.REVOKED
    if all(ami.state is AmiState.DISABLED for ami in amis):
        return BuildState.DISABLED
    if not any(ami.tags.get(DIGEST_TAG) for ami in amis):
        return BuildState.FAILING_TEST if any(ami.test_failed for ami in amis) else BuildState.UNTESTED
    states = {tested_state(ami, test) for ami in amis} if test else set()
    if AmiTestState.FAILED in states:
        return BuildState.FAILING_TEST
    if digest is None:
        return BuildState.UNKNOWN
    current = [ami for ami in amis if ami.carries(digest)]
    if not current:
        return BuildState.SUPERSEDED
    if not any(ami.available for ami in current):
        is_disabled = any(ami.state is AmiState.DISABLED for ami in current)
        return BuildState.DISABLED if is_disabled else BuildState.UNTESTED
    return BuildState.CURRENT if not states or AmiTestState.PASSED in states else BuildState.UNTESTED
