"""Decides what a bake does for one image, and why. Decides from the AMIs that exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.ec2.ami import FROM_TAG, ORIGIN_TAG, Ami, AmiState, newest
from ami_bakery.core.ec2.run import RUN_TAG, run_began
from ami_bakery.core.plan.describe import describe_age, describe_duration, describe_time
from ami_bakery.core.plan.enabling import enabling_candidates, enabling_reason, in_quarantine, must_be_enabled
from ami_bakery.core.plan.plan import Action, ImagePlan, Reason, Wanted
from ami_bakery.core.plan.revoked import revoked_amis
from ami_bakery.core.plan.tested import AmiTestState, kept_ami, tested_state
from ami_bakery.values import replace

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ami_bakery.core.lock.lock import LockRecord


def present(found: Collection[Ami], wanted: Wanted) -> dict[str, Ami]:
    """Returns the matching AMIs by region: finished, with this digest, not revoked, and all of one build.

    They are available, or prune disabled them: see `must_be_enabled`. A build with an available AMI is preferred.

    AMIs of one build have the same origin tag. If there are several builds of a digest (`--force`), the newest one with
    an AMI in the build region is used; one that passed the current test is preferred. AMIs of an older build do not
    replace a missing copy. A copy counts as tested if its original is.
    """
    if wanted.digest is None:
        return {}
    bakes: dict[str, list[Ami]] = {}
    revoked = _revoked(found, wanted.digest)
    usable = tuple(ami for ami in found if ami.available)
    if wanted.digest.scheme is Scheme.SHA256:
        usable += enabling_candidates(found)
    for ami in usable:
        if ami.id not in revoked and ami.carries(wanted.digest, wanted.base) and ami.region in wanted.regions:
            bakes.setdefault(ami.tags.get(ORIGIN_TAG, ""), []).append(ami)
    candidates = []
    for amis in bakes.values():
        at_home = _best(ami for ami in amis if ami.region == wanted.regions[0])
        chosen = at_home or _best(amis)
        if chosen is not None:
            candidates.append(((chosen.available, wanted.is_tested(chosen), at_home is not None), chosen, amis))
    if not candidates:
        return {}
    preferred = max(rank for rank, _, _ in candidates)
    best = newest(chosen for rank, chosen, _ in candidates if rank == preferred)
    amis = next(amis for _, chosen, amis in candidates if chosen == best)
    by_region = {}
    for region in wanted.regions:
        there = [ami for ami in amis if ami.region == region]
        best_there = _best(filter(wanted.has_right_key, there)) or _best(there)
        if best_there is not None:
            by_region[region] = best_there
    return by_region


def _best(amis: Iterable[Ami]) -> Ami | None:
    """Returns the newest available AMI; if there is none, the newest one in quarantine."""
    listed = tuple(amis)
    return newest(ami for ami in listed if ami.available) or newest(listed)


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
    if action is not Action.ENABLE:
        there = {region: ami for region, ami in there.items() if ami.available}
    source = _source(there, wanted) if there else None
    if source is not None and action not in (Action.TEST, Action.ENABLE) and not wanted.is_tested(source):
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
        to_enable=_to_enable(wanted, there, source) if action is Action.ENABLE and source is not None else (),
    )


def _to_enable(wanted: Wanted, amis: Mapping[str, Ami], source: Ami) -> tuple[Ami, ...]:
    """Returns the AMIs to enable. A copy with another key than the configured one is replaced, so it is not enabled."""
    return tuple(ami for ami in amis.values() if must_be_enabled(ami) and (ami == source or wanted.has_right_key(ami)))


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
    untested: tuple[Reason, ...] = ()
    if not wanted.is_tested(source):
        if source.region != wanted.regions[0]:
            return Action.BAKE, (_no_ami_to_test(source, wanted, now),)
        untested = (_test_reason(source, wanted.test, now),)
    copies = tuple(_copy_reasons(wanted, amis, source))
    if to_enable := _to_enable(wanted, amis, source):
        return Action.ENABLE, (*(enabling_reason(ami, now) for ami in to_enable), *untested, *copies)
    if untested:
        return Action.TEST, untested
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

    Changes only plans to reuse, copy, test or enable.

    known  the source AMIs that still exist

    The plan does not change if the AMI was built after the deprecation.
    """
    chosen = plan.source
    if plan.action in (Action.BAKE, Action.PENDING, Action.WAIT) or chosen is None:
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
    if plan.action in (Action.TEST, Action.ENABLE):
        plan = replace(plan, amis={}, source=None, to_enable=())
    return replace(plan, action=Action.BAKE, reasons=tuple(reasons))


def being_baked(plan: ImagePlan, lock: LockRecord) -> ImagePlan:
    """Changes a plan to wait for the runner that holds the lock. The plan was to build, copy, test or enable."""
    reason = Reason("being-baked", lock.holder, f"another runner is building it: {lock.describe()}")
    return replace(plan, action=Action.WAIT, reasons=(reason, *plan.reasons))


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
    if ami.state is AmiState.DISABLED and not in_quarantine(ami):
        return "it is disabled, but not by prune"
    if not ami.available and not in_quarantine(ami):
        return f"it is {ami.state}" + (f" ({ami.state_reason})" if ami.state_reason else "")
    if not ami.verified:
        return "it was never verified (it has no tag ami-bakery:format)"
    if not ami.is_recorded_from(base):
        wanted = " or ".join(base or ("another",))
        return f"its source AMI is {ami.tags.get(FROM_TAG, '')} (ami-bakery:from), not {wanted}"
    if ami.test_failed:
        return "prune disabled it, and it failed its test"
    return "prune disabled it, and it is being deregistered"


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
