"""Locks as key pairs, with boto3 and the embedded EC2."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ami_bakery.adapters.aws.ec2_clock import Ec2Clocks
from ami_bakery.adapters.aws.ec2_lock import KeyPairLocks
from ami_bakery.adapters.aws.ec2_xml import image_dicts
from ami_bakery.adapters.aws.session import AwsSession
from ami_bakery.core.lock.lock import LOCK_TAG
from ami_bakery.errors import AwsError
from ami_bakery.local import Control
from ami_bakery.local.faults import FaultKind, InjectedFault

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws

HOME = "us-east-1"


@pytest.fixture
def locks(session: AwsSession) -> KeyPairLocks:
    return KeyPairLocks(session)


def test_only_one_of_many_concurrent_runners_acquires_a_lock(locks: KeyPairLocks) -> None:
    results: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: results.append(locks.acquire(HOME, "lock", {LOCK_TAG: "d"}))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([lock for lock in results if lock]) == 1
    assert len(results) == 8


def test_locks_are_found_by_digest_with_all_their_tags(locks: KeyPairLocks, local: LocalAws) -> None:
    digests = [f"{number:064}" for number in range(250)]
    held = {
        digest: locks.acquire(HOME, f"lock-{digest}", {LOCK_TAG: digest, "note": digest[-1]})
        for digest in digests[::50]
    }
    locks.acquire(HOME, "lock-other", {LOCK_TAG: "other"})
    control = Control(local.url)
    control.clear_report()
    seen = locks.of_digests(HOME, digests)
    assert {lock.digest: lock.id for lock in seen} == held
    assert all(lock.tags["note"] == lock.digest[-1] for lock in seen)
    assert control.report().count("DescribeTags") == 3, "two for all digests, one for all locks"
    assert locks.of_digests(HOME, ["never"]) == ()
    assert control.report().count("DescribeTags") == 4


def test_nothing_is_tagged_after_the_lock_was_deleted(locks: KeyPairLocks, ec2: EC2Client) -> None:
    (base, *_) = ec2.describe_images(Owners=["099720109477"])["Images"]
    lock = locks.acquire(HOME, "lock", {LOCK_TAG: "d"})
    assert lock is not None
    assert locks.tag(HOME, [lock, base["ImageId"]], {"done": "1"})
    locks.delete(HOME, lock)
    assert not locks.tag(HOME, [lock, base["ImageId"]], {"done": "2"}, retry=False)
    tags = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["done"]}])["Tags"]
    assert [(tag["ResourceId"], tag["Value"]) for tag in tags] == [(base["ImageId"], "1")]


def test_deleting_a_lock_by_id_keeps_its_successor(locks: KeyPairLocks) -> None:
    first = locks.acquire(HOME, "lock", {LOCK_TAG: "d"})
    assert first is not None
    locks.delete(HOME, first)
    second = locks.acquire(HOME, "lock", {LOCK_TAG: "d"})
    locks.delete(HOME, first)
    assert [lock.id for lock in locks.of_digests(HOME, ["d"])] == [second]


def test_a_lost_response_looks_like_a_lock_that_is_held(locks: KeyPairLocks, local: LocalAws) -> None:
    Control(local.url).plan(InjectedFault(action="CreateKeyPair", kind=FaultKind.DROP_AFTER))
    assert locks.acquire(HOME, "lock", {LOCK_TAG: "d", "run": "mine"}) is None
    (lock,) = locks.of_digests(HOME, ["d"])
    assert lock.tags["run"] == "mine"


def test_a_missing_permission_is_named(locks: KeyPairLocks, local: LocalAws) -> None:
    Control(local.url).plan(InjectedFault(action="CreateKeyPair", code="UnauthorizedOperation", times=2))
    with pytest.raises(AwsError) as refused:
        locks.acquire(HOME, "lock", {LOCK_TAG: "d"})
    assert refused.value.code == "UnauthorizedOperation"
    assert "ec2:CreateKeyPair" in refused.value.todo


def test_the_clock_shows_ec2s_time_after_a_response(session: AwsSession, locks: KeyPairLocks) -> None:
    clocks = session.clocks
    clocks.update(HOME, "Sat, 31 Jan 2026 12:00:00 GMT")
    assert locks.now(HOME) < datetime(2026, 1, 31, 12, 1, tzinfo=UTC)
    locks.of_digests(HOME, ["d"])
    assert abs(locks.now(HOME) - datetime.now(UTC)) < timedelta(seconds=30)
    session.query.call(HOME, "DescribeImages", {"Owners": ["self"]}, image_dicts)
    assert abs(locks.now(HOME) - datetime.now(UTC)) < timedelta(seconds=30)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sat, 99 Jan 2026 12:00:00 GMT", "Sat, 31 Jan 2026 12:00:00"])
def test_an_invalid_date_header_is_ignored(date: str | None) -> None:
    clocks = Ec2Clocks()
    clocks.update(HOME, date)
    assert abs(clocks.now(HOME) - datetime.now(UTC)) < timedelta(seconds=30)


def test_direct_calls_update_the_clock_too(session: AwsSession) -> None:
    session.clocks.update(HOME, "Sat, 31 Jan 2026 12:00:00 GMT")
    assert session.query.call(HOME, "DescribeImages", {"Owners": ["self"]}, image_dicts) == []
    assert abs(session.clocks.now(HOME) - datetime.now(UTC)) < timedelta(seconds=30)
