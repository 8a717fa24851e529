"""Decisions: the action and the reasons for the AMIs that exist."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_bakery.core.definition.diff import compare_components, component_change
from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.definition.manifest import ManifestPart
from ami_bakery.core.ec2.ami import (
    DIGEST_TAG,
    FORMAT_TAG,
    FROM_TAG,
    KMS_KEY_TAG,
    ORIGIN_TAG,
    TEST_FAILED_TAG,
    TESTED_TAG,
    Ami,
    AmiState,
    newest,
)
from ami_bakery.core.ec2.run import RUN_TAG, run_id
from ami_bakery.core.plan.decision import decide, verify_bases
from ami_bakery.core.plan.desired_state import DesiredState, StepKind
from ami_bakery.core.plan.explain import explain
from ami_bakery.core.plan.plan import Action, ImagePlan, Wanted
from ami_bakery.core.plan.steps import with_steps
from ami_bakery.core.plan.tested import AmiTestState
from ami_bakery.values import replace

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DIGEST = Digest(Scheme.SHA256, "a" * 64)
WANTED = Wanted(image="app", digest=DIGEST, regions=("us-east-1",))
AMI = Ami(
    id="ami-00000001",
    region="us-east-1",
    name="app",
    state=AmiState.AVAILABLE,
    created=NOW - timedelta(days=3),
    owner="1",
    tags={DIGEST_TAG: DIGEST.hex, FORMAT_TAG: "1"},
)


def decided(wanted: Wanted, *found: Ami, force: bool = False) -> ImagePlan:
    return decide(wanted, found, now=NOW, force=force)


def kinds(plan: ImagePlan) -> list[str]:
    return [reason.kind for reason in plan.reasons]


def test_ami_with_the_digest_is_reused() -> None:
    plan = decided(WANTED, AMI)
    assert (plan.action, kinds(plan), plan.amis["us-east-1"].id) == (Action.REUSE, ["unchanged"], AMI.id)
    assert "3 days ago" in plan.reasons[0].detail


def test_newest_of_several_amis_is_used_and_the_others_are_reported() -> None:
    newer = replace(AMI, id="ami-00000002", created=NOW)
    plan = decided(WANTED, newer, AMI)
    assert plan.amis["us-east-1"].id == newer.id
    assert kinds(plan) == ["unchanged", "multiple-amis"]


def test_image_without_an_ami_is_built() -> None:
    assert decided(WANTED).action is Action.BAKE


@pytest.mark.parametrize("state", [AmiState.PENDING, AmiState.FAILED, AmiState.ERROR])
def test_unavailable_ami_does_not_count_and_is_reported(state: AmiState) -> None:
    plan = decided(WANTED, replace(AMI, state=state, state_reason="because"))
    assert plan.action is Action.BAKE
    assert kinds(plan) == ["no-ami", "not-finished"]
    assert "because" in plan.reasons[1].detail


def test_unverified_ami_does_not_count() -> None:
    plan = decided(WANTED, replace(AMI, tags={DIGEST_TAG: DIGEST.hex}))
    assert plan.action is Action.BAKE
    assert "never verified" in plan.reasons[1].detail


def test_drop_in_mode_trusts_packers_tag_and_waits_for_a_pending_ami() -> None:
    digest = Digest(Scheme.SHA1, "b" * 40)
    wanted = replace(WANTED, digest=digest)
    packers = replace(AMI, tags={DIGEST_TAG: digest.hex})
    assert decided(wanted, packers).action is Action.REUSE
    assert decided(wanted, replace(packers, state=AmiState.PENDING)).action is Action.WAIT
    assert decided(wanted, replace(packers, state=AmiState.FAILED)).action is Action.BAKE


def test_force_builds_even_if_an_ami_exists() -> None:
    plan = decided(WANTED, AMI, force=True)
    assert (plan.action, kinds(plan)) == (Action.BAKE, ["forced"])


def test_ami_older_than_max_age_is_rebuilt() -> None:
    plan = decided(replace(WANTED, max_age=timedelta(days=2)), AMI)
    assert (plan.action, kinds(plan)) == (Action.BAKE, ["too-old"])
    assert "max_age is 2 days" in plan.reasons[0].detail
    assert decided(replace(WANTED, max_age=timedelta(days=3)), AMI).action is Action.REUSE


def test_max_age_counts_from_the_build_and_not_from_a_copy() -> None:
    wanted = replace(WANTED, max_age=timedelta(days=2))
    copy = replace(AMI, id="ami-2", created=NOW, tags={**AMI.tags, ORIGIN_TAG: AMI.id})
    first = replace(AMI, tags={**AMI.tags, ORIGIN_TAG: AMI.id})
    for found in ([first, replace(copy, region="eu-west-1")], [copy, replace(first, state=AmiState.DISABLED)]):
        assert kinds(decided(replace(wanted, regions=("us-east-1", "eu-west-1")), *found)) == ["too-old"]
    assert decided(wanted, copy).action is Action.REUSE, "the time of the build is unknown"
    ran = {RUN_TAG: run_id(NOW - timedelta(days=3), "0")}
    plan = decided(wanted, replace(copy, tags={**copy.tags, **ran}))
    assert (kinds(plan), plan.reasons[0].subject) == (["too-old"], "ami-2")
    assert "ami-2 was built 3 days ago" in plan.reasons[0].detail
    older_bake = replace(first, id="ami-3", tags={**AMI.tags, ORIGIN_TAG: "ami-3"})
    assert decided(wanted, replace(copy, tags={**AMI.tags, ORIGIN_TAG: "ami-2"}), older_bake).action is Action.REUSE


def test_missing_ami_in_the_build_region_is_preferably_copied_from_one_without_a_key() -> None:
    regions = ("us-east-1", "eu-west-1", "ap-south-1", "us-west-2")
    wanted = replace(WANTED, regions=regions, kms_keys={"eu-west-1": "alias/ami"})
    tags = {**AMI.tags, ORIGIN_TAG: AMI.id}
    encrypted = replace(AMI, id="ami-2", region="eu-west-1", tags={**tags, KMS_KEY_TAG: "alias/ami"})
    others = [replace(AMI, id=f"ami-{region}", region=region, tags=tags) for region in regions[2:]]
    for found, source in ([encrypted, *others], others[0]), ([encrypted], encrypted):
        plan = decided(wanted, *found)
        assert (plan.action, plan.source) == (Action.COPY, source)
        assert f"{source.id} ({source.region}) is not yet copied to us-east-1" in plan.reasons[0].detail


def test_missing_region_is_copied_and_not_built() -> None:
    plan = decided(replace(WANTED, regions=("us-east-1", "eu-west-1")), AMI)
    assert (plan.action, kinds(plan), plan.missing) == (Action.COPY, ["region-missing"], ("eu-west-1",))


ABROAD = replace(WANTED, regions=("us-east-1", "eu-west-1"), kms_keys={"eu-west-1": "alias/new"})
COPY = replace(AMI, id="ami-00000003", region="eu-west-1")


def keyed(key: str, ami: str = COPY.id) -> Ami:
    return replace(COPY, id=ami, tags={**COPY.tags, KMS_KEY_TAG: key})


@pytest.mark.parametrize("copy", [COPY, keyed("alias/old")])
def test_copy_with_another_key_is_copied_again_and_not_built(copy: Ami) -> None:
    plan = decided(ABROAD, AMI, copy)
    assert (plan.action, kinds(plan), plan.missing, plan.source) == (Action.COPY, ["key-changed"], ("eu-west-1",), AMI)
    assert "alias/new is configured" in plan.reasons[0].detail
    assert decided(replace(ABROAD, kms_keys={}), AMI, keyed("alias/old")).action is Action.COPY


def test_newest_copy_with_the_configured_key_is_used() -> None:
    newer = replace(keyed("alias/old", "ami-00000004"), created=NOW)
    plan = decided(ABROAD, AMI, keyed("alias/new"), newer)
    assert (plan.action, plan.amis["eu-west-1"].id) == (Action.REUSE, COPY.id)
    assert "multiple-amis" not in kinds(plan), "the other copy has another key"


def test_copy_with_another_key_is_the_source_if_there_is_no_other() -> None:
    plan = decided(ABROAD, keyed("alias/old"))
    assert (plan.action, kinds(plan)) == (Action.COPY, ["region-missing", "key-changed"])
    assert plan.source == keyed("alias/old")


def test_kms_key_does_not_matter_in_the_build_region() -> None:
    wanted = replace(ABROAD, kms_keys={"us-east-1": "alias/new"})
    assert decided(wanted, AMI, COPY).action is Action.REUSE


def test_unknown_digest_names_the_parent_it_waits_for() -> None:
    plan = decided(replace(WANTED, digest=None, awaits="base"), force=True)
    assert (plan.action, kinds(plan)) == (Action.PENDING, ["forced", "base-to-be-baked"])


def test_image_that_was_never_built_is_reported() -> None:
    plan = explain(decided(WANTED), None, (), (), now=NOW)
    assert kinds(plan) == ["never-baked", "no-ami"]


def test_changes_since_the_newest_ami_are_reported() -> None:
    before = {ManifestPart.FILES: "1", ManifestPart.BASE: "2"}
    (moved,) = compare_components(before, {**before, ManifestPart.BASE: "3"})
    plan = explain(decided(WANTED), AMI, [component_change(moved)], (), now=NOW)
    assert kinds(plan) == ["definition-changed", "base-changed", "no-ami"]
    assert "since ami-00000001, built 3 days ago" in plan.reasons[0].detail


def test_ami_without_components_tag_is_reported() -> None:
    plan = explain(decided(WANTED), AMI, (), (), now=NOW)
    assert kinds(plan) == ["definition-changed", "no-ami"]
    assert "do not show what changed" in plan.reasons[0].detail


def test_deleted_ami_is_recognized_by_its_snapshot() -> None:
    plan = explain(decided(WANTED), None, (), ("snap-1",), now=NOW)
    assert kinds(plan) == ["ami-deleted", "no-ami"]


BASE = replace(AMI, id="ami-0000ba5e", tags={})


@pytest.mark.parametrize(
    ("base", "action", "kind"),
    [
        (BASE, Action.REUSE, "unchanged"),
        (None, Action.BAKE, "base-missing"),
        (replace(BASE, deprecated_at=NOW - timedelta(days=1)), Action.BAKE, "base-deprecated"),
        (replace(BASE, deprecated_at=NOW - timedelta(days=4)), Action.REUSE, "unchanged"),
        (replace(BASE, deprecated_at=NOW + timedelta(days=1)), Action.REUSE, "unchanged"),
    ],
)
def test_missing_or_deprecated_source_ami_is_a_reason_to_build(base: Ami | None, action: Action, kind: str) -> None:
    known = {BASE.id: base} if base else {}
    plan = verify_bases(decided(WANTED, AMI), [BASE.id], known, now=NOW)
    assert (plan.action, kinds(plan)) == (action, [kind])


def test_newest_does_not_depend_on_the_order_of_the_response() -> None:
    twins = [AMI, replace(AMI, id="ami-00000009"), replace(AMI, id="ami-00000005", created=None)]
    assert newest(twins) == newest(reversed(twins)) == twins[1]
    assert newest([]) is None


@pytest.mark.parametrize("text", ["", "g" * 64, "A" * 64, "a" * 40, "a" * 65])
def test_malformed_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a sha256 digest"):
        Digest(Scheme.SHA256, text)


TEST = "c" * 64
TESTING = replace(WANTED, test=TEST)
TESTED = replace(AMI, tags={**AMI.tags, TESTED_TAG: TEST})
KEPT = replace(AMI, tags={FORMAT_TAG: "1", TEST_FAILED_TAG: DIGEST.hex})


def test_ami_counts_only_if_it_passed_the_current_test() -> None:
    assert decided(TESTING, TESTED).action is Action.REUSE
    assert "matches and passed its test" in decided(TESTING, TESTED).reasons[0].detail
    for tags, reason in (({}, "untested"), ({TESTED_TAG: "d" * 64}, "test-changed"), ({TESTED_TAG: ""}, "untested")):
        plan = decided(TESTING, replace(AMI, tags={**AMI.tags, **tags}))
        assert (plan.action, kinds(plan), plan.amis) == (Action.TEST, [reason], {"us-east-1": plan.source})
        assert plan.may_be_locked
        assert plan.to_do


def test_image_without_a_test_takes_any_finished_ami() -> None:
    assert decided(WANTED, TESTED).action is Action.REUSE
    assert decided(WANTED, replace(AMI, tags={**AMI.tags, TEST_FAILED_TAG: DIGEST.hex})).action is Action.REUSE


def test_newest_kept_ami_that_failed_its_test_is_tested_again_and_nothing_is_built() -> None:
    older = replace(KEPT, id="ami-00000002", created=NOW - timedelta(days=9))
    plan = decide(TESTING, (), now=NOW, failed=(older, KEPT))
    assert (plan.action, kinds(plan), plan.source) == (Action.TEST, ["test-failed"], KEPT)
    assert plan.tested is AmiTestState.FAILED


@pytest.mark.parametrize(
    "kept",
    [
        replace(KEPT, state=AmiState.DISABLED),
        replace(KEPT, region="eu-west-1"),
        replace(KEPT, tags={TEST_FAILED_TAG: DIGEST.hex}),
        replace(KEPT, tags={FORMAT_TAG: "1", TEST_FAILED_TAG: "e" * 64}),
        replace(KEPT, tags={**KEPT.tags, FROM_TAG: "ami-0ther"}),
        replace(KEPT, tags={**KEPT.tags, DIGEST_TAG: "e" * 64}),
    ],
)
def test_other_amis_that_failed_a_test_do_not_prevent_a_build(kept: Ami) -> None:
    assert decide(replace(TESTING, base=("ami-base",)), (), now=NOW, failed=(kept,)).action is Action.BAKE


def test_kept_ami_is_not_used_without_a_test_or_by_force_or_if_it_is_too_old() -> None:
    assert decide(WANTED, (), now=NOW, failed=(KEPT,)).action is Action.BAKE
    forced = decide(TESTING, (), now=NOW, failed=(KEPT,), force=True)
    assert (forced.action, forced.amis, forced.tested) == (Action.BAKE, {}, AmiTestState.UNTESTED)
    aged = decide(replace(TESTING, max_age=timedelta(days=2)), (), now=NOW, failed=(KEPT,))
    assert (aged.action, kinds(aged)) == (Action.BAKE, ["too-old"])
    assert decide(TESTING, (TESTED,), now=NOW, failed=(KEPT,)).action is Action.REUSE


def test_tested_build_is_preferred_to_a_newer_untested_one() -> None:
    newer = replace(AMI, id="ami-00000002", created=NOW, tags={**AMI.tags, ORIGIN_TAG: "ami-00000002"})
    plan = decided(TESTING, newer, TESTED)
    assert (plan.action, plan.amis["us-east-1"].id) == (Action.REUSE, TESTED.id)


def test_only_tested_amis_are_copied_and_a_copy_counts_as_its_original() -> None:
    both = replace(TESTING, regions=("us-east-1", "eu-west-1"))
    assert decided(both, TESTED).action is Action.COPY
    assert decided(both, AMI).action is Action.TEST
    home = replace(TESTED, tags={**TESTED.tags, ORIGIN_TAG: AMI.id})
    copy = replace(AMI, id="ami-2", region="eu-west-1", tags={**AMI.tags, ORIGIN_TAG: AMI.id})
    assert decided(both, home, copy).action is Action.REUSE


def test_steps_of_a_test_come_after_the_build_and_before_copies() -> None:
    both = replace(TESTING, regions=("us-east-1", "eu-west-1"))

    def steps(plan: ImagePlan) -> list[tuple[StepKind, str | None]]:
        with_all = with_steps(plan, DesiredState(), kms_keys={}, made_by_packer=(), permissions={})
        return [(step.kind, step.ami) for step in with_all.steps]

    assert steps(decided(both)) == [(StepKind.BAKE, None), (StepKind.TEST, None), (StepKind.COPY, None)]
    assert steps(decided(both, AMI)) == [(StepKind.TEST, AMI.id), (StepKind.COPY, AMI.id)]
    assert steps(decided(both, TESTED)) == [(StepKind.COPY, AMI.id)]


def test_untested_ami_of_a_missing_source_ami_is_built_and_not_tested() -> None:
    plan = decided(replace(TESTING, base=("ami-base",)), AMI)
    built = verify_bases(plan, ["ami-base"], {}, now=NOW)
    assert (built.action, built.amis, built.source) == (Action.BAKE, {}, None)


def test_untested_copy_of_a_missing_ami_is_not_tested_but_built_again() -> None:
    wanted = replace(TESTING, regions=("us-east-1", "eu-west-1"))
    copy = replace(AMI, region="eu-west-1", tags={**AMI.tags, TESTED_TAG: "d" * 64})
    plan = decided(wanted, copy)
    assert (plan.action, kinds(plan), plan.amis, plan.source) == (Action.BAKE, ["test-changed"], {}, None)
    assert plan.reasons[0].detail.endswith("passed it, and there is no AMI in us-east-1 to test")
    assert decided(wanted, replace(copy, tags={**AMI.tags, TESTED_TAG: TEST})).action is Action.COPY


def test_untested_ami_is_no_result_of_an_image_that_is_built_again() -> None:
    aged = replace(TESTING, max_age=timedelta(days=2))
    for plan in (decided(TESTING, AMI, force=True), decided(aged, AMI), decide(aged, (), now=NOW, failed=(KEPT,))):
        assert (plan.action, plan.amis, plan.tested) == (Action.BAKE, {}, AmiTestState.UNTESTED)
    assert decided(TESTING, TESTED, force=True).amis == {"us-east-1": TESTED}


@settings(deadline=None)
@given(
    found=st.lists(
        st.tuples(
            st.sampled_from([{}, {TESTED_TAG: TEST}, {TESTED_TAG: "d" * 64}, {TEST_FAILED_TAG: DIGEST.hex}]),
            st.sampled_from(["us-east-1", "eu-west-1"]),
            st.sampled_from(["", "ami-1", "ami-2"]),
            st.booleans(),
        ),
        max_size=5,
    )
)
def test_no_untested_ami_is_ever_reused_or_copied(found: list[tuple[dict[str, str], str, str, bool]]) -> None:
    amis = tuple(
        replace(
            AMI,
            id=f"ami-{index}",
            region=region,
            tags={FORMAT_TAG: "1", ORIGIN_TAG: origin, **tags, **({DIGEST_TAG: DIGEST.hex} if finished else {})},
        )
        for index, (tags, region, origin, finished) in enumerate(found)
    )
    plan = decide(replace(TESTING, regions=("us-east-1", "eu-west-1")), amis, now=NOW, failed=amis)
    if plan.action in (Action.REUSE, Action.COPY):
        assert plan.source is not None
        assert (plan.source.tested, plan.tested) == (TEST, AmiTestState.PASSED)
    assert (plan.action is Action.BAKE) == (not plan.amis)
