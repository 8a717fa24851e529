"""The steps that acquire, wait for, take over and release the lock."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, assert_never

from ami_bakery.bake.held_lock import HeldLock
from ami_bakery.bake.hidden_lock import HiddenLock
from ami_bakery.cleanup.orphan_tagging import tag_orphaned_resources
from ami_bakery.core.ci.job import ci_job
from ami_bakery.core.lock.lock import LOCK_TAG, LockRecord, lock_name, new_lock_tags
from ami_bakery.core.lock.protocol_steps import (
    AcquireLock,
    BreakLock,
    LockAcquired,
    LockNotVisible,
    LockSeen,
    Pause,
    ProtocolEvent,
    ReadLock,
    Release,
)
from ami_bakery.template.facts import regions_named
from ami_bakery.values import replace

if TYPE_CHECKING:
    from datetime import datetime

    from ami_bakery.bake.bake_state import BakeState
    from ami_bakery.core.lock.protocol_steps import LockStep, StepResult


class LockSteps:
    """Carries out the lock's steps of one bake.

    loss     why we last lost our lock; empty if we lost none
    foreign  the id of a key pair that has the lock's name but is not a lock; empty if it is not visible
    """

    def __init__(self, state: BakeState) -> None:
        self._state = state
        self._ports = state.ports
        self._hidden = HiddenLock(state.timing)
        self._past_locks: frozenset[str] = frozenset()
        self._expires_at = 0.0
        self._reported = ""
        self._first_seen: dict[str, datetime] = {}
        self._wait_until: float | None = None
        self.loss = ""
        self.foreign = ""

    def carry_out(self, step: LockStep, past_locks: frozenset[str]) -> StepResult:
        """Carries out one step. Raises `BakeryError`.

        past_locks  locks that we have deleted or lost; EC2 may still show them
        """
        self._past_locks = past_locks
        match step:
            case AcquireLock():
                return self._acquire(step)
            case ReadLock():
                return self._read()
            case BreakLock():
                return self._break(step)
            case Pause():
                return self._pause()
            case Release():
                return self.release(step)
            case _:
                assert_never(step)

    def hold(self, lock: str | None) -> None:
        """Renews only this lock from now on; None: renews no lock."""
        state = self._state
        if state.held is not None and state.held.id != lock:
            state.held.abandon()
            state.held = None
        if lock is not None and state.held is None:
            self.loss = ""
            state.held = HeldLock(
                self._ports, state.home, lock, state.timing, self._on_loss, expires_at=self._expires_at
            )

    def release(self, step: Release) -> StepResult:
        """Releases our lock. Only reports a failure, which must not lose the finished AMI."""
        held, self._state.held = self._state.held, None
        assert held is not None
        held.try_release(self._state.image, keep=step.keep)
        return ProtocolEvent.DONE

    def _on_loss(self, why: str) -> None:
        self._ports.packer.stop(self._state.image)
        if not self.loss:
            self.loss = why
            then = "The AMI is finished anyway" if self._state.publishing else "Stopping Packer; nothing will be tagged"
            self._ports.reporter.warn(f"{self._state.image}: lost the lock: {why}. {then}")

    def _acquire(self, step: AcquireLock) -> StepResult:
        state = self._state
        state.slot.acquire()
        locks = self._ports.locks
        tags = new_lock_tags(
            digest=state.digest.hex,
            image=state.image,
            run=state.run,
            holder=locks.holder(),
            job=ci_job(self._ports.environment),
            now=locks.now(state.home),
            timing=state.timing,
            inherited=step.inherited,
            configured=state.planned.definition.image.tags,
        )
        self._expires_at = self._ports.clock.monotonic() + state.timing.lifetime_seconds
        lock = locks.acquire(state.home, lock_name(state.digest.hex), tags)
        if lock is not None:
            return LockAcquired(lock)
        self._hidden.refused(self._ports.clock.monotonic())
        return ProtocolEvent.REFUSED

    def _read(self) -> StepResult:
        state = self._state
        state.slot.release()
        found = self._ports.locks.of_digests(state.home, [state.digest.hex])
        if not found:
            return self._not_visible()
        # A past lock may still be visible together with its successor.
        lock = max(
            map(self._with_age, found),
            key=lambda lock: (lock.id not in self._past_locks, lock.run == state.run, not lock.expired, lock.since),
        )
        return self._seen(lock)

    def _seen(self, lock: LockRecord) -> LockSeen:
        self._state.seen_lock = lock
        self._expires_at = self._ports.clock.monotonic() + lock.remaining_seconds
        self._hidden.end()
        ours, test = lock.run == self._state.run, self._state.planned.definition.test
        failed = test is not None and lock.failed_test == test.digest.hex and not self._state.retested
        return LockSeen(lock.id, ours, lock.expired, lock.finished, lock.inherited, failed)

    def _with_age(self, lock: LockRecord) -> LockRecord:
        """Adds the time when we first saw the lock. Does nothing if its creation time is known."""
        since = self._first_seen.setdefault(lock.id, lock.seen_at)
        return lock if lock.exists_since is not None else replace(lock, exists_since=since)

    def _not_visible(self) -> StepResult:
        """Finds out why the lock's name is refused.

        No lock is visible: EC2 may not show the lock yet, or a key pair that is not a lock may have the name.
        """
        if not self._hidden.is_overdue(self._ports.clock.monotonic()):
            return LockNotVisible()
        home = self._state.home
        pairs = self._ports.temporary_resources.key_pairs(home)
        if pairs is None:
            return LockNotVisible(overdue=True)
        name = lock_name(self._state.digest.hex)
        pair = next((pair for pair in pairs if pair.name == name), None)
        self._hidden.end()
        if pair is None:
            return LockNotVisible()
        if LOCK_TAG in pair.tags:
            now = self._ports.locks.now(home)
            return self._seen(LockRecord(id=pair.id, region=home, tags=pair.tags, seen_at=now))
        self.foreign = pair.id
        return LockNotVisible(overdue=True)

    def _break(self, step: BreakLock) -> StepResult:
        state, lock = self._state, self._state.seen_lock
        if lock is not None and lock.run != state.run:
            self._ports.reporter.note(f"{state.image}: taking over the lock of {lock.describe()}: it has expired")
            facts = state.planned.definition.facts or state.resolver.facts(state.planned.definition.image)
            tag_orphaned_resources(self._ports, state.image, lock, regions_named(facts.builders))
        self._ports.locks.delete(state.home, step.lock)
        return ProtocolEvent.DONE

    def _pause(self) -> StepResult:
        state = self._state
        state.slot.release()
        clock, reporter = self._ports.clock, self._ports.reporter
        now, timeout = clock.monotonic(), state.wait_policy.timeout
        if self._wait_until is None and timeout is not None:
            self._wait_until = now + timeout.total_seconds()
        if self._wait_until is not None and now >= self._wait_until:
            return ProtocolEvent.TIMED_OUT
        text = f"waiting: it is being baked by {state.describe_holder('another runner')}"
        reporter.update(state.image, text) if text == self._reported else reporter.step(state.image, text)
        self._reported = text
        # Randomized, so that waiting runners do not call EC2 at the same moments.
        seconds = state.timing.poll_seconds * random.uniform(0.75, 1.25)
        clock.sleep(seconds if self._wait_until is None else min(seconds, self._wait_until - now))
        return ProtocolEvent.DONE
