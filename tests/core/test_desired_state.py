"""Tags and permissions of finished AMIs: only differences from the configuration become steps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ami_bakery.core.ec2.ami import DIGEST_TAG, KMS_KEY_TAG, SHARED_TAG, Ami, AmiState, copied_tags, snapshot_tags
from ami_bakery.core.plan.describe import describe_step
from ami_bakery.core.plan.desired_state import (
    PUBLIC,
    DesiredState,
    Permissions,
    Step,
    StepKind,
    reconcile_steps,
    revoke_steps,
)
from ami_bakery.core.plan.plan import Action, ImagePlan
from ami_bakery.core.plan.steps import with_steps
from ami_bakery.values import replace

A, B = "111111111111", "222222222222"
ORGANIZATION = "arn:aws:organizations::123456789012:organization/o-123example"
AMI = Ami(
    id="ami-1",
    region="us-east-1",
    name="app",
    state=AmiState.AVAILABLE,
    created=datetime(2026, 6, 1, tzinfo=UTC),
    owner="1",
    snapshots=("snap-1",),
)


def marked(marker: str) -> Ami:
    return replace(AMI, tags={SHARED_TAG: marker})


SHARED = marked(f"launch {A}")


def steps(
    ami: Ami, desired: DesiredState, launch: set[str] | None = None, **volumes: set[str]
) -> list[tuple[object, ...]]:
    """(kind, snapshot or AMI, targets or tags) of each step."""
    permissions = None
    if launch is not None:
        by_snapshot = {name.replace("_", "-"): frozenset(targets) for name, targets in volumes.items()}
        permissions = Permissions(launch=frozenset(launch), volumes=by_snapshot)
    return [
        (step.kind, step.snapshot or step.ami, step.targets or step.tags)
        for step in reconcile_steps(ami, desired, permissions)
    ]


def test_only_the_difference_is_granted_and_revoked() -> None:
    shared = marked(f"launch {A} {ORGANIZATION}")
    assert steps(shared, DesiredState(share_with=(A, ORGANIZATION)), {ORGANIZATION, B}) == [
        (StepKind.GRANT, "ami-1", (A,)),
        (StepKind.REVOKE, "ami-1", (B,)),
    ]
    assert steps(SHARED, DesiredState(share_with=(A,)), {A}) == []


def test_marker_is_written_before_the_first_grant_and_removed_after_the_last_revocation() -> None:
    assert steps(AMI, DesiredState(share_with=(A,)), set()) == [
        (StepKind.TAG, "ami-1", ((SHARED_TAG, f"launch {A}"),)),
        (StepKind.GRANT, "ami-1", (A,)),
    ]
    assert steps(SHARED, DesiredState(share_with=(B,)), {A}) == [
        (StepKind.TAG, "ami-1", ((SHARED_TAG, f"launch {A} {B}"),)),
        (StepKind.GRANT, "ami-1", (B,)),
        (StepKind.REVOKE, "ami-1", (A,)),
        (StepKind.TAG, "ami-1", ((SHARED_TAG, f"launch {B}"),)),
    ]
    assert steps(SHARED, DesiredState(), {A, B}) == [
        (StepKind.REVOKE, "ami-1", (A, B)),
        (StepKind.TAG, "ami-1", ((SHARED_TAG, None),)),
    ]


def test_permissions_that_are_not_configured_are_not_read() -> None:
    assert not DesiredState().manages_permissions(AMI)
    assert not DesiredState().manages_permissions(replace(AMI, tags={SHARED_TAG: ""})), "a marker that was emptied"
    assert DesiredState().manages_permissions(SHARED)
    assert DesiredState(share_with=()).manages_permissions(AMI), "an empty list allows no one"
    assert steps(AMI, DesiredState(share_with=()), {A}) == [(StepKind.REVOKE, "ami-1", (A,))]


def test_public_ami_stays_public() -> None:
    assert steps(SHARED, DesiredState(share_with=(A,)), {PUBLIC, A}) == []


def test_snapshots_are_shared_with_accounts_and_revoked_when_disabled() -> None:
    desired = DesiredState(share_with=(A, ORGANIZATION), share_snapshots=True)
    both = marked(f"launch snapshots {A} {ORGANIZATION}")
    assert steps(both, desired, {A, ORGANIZATION}, snap_1={B}) == [
        (StepKind.GRANT, "snap-1", (A,)),
        (StepKind.REVOKE, "snap-1", (B,)),
    ]
    off = replace(desired, share_snapshots=False)
    assert (off.manages_snapshots(both), off.manages_snapshots(SHARED)) == (True, False)
    assert steps(both, off, {A, ORGANIZATION}, snap_1={A}) == [  # the marker last: a run may end before
        (StepKind.REVOKE, "snap-1", (A,)),
        (StepKind.TAG, "ami-1", ((SHARED_TAG, f"launch {A} {ORGANIZATION}"),)),
    ]


MANY = tuple(f"{number:012}" for number in range(30))


@pytest.mark.parametrize(
    ("marker", "desired", "must_revoke"),
    [
        ("", DesiredState(), False),
        (f"launch {A}", DesiredState(), True),
        (f"launch {A}", DesiredState(share_with=(A, B)), False),
        (f"launch {A} {B}", DesiredState(share_with=(A,)), True),
        (f"launch snapshots {A}", DesiredState(share_with=(A,)), True),
        (f"launch snapshots {A}", DesiredState(share_with=(A, B), share_snapshots=True), False),
        ("launch", DesiredState(share_with=(A,)), True),
        (DesiredState(share_with=MANY).marker, DesiredState(share_with=MANY), False),
        (DesiredState(share_with=MANY).marker, DesiredState(share_with=MANY[1:]), True),
    ],
)
def test_marker_shows_whether_shares_must_be_revoked(marker: str, desired: DesiredState, must_revoke: bool) -> None:
    assert len(marker) <= 256
    assert desired.must_revoke(marked(marker)) is must_revoke


def test_old_ami_is_never_shared_again() -> None:
    older = marked(f"launch snapshots {A} {B}")
    permissions = Permissions(launch=frozenset({A, B}), volumes={"snap-1": frozenset({A, B})})
    found = list(revoke_steps(older, DesiredState(share_with=(B, ORGANIZATION), share_snapshots=True), permissions))
    assert [(step.kind, step.snapshot, step.targets or step.tags) for step in found] == [
        (StepKind.REVOKE, None, (A,)),
        (StepKind.REVOKE, "snap-1", (A,)),
        (StepKind.TAG, None, ((SHARED_TAG, f"launch snapshots {B}"),)),
    ]


def test_tags_that_differ_are_written_and_others_are_kept() -> None:
    ami = replace(AMI, tags={"team": "old", "cost": "7", "Name": "by the template"})
    assert steps(ami, DesiredState(tags=(("cost", "7"), ("env", "live"), ("team", "web")))) == [
        (StepKind.TAG, "ami-1", (("env", "live"), ("team", "web")))
    ]


def test_copy_has_the_tags_of_its_source_without_those_of_one_ami() -> None:
    tags = {"aws:x": "1", "team": "web", DIGEST_TAG: "d", KMS_KEY_TAG: "old", SHARED_TAG: "launch"}
    assert copied_tags(tags, {"team": "ops"}, "") == {"team": "ops", DIGEST_TAG: "d"}
    assert copied_tags(tags, {}, "alias/new") == {"team": "web", DIGEST_TAG: "d", KMS_KEY_TAG: "alias/new"}
    assert snapshot_tags(tags, ["team"]) == {"team": "web", DIGEST_TAG: "d"}


def plan(action: Action, *there: Ami) -> ImagePlan:
    amis = {ami.region: ami for ami in there}
    return ImagePlan(
        image="app",
        action=action,
        digest=None,
        reasons=(),
        regions=("us-east-1", "eu-west-1", "ap-south-1"),
        amis=amis,
        source=next(iter(there), None),
    )


def described_steps(
    plan: ImagePlan, desired: DesiredState, keys: dict[str, str] | None = None, made_by_packer: tuple[str, ...] = ()
) -> list[str]:
    done = with_steps(plan, desired, kms_keys=keys or {}, made_by_packer=made_by_packer, permissions={})
    return [describe_step(step) for step in done.steps]


def test_build_is_followed_by_copies_and_permissions() -> None:
    desired = DesiredState(share_with=(A,), share_snapshots=True)
    assert described_steps(plan(Action.BAKE), desired, {"ap-south-1": "alias/ami"}) == [
        "build in us-east-1",
        "copy it to eu-west-1",
        "copy it to ap-south-1, encrypted with alias/ami",
        *(
            f"share{snapshots} with {A} in {region}"
            for region in ("us-east-1", "eu-west-1", "ap-south-1")
            for snapshots in ("", " the snapshots")
        ),
    ]


def test_ami_built_by_the_template_in_another_region_is_only_copied_with_a_key() -> None:
    made = ("us-east-1", "eu-west-1", "ap-south-1")
    assert described_steps(plan(Action.BAKE), DesiredState(), {"ap-south-1": "alias/ami"}, made) == [
        "build in us-east-1",
        "build in eu-west-1",
        "build in ap-south-1",
        "copy it to ap-south-1, encrypted with alias/ami",
    ]


def test_missing_region_is_copied_and_existing_amis_are_reconciled() -> None:
    assert described_steps(plan(Action.COPY, AMI), DesiredState(tags=(("team", "web"),))) == [
        "copy ami-1 (us-east-1) to eu-west-1",
        "copy ami-1 (us-east-1) to ap-south-1",
        "tag ami-1 (us-east-1): team = web",
    ]


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (
            Step(kind=StepKind.REVOKE, region="r", ami="ami-1", targets=(A, B)),
            f"stop sharing ami-1 (r) with {A}, {B}",
        ),
        (
            Step(kind=StepKind.GRANT, region="r", ami="ami-1", on_snapshot=True, snapshot="snap-1", targets=(A,)),
            f"share snapshot snap-1 of ami-1 (r) with {A}",
        ),
        (
            Step(kind=StepKind.TAG, region="r", ami="ami-1", tags=((SHARED_TAG, None),)),
            f"remove the tag {SHARED_TAG} from ami-1 (r)",
        ),
    ],
)
def test_steps_are_described(step: Step, text: str) -> None:
    assert describe_step(step) == text
