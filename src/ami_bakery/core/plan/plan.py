"""Decides what a bake has to do for one image, and why: found AMIs and what is wanted in, a plan with reasons out."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.ec2.image import COMPONENTS_TAG, FROM_TAG, ORIGIN_TAG, Ami, AmiState, newest
from ami_bakery.core.ec2.run import RUN_TAG, run_began
from ami_bakery.core.plan.desired_state import (
    DesiredState,
    Permissions,
    Step,
    StepKind,
    describe,
    first_steps,
    take_back_steps,
    upkeep_steps,
)
from ami_bakery.values import Frozen, field, replace

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ami_bakery.core.definition.diff import Change
    from ami_bakery.core.lock.lock import SeenLock


class Action(StrEnum):
    REUSE = "reuse"
    BAKE = "bake"
    COPY = "copy"
    """Baked, but some region lacks it."""
    WAIT = "wait"
    """Being baked elsewhere."""
    PENDING = "pending"
    """Its base is still to be baked."""


class Reason(Frozen):
    """Why. `kind` is a fixed word for programs, `subject` what it is about, `detail` a clause for people."""

    kind: str
    subject: str
    detail: str

    def __init__(self, kind: str, subject: str, detail: str) -> None:
        super().__init__(kind=kind, subject=subject, detail=detail)


_SHOWN = 10


def reason_lines(reasons: Sequence[Reason]) -> Iterator[str]:
    """Of many changes of one kind (a vendored tree was updated), the first ones and how many more there are.

    That no AMI has the digest follows from every other reason to bake, so it is only said where it is the only one.
    """
    told = [reason for reason in reasons if reason.kind != "no-ami"] or reasons
    for kind, group in itertools.groupby(told, key=lambda reason: reason.kind.partition("-")[0]):
        members = list(group)
        yield from (reason.detail for reason in members[:_SHOWN])
        if len(members) > _SHOWN:
            yield f"and {len(members) - _SHOWN} more changes of a {kind}"


class Wanted(Frozen):
    """What is to be had of one image.

    digest       None where it is not known, since the base is still to be made: `awaits` names that image
    copied_base  whether that one is baked, and only to be copied to where this image is baked
    regions      the first is where it is baked
    base         its source AMIs; None where they are not known
    kms_keys     of copies, by region
    """

    image: str
    digest: Digest | None
    regions: tuple[str, ...]
    base: tuple[str, ...] | None = None
    kms_keys: Mapping[str, str] = field(default_factory=dict)
    max_age: timedelta | None = None
    awaits: str | None = None
    copied_base: bool = False

    def is_right(self, ami: Ami) -> bool:
        """Whether an AMI is encrypted as configured, where that is ours to say: of copies."""
        home = ami.region == self.regions[0]
        return home or ami.kms_key == self.kms_keys.get(ami.region, "")


class ImagePlan(Frozen):
    """What a bake will do for one image.

    amis    those that are there and as they should be, by region
    source  what copies are made from: in the first region, where there is one; else one without a key, if any
    steps   what there is to do, in this order; empty where nobody has asked
    """

    image: str
    action: Action
    digest: Digest | None
    reasons: tuple[Reason, ...]
    regions: tuple[str, ...]
    amis: Mapping[str, Ami]
    source: Ami | None = None
    steps: tuple[Step, ...] = ()

    @property
    def may_be_locked(self) -> bool:
        """Whether a bake would take the digest's lock, and take what another runner bakes for its own."""
        forced = any(reason.kind == "forced" for reason in self.reasons)
        return self.action in (Action.BAKE, Action.COPY) and not forced

    @property
    def to_do(self) -> bool:
        return self.action is not Action.REUSE or bool(self.steps)

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(region for region in self.regions if region not in self.amis)


def present(found: Iterable[Ami], wanted: Wanted) -> dict[str, Ami]:
    """The AMIs that count, by region: finished, available, with this digest, and all of one bake.

    One bake's AMIs share their origin. Of several bakes of a digest (`--force`) the newest one with an AMI in the first
    region is taken: an older bake's AMI in another region does not stand in for a copy that is missing there.
    """
    if wanted.digest is None:
        return {}
    bakes: dict[str, list[Ami]] = {}
    for ami in found:
        if ami.available and ami.carries(wanted.digest, wanted.base) and ami.region in wanted.regions:
            bakes.setdefault(ami.tags.get(ORIGIN_TAG, ""), []).append(ami)
    candidates = []
    for amis in bakes.values():
        at_home = newest(ami for ami in amis if ami.region == wanted.regions[0])
        chosen = at_home or newest(amis)
        if chosen is not None:
            candidates.append((at_home is not None, chosen, amis))
    if not candidates:
        return {}
    at_home_first = any(at_home for at_home, _, _ in candidates)
    best = newest(chosen for at_home, chosen, _ in candidates if at_home == at_home_first)
    amis = next(amis for _, chosen, amis in candidates if chosen == best)
    by_region = {}
    for region in wanted.regions:
        there = [ami for ami in amis if ami.region == region]
        best_there = newest(filter(wanted.is_right, there)) or newest(there)
        if best_there is not None:
            by_region[region] = best_there
    return by_region


def decide(
    wanted: Wanted,
    found: Sequence[Ami],
    *,
    now: datetime,
    force: bool = False,
) -> ImagePlan:
    """`found` is what the look-up by digest gave, in whatever state, for all regions.

    A plan to bake has the reasons that the look-up alone can tell; `explain` adds what changed since the AMI before.
    """
    there = present(found, wanted)
    action, reasons = _decide(wanted, found, there, now, force)
    return ImagePlan(
        image=wanted.image,
        action=action,
        digest=wanted.digest,
        reasons=reasons,
        regions=wanted.regions,
        amis={region: ami for region, ami in there.items() if wanted.is_right(ami)},
        source=_source(there, wanted) if there else None,
    )


def _decide(
    wanted: Wanted, found: Sequence[Ami], amis: Mapping[str, Ami], now: datetime, force: bool
) -> tuple[Action, tuple[Reason, ...]]:
    """The one place where actions are chosen; each branch records its reason."""
    forced = (Reason("forced", "--force", "a bake was asked for, whatever is there"),) if force else ()
    if wanted.digest is None:
        return Action.PENDING, (*forced, _base_reason(wanted))
    if force:
        return Action.BAKE, forced
    if not amis:
        return _without_ami(wanted.digest, wanted.base, found)
    source = _source(amis, wanted)
    if wanted.max_age is not None and (old := _too_old(source, _baked_at(amis, found), wanted.max_age, now)):
        return Action.BAKE, (old,)
    copies = tuple(_copy_reasons(wanted, amis, source))
    if copies:
        return Action.COPY, copies
    return Action.REUSE, tuple(_reuse_reasons(wanted, found, amis, now))


def _source(there: Mapping[str, Ami], wanted: Wanted) -> Ami:
    """A copy of what is encrypted is encrypted, too: in the region of the bake with the account's default key, with
    which nothing can be shared."""
    at_home = there.get(wanted.regions[0])
    return at_home or min(there.values(), key=lambda ami: ami.kms_key != "")


def _base_reason(wanted: Wanted) -> Reason:
    if wanted.copied_base:
        detail = f"the base {wanted.awaits} is to be copied to {wanted.regions[0]} first: its AMI there will be another"
        return Reason("base-to-be-copied", wanted.awaits or "", detail)
    return Reason("base-to-be-baked", wanted.awaits or "", f"the base {wanted.awaits} is to be baked first")


def _copy_reasons(wanted: Wanted, amis: Mapping[str, Ami], source: Ami) -> Iterator[Reason]:
    for region in wanted.regions:
        ami = amis.get(region)
        if ami is None:
            yield Reason("region-missing", region, f"{region} lacks a copy of {source.id} of {source.region}")
        elif not wanted.is_right(ami):
            key = wanted.kms_keys.get(region, "")
            detail = f"{ami.id} of {region} was copied with {_key(ami.kms_key)}, and {_key(key)} is configured"
            yield Reason("key-changed", region, detail)


def _key(key: str) -> str:
    return f"the key {key}" if key else "no key of its own"


def judge_bases(plan: ImagePlan, bases: Sequence[str], known: Mapping[str, Ami], *, now: datetime) -> ImagePlan:
    """A plan to reuse or copy, turned into one to bake where what the AMI was made from is gone or deprecated.

    `known` has the bases that EC2 still has. A bake after the deprecation was made in the knowledge of it.
    """
    chosen = plan.source
    if plan.action not in (Action.REUSE, Action.COPY) or chosen is None:
        return plan
    reasons = []
    for base in bases:
        ami = known.get(base)
        deprecated = ami.deprecated_at if ami else None
        if ami is None:
            reasons.append(Reason("base-missing", base, f"the base {base} is not there any more"))
        elif deprecated and deprecated <= now and (chosen.created is None or chosen.created < deprecated):
            reasons.append(
                Reason("base-deprecated", base, f"the base {base} was deprecated since {chosen.id} was baked")
            )
    if not reasons:
        return plan
    return replace(plan, action=Action.BAKE, reasons=tuple(reasons))


def being_baked(plan: ImagePlan, lock: SeenLock) -> ImagePlan:
    """A plan to bake or copy, turned into one to wait, since another runner is at it."""
    reason = Reason("being-baked", lock.holder, f"it is being baked by {lock.describe()}")
    return replace(plan, action=Action.WAIT, reasons=(reason, *plan.reasons))


def explain(
    plan: ImagePlan, previous: Ami | None, changes: Sequence[Change], snapshots: Sequence[str], *, now: datetime
) -> ImagePlan:
    """A plan to bake for want of an AMI, with what changed since `previous`, the image's newest AMI. One that waits for
    its base gets what is known besides.

    snapshots  those that carry the digest, and belong to no AMI that EC2 shows: one was there
    """
    if plan.action is Action.PENDING:
        return replace(plan, reasons=(*plan.reasons, *_known_besides(plan, previous, changes, now)))
    if snapshots:
        detail = f"an AMI of this definition was there and was deleted or disabled: its snapshot {snapshots[0]} is left"
        return _with(plan, Reason("ami-deleted", snapshots[0], detail))
    if previous is None:
        return _with(plan, _never_baked(plan))
    detail = f"the definition changed since {previous.id}, baked {describe_age(previous, now)}"
    if not changes:
        detail += ", which does not say what it was made of"
    reasons = (Reason(change.kind, change.subject, change.detail) for change in changes)
    return _with(plan, Reason("definition-changed", previous.id, detail), *reasons)


def _never_baked(plan: ImagePlan) -> Reason:
    detail = "no AMI found for this image"
    return Reason("never-baked", plan.image, detail)


def _known_besides(plan: ImagePlan, previous: Ami | None, changes: Sequence[Change], now: datetime) -> Iterator[Reason]:
    """Of an image whose base is still to be made. Nothing where the AMI before does not say what it was made of."""
    if previous is None:
        yield _never_baked(plan)
    elif changes:
        detail = f"besides, the definition changed since {previous.id}, baked {describe_age(previous, now)}"
        yield Reason("definition-changed", previous.id, detail)
        yield from (Reason(change.kind, change.subject, change.detail) for change in changes)
    elif COMPONENTS_TAG in previous.tags:
        detail = f"besides, nothing changed since {previous.id}, baked {describe_age(previous, now)}"
        yield Reason("otherwise-unchanged", previous.id, detail)


def describe_age(ami: Ami, now: datetime) -> str:
    """`3 days ago`; `at an unknown time` where EC2 tells no date."""
    return describe_span(ami.created, now)


def describe_span(since: datetime | None, now: datetime) -> str:
    if since is None:
        return "at an unknown time"
    seconds = max(0, int((now - since).total_seconds()))
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if count := seconds // length:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _with(plan: ImagePlan, *reasons: Reason) -> ImagePlan:
    return replace(plan, reasons=(*reasons, *plan.reasons))


def with_steps(
    plan: ImagePlan,
    upkeep: DesiredState,
    *,
    kms_keys: Mapping[str, str],
    made_by_packer: Sequence[str],
    permissions: Mapping[str, Permissions],
    stale_shares: Sequence[Ami] = (),
) -> ImagePlan:
    """The plan with all that a bake will do, in order.

    made_by_packer  further regions in which the template itself makes the AMI
    permissions     of the AMIs that are there, by id, as far as they are our business
    still_shared    AMIs beside those that count, of which something is to be taken back
    """
    if plan.action is Action.WAIT:
        return plan
    to_bake = plan.action in (Action.BAKE, Action.PENDING)
    home = plan.regions[0]
    baked = (home, *(region for region in made_by_packer if region != home)) if to_bake else ()
    there = {} if to_bake else plan.amis
    source = None if to_bake else plan.source
    right = {*there, *(region for region in baked if region not in kms_keys)}
    steps: list[Step] = []
    for older in stale_shares:
        steps += take_back_steps(older, upkeep, permissions.get(older.id))
    steps += (Step(kind=StepKind.BAKE, region=region) for region in baked)
    steps += (
        _copy_step(source, home, region, kms_keys.get(region, "")) for region in plan.regions if region not in right
    )
    for region in plan.regions:
        ami = there.get(region)
        steps += first_steps(region, upkeep) if ami is None else upkeep_steps(ami, upkeep, permissions.get(ami.id))
    if plan.action is Action.PENDING:
        steps = [replace(step, certain=step.kind in (StepKind.REVOKE, StepKind.TAG)) for step in steps]
    return replace(plan, steps=tuple(steps))


def step_lines(plan: ImagePlan) -> Iterator[str]:
    """What follows the bake itself; of permissions for AMIs that are still to be made, one line for all regions."""
    later: dict[Step, list[str]] = {}
    for step in plan.steps:
        if step.kind in (StepKind.GRANT, StepKind.REVOKE) and step.ami is None:
            later.setdefault(replace(step, region=""), []).append(step.region)
        elif step.kind is not StepKind.BAKE or step.region != plan.regions[0]:
            yield describe(step)
    for step, regions in later.items():
        yield describe(replace(step, region=", ".join(regions)))


def _copy_step(source: Ami | None, home: str, region: str, kms_key: str) -> Step:
    """`source` is None where that is still to be baked, in `home`."""
    return Step(
        kind=StepKind.COPY,
        region=region,
        ami=source.id if source else None,
        source=source.region if source else home,
        kms_key=kms_key,
    )


def _without_ami(
    digest: Digest, base: Collection[str] | None, found: Sequence[Ami]
) -> tuple[Action, tuple[Reason, ...]]:
    pending = [ami for ami in found if ami.state is AmiState.PENDING]
    if pending and digest.scheme is Scheme.SHA1:
        ami = pending[0]
        detail = f"{ami.id} of {ami.region} carries the digest and is pending"
        return Action.WAIT, (Reason("pending", ami.id, detail),)
    unusable = (
        Reason("not-finished", one.id, f"{one.id} of {one.region} has this digest but does not count: {why}")
        for one in found
        for why in [_why_not(one, base)]
    )
    return Action.BAKE, (Reason("no-ami", digest.hex, f"no AMI with digest {digest.short}"), *unusable)


def _why_not(ami: Ami, base: Collection[str] | None) -> str:
    if ami.available and not ami.verified:
        return "it was never verified (it lacks the tag ami-bakery:format)"
    if ami.available:
        wanted = " or ".join(base or ("another",))
        return f"it was made from {ami.tags.get(FROM_TAG, '')} (ami-bakery:from), and {wanted} is wanted"
    return f"it is {ami.state}" + (f" ({ami.state_reason})" if ami.state_reason else "")


def _baked_at(amis: Mapping[str, Ami], found: Sequence[Ami]) -> datetime | None:
    """When Packer made it: a copy has the date of the copy. Where the first AMI is gone, its run tells the time."""
    source = next(iter(amis.values()))
    origin = source.tags.get(ORIGIN_TAG)
    same = [ami for ami in found if ami.tags.get(ORIGIN_TAG) == origin] if origin else list(amis.values())
    moments = [ami.created for ami in same if ami.created is not None]
    began = run_began(source.tags.get(RUN_TAG, ""))
    if began is not None and origin not in {None, *(ami.id for ami in same)}:
        moments.append(began)
    return min(moments, default=None)


def _too_old(ami: Ami, baked: datetime | None, max_age: timedelta, now: datetime) -> Reason | None:
    if baked is None or now - baked <= max_age:
        return None
    age = describe_span(baked, now)
    return Reason("too-old", ami.id, f"{ami.id} was baked {age}, and max_age is {_describe(max_age)}")


def _describe(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds % length == 0:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"


def _reuse_reasons(wanted: Wanted, found: Sequence[Ami], amis: Mapping[str, Ami], now: datetime) -> Iterator[Reason]:
    for region, ami in amis.items():
        detail = f"{ami.id} ({region}, built {describe_age(ami, now)}) matches"
        yield Reason("unchanged", ami.id, detail)
        same = [other for other in found if other.region == region and other.id != ami.id and wanted.is_right(other)]
        others = [other.id for other in same if other.available]
        if others:
            yield Reason("multiple-amis", region, f"{len(others) + 1} AMIs match in {region}; using the newest")
