"""Which finished AMIs prune keeps, disables and deregisters, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami_bakery.core.config.model import RetentionPolicy
from ami_bakery.core.ec2.lineage import AmiKey
from ami_bakery.core.prune.prunable import PrunableAmi, UsageReport
from ami_bakery.core.prune.retention import PruneAction, PruneDecision, PruneReason, PruneSettings, decide_pruning
from ami_bakery.values import replace

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
UNLIMITED = PruneSettings(quarantine=14 * DAY, limit=10**6, percent=100)
AT_ONCE = PruneSettings(quarantine=timedelta(), limit=10**6, percent=100)
NOTHING = RetentionPolicy()


def ami(number: int, **more: Any) -> PrunableAmi:
    """An AMI of image `app` that was built `number` days ago."""
    key = AmiKey("us-east-1", f"ami-{number:04}")
    fields: dict[str, Any] = {"image": "app", "key": key, "build": key, "created": NOW - number * DAY, **more}
    return PrunableAmi(**fields)


def copy_of(original: PrunableAmi, region: str = "eu-west-1", **more: Any) -> PrunableAmi:
    return replace(original, key=AmiKey(region, original.key.id), **more)


def decisions(
    *amis: PrunableAmi, policy: RetentionPolicy | None = NOTHING, how: PruneSettings = UNLIMITED
) -> Sequence[PruneDecision]:
    return decide_pruning(amis, {"app": policy, "base": policy}, how, NOW)


def steps(*amis: PrunableAmi, policy: RetentionPolicy | None = NOTHING, how: PruneSettings = UNLIMITED) -> list[str]:
    """The decisions in their order: `ami-0003 disable expired`."""
    return [f"{one.ami.key.id} {one.action} {one.reason}" for one in decisions(*amis, policy=policy, how=how)]


def test_old_ami_is_disabled_first_and_deregistered_after_its_quarantine() -> None:
    assert steps(ami(9)) == ["ami-0009 disable expired"]
    assert steps(ami(9, disabled=True, quarantined=NOW - 13 * DAY)) == ["ami-0009 wait quarantine"]
    assert steps(ami(9, disabled=True, quarantined=NOW - 14 * DAY)) == ["ami-0009 deregister quarantine"]
    assert steps(ami(9), how=AT_ONCE) == ["ami-0009 deregister expired"]


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        ({"current": True}, "current"),
        ({"channels": ("prod",)}, "channel"),
        ({"rollbacks": ("prod",)}, "channel"),
        ({"uses": ("instance i-1",)}, "in-use"),
        ({"unknown": "DescribeImageReferences: UnauthorizedOperation"}, "unknown"),
        ({"created": None}, "unknown"),
        ({"created": NOW + DAY}, "unknown"),
        ({"disabled": True}, "unknown"),
        ({"created": NOW - timedelta(hours=23)}, "young"),
        ({"protected": "deregistration protection is on"}, "protected"),
        ({"children": ("ami-9999",)}, "parent"),
        ({"enabled": NOW - timedelta(hours=23)}, "young"),
    ],
)
def test_each_fact_keeps_a_build_and_its_copies(fact: Mapping[str, Any], reason: str) -> None:
    assert steps(ami(9, **fact)) == [f"ami-0009 keep {reason}"]
    original = ami(9)
    assert steps(original, copy_of(original, **fact)) == [f"ami-0009 keep {reason}"] * 2


def test_policy_keeps_the_newest_builds_and_those_within_a_duration() -> None:
    policy = RetentionPolicy(last=2, within=20 * DAY)
    assert steps(ami(5), ami(10), ami(15), ami(25), policy=policy) == [
        "ami-0025 disable expired",
        "ami-0015 keep within",
        "ami-0010 keep last",
        "ami-0005 keep last",
    ]


def test_revoked_ami_does_not_count_as_one_of_the_newest() -> None:
    assert steps(ami(5, revoked=True), ami(10), policy=RetentionPolicy(last=1)) == [
        "ami-0010 keep last",
        "ami-0005 disable expired",
    ]
    assert steps(ami(5, revoked=True, current=True)) == ["ami-0005 disable expired"]
    assert steps(ami(5, revoked=True, rollbacks=("prod",))) == ["ami-0005 disable expired"]
    assert steps(ami(5, revoked=True, channels=("prod",))) == ["ami-0005 keep channel"], "a channel still has it"


def test_image_without_a_policy_is_kept() -> None:
    assert steps(ami(900), policy=None) == ["ami-0900 keep no-policy"]
    assert decide_pruning([ami(900)], {}, UNLIMITED, NOW)[0].reason is PruneReason.NO_POLICY


def test_parents_of_a_kept_build_are_kept() -> None:
    grandparent, parent = ami(30, image="base"), ami(20, image="base", bases=(ami(30).key,))
    child = ami(10, bases=(parent.key,), channels=("prod",))
    assert steps(child, parent, grandparent) == [
        "ami-0010 keep channel",
        "ami-0020 keep parent",
        "ami-0030 keep parent",
    ]


def test_parent_of_a_shared_build_is_kept() -> None:
    parent = ami(20, image="base")
    assert steps(parent, ami(10, bases=(parent.key,), shared_with=("1",))) == [
        "ami-0010 report shared",
        "ami-0020 keep parent",
    ]


def test_children_are_deregistered_before_their_parents_and_copies_before_the_original() -> None:
    parent = ami(30, image="base")
    original = ami(10, bases=(parent.key,))
    copied = copy_of(original, region="zz-south-1")
    found = decisions(parent, original, copied, how=AT_ONCE)
    assert [one.ami for one in found] == [copied, original, parent]
    assert {one.action for one in found} == {PruneAction.DEREGISTER}


def test_parent_is_not_deregistered_while_a_child_is_in_quarantine() -> None:
    over = {"disabled": True, "quarantined": NOW - 20 * DAY}
    parent = ami(30, image="base", **over)
    child = ami(10, bases=(parent.key,), disabled=True, quarantined=NOW - DAY)
    assert steps(parent, child) == ["ami-0010 wait quarantine", "ami-0030 wait parent"]


def test_quarantine_of_a_build_begins_when_its_last_copy_is_disabled() -> None:
    original = ami(9, disabled=True, quarantined=NOW - 20 * DAY)
    assert steps(original, copy_of(original, disabled=False, quarantined=None)) == [
        "ami-0009 disable expired",
        "ami-0009 wait expired",
    ]
    assert steps(original, copy_of(original, quarantined=NOW - DAY)) == ["ami-0009 wait quarantine"] * 2


def test_quarantined_build_that_is_wanted_again_is_enabled() -> None:
    gone = {"disabled": True, "quarantined": NOW - DAY}
    assert steps(ami(9, current=True, **gone)) == ["ami-0009 enable current"]
    assert steps(ami(9, channels=("prod",), **gone)) == ["ami-0009 enable channel"]
    assert steps(ami(9, **gone), policy=RetentionPolicy(last=1)) == ["ami-0009 enable last"]
    assert steps(ami(9, channels=("prod",), revoked=True, **gone)) == ["ami-0009 keep channel"]
    assert steps(ami(9, unknown="denied", **gone)) == ["ami-0009 keep unknown"]


def test_ami_that_someone_else_disabled_is_not_enabled() -> None:
    assert steps(ami(9, channels=("prod",), disabled=True)) == ["ami-0009 keep channel"]
    assert steps(ami(9, current=True, disabled=True)) == ["ami-0009 keep current"]


def test_interrupted_quarantine_is_completed_or_undone() -> None:
    """The tags of a quarantine are written before the AMI is disabled, and removed after it is enabled and shared."""
    begun = {"quarantined": NOW - DAY, "disabled": False}
    assert steps(ami(9, **begun)) == ["ami-0009 disable expired"]
    assert steps(ami(9, current=True, **begun)) == ["ami-0009 enable current"]
    assert steps(ami(9, unknown="denied", **begun)) == ["ami-0009 keep unknown"]


def test_parents_of_several_source_amis_are_kept() -> None:
    bases = (ami(20), ami(21))
    child = ami(10, bases=tuple(one.key for one in bases), channels=("prod",))
    assert steps(child, *bases) == ["ami-0010 keep channel", "ami-0021 keep parent", "ami-0020 keep parent"]


def test_long_lists_of_uses_are_shortened() -> None:
    (one,) = decisions(ami(9, uses=tuple(f"instance i-{number}" for number in range(6))))
    assert one.detail == "instance i-0, instance i-1, instance i-2 and 3 more"


def test_shared_ami_is_kept_until_a_report_says_that_nobody_uses_it() -> None:
    shared = ami(9, shared_with=("111111111111",))

    def with_report(days_ago: int, used_by: tuple[str, ...] | None, **more: Any) -> list[str]:
        return steps(replace(shared, report=UsageReport(created=NOW - days_ago * DAY, used_by=used_by), **more))

    over = {"disabled": True, "quarantined": NOW - 20 * DAY}
    assert steps(shared) == ["ami-0009 report shared"]
    assert with_report(1, None) == ["ami-0009 keep shared"]
    assert with_report(1, ("111111111111",)) == ["ami-0009 report shared"]
    assert with_report(0, ("111111111111",)) == ["ami-0009 keep shared"], "at most one report a day"
    assert with_report(1, ()) == ["ami-0009 disable expired"]
    assert with_report(21, (), **over) == ["ami-0009 report shared"], "the report is older than the quarantine"
    assert with_report(20, (), **over) == ["ami-0009 report shared"], "as old as the quarantine"
    assert with_report(1, (), **over) == ["ami-0009 deregister quarantine"]
    assert with_report(0, ("111111111111",), **over) == ["ami-0009 enable shared"], "another account needs it"
    assert with_report(7, ("111111111111",), **over) == ["ami-0009 enable shared"], "prune runs once a week"


def test_quarantine_that_began_in_the_future_has_not_ended() -> None:
    """Anyone can write the tag with its date."""
    forged = datetime(9999, 12, 31, tzinfo=UTC)
    assert steps(ami(9, disabled=True, quarantined=forged)) == ["ami-0009 wait quarantine"]


def test_limits_leave_the_rest_for_a_later_run() -> None:
    amis = [ami(number) for number in range(2, 10)]
    assert steps(*amis, how=replace(UNLIMITED, limit=3))[:4] == [
        "ami-0009 disable expired",
        "ami-0008 disable expired",
        "ami-0007 disable expired",
        "ami-0006 keep limit",
    ]
    quarter = decisions(*amis, how=replace(UNLIMITED, percent=25))
    assert [one.action for one in quarter].count(PruneAction.DISABLE) == 2
    assert steps(ami(9), how=replace(UNLIMITED, percent=1)) == ["ami-0009 disable expired"], "one build at least"
    assert steps(ami(9), how=replace(UNLIMITED, percent=0)) == ["ami-0009 keep limit"]
    assert steps(ami(9), how=replace(UNLIMITED, limit=0)) == ["ami-0009 keep limit"]


def test_limit_that_no_run_can_keep_is_named() -> None:
    original = ami(9)
    found = decisions(original, copy_of(original), ami(8), how=replace(UNLIMITED, limit=1))
    assert {one.detail for one in found} == {"--limit is too low for 2 AMIs of one build"}


def test_limit_never_separates_a_parent_from_its_children() -> None:
    parent = ami(30, image="base")
    children = [ami(number, bases=(parent.key,)) for number in (3, 4)]
    found = steps(parent, *children, how=replace(AT_ONCE, limit=2))
    assert found == ["ami-0004 deregister expired", "ami-0003 deregister expired", "ami-0030 keep limit"]
    assert steps(parent, *children, how=replace(AT_ONCE, limit=1)) == [
        "ami-0004 deregister expired",
        "ami-0003 keep limit",
        "ami-0030 keep limit",
    ]


def test_amis_that_name_each_other_as_parents_are_decided_once() -> None:
    one, other = ami(9, bases=(ami(8).key,)), ami(8, bases=(ami(9).key,))
    assert sorted(steps(one, other)) == ["ami-0008 disable expired", "ami-0009 disable expired"]
    assert len(steps(ami(9, bases=(ami(9).key,)))) == 1


_USES = st.sampled_from([(), (), (), ("instance i-1",)])
_CHANNELS = st.sampled_from([(), (), (), ("prod",)])
_REPORTS = st.sampled_from([None, (0, ()), (30, ()), (1, None), (1, ("1",))])


@st.composite
def accounts(draw: st.DrawFn) -> list[PrunableAmi]:
    """Up to 12 builds of two images with copies, parents, uses, and quarantines."""
    found: list[PrunableAmi] = []
    for number in range(draw(st.integers(1, 12))):
        days = draw(st.integers(0, 60))
        quarantined = draw(st.sampled_from([None, None, NOW - DAY, NOW - 30 * DAY]))
        report = draw(_REPORTS)
        original = replace(
            ami(number),
            image=draw(st.sampled_from(["app", "base"])),
            created=draw(st.sampled_from([NOW - days * DAY, NOW - days * DAY, None])),
            bases=tuple(draw(st.lists(st.sampled_from([one.key for one in found]), max_size=2)) if found else ()),
            disabled=draw(st.integers(0, 9)) != 0 if quarantined is not None else draw(st.integers(0, 9)) == 0,
            quarantined=quarantined,
            current=draw(st.integers(0, 5)) == 0,
            revoked=draw(st.integers(0, 5)) == 0,
            channels=draw(_CHANNELS),
            rollbacks=draw(_CHANNELS),
            uses=draw(_USES),
            shared_with=draw(st.sampled_from([(), (), ("1",)])),
            report=None if report is None else UsageReport(created=NOW - report[0] * DAY, used_by=report[1]),
            protected=draw(st.sampled_from(["", "", "protection is on"])),
            children=draw(st.sampled_from([(), (), (), ("ami-9999",)])),
            enabled=draw(st.sampled_from([None, None, NOW - DAY / 2, NOW - 2 * DAY])),
            unknown=draw(st.sampled_from(["", "", "", "denied"])),
        )
        found.append(original)
        if draw(st.booleans()):
            found.append(copy_of(original, uses=draw(_USES), current=False))
    return found


_POLICIES = st.sampled_from([None, NOTHING, RetentionPolicy(last=2), RetentionPolicy(last=1, within=10 * DAY)])
_SETTINGS = st.sampled_from([UNLIMITED, AT_ONCE, replace(UNLIMITED, limit=3), replace(AT_ONCE, percent=20)])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(accounts(), _POLICIES, _SETTINGS)
def test_used_wanted_or_unknown_builds_and_their_parents_are_never_changed(
    amis: list[PrunableAmi], policy: RetentionPolicy | None, how: PruneSettings
) -> None:
    found = decisions(*amis, policy=policy, how=how)
    assert sorted(one.ami.key for one in found) == sorted(one.key for one in amis)
    by_build: dict[AmiKey, list[PruneDecision]] = {}
    for one in found:
        by_build.setdefault(one.ami.build, []).append(one)
    for members in by_build.values():
        if not any(one.action.changes for one in members):
            continue
        assert policy is not None
        for one in members:
            assert not one.ami.uses and not one.ami.channels and not one.ami.unknown and one.ami.created is not None
            assert not one.ami.protected and not one.ami.children
            assert one.ami.enabled is None or NOW - one.ami.enabled >= DAY
            assert one.ami.revoked or not (one.ami.current or one.ami.rollbacks)
            assert NOW - one.ami.created >= DAY
            if one.ami.shared_with:
                assert one.ami.report is not None and one.ami.report.used_by == ()
    gone = {one.ami.key for one in found if one.action is PruneAction.DEREGISTER}
    changed = {one.ami.key for one in found if one.action.changes or one.action is PruneAction.WAIT}
    for one in found:
        for base in one.ami.bases if one.ami.key not in gone else ():
            assert base not in gone, "a parent is deregistered only after its children"
            if one.action in (PruneAction.KEEP, PruneAction.REPORT, PruneAction.ENABLE):
                assert base not in changed, "a parent of what is kept is kept"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(accounts(), _POLICIES, _SETTINGS)
def test_children_come_before_parents_and_limits_hold(
    amis: list[PrunableAmi], policy: RetentionPolicy | None, how: PruneSettings
) -> None:
    found = decisions(*amis, policy=policy, how=how)
    position = {one.ami.build: place for place, one in enumerate(found)}
    owner = {one.key: one.build for one in amis}
    for one in found:
        for base in one.ami.bases:
            assert position[one.ami.build] < position[owner[base]]
    changes = sum(one.action.changes for one in found)
    largest = max(sum(one.build == build for one in amis) for build in owner.values())
    assert changes <= how.limit
    assert changes <= max(largest, -(-len(amis) * how.percent // 100))


def _apply(found: Sequence[PruneDecision]) -> list[PrunableAmi]:
    """The AMIs after a run that has carried out all decisions."""
    after = []
    for one in found:
        match one.action:
            case PruneAction.DISABLE:
                after.append(replace(one.ami, disabled=True, quarantined=NOW))
            case PruneAction.ENABLE:
                after.append(replace(one.ami, disabled=False, quarantined=None))
            case PruneAction.DEREGISTER:
                pass
            case _:
                after.append(one.ami)
    return after


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(accounts(), _POLICIES, st.sampled_from([UNLIMITED, AT_ONCE]))
def test_second_run_changes_nothing(
    amis: list[PrunableAmi], policy: RetentionPolicy | None, how: PruneSettings
) -> None:
    again = decisions(*_apply(decisions(*amis, policy=policy, how=how)), policy=policy, how=how)
    assert [one for one in again if one.action.changes or one.action is PruneAction.ENABLE] == []


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(accounts(), _POLICIES, st.sampled_from([UNLIMITED, AT_ONCE]), st.data())
def test_run_that_was_killed_is_continued_to_the_same_end(
    amis: list[PrunableAmi], policy: RetentionPolicy | None, how: PruneSettings, data: st.DataObject
) -> None:
    found = decisions(*amis, policy=policy, how=how)
    whole = {one.key: one.disabled for one in _apply(found)}
    end = data.draw(st.integers(0, len(found)))
    killed = [*_apply(found[:end]), *(one.ami for one in found[end:])]
    assert {one.key: one.disabled for one in _apply(decisions(*killed, policy=policy, how=how))} == whole
