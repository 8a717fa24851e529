"""A held lock survives failed renewals. Its loss is detected even if a renewal hangs."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ami_bakery.adapters.aws.ec2_lock import KeyPairLocks
from ami_bakery.adapters.aws.session import AwsSession
from ami_bakery.adapters.clock import SystemClock
from ami_bakery.bake.held_lock import HeldLock
from ami_bakery.core.lock.lock import EXPIRES_TAG, LOCK_TAG, Timing
from tests.processes import wait_until

from .bench import tags_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws

HOME = "us-east-1"
EXCEPTIONS = (
    RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
    FileNotFoundError(2, "No such file or directory", "/gone/token"),
    PermissionError(13, "Permission denied", "/root/credentials"),
    EOFError("EOF when reading a line"),
    AttributeError("'list' object has no attribute 'get'"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    RecursionError("maximum recursion depth exceeded"),
    MemoryError(),
)


class Failing(KeyPairLocks):
    """Raises in place of the next calls that tag; or does not return while `hangs` is set."""

    to_raise: Exception | None = None
    times = 0
    hangs = False
    renewals = 0

    def tag(self, region: str, ids: Sequence[str], tags: Mapping[str, str], *, retry: bool = True) -> bool:
        while self.hangs:
            time.sleep(0.05)
        if self.to_raise is not None and self.times > 0:
            self.times -= 1
            raise self.to_raise
        done = super().tag(region, ids, tags, retry=retry)
        self.renewals += 1
        return done


@pytest.fixture
def locks(local: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    environment = local.environment({"HOME": "/nobody"})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    session = AwsSession(environment)
    yield Failing(session)
    session.close()


def held(locks: Failing, on_loss: Any, lifetime: int = 4, late: float = 0) -> HeldLock:
    """late  seconds since the lock was requested"""
    lock = locks.acquire(HOME, "ami-bakery-lock-d", {LOCK_TAG: "d"})
    assert lock is not None
    ports: Any = SimpleNamespace(clock=SystemClock(), locks=locks)
    expires_at = time.monotonic() + lifetime - late
    return HeldLock(ports, HOME, lock, Timing(lifetime_seconds=lifetime), on_loss, expires_at=expires_at)


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_renewal_that_raises_any_exception_is_repeated(locks: Failing, ec2: EC2Client, error: Exception) -> None:
    losses: list[str] = []
    locks.to_raise, locks.times = error, 1
    lock = held(locks, losses.append, lifetime=20)
    assert wait_until(lambda: locks.times == 0 and locks.renewals > 0)
    assert EXPIRES_TAG in tags_of(ec2, lock.id)
    assert not lock.lost
    lock.release(keep=False)
    assert losses == []


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_lock_is_lost_when_it_expires_without_a_renewal(locks: Failing, error: Exception) -> None:
    losses: list[str] = []
    locks.to_raise, locks.times = error, 1_000_000
    lock = held(locks, losses.append, lifetime=2)
    assert wait_until(lambda: bool(losses))
    lock.abandon()
    assert lock.lost
    assert losses[0] == f"it could not be renewed before it expired ({type(error).__name__})"


def test_lock_is_lost_if_its_renewal_hangs(locks: Failing) -> None:
    losses: list[str] = []
    lock = held(locks, losses.append, lifetime=2)
    locks.hangs = True
    assert wait_until(lambda: bool(losses))
    locks.hangs = False
    lock.abandon()
    assert losses[0] == "it could not be renewed before it expired (no answer)"


def test_loss_is_reported_again_if_the_report_fails(locks: Failing, ec2: EC2Client) -> None:
    reported: list[str] = []

    def fail(why: str) -> None:
        reported.append(why)
        raise BrokenPipeError

    lock = held(locks, fail, lifetime=2)
    ec2.delete_key_pair(KeyPairId=lock.id)
    assert wait_until(lambda: len(reported) > 1)
    lock.abandon()


def test_lock_that_nothing_renews_is_lost_as_soon_as_it_expires(locks: Failing) -> None:
    """A runner that takes it over builds after the settling time."""
    lost_at: list[float] = []
    began = time.monotonic()
    lock = held(locks, lambda _: lost_at.append(time.monotonic()), lifetime=120, late=117)
    locks.hangs = True
    assert wait_until(lambda: bool(lost_at))
    locks.hangs = False
    lock.abandon()
    assert lost_at[0] - began >= 3
    assert lost_at[0] - began < 3 + Timing(lifetime_seconds=120).settling_seconds


def test_lock_whose_response_came_late_is_renewed_before_it_is_used(locks: Failing, ec2: EC2Client) -> None:
    fresh = held(locks, print, lifetime=600)
    assert fresh.confirm()
    assert locks.renewals == 0
    fresh.release(keep=False)
    late = held(locks, print, lifetime=600, late=200)
    renewals = locks.renewals
    assert late.confirm()
    assert locks.renewals > renewals
    assert EXPIRES_TAG in tags_of(ec2, late.id)
    late.abandon()


def test_lock_that_was_taken_over_before_its_response_is_not_confirmed(locks: Failing, ec2: EC2Client) -> None:
    lock = held(locks, print, lifetime=6, late=10)
    ec2.delete_key_pair(KeyPairId=lock.id)
    assert not lock.confirm()
    lock.abandon()
