"""Explains why no AMI matches: the changes since the newest AMI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import COMPONENTS_TAG
from ami_bakery.core.plan.describe import describe_age
from ami_bakery.core.plan.plan import Action, Reason
from ami_bakery.values import replace

if TYPE_CHECKING:
    from datetime import datetime

    from ami_bakery.core.definition.diff import Change
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.plan.plan import ImagePlan


def explain(
    plan: ImagePlan, previous: Ami | None, changes: Sequence[Change], snapshots: Sequence[str], *, now: datetime
) -> ImagePlan:
    """Adds the changes since `previous`, the image's newest AMI, to a plan.

    A plan that waits for its parent gets the other changes that are known.

    snapshots  orphaned snapshots with the digest: an AMI with this digest existed
    """
    if plan.action is Action.PENDING:
        return replace(plan, reasons=(*plan.reasons, *_known_changes(plan, previous, changes, now)))
    if snapshots:
        detail = f"the AMI with this digest was deleted or disabled (its snapshot {snapshots[0]} still exists)"
        return _with(plan, Reason("ami-deleted", snapshots[0], detail))
    if previous is None:
        return _with(plan, _never_baked(plan))
    detail = f"the definition changed since {previous.id}, built {describe_age(previous, now)}"
    if not changes:
        detail += " (the AMI's tags do not show what changed)"
    reasons = (Reason(change.kind, change.subject, change.detail) for change in changes)
    return _with(plan, Reason("definition-changed", previous.id, detail), *reasons)


def _never_baked(plan: ImagePlan) -> Reason:
    detail = "no AMI found for this image"
    return Reason("never-baked", plan.image, detail)


def _known_changes(plan: ImagePlan, previous: Ami | None, changes: Sequence[Change], now: datetime) -> Iterator[Reason]:
    """Returns the other changes of an image that waits for its parent."""
    if previous is None:
        yield _never_baked(plan)
    elif changes:
        detail = f"also, the definition changed since {previous.id}, built {describe_age(previous, now)}"
        yield Reason("definition-changed", previous.id, detail)
        yield from (Reason(change.kind, change.subject, change.detail) for change in changes)
    elif COMPONENTS_TAG in previous.tags:
        detail = f"otherwise unchanged since {previous.id}, built {describe_age(previous, now)}"
        yield Reason("otherwise-unchanged", previous.id, detail)


def _with(plan: ImagePlan, *reasons: Reason) -> ImagePlan:
    return replace(plan, reasons=(*reasons, *plan.reasons))
