"""Decides what prune does with each finished AMI, and why.

A build and its copies are decided together: what keeps one of them keeps all. Whatever is used, wanted or unknown is
kept. Everything else is disabled first, and deregistered when its quarantine has ended, children before parents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from datetime import datetime

    from ami_bakery.core.config.model import RetentionPolicy
    from ami_bakery.core.ec2.lineage import AmiKey
    from ami_bakery.core.prune.prunable import PrunableAmi

_DAY = timedelta(days=1)
_SHOWN = 3
_EXPIRED = "nothing needs it"


class PruneAction(StrEnum):
    KEEP = "keep"
    ENABLE = "enable"
    """Keep it, and end its quarantine: enable it again."""
    REPORT = "report"
    """Keep it, and request a usage report, which a later run reads."""
    DISABLE = "disable"
    WAIT = "wait"
    """Disabled; its quarantine has not ended."""
    DEREGISTER = "deregister"

    @property
    def changes(self) -> bool:
        """Whether it counts towards the limits of a run."""
        return self in (PruneAction.DISABLE, PruneAction.DEREGISTER)


class PruneReason(StrEnum):
    CURRENT = "current"
    CHANNEL = "channel"
    IN_USE = "in-use"
    UNKNOWN = "unknown"
    NO_POLICY = "no-policy"
    LAST = "last"
    WITHIN = "within"
    YOUNG = "young"
    PARENT = "parent"
    PROTECTED = "protected"
    SHARED = "shared"
    LIMIT = "limit"
    QUARANTINE = "quarantine"
    EXPIRED = "expired"
    """Nothing keeps it."""


class PruneSettings(Frozen):
    """Settings of one run.

    quarantine  how long an AMI is disabled before it is deregistered; zero deregisters at once
    limit       the maximum number of AMIs that one run changes
    percent     the same, in percent of all finished AMIs, rounded up
    """

    quarantine: timedelta = timedelta(days=14)
    limit: int = 50
    percent: float = 25.0


class PruneDecision(Frozen):
    """What happens to one AMI.

    detail  the channel, resource, account or date that decides, as a clause; may be empty
    """

    ami: PrunableAmi
    action: PruneAction
    reason: PruneReason
    detail: str = ""

    @property
    def why(self) -> str:
        """The reason and its detail, for users."""
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


_ENDS_QUARANTINE = frozenset(
    {PruneReason.CURRENT, PruneReason.CHANNEL, PruneReason.IN_USE, PruneReason.LAST, PruneReason.WITHIN}
)


class _Build(Frozen):
    """A build and its copies.

    parents  the builds that it was built from
    """

    key: AmiKey
    amis: tuple[PrunableAmi, ...]
    parents: tuple[AmiKey, ...]

    @property
    def copies_first(self) -> list[PrunableAmi]:
        return sorted(self.amis, key=lambda ami: (ami.key == self.key, ami.key))

    @property
    def image(self) -> str:
        return self.amis[0].image

    @property
    def revoked(self) -> bool:
        return any(ami.revoked for ami in self.amis)

    @property
    def disabled(self) -> bool:
        return all(ami.disabled for ami in self.amis)

    @property
    def built_at(self) -> datetime | None:
        """When the newest of its AMIs was created; None if unknown."""
        known = [ami.created for ami in self.amis if ami.created is not None]
        return max(known) if len(known) == len(self.amis) else None

    @property
    def age(self) -> tuple[float, AmiKey]:
        """A key that sorts builds by age, oldest first, undated ones last."""
        built = self.built_at
        return built.timestamp() if built else float("inf"), self.key


class _Verdict(Frozen):
    """What happens to a build and all its copies."""

    action: PruneAction
    reason: PruneReason
    detail: str = ""
    ends_quarantine: bool = False

    @property
    def keeps(self) -> bool:
        return self.action in (PruneAction.KEEP, PruneAction.REPORT)


def decide_pruning(
    amis: Iterable[PrunableAmi],
    policies: Mapping[str, RetentionPolicy | None],
    settings: PruneSettings,
    now: datetime,
) -> tuple[PruneDecision, ...]:
    """Returns a decision for each AMI, in the order of execution.

    Children come before their parents, copies before the AMI that Packer created. A parent is deregistered only if all
    its children are.

    amis      all finished AMIs of all images; an AMI that is missing here protects no parent
    policies  the policy of each image; without one, all AMIs of the image are kept
    """
    builds = _children_first(_group(amis))
    last = _last_builds(builds, policies)
    verdicts = {
        build.key: _keep(build, policies.get(build.image), build.key in last, now) or _retire(build, settings, now)
        for build in builds
    }
    _keep_parents(builds, verdicts)
    _make_parents_wait(builds, verdicts)
    _apply_limits(builds, verdicts, settings)
    return tuple(
        PruneDecision(ami=ami, action=_step(ami, verdict), reason=verdict.reason, detail=verdict.detail)
        for build, verdict in ((build, verdicts[build.key]) for build in builds)
        for ami in build.copies_first
    )


def _group(amis: Iterable[PrunableAmi]) -> dict[AmiKey, _Build]:
    """Groups the AMIs by the AMI that Packer created."""
    members: dict[AmiKey, list[PrunableAmi]] = {}
    for ami in sorted(amis, key=lambda ami: ami.key):
        members.setdefault(ami.build, []).append(ami)
    owners = {ami.key: build for build, found in members.items() for ami in found}
    return {
        build: _Build(
            key=build,
            amis=tuple(found),
            parents=tuple(
                {owners[base]: None for ami in found for base in ami.bases if base in owners and owners[base] != build}
            ),
        )
        for build, found in members.items()
    }


def _children_first(builds: Mapping[AmiKey, _Build]) -> tuple[_Build, ...]:
    """Sorts the builds: children before parents, otherwise the oldest first.

    Anyone can write tags: the order of builds that are their own ancestors is arbitrary, but always the same.
    """
    children: dict[AmiKey, list[AmiKey]] = {}
    by_age = sorted(builds.values(), key=lambda build: build.age)
    for build in by_age:
        for parent in build.parents:
            children.setdefault(parent, []).append(build.key)
    order: dict[AmiKey, _Build] = {}
    for root in by_age:
        stack, seen = [(root.key, False)], set(order)
        while stack:
            key, expanded = stack.pop()
            if expanded:
                order[key] = builds[key]
            elif key not in seen:
                seen.add(key)
                stack.append((key, True))
                stack += [(child, False) for child in reversed(children.get(key, []))]
    return tuple(order.values())


def _last_builds(builds: Iterable[_Build], policies: Mapping[str, RetentionPolicy | None]) -> set[AmiKey]:
    """Returns the newest builds that the policies keep, without revoked ones."""
    by_image: dict[str, list[_Build]] = {}
    for build in builds:
        if not build.revoked:
            by_image.setdefault(build.image, []).append(build)
    last: set[AmiKey] = set()
    for image, of_image in by_image.items():
        policy = policies.get(image)
        of_image.sort(key=lambda build: build.age, reverse=True)
        last.update(build.key for build in of_image[: policy.last if policy else 0])
    return last


def _keep(build: _Build, policy: RetentionPolicy | None, last: bool, now: datetime) -> _Verdict | None:
    """Returns why a build is kept; None if only a child or another account may keep it."""
    return _wanted(build) or _unknown(build, policy, now) or _kept_by_policy(build, policy, last, now)


def _wanted(build: _Build) -> _Verdict | None:
    if any(ami.current and not ami.revoked for ami in build.amis):
        return _kept(PruneReason.CURRENT)
    if held := [channel for ami in build.amis for channel in ami.channels]:
        return _kept(PruneReason.CHANNEL, ", ".join(dict.fromkeys(held)))
    for ami in build.amis:
        if ami.rollbacks and not build.revoked:
            return _kept(PruneReason.CHANNEL, f"roll-back of {', '.join(ami.rollbacks)}")
    uses = [use for ami in build.amis for use in ami.uses]
    return _kept(PruneReason.IN_USE, _some(uses)) if uses else None


def _some(names: Sequence[str]) -> str:
    """Names the first ones, and counts the others."""
    rest = len(names) - _SHOWN
    return ", ".join(names) if rest <= 1 else f"{', '.join(names[:_SHOWN])} and {rest} more"


def _unknown(build: _Build, policy: RetentionPolicy | None, now: datetime) -> _Verdict | None:
    for ami in build.amis:
        if ami.unknown:
            return _kept(PruneReason.UNKNOWN, ami.unknown)
        if ami.disabled and ami.quarantined is None:
            return _kept(PruneReason.UNKNOWN, "disabled, but not by prune")
    if build.built_at is None:
        return _kept(PruneReason.UNKNOWN, "EC2 has no creation date")
    if build.built_at > now:
        return _kept(PruneReason.UNKNOWN, "its creation date is in the future")
    return _kept(PruneReason.NO_POLICY) if policy is None else None


def _kept_by_policy(build: _Build, policy: RetentionPolicy | None, last: bool, now: datetime) -> _Verdict | None:
    assert policy is not None and build.built_at is not None
    age = now - build.built_at
    if last:
        return _kept(
            PruneReason.LAST, "the newest build" if policy.last == 1 else f"one of the newest {policy.last} builds"
        )
    if policy.within is not None and not build.revoked and age < policy.within:
        return _kept(PruneReason.WITHIN)
    if age < _DAY:
        return _kept(PruneReason.YOUNG, "less than a day old")
    for ami in build.amis:
        if ami.enabled is not None and now - ami.enabled < _DAY:
            return _kept(PruneReason.YOUNG, f"enabled again at {ami.enabled:%Y-%m-%d %H:%M}Z")
        if ami.protected:
            return _kept(PruneReason.PROTECTED, ami.protected)
        if ami.children:
            return _kept(PruneReason.PARENT, f"{_some(ami.children)} was built from it")
    return None


def _kept(reason: PruneReason, detail: str = "") -> _Verdict:
    return _Verdict(action=PruneAction.KEEP, reason=reason, detail=detail)


def _retire(build: _Build, settings: PruneSettings, now: datetime) -> _Verdict:
    """Returns a build's next step if only other accounts may keep it."""
    begun = [ami.quarantined for ami in build.amis if ami.quarantined is not None and ami.disabled]
    complete = len(begun) == len(build.amis)
    users = _users_elsewhere(build, max(begun) if complete else None, now)
    if users is not None:
        return users
    if not settings.quarantine:
        return _Verdict(action=PruneAction.DEREGISTER, reason=PruneReason.EXPIRED, detail=_EXPIRED)
    if not complete:
        return _Verdict(action=PruneAction.DISABLE, reason=PruneReason.EXPIRED, detail=_EXPIRED)
    # Anyone can write tags: a date may be years ahead.
    end = min(max(begun), now + settings.quarantine) + settings.quarantine
    if now < end:
        return _Verdict(action=PruneAction.WAIT, reason=PruneReason.QUARANTINE, detail=f"until {end:%Y-%m-%d %H:%M}Z")
    return _Verdict(action=PruneAction.DEREGISTER, reason=PruneReason.QUARANTINE, detail=f"ended {end:%Y-%m-%d %H:%M}Z")


def _users_elsewhere(build: _Build, since: datetime | None, now: datetime) -> _Verdict | None:
    """Returns why a shared build is kept; None if no account uses it. A new report is requested at most once a day.

    since  the report must be newer than this
    """
    for ami in build.amis:
        if not ami.shared_with:
            continue
        report, accounts = ami.report, f"with {', '.join(ami.shared_with)}"
        if report is None or (since is not None and report.created <= since):
            missing = "no usage report yet" if since is None else "no usage report since it was disabled"
            return _Verdict(action=PruneAction.REPORT, reason=PruneReason.SHARED, detail=f"{accounts}; {missing}")
        if report.used_by is None:
            return _kept(PruneReason.SHARED, f"{accounts}; its usage report is not finished")
        if report.used_by:
            # A disabled one is enabled now: its users cannot launch it.
            again = now - report.created >= _DAY and not any(one.disabled for one in build.amis)
            action, used = PruneAction.REPORT if again else PruneAction.KEEP, f"used by {_some(report.used_by)}"
            return _Verdict(action=action, reason=PruneReason.SHARED, detail=used, ends_quarantine=True)
    return None


def _keep_parents(builds: Iterable[_Build], verdicts: dict[AmiKey, _Verdict]) -> None:
    """Keeps the parents of kept builds, and their parents. `builds`: children first."""
    by_key = {build.key: build for build in builds}
    unseen = [build for build in by_key.values() if verdicts[build.key].keeps]
    while unseen:
        child = unseen.pop()
        for parent in child.parents:
            if not verdicts[parent].keeps:
                verdicts[parent] = _kept(PruneReason.PARENT, f"{child.image} {child.key.id} was built from it")
                unseen.append(by_key[parent])


def _make_parents_wait(builds: Iterable[_Build], verdicts: dict[AmiKey, _Verdict]) -> None:
    """Delays the deregistration of a parent until all its children are deregistered. `builds`: children first."""
    by_key = {build.key: build for build in builds}
    unseen = [build for build in by_key.values() if verdicts[build.key].action is not PruneAction.DEREGISTER]
    while unseen:
        child = unseen.pop()
        for parent in child.parents:
            if verdicts[parent].action is PruneAction.DEREGISTER:
                action = PruneAction.WAIT if by_key[parent].disabled else PruneAction.DISABLE
                verdicts[parent] = _Verdict(
                    action=action, reason=PruneReason.PARENT, detail=f"{child.image} {child.key.id} still exists"
                )
                unseen.append(by_key[parent])


def _apply_limits(builds: Sequence[_Build], verdicts: dict[AmiKey, _Verdict], settings: PruneSettings) -> None:
    """Delays what exceeds the limits to a later run. The oldest builds come first; `builds`: children first.

    A percentage above zero always allows one build; otherwise a small account would never be pruned.
    """
    wanted = [build for build in builds if verdicts[build.key].action.changes]
    if not wanted:
        return
    share = ceil(sum(len(build.amis) for build in builds) * settings.percent / 100)
    most = len(wanted[0].amis)
    allowed = min(settings.limit, max(share, most) if settings.percent else 0)
    for build in wanted:
        allowed -= sum(_step(ami, verdicts[build.key]).changes for ami in build.amis)
        if allowed < 0:
            # Later builds are delayed, too: among them are the parents of this one.
            action = PruneAction.WAIT if build.disabled else PruneAction.KEEP
            detail = (
                "a later run continues"
                if settings.limit >= most
                else f"--limit is too low for {most} AMIs of one build"
            )
            verdicts[build.key] = _Verdict(action=action, reason=PruneReason.LIMIT, detail=detail)


def _step(ami: PrunableAmi, verdict: _Verdict) -> PruneAction:
    """Returns what happens to one AMI of a build."""
    if verdict.action is PruneAction.DISABLE and ami.disabled:
        return PruneAction.WAIT
    if verdict.action is PruneAction.REPORT and not ami.shared_with:
        return PruneAction.KEEP
    # An AMI that prune did not disable is not enabled. An available AMI with these tags: a run was interrupted.
    wanted = verdict.action is PruneAction.KEEP and (verdict.ends_quarantine or verdict.reason in _ENDS_QUARANTINE)
    return PruneAction.ENABLE if wanted and ami.quarantined is not None and not ami.revoked else verdict.action
