"""States of images and builds in a report."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.ec2.ami import (
    DIGEST_TAG,
    FORMAT_TAG,
    ORIGIN_TAG,
    REVOKED_TAG,
    TEST_FAILED_TAG,
    TESTED_TAG,
    Ami,
    AmiState,
)
from ami_bakery.core.ec2.quarantine import quarantine_tags
from ami_bakery.core.plan.decision import decide
from ami_bakery.core.plan.plan import Action, ImagePlan, Wanted
from ami_bakery.core.report.image_states import BuildState, ImageState, state_of_build, state_of_image
from ami_bakery.values import replace

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DIGEST, OLDER = Digest(Scheme.SHA256, "a" * 64), Digest(Scheme.SHA256, "b" * 64)
TEST, OLDER_TEST = "c" * 64, "d" * 64
HOME, FAR = "us-east-1", "eu-west-1"
TAGS = {DIGEST_TAG: DIGEST.hex, FORMAT_TAG: "1", ORIGIN_TAG: "ami-1"}
AMI = Ami(id="ami-1", region=HOME, name="app", state=AmiState.AVAILABLE, created=NOW, owner="1", tags=TAGS)
COPY = replace(AMI, id="ami-2", region=FAR)
WANTED = Wanted(image="app", digest=DIGEST, regions=(HOME,))


def with_tags(ami: Ami = AMI, **changes: str | None) -> Ami:
    names = {"digest": DIGEST_TAG, "tested": TESTED_TAG, "failed": TEST_FAILED_TAG, "revoked": REVOKED_TAG}
    changed = {**ami.tags, **{names[name]: value for name, value in changes.items()}}
    return replace(ami, tags={name: value for name, value in changed.items() if value is not None})


def planned(wanted: Wanted, *found: Ami, failed: tuple[Ami, ...] = ()) -> ImagePlan:
    return decide(wanted, found, now=NOW, force=False, failed=failed)


DISABLED = replace(AMI, state=AmiState.DISABLED, tags={**TAGS, **quarantine_tags(NOW, [])})
KEPT = with_tags(digest=None, failed=DIGEST.hex)
TESTED = replace(WANTED, test=TEST)


@pytest.mark.parametrize(
    ("plan", "built", "state"),
    [
        (planned(WANTED, AMI), True, ImageState.CURRENT),
        (planned(WANTED), True, ImageState.BEHIND),
        (planned(WANTED), False, ImageState.NOT_BUILT),
        (planned(WANTED, with_tags(revoked="bad")), True, ImageState.REVOKED),
        (planned(replace(WANTED, digest=None, awaits="base")), True, ImageState.PENDING),
        (planned(replace(WANTED, regions=(HOME, FAR)), AMI), True, ImageState.NOT_COPIED),
        (planned(TESTED, AMI), True, ImageState.UNTESTED),
        (planned(TESTED, with_tags(tested=OLDER_TEST)), True, ImageState.UNTESTED),
        (planned(TESTED, failed=(KEPT,)), True, ImageState.FAILING_TEST),
        (planned(WANTED, DISABLED), True, ImageState.DISABLED),
        (replace(planned(WANTED), action=Action.WAIT), True, ImageState.BUILDING),
        (None, True, ImageState.UNKNOWN),
    ],
)
def test_state_of_an_image_follows_from_its_plan(plan: ImagePlan | None, built: bool, state: ImageState) -> None:
    assert state_of_image(plan, built=built) is state


@pytest.mark.parametrize(
    ("amis", "test", "state"),
    [
        ((AMI, COPY), "", BuildState.CURRENT),
        ((with_tags(digest=OLDER.hex),), "", BuildState.SUPERSEDED),
        ((AMI, with_tags(COPY, revoked="bad")), "", BuildState.REVOKED),
        ((DISABLED, replace(DISABLED, region=FAR)), "", BuildState.DISABLED),
        ((AMI, replace(COPY, state=AmiState.DISABLED)), "", BuildState.CURRENT),
        ((replace(AMI, state=AmiState.FAILED),), "", BuildState.UNTESTED),
        ((DISABLED, with_tags(COPY, digest=None)), "", BuildState.DISABLED),
        ((KEPT,), TEST, BuildState.FAILING_TEST),
        ((KEPT,), "", BuildState.FAILING_TEST),
        ((with_tags(digest=None),), "", BuildState.UNTESTED),
        ((AMI,), TEST, BuildState.UNTESTED),
        ((with_tags(tested=OLDER_TEST),), TEST, BuildState.UNTESTED),
        ((with_tags(tested=OLDER_TEST, failed=DIGEST.hex),), TEST, BuildState.FAILING_TEST),
        ((with_tags(tested=TEST), with_tags(COPY, tested=TEST)), TEST, BuildState.CURRENT),
        ((with_tags(tested=OLDER_TEST, digest=OLDER.hex),), TEST, BuildState.SUPERSEDED),
    ],
)
def test_state_of_a_build_follows_from_its_tags(amis: tuple[Ami, ...], test: str, state: BuildState) -> None:
    assert state_of_build(amis, DIGEST, test) is state


def test_it_is_unknown_whether_a_build_is_current_if_the_digest_is_unknown() -> None:
    assert state_of_build((AMI,), None, "") is BuildState.UNKNOWN
    assert state_of_build((with_tags(revoked="bad"),), None, "") is BuildState.REVOKED
