"""Serializes the changes of one channel with a lock in EC2."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ami_bakery.bake.held_lock import HeldLock
from ami_bakery.bake.hidden_lock import HiddenLock, foreign_key_pair
from ami_bakery.core.ci.job import ci_job
from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.core.lock.lock import LOCK_TAG, LockRecord, lock_name, lock_timing, new_lock_tags
from ami_bakery.errors import AwsError, BusyError, UnansweredError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ami_bakery.bake.build_slots import WaitPolicy
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.ports import Ports

ROLLBACK_TAG = "ami-bakery:rollback-to"
"""On the lock of an unfinished roll-back: the AMI that it goes back to, as `us-east-1:ami-1`."""
_MAX_UNANSWERED = 3
_BUSY_TODO = "Run again later, or wait longer (--wait-timeout, without --no-wait)."


class HeldChannel:
    """The lock of a channel that this runner holds.

    unfinished  the target of a roll-back whose runner was killed or failed, as `us-east-1:ami-1`; empty if none
    """

    def __init__(self, doing: str, held: HeldLock, unfinished: str) -> None:
        self._doing = doing
        self._held = held
        self._keeps = False
        self.unfinished = unfinished

    def confirm(self) -> None:
        """Raises `BusyError` if the lock is lost."""
        if not self._held.confirm():
            raise self._lost()

    def begin_rollback(self, target: str) -> None:
        """Records the target, so that a later run can finish this roll-back."""
        if not self._held.renew({ROLLBACK_TAG: target}, retry=True):
            raise self._lost()
        self._keeps = True

    def end_rollback(self) -> None:
        self._keeps = False

    def release(self) -> None:
        """Releases the lock. After an unfinished roll-back, the expired lock is kept for its record."""
        self._held.try_release(self._doing, keep=self._keeps and not self._held.lost)

    def _lost(self) -> BusyError:
        return BusyError(self._doing, "the channel's lock was lost: another runner took it over", _BUSY_TODO)


class _Queue:
    """Acquires the lock of a channel, within the wait policy."""

    def __init__(self, ports: Ports, image: ImageConfig, region: str, parameter: str, doing: str) -> None:
        self._ports, self._image, self._region, self._parameter, self._doing = ports, image, region, parameter, doing
        self._timing = lock_timing(ports.environment)
        self._hidden = HiddenLock(self._timing)
        self._run = ports.new_run()
        self._first_seen: dict[str, datetime] = {}
        self._deleted: set[str] = set()
        self._taken_over = False
        self._reported = ""
        self._expires_at = 0.0
        self._unfinished = ""

    def acquire(self, wait_policy: WaitPolicy) -> HeldChannel:
        clock = self._ports.clock
        deadline = None if wait_policy.timeout is None else clock.monotonic() + wait_policy.timeout.total_seconds()
        while (lock := self._try()) is None:
            now = clock.monotonic()
            if not wait_policy.waits or (deadline is not None and now >= deadline):
                raise BusyError(self._doing, self._reported or "another runner is changing this channel", _BUSY_TODO)
            pause = self._timing.poll_seconds * random.uniform(0.75, 1.25)
            clock.sleep(pause if deadline is None else min(pause, max(0.0, deadline - now)))
        if self._taken_over:
            # The previous holder may still run. By then, it sees that its lock is gone.
            clock.sleep(self._timing.settling_seconds)
        return HeldChannel(self._doing, self._renewed(lock), self._unfinished)

    def _renewed(self, lock: str) -> HeldLock:
        return HeldLock(self._ports, self._region, lock, self._timing, lambda _: None, expires_at=self._expires_at)

    def _try(self) -> str | None:
        """Returns the id of our new lock; None if another runner may hold it."""
        failure: AwsError | None = None
        for _ in range(_MAX_UNANSWERED):
            failure = None
            try:
                lock = self._create()
            except UnansweredError as error:
                failure = error
            else:
                if lock is not None:
                    return lock
                self._hidden.refused(self._ports.clock.monotonic())
            seen = self._read()
            if seen is None and failure is None:
                self._check_hidden()
                return None
            if seen is not None and seen.run == self._run:
                return seen.id
            if seen is not None and not seen.expired:
                self._wait_for(seen)
                return None
            if seen is not None:
                self._break(seen)
        if failure is not None:
            raise failure
        return None

    def _create(self) -> str | None:
        locks = self._ports.locks
        tags = new_lock_tags(
            digest=self._parameter,
            image=self._image.name,
            run=self._run,
            holder=locks.holder(),
            job=ci_job(self._ports.environment),
            now=locks.now(self._region),
            timing=self._timing,
            inherited=InheritedAmis(),
            configured=self._image.tags,
        )
        if self._unfinished:
            tags[ROLLBACK_TAG] = self._unfinished
        self._expires_at = self._ports.clock.monotonic() + self._timing.lifetime_seconds
        return locks.acquire(self._region, lock_name(self._parameter), tags)

    def _read(self) -> LockRecord | None:
        """Returns the lock; of several, ours or one that has not expired."""
        found = self._ports.locks.of_digests(self._region, [self._parameter])
        locks = [self._with_age(lock) for lock in found if lock.id not in self._deleted]
        lock = max(locks, key=lambda lock: (lock.run == self._run, not lock.expired, lock.since), default=None)
        if lock is not None:
            self._hidden.end()
        return lock

    def _with_age(self, lock: LockRecord) -> LockRecord:
        since = self._first_seen.setdefault(lock.id, lock.seen_at)
        return lock if lock.exists_since is not None else replace(lock, exists_since=since)

    def _break(self, lock: LockRecord) -> None:
        """Deletes an expired lock by its id. No other runner's lock has this id."""
        self._ports.reporter.note(f"{self._doing}: taking over the lock of {lock.describe()}: it has expired")
        self._unfinished = lock.tags.get(ROLLBACK_TAG, "") or self._unfinished
        self._taken_over = True
        self._deleted.add(lock.id)
        self._ports.locks.delete(self._region, lock.id)

    def _wait_for(self, lock: LockRecord) -> None:
        text = f"another runner is changing this channel: {lock.describe()}"
        if text != self._reported:
            self._ports.reporter.step(self._image.name, f"waiting: {text}")
        self._reported = text

    def _check_hidden(self) -> None:
        """Raises if a key pair with the lock's name is no lock."""
        if not self._hidden.is_overdue(self._ports.clock.monotonic()):
            return
        name = lock_name(self._parameter)
        pairs = self._ports.temporary_resources.key_pairs(self._region)
        pair = next((pair for pair in pairs or () if pair.name == name), None)
        if pairs is None or (pair is not None and LOCK_TAG not in pair.tags):
            raise foreign_key_pair(self._doing, self._region, name, pair.id if pair else "")


@contextmanager
def lock_channel(
    ports: Ports, image: ImageConfig, region: str, parameter: str, doing: str, wait_policy: WaitPolicy
) -> Iterator[HeldChannel]:
    """Holds the lock of a channel, in the image's first region.

    Raises `BusyError` if another runner holds it and waiting is disabled or timed out.
    """
    held = _Queue(ports, image, region, parameter, doing).acquire(wait_policy)
    try:
        yield held
    finally:
        held.release()
