"""Plans for AMIs that prune disabled: they are enabled, and not built again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.ec2.ami import (
    ABANDONED_TAG,
    DIGEST_TAG,
    FORMAT_TAG,
    FROM_TAG,
    KMS_KEY_TAG,
    ORIGIN_TAG,
    REVOKED_TAG,
    TEST_FAILED_TAG,
    TESTED_TAG,
    Ami,
    AmiState,
)
from ami_bakery.core.ec2.quarantine import quarantine_tags
from ami_bakery.core.plan.decision import decide, verify_bases
from ami_bakery.core.plan.describe import step_lines
from ami_bakery.core.plan.desired_state import DesiredState, Permissions
from ami_bakery.core.plan.plan import Action, ImagePlan, Wanted
from ami_bakery.core.plan.steps import with_steps
from ami_bakery.render.text import github_plan, plan_json, plan_text
from ami_bakery.values import replace

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DIGEST = Digest(Scheme.SHA256, "a" * 64)
HOME, FAR = "us-east-1", "eu-west-1"
WANTED = Wanted(image="app", digest=DIGEST, regions=(HOME,))
BOTH = replace(WANTED, regions=(HOME, FAR))
FRIEND = "123456789012"
QUARANTINE = quarantine_tags(NOW - timedelta(days=2), [FRIEND])
TAGS = {DIGEST_TAG: DIGEST.hex, FORMAT_TAG: "1", ORIGIN_TAG: "ami-00000001"}
AMI = Ami(
    id="ami-00000001",
    region=HOME,
    name="app",
    state=AmiState.AVAILABLE,
    created=NOW - timedelta(days=40),
    owner="1",
    tags=TAGS,
)
COPY = replace(AMI, id="ami-00000002", region=FAR)


def pruned(ami: Ami, **tags: str) -> Ami:
    return replace(ami, state=AmiState.DISABLED, tags={**ami.tags, **QUARANTINE, **tags})


def interrupted(ami: Ami) -> Ami:
    """An AMI that is available, and has the tags of its quarantine."""
    return replace(ami, tags={**ami.tags, **QUARANTINE})


def decided(wanted: Wanted, *found: Ami, force: bool = False) -> ImagePlan:
    return decide(wanted, found, now=NOW, force=force)


def kinds(plan: ImagePlan) -> list[str]:
    return [reason.kind for reason in plan.reasons]


def enabled(plan: ImagePlan) -> set[str]:
    return {ami.id for ami in plan.to_enable}


def test_ami_in_quarantine_is_enabled_and_not_built() -> None:
    plan = decided(WANTED, pruned(AMI))
    assert (plan.action, kinds(plan), enabled(plan)) == (Action.ENABLE, ["quarantined"], {AMI.id})
    assert plan.reasons[0].detail == (
        "ami-00000001 (us-east-1, built 40 days ago) matches, and prune disabled it 2 days ago"
    )
    assert (plan.amis[HOME].id, dict(plan.ready), plan.to_do, plan.may_be_locked) == (AMI.id, {}, True, True)


def test_ami_that_was_not_enabled_completely_is_enabled() -> None:
    plan = decided(WANTED, interrupted(AMI))
    assert (plan.action, kinds(plan), enabled(plan)) == (Action.ENABLE, ["quarantine-not-ended"], {AMI.id})


def test_ami_disabled_by_somebody_else_does_not_count_and_is_built_again() -> None:
    by_hand = replace(AMI, state=AmiState.DISABLED)
    forged = replace(by_hand, tags={**TAGS, **QUARANTINE, "ami-bakery:quarantined": "yesterday"})
    for ami in (by_hand, forged):
        plan = decided(WANTED, ami)
        assert (plan.action, kinds(plan)) == (Action.BAKE, ["no-ami", "not-finished"])
        assert "it is disabled, but not by prune" in plan.reasons[1].detail


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({FORMAT_TAG: ""}, "it was never verified"),
        ({FROM_TAG: "ami-0000000f"}, "its source AMI is ami-0000000f"),
        ({TEST_FAILED_TAG: DIGEST.hex}, "it failed its test"),
        ({ABANDONED_TAG: "run"}, "it is being deregistered"),
        ({REVOKED_TAG: "bad"}, "is revoked: bad"),
    ],
)
def test_ami_that_would_not_count_is_not_enabled(tags: dict[str, str], why: str) -> None:
    plan = decided(replace(WANTED, base=("ami-0000000b",)), pruned(AMI, **tags))
    assert (plan.action, dict(plan.amis), plan.to_enable) == (Action.BAKE, {}, ())
    assert why in "; ".join(reason.detail for reason in plan.reasons)


def test_copies_of_a_build_that_is_being_deregistered_are_not_enabled() -> None:
    plan = decided(BOTH, pruned(AMI, **{ABANDONED_TAG: "run"}), pruned(COPY))
    assert (plan.action, plan.to_enable) == (Action.BAKE, ())


def test_available_ami_is_preferred_to_one_in_quarantine() -> None:
    older = replace(AMI, id="ami-0000000a", created=NOW - timedelta(days=90), tags={**TAGS, ORIGIN_TAG: "ami-0000000a"})
    plan = decided(WANTED, pruned(AMI), older)
    assert (plan.action, plan.amis[HOME].id, plan.to_enable) == (Action.REUSE, older.id, ())
    tested = replace(WANTED, test="c" * 64)
    plan = decided(tested, pruned(AMI, **{TESTED_TAG: "c" * 64}), older)
    assert (plan.action, plan.amis[HOME].id) == (Action.TEST, older.id)


def test_newest_of_several_amis_in_quarantine_is_enabled() -> None:
    newer = replace(AMI, id="ami-0000000a", created=NOW - timedelta(days=9), tags={**TAGS, ORIGIN_TAG: "ami-0000000a"})
    assert enabled(decided(WANTED, pruned(AMI), pruned(newer))) == {newer.id}


def test_only_amis_in_quarantine_are_enabled() -> None:
    copy_only = decided(BOTH, AMI, pruned(COPY))
    assert (copy_only.action, enabled(copy_only), set(copy_only.ready)) == (Action.ENABLE, {COPY.id}, {HOME})
    home_only = decided(BOTH, pruned(AMI), COPY)
    assert (home_only.action, enabled(home_only), set(home_only.ready)) == (Action.ENABLE, {AMI.id}, {FAR})
    assert home_only.source is not None and home_only.source.id == AMI.id
    missing = decided(BOTH, pruned(AMI))
    assert (missing.action, kinds(missing)) == (Action.ENABLE, ["quarantined", "region-missing"])


def test_copy_with_another_key_is_not_enabled_but_copied_again() -> None:
    wanted = replace(BOTH, kms_keys={FAR: "alias/new"})
    plan = decided(wanted, pruned(AMI), pruned(COPY, **{KMS_KEY_TAG: "alias/old"}))
    assert (enabled(plan), kinds(plan)) == ({AMI.id}, ["quarantined", "key-changed"])


def test_old_ami_in_quarantine_is_built_again() -> None:
    plan = decided(replace(WANTED, max_age=timedelta(days=30)), pruned(AMI))
    assert (plan.action, kinds(plan), dict(plan.amis)) == (Action.BAKE, ["too-old"], {})
    assert decided(WANTED, pruned(AMI), force=True).action is Action.BAKE


def test_missing_source_ami_builds_and_does_not_enable() -> None:
    plan = decided(WANTED, pruned(AMI))
    built = verify_bases(plan, ["ami-0000000b"], {}, now=NOW)
    assert (built.action, kinds(built), built.to_enable) == (Action.BAKE, ["base-missing"], ())
    base = replace(AMI, id="ami-0000000b")
    assert verify_bases(plan, [base.id], {base.id: base}, now=NOW).action is Action.ENABLE


def test_untested_ami_is_enabled_and_then_tested() -> None:
    plan = decided(replace(WANTED, test="c" * 64), pruned(AMI))
    assert (plan.action, kinds(plan), dict(plan.ready)) == (Action.ENABLE, ["quarantined", "untested"], {})
    steps = with_steps(plan, DesiredState(), kms_keys={}, made_by_packer=(), permissions={}).steps
    assert [step.kind.value for step in steps] == ["enable", "test"]


def test_drop_in_mode_enables_nothing() -> None:
    digest = Digest(Scheme.SHA1, "b" * 40)
    ami = replace(pruned(AMI), tags={**QUARANTINE, DIGEST_TAG: digest.hex})
    assert decided(replace(WANTED, digest=digest), ami).action is Action.BAKE


def test_plan_shows_what_is_enabled_copied_and_shared() -> None:
    desired = DesiredState(share_with=("210987654321",))
    plan = with_steps(
        decided(BOTH, pruned(AMI)),
        desired,
        kms_keys={},
        made_by_packer=(),
        permissions={AMI.id: Permissions(launch=frozenset({FRIEND}))},
    )
    lines = list(step_lines(plan))
    assert lines[0] == "enable ami-00000001 (us-east-1), and share it with 123456789012 as before"
    assert "copy ami-00000001 (us-east-1) to eu-west-1" in lines
    assert "stop sharing ami-00000001 (us-east-1) with 123456789012" in lines
    shown = plan_json(plan, steps=True)
    assert (shown["action"], shown["amis"]) == ("enable", {HOME: AMI.id})
    assert shown["steps"][0] == {"step": "enable", "region": HOME, "ami": AMI.id, "targets": [FRIEND]}
    assert "^ enable  app" in plan_text([plan]) and "1 to enable." in plan_text([plan])
    assert "outcome=enable\n" in github_plan([plan]) and AMI.id not in github_plan([plan])


def test_ami_that_was_never_shared_is_enabled_without_further_steps() -> None:
    unshared = replace(AMI, state=AmiState.DISABLED, tags={**TAGS, **quarantine_tags(NOW, [])})
    plan = with_steps(decided(WANTED, unshared), DesiredState(), kms_keys={}, made_by_packer=(), permissions={})
    assert (plan.action, list(step_lines(plan))) == (Action.ENABLE, [])
