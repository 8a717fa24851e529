"""Converts the program's values to the library's results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ami_bakery.api.results import (
    BakedImage,
    ChannelEntry,
    ChannelFailed,
    ChannelUpdate,
    PlannedImage,
    PrunedImageAmi,
    PruneFailed,
    Revocation,
    RevocationFailed,
    RevokedAmi,
)
from ami_bakery.core.ec2.ami import DIGEST_TAG

if TYPE_CHECKING:
    from datetime import timedelta

    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.plan.outcome import Outcome
    from ami_bakery.core.plan.plan import ImagePlan
    from ami_bakery.release.channel_listing import ChannelRow
    from ami_bakery.release.promotion import ChannelChange, ChannelPolicy
    from ami_bakery.release.pruning import PrunedAmi, PruneRun
    from ami_bakery.release.revocation import RevocationChange, RevocationOutcome


def _ids(amis: Mapping[str, Ami]) -> dict[str, str]:
    return {region: ami.id for region, ami in amis.items()}


def planned_image(plan: ImagePlan) -> PlannedImage:
    return PlannedImage(
        name=plan.image,
        action=plan.action,
        reasons=plan.reasons,
        digest=plan.digest.hex if plan.digest else None,
        regions=plan.regions,
        amis=_ids(plan.amis),
        steps=plan.steps,
    )


def channel_policy(adopt: bool, timeout: timedelta | None, wait: bool, wait_timeout: timedelta | None) -> ChannelPolicy:
    from ami_bakery.bake import WaitPolicy
    from ami_bakery.release.promotion import DEFAULT_TIMEOUT, ChannelPolicy

    waits = WaitPolicy(waits=wait, timeout=wait_timeout)
    return ChannelPolicy(wait=waits, timeout=DEFAULT_TIMEOUT if timeout is None else timeout, adopt=adopt)


def _channel_update(change: ChannelChange) -> ChannelUpdate:
    return ChannelUpdate(
        name=change.image,
        channel=change.channel,
        parameter=change.parameter,
        outcome=change.result,
        digest=change.digest or None,
        amis=_ids(change.amis),
        error=change.error,
    )


def channel_updates(changes: Iterable[ChannelChange]) -> tuple[ChannelUpdate, ...]:
    """Returns the results. Raises `ChannelFailed` if one has an error."""
    updates = tuple(map(_channel_update, changes))
    first = next((update.error for update in updates if update.error is not None), None)
    if first is not None:
        raise ChannelFailed(updates, first) from first
    return updates


def channel_entry(row: ChannelRow) -> ChannelEntry:
    current = row.current
    return ChannelEntry(
        name=row.image,
        channel=row.channel,
        region=row.region,
        parameter=row.parameter.name,
        ami=current.value if current and current.holds_amis else None,
        version=current.number if current else None,
        digest=row.ami.tags.get(DIGEST_TAG) if row.ami else None,
        behind=row.behind,
        since=current.modified if current else None,
        by=(current.user if current else "") or None,
        revoked=row.revoked or None,
        differs=row.differs,
        problem=row.problem,
    )


def baked_image(outcome: Outcome) -> BakedImage:
    return BakedImage(
        name=outcome.image,
        outcome=outcome.result,
        digest=outcome.plan.digest.hex if outcome.plan.digest else None,
        amis=_ids(outcome.amis),
        seconds=outcome.seconds,
        error=outcome.error,
    )


def checked_revocation(outcome: RevocationOutcome) -> Revocation:
    """Returns the result. Raises `RevocationFailed` if a part of it has an error."""
    result = Revocation(
        amis=tuple(map(_revoked_ami, outcome.changes)),
        channels=tuple(map(_channel_update, outcome.rolled_back)),
        in_use=None if outcome.channels is None else tuple(map(channel_entry, outcome.in_use)),
    )
    if outcome.errors:
        raise RevocationFailed(result, outcome.errors[0]) from outcome.errors[0]
    return result


def _revoked_ami(change: RevocationChange) -> RevokedAmi:
    return RevokedAmi(
        name=change.image or None,
        region=change.ami.region,
        ami=change.ami.id,
        digest=change.ami.tags.get(DIGEST_TAG) or None,
        outcome=change.result,
        error=change.error,
    )


def checked_prune(run: PruneRun) -> tuple[PrunedImageAmi, ...]:
    """Returns the results. Raises `PruneFailed` if one has an error."""
    amis = tuple(map(_pruned_ami, run.amis))
    if run.errors:
        raise PruneFailed(amis, run.errors[0]) from run.errors[0]
    return amis


def _pruned_ami(each: PrunedAmi) -> PrunedImageAmi:
    return PrunedImageAmi(
        name=each.ami.image,
        region=each.ami.key.region,
        ami=each.ami.key.id,
        build=each.ami.build.id,
        created=each.ami.created,
        action=each.decision.action,
        reason=each.decision.reason,
        detail=each.decision.detail,
        outcome=each.outcome,
        gibibytes=each.ami.gibibytes,
        skipped=each.why,
        error=each.error,
    )
