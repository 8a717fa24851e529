"""How many builds an AMI is behind the newest one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ami_bakery.core.channel.builds_behind import Behind, how_far_behind
from ami_bakery.core.ec2.ami import DIGEST_TAG, ORIGIN_TAG, REVOKED_TAG, Ami, AmiState

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def ami(number: int, *, tags: dict[str, str] | None = None, **more: Any) -> Ami:
    """An AMI that is `number` days old."""
    fields: dict[str, Any] = {
        "id": f"ami-{number:08}",
        "region": "us-east-1",
        "name": f"app-{number}",
        "state": AmiState.AVAILABLE,
        "created": NOON - timedelta(days=number),
        "owner": "123456789012",
        "tags": {DIGEST_TAG: f"{number:064}", ORIGIN_TAG: f"ami-{number:08}"} | (tags or {}),
    }
    return Ami(**fields | more)


def test_newer_builds_and_days_are_counted() -> None:
    amis = [ami(number) for number in (1, 4, 9)]
    assert how_far_behind(amis[2], amis) == Behind(builds=2, time=timedelta(days=8))
    assert how_far_behind(amis[0], amis) == Behind(builds=0, time=timedelta())


def test_copies_of_one_build_count_once() -> None:
    build = ami(4)
    copies = [ami(number, tags=dict(build.tags)) for number in (2, 3)]
    assert how_far_behind(ami(9), [*copies, build]) == Behind(builds=1, time=timedelta(days=7))
    assert how_far_behind(build, copies) == Behind(builds=0, time=timedelta())


def test_builds_that_do_not_count_are_no_newer_builds() -> None:
    others = [
        ami(1, tags={REVOKED_TAG: "bad"}),
        ami(2, state=AmiState.DISABLED),
        ami(3, region="eu-west-1"),
        ami(4, tags={DIGEST_TAG: ""}),
        ami(5, created=None),
    ]
    assert how_far_behind(ami(9), others) == Behind(builds=0, time=timedelta())


def test_ami_without_a_date_is_behind_by_an_unknown_number() -> None:
    assert how_far_behind(ami(9, created=None), [ami(1)]) is None
