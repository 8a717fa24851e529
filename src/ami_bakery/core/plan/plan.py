"""Decides what a bake does for one image, and why. Decides from the AMIs that exist."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.ec2.ami import FROM_TAG, ORIGIN_TAG, Ami, AmiState, newest
from ami_bakery.core.ec2.run import RUN_TAG, run_began
from ami_bakery.core.plan.describe import describe_age, describe_duration, describe_time
from ami_bakery.core.plan.desired_state import (
    DesiredState,
    Permissions,
    Step,
    StepKind,
    new_ami_steps,
    reconcile_steps,
    revoke_steps,
)
from ami_bakery.core.plan.revoked import revoked_amis
from ami_bakery.core.plan.tested import AmiTestState, kept_ami, tested_state
from ami_bakery.values import Frozen, field, replace

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ami_bakery.core.lock.lock import LockRecord


class Action(StrEnum):
    REUSE = "reuse"
    BAKE = "bake"
    COPY = "copy"
    """Built, but not yet copied to all regions."""
    TEST = "test"
    """Built, but not tested by the current test. Nothing is built."""
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

    amis    the AMIs that exist and have the right key, by region; for the action `test`, they do not count yet
    source  the source of copies: the AMI in the build region; otherwise preferably one without a KMS key
    test    the digest of the image's test, as hex; empty if it has none
    steps   in order; empty if they were not requested
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
        return self.action in (Action.BAKE, Action.COPY, Action.TEST) and not forced

    @property
    def to_do(self) -> bool:
        return self.action is not Action.REUSE or bool(self.steps)

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(region for region in self.regions if region not in self.amis)


def present(found: Collection[Ami], wanted: Wanted) -> dict[str, Ami]:
    """Returns the matching AMIs by region: finished, available, with this digest, not revoked, and all of one build.

    AMIs of one build have the same origin tag. If there are several builds of a digest (`--force`), the newest one with
    an AMI in the build region is used; one that passed the current test is preferred. AMIs of an older build do not
    replace a missing copy. A copy counts as tested if its original is.
    """
    if wanted.digest is None:
        return {}
    bakes: dict[str, list[Ami]] = {}
    revoked = _revoked(found, wanted.digest)
    for ami in found:
        if (
            ami.id not in revoked
            and ami.available
            and ami.carries(wanted.digest, wanted.base)
            and ami.region in wanted.regions
        ):
            bakes.setdefault(ami.tags.get(ORIGIN_TAG, ""), []).append(ami)
    candidates = []
    for amis in bakes.values():
        at_home = newest(ami for ami in amis if ami.region == wanted.regions[0])
        chosen = at_home or newest(amis)
        if chosen is not None:
            candidates.append(((wanted.is_tested(chosen), at_home is not None), chosen, amis))
    if not candidates:
        return {}
    preferred = max(rank for rank, _, _ in candidates)
    best = newest(chosen for rank, chosen, _ in candidates if rank == preferred)
    amis = next(amis for _, chosen, amis in candidates if chosen == best)
    by_region = {}
    for region in wanted.regions:
        there = [ami for ami in amis if ami.region == region]
        best_there = newest(filter(wanted.has_right_key, there)) or newest(there)
        if best_there is not None:
            by_region[region] = best_there
    return by_region


def _revoked(found: Collection[Ami], digest: Digest) -> Mapping[str, str]:
    """Returns why AMIs are revoked, by id. The drop-in mode knows no revocation."""
    return revoked_amis(found) if digest.scheme is Scheme.SHA256 else {}


def decide(
    wanted: Wanted,
    found: Sequence[Ami],
    *,
    now: datetime,
    force: bool = False,
    failed: Sequence[Ami] = (),
) -> ImagePlan:
    """Decides the action of an image.

    found   the AMIs with its digest in all regions, in any state
    failed  AMIs without a digest that failed the image's test

    A plan to build has the reasons that follow from `found`; `explain` adds the changes since the previous AMI.
    """
    there = present(found, wanted)
    kept = None if there or force else _kept(failed, wanted)
    if kept is not None:
        there, found = {kept.region: kept}, (*found, kept)
    action, reasons = _decide(wanted, found, there, now, force)
    source = _source(there, wanted) if there else None
    if source is not None and action is not Action.TEST and not wanted.is_tested(source):
        # An AMI that did not pass its test is not a result, even if it is not tested again.
        there, source = {}, None
    return ImagePlan(
        image=wanted.image,
        action=action,
        digest=wanted.digest,
        reasons=reasons,
        regions=wanted.regions,
        amis={region: ami for region, ami in there.items() if wanted.has_right_key(ami)},
        source=source,
        test=wanted.test,
    )


def _kept(failed: Sequence[Ami], wanted: Wanted) -> Ami | None:
    if not wanted.test or wanted.digest is None:
        return None
    return kept_ami(failed, wanted.digest, wanted.base, wanted.regions[0])


def _decide(
    wanted: Wanted, found: Sequence[Ami], amis: Mapping[str, Ami], now: datetime, force: bool
) -> tuple[Action, tuple[Reason, ...]]:
    """Chooses the action; each branch records its reason."""
    forced = (Reason("forced", "--force", "a rebuild was requested with --force"),) if force else ()
    if wanted.digest is None:
        return Action.PENDING, (*forced, _base_reason(wanted))
    if force:
        return Action.BAKE, forced
    if not amis:
        return _without_ami(wanted.digest, wanted.base, found)
    source = _source(amis, wanted)
    if wanted.max_age is not None and (old := _too_old(source, _baked_at(amis, found), wanted.max_age, now)):
        return Action.BAKE, (old,)
    if not wanted.is_tested(source):
        if source.region != wanted.regions[0]:
            return Action.BAKE, (_no_ami_to_test(source, wanted, now),)
        return Action.TEST, (_test_reason(source, wanted.test, now),)
    copies = tuple(_copy_reasons(wanted, amis, source))
    if copies:
        return Action.COPY, copies
    return Action.REUSE, tuple(_reuse_reasons(wanted, found, amis, now))


def _source(there: Mapping[str, Ami], wanted: Wanted) -> Ami:
    """Returns the source of copies: the AMI in the build region, or preferably one without a KMS key.

    A copy of an encrypted AMI is encrypted, too. Back in the build region it would get the account's default key, and
    such an AMI cannot be shared.
    """
    at_home = there.get(wanted.regions[0])
    return at_home or min(there.values(), key=lambda ami: ami.kms_key != "")


def _base_reason(wanted: Wanted) -> Reason:
    if wanted.copied_base:
        detail = f"waiting for the copy of parent image '{wanted.awaits}' to {wanted.regions[0]}, which has a new id"
        return Reason("base-to-be-copied", wanted.awaits or "", detail)
    return Reason("base-to-be-baked", wanted.awaits or "", f"waiting for parent image '{wanted.awaits}'")


def _copy_reasons(wanted: Wanted, amis: Mapping[str, Ami], source: Ami) -> Iterator[Reason]:
    for region in wanted.regions:
        ami = amis.get(region)
        if ami is None:
            yield Reason("region-missing", region, f"{source.id} ({source.region}) is not yet copied to {region}")
        elif not wanted.has_right_key(ami):
            key = wanted.kms_keys.get(region, "")
            detail = f"{ami.id} ({region}) was copied with {_key(ami.kms_key)}, but {_key(key)} is configured"
            yield Reason("key-changed", region, detail)


def _test_reason(ami: Ami, test: str, now: datetime) -> Reason:
    named = f"{ami.id} ({ami.region}, built {describe_age(ami, now)})"
    match tested_state(ami, test):
        case AmiTestState.FAILED:
            return Reason("test-failed", ami.id, f"{named} failed its test and is tested again")
        case AmiTestState.CHANGED:
            return Reason("test-changed", ami.id, f"the test changed since {named} passed it")
        case AmiTestState.UNTESTED | AmiTestState.PASSED:
            return Reason("untested", ami.id, f"{named} was never tested")


def _no_ami_to_test(copy: Ami, wanted: Wanted, now: datetime) -> Reason:
    """Returns the reason if the build region has no AMI to test.

    An AMI is tested only in the build region, where the test's template starts its instance.
    """
    reason = _test_reason(copy, wanted.test, now)
    return replace(reason, detail=f"{reason.detail}, and there is no AMI in {wanted.regions[0]} to test")


def _key(key: str) -> str:
    return f"the key {key}" if key else "no key"


def verify_bases(plan: ImagePlan, bases: Sequence[str], known: Mapping[str, Ami], *, now: datetime) -> ImagePlan:
    """Plans a build if a source AMI is missing or deprecated.

    Changes only plans to reuse, copy or test.

    known  the source AMIs that still exist

    The plan does not change if the AMI was built after the deprecation.
    """
    chosen = plan.source
    if plan.action not in (Action.REUSE, Action.COPY, Action.TEST) or chosen is None:
        return plan
    reasons = []
    for base in bases:
        ami = known.get(base)
        deprecated = ami.deprecated_at if ami else None
        if ami is None:
            reasons.append(Reason("base-missing", base, f"the source AMI {base} no longer exists"))
        elif deprecated and deprecated <= now and (chosen.created is None or chosen.created < deprecated):
            detail = f"the source AMI {base} was deprecated after {chosen.id} was built"
            reasons.append(Reason("base-deprecated", base, detail))
    if not reasons:
        return plan
    if plan.action is Action.TEST:
        plan = replace(plan, amis={}, source=None)
    return replace(plan, action=Action.BAKE, reasons=tuple(reasons))


def being_baked(plan: ImagePlan, lock: LockRecord) -> ImagePlan:
    """Changes a plan to wait for the runner that holds the lock. The plan was to build, copy or test."""
    reason = Reason("being-baked", lock.holder, f"another runner is building it: {lock.describe()}")
    return replace(plan, action=Action.WAIT, reasons=(reason, *plan.reasons))


def with_steps(
    plan: ImagePlan,
    desired: DesiredState,
    *,
    kms_keys: Mapping[str, str],
    made_by_packer: Sequence[str],
    permissions: Mapping[str, Permissions],
    stale_shares: Sequence[Ami] = (),
) -> ImagePlan:
    """Adds all steps of a bake, in order.

    made_by_packer  more regions in which the template itself creates the AMI
    permissions     of existing AMIs, by id, if ami-bakery manages them
    stale_shares    other AMIs whose shares must be revoked
    """
    if plan.action is Action.WAIT:
        return plan
    to_build = plan.action in (Action.BAKE, Action.PENDING)
    home = plan.regions[0]
    to_test = plan.test and (to_build or plan.action is Action.TEST)
    built = (home, *(region for region in made_by_packer if region != home)) if to_build else ()
    existing = {} if to_build else plan.amis
    source = None if to_build else plan.source
    without_copy = {*existing, *(region for region in built if region not in kms_keys)}
    steps: list[Step] = []
    for ami in stale_shares:
        steps += revoke_steps(ami, desired, permissions.get(ami.id))
    steps += (Step(kind=StepKind.BAKE, region=region) for region in built)
    if to_test:
        where = source.region if source else home
        steps.append(Step(kind=StepKind.TEST, region=where, ami=source.id if source else None))
    steps += (
        _copy_step(source, home, region, kms_keys.get(region, ""))
        for region in plan.regions
        if region not in without_copy
    )
    for region in plan.regions:
        if region in existing:
            current = existing[region]
            steps += reconcile_steps(current, desired, permissions.get(current.id))
        else:
            steps += new_ami_steps(region, desired)
    if plan.action is Action.PENDING:
        steps = [replace(step, certain=step.kind in (StepKind.REVOKE, StepKind.TAG)) for step in steps]
    return replace(plan, steps=tuple(steps))


def _copy_step(source: Ami | None, home: str, region: str, kms_key: str) -> Step:
    """`source` is None if it is still to be built, in `home`."""
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
        detail = f"{ami.id} ({ami.region}) has this digest and is pending"
        return Action.WAIT, (Reason("pending", ami.id, detail),)
    revoked = _revoked(found, digest)
    unusable = tuple(
        Reason("not-finished", ami.id, f"{ami.id} ({ami.region}) has this digest but does not count: {why}")
        for ami in found
        if ami.id not in revoked
        for why in [_why_not(ami, base)]
    )
    if revoked:
        # The definition did not change, so there is nothing to explain.
        reasons = (
            Reason("revoked", ami.id, f"{ami.id} ({ami.region}) is revoked: {revoked[ami.id]}")
            for ami in found
            if ami.id in revoked
        )
        return Action.BAKE, (*reasons, *unusable)
    return Action.BAKE, (Reason("no-ami", digest.hex, f"no AMI with digest {digest.short}"), *unusable)


def _why_not(ami: Ami, base: Collection[str] | None) -> str:
    if ami.available and not ami.verified:
        return "it was never verified (it has no tag ami-bakery:format)"
    if ami.available:
        wanted = " or ".join(base or ("another",))
        return f"its source AMI is {ami.tags.get(FROM_TAG, '')} (ami-bakery:from), not {wanted}"
    return f"it is {ami.state}" + (f" ({ami.state_reason})" if ami.state_reason else "")


def _baked_at(amis: Mapping[str, Ami], found: Sequence[Ami]) -> datetime | None:
    """When Packer built the AMI: a copy has a later date. If the original is missing, the run id has the time."""
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
    detail = f"{ami.id} was built {describe_time(baked, now)}, and max_age is {describe_duration(max_age)}"
    return Reason("too-old", ami.id, detail)


def _reuse_reasons(wanted: Wanted, found: Sequence[Ami], amis: Mapping[str, Ami], now: datetime) -> Iterator[Reason]:
    for region, ami in amis.items():
        passed = " and passed its test" if wanted.test else ""
        detail = f"{ami.id} ({region}, built {describe_age(ami, now)}) matches{passed}"
        yield Reason("unchanged", ami.id, detail)
        same = [
            other for other in found if other.region == region and other.id != ami.id and wanted.has_right_key(other)
        ]
        others = [other.id for other in same if other.available and not other.revoked]
        if others:
            yield Reason("multiple-amis", region, f"{len(others) + 1} AMIs match in {region}; using the newest")
