"""Adds to plans the changes since the previous AMI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.concurrency import run_all
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.ami import IMAGE_TAG, Ami, newest
from ami_bakery.core.plan.explain import explain
from ami_bakery.core.plan.plan import Action, Reason
from ami_bakery.plan.lookups import of_images
from ami_bakery.values import replace

if TYPE_CHECKING:
    from datetime import datetime

    from ami_bakery.core.definition.diff import Change
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Planned


def add_changes(resolver: Resolver, plans: Sequence[Planned]) -> tuple[Planned, ...]:
    """Adds the changes to plans without a matching AMI.

    The changes are those since the image's newest AMI. Two calls for each region. Also adds the changes of the test to
    plans to test again.
    """
    names: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    digests: dict[str, set[str]] = {}
    for planned in filter(_needs_explaining, plans):
        key = (planned.plan.regions[0], planned.definition.image.owners)
        names.setdefault(key, set()).add(planned.plan.image)
        if planned.plan.digest is not None:
            digests.setdefault(planned.plan.regions[0], set()).add(planned.plan.digest.hex)
    amis = of_images(resolver, names)
    snapshots = _snapshots(resolver, digests)
    now = resolver.ports.clock.now()
    return tuple(
        _explain(resolver, planned, amis, snapshots, now)
        if _needs_explaining(planned)
        else _with_test_changes(resolver, planned)
        for planned in plans
    )


def _with_test_changes(resolver: Resolver, planned: Planned) -> Planned:
    plan = planned.plan
    if plan.source is None or not any(reason.kind == "test-changed" for reason in plan.reasons):
        return planned
    from ami_bakery.plan.changes import changes_of_test

    changes = changes_of_test(resolver, planned.definition, plan.source)
    reasons = (Reason(change.kind, change.subject, change.detail) for change in changes)
    return replace(planned, plan=replace(plan, reasons=(*plan.reasons, *reasons)))


def _snapshots(resolver: Resolver, digests: Mapping[str, Iterable[str]]) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Returns ids of snapshots tagged with these digests, by region and digest."""
    with_digests = resolver.ports.ec2.find_snapshots_by_digest
    regions = sorted(digests)
    answers = run_all([partial(with_digests, region, sorted(digests[region])) for region in regions])
    return {
        (region, digest): ids for region, answer in zip(regions, answers, strict=True) for digest, ids in answer.items()
    }


def _needs_explaining(planned: Planned) -> bool:
    return (
        planned.definition.image.scheme is Scheme.SHA256
        and planned.plan.action in (Action.BAKE, Action.PENDING)
        and (planned.plan.digest is None or any(reason.kind == "no-ami" for reason in planned.plan.reasons))
    )


def _explain(
    resolver: Resolver,
    planned: Planned,
    amis: Sequence[Ami],
    snapshots: Mapping[tuple[str, str], tuple[str, ...]],
    now: datetime,
) -> Planned:
    """Adds the changes to one plan. `amis`: the AMIs of several images, in their build regions."""
    region = planned.plan.regions[0]
    before = tuple(ami for ami in amis if ami.region == region and ami.tags.get(IMAGE_TAG) == planned.plan.image)
    previous = newest(ami for ami in before if ami.verified)
    changes: tuple[Change, ...] = ()
    if previous is not None:
        from ami_bakery.plan.changes import changes_since

        changes = tuple(changes_since(resolver, planned.definition, previous))
    digest = planned.plan.digest
    in_use = {snapshot for ami in (*before, *planned.found) for snapshot in ami.snapshots}
    tagged = snapshots.get((region, digest.hex), ()) if digest else ()
    orphaned = tuple(snapshot for snapshot in tagged if snapshot not in in_use)
    return replace(planned, plan=explain(planned.plan, previous, changes, orphaned, now=now), before=before)
