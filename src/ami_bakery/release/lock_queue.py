"""Acquires a lock in EC2 that is not the lock of a bake, within the wait policy."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ami_bakery.bake.held_lock import HeldLock
from ami_bakery.bake.hidden_lock import HiddenLock, foreign_key_pair
from ami_bakery.core.ci.job import ci_job
from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.core.lock.lock import LOCK_TAG, LockRecord, lock_name, lock_timing, new_lock_tags
from ami_bakery.errors import AwsError, BusyError, UnansweredError
from ami_bakery.values import Frozen, field, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ami_bakery.bake.build_slots import WaitPolicy
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.ports import Ports

_MAX_UNANSWERED = 3
BUSY_TODO = "Run again later, or wait longer (--wait-timeout, without --no-wait)."


class LockSubject(Frozen):
    """What to lock, and for what.

    value    the value that the lock's name is made of: a digest, or the name of a parameter
    doing    the operation, as a clause for errors
    others   what another holder is doing: `another runner is changing this channel`
    tags     tags of the lock
    carried  names of tags that the lock takes over from an expired one
    """

    image: ImageConfig
    region: str
    value: str
    doing: str
    others: str
    todo: str = BUSY_TODO
    tags: Mapping[str, str] = field(default_factory=dict)
    carried: tuple[str, ...] = ()


class LockQueue:
    """Acquires one lock.

    check_takeover  called with an expired lock before it is taken over; raises `BakeryError` to leave it
    carried         the tags that were taken over
    """

    def __init__(
        self, ports: Ports, subject: LockSubject, check_takeover: Callable[[LockRecord], None] = lambda _: None
    ) -> None:
        self._ports, self._subject, self._check_takeover = ports, subject, check_takeover
        self._timing = lock_timing(ports.environment)
        self._hidden = HiddenLock(self._timing)
        self._run = ports.new_run()
        self._first_seen: dict[str, datetime] = {}
        self._deleted: set[str] = set()
        self._taken_over = False
        self._reported = ""
        self._expires_at = 0.0
        self.carried: dict[str, str] = {}
        self._waited_for: dict[str, datetime] = {}

    @property
    def waited_since(self) -> datetime | None:
        """Since when another runner had the lock that this one waited for; None if it did not wait.

        A lock that was taken over does not count: its holder is dead.
        """
        return min(self._waited_for.values(), default=None)

    def acquire(self, wait_policy: WaitPolicy) -> HeldLock:
        """Returns the lock. Raises `BusyError` if another runner holds it and waiting is disabled or timed out."""
        clock, subject = self._ports.clock, self._subject
        deadline = None if wait_policy.timeout is None else clock.monotonic() + wait_policy.timeout.total_seconds()
        while (lock := self._try()) is None:
            now = clock.monotonic()
            if not wait_policy.waits or (deadline is not None and now >= deadline):
                raise BusyError(subject.doing, self._reported or subject.others, subject.todo)
            pause = self._timing.poll_seconds * random.uniform(0.75, 1.25)
            clock.sleep(pause if deadline is None else min(pause, max(0.0, deadline - now)))
        if self._taken_over:
            # The previous holder may still run. By then, it sees that its lock is gone.
            clock.sleep(self._timing.settling_seconds)
        return HeldLock(self._ports, subject.region, lock, self._timing, lambda _: None, expires_at=self._expires_at)

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
                self._waited_for.setdefault("", self._ports.locks.now(self._subject.region))
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
        locks, subject = self._ports.locks, self._subject
        tags = new_lock_tags(
            digest=subject.value,
            image=subject.image.name,
            run=self._run,
            holder=locks.holder(),
            job=ci_job(self._ports.environment),
            now=locks.now(subject.region),
            timing=self._timing,
            inherited=InheritedAmis(),
            configured=subject.image.tags,
        )
        self._expires_at = self._ports.clock.monotonic() + self._timing.lifetime_seconds
        return locks.acquire(subject.region, lock_name(subject.value), {**tags, **subject.tags, **self.carried})

    def _read(self) -> LockRecord | None:
        """Returns the lock; of several, ours or one that has not expired."""
        found = self._ports.locks.of_digests(self._subject.region, [self._subject.value])
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
        self._check_takeover(lock)
        self._ports.reporter.note(f"{self._subject.doing}: taking over the lock of {lock.describe()}: it has expired")
        self.carried |= {name: lock.tags[name] for name in self._subject.carried if lock.tags.get(name)}
        self._waited_for.pop(lock.id, None)
        self._taken_over = True
        self._deleted.add(lock.id)
        self._ports.locks.delete(self._subject.region, lock.id)

    def _wait_for(self, lock: LockRecord) -> None:
        self._waited_for.setdefault(lock.id, min(lock.acquired_at or lock.seen_at, lock.seen_at))
        text = f"{self._subject.others}: {lock.describe()}"
        if text != self._reported:
            self._ports.reporter.step(self._subject.image.name, f"waiting: {text}")
        self._reported = text

    def _check_hidden(self) -> None:
        """Raises if a key pair with the lock's name is no lock."""
        if not self._hidden.is_overdue(self._ports.clock.monotonic()):
            return
        name, region = lock_name(self._subject.value), self._subject.region
        pairs = self._ports.temporary_resources.key_pairs(region)
        pair = next((pair for pair in pairs or () if pair.name == name), None)
        if pairs is None or (pair is not None and LOCK_TAG not in pair.tags):
            raise foreign_key_pair(self._subject.doing, region, name, pair.id if pair else "")
