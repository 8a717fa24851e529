"""Carries out, for one image, the steps of `core/single_flight`: lock, look again, bake, verify, tag, copy, unlock."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from ami_bakery.bake.adopt import adoptable, check_names, name_conflicts, remove_amis
from ami_bakery.bake.baker import Baker
from ami_bakery.bake.held_lock import HeldLock
from ami_bakery.bake.hidden_lock import HiddenLock, foreign_key_pair
from ami_bakery.bake.region_copies import copy_to_regions
from ami_bakery.bake.waiters import BUSY_TODO, AmiWaiter
from ami_bakery.cleanup.takeover import tag_orphaned_resources
from ami_bakery.core.ci.job import ci_job
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.image import DIGEST_TAG, Ami, AmiState
from ami_bakery.core.lock.lock import (
    ABANDONED_TAG,
    LOCK_TAG,
    VERIFIED_TAG,
    SeenLock,
    format_amis,
    lock_name,
    lock_timing,
    new_lock_tags,
)
from ami_bakery.core.lock.protocol import advance, begin
from ami_bakery.core.lock.protocol_steps import (
    AbandonInherited,
    AcquireLock,
    AmisAbandoned,
    Bake,
    Baked,
    BreakLock,
    CheckInherited,
    CopyToRegions,
    Discard,
    End,
    Ending,
    Finish,
    LockAcquired,
    LockNotVisible,
    LockSeen,
    LookUp,
    LookupResult,
    Pause,
    ProtocolEvent,
    Purpose,
    ReadLock,
    RecordVerified,
    Release,
    RemoveAbandoned,
    Step,
    StepResult,
    WaitVisible,
)
from ami_bakery.core.plan.outcome import Copies, Result
from ami_bakery.core.plan.plan import Action, Reason, reason_lines
from ami_bakery.errors import AwsError, BakeryError, BusyError, SourceError
from ami_bakery.plan.planner import Planned, refresh, replan
from ami_bakery.template.facts import regions_named
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ami_bakery.bake.slots import BuildSlot, WaitPolicy
    from ami_bakery.core.definition.stamp import Stamps
    from ami_bakery.define.resolver import Resolver

_SIGHT_SECONDS = 60.0
_LOCK_STEPS = (AcquireLock, ReadLock, BreakLock, RemoveAbandoned, Discard)
"""Where a missing right is seen as such."""
_MAY_HAVE_HAPPENED = (AcquireLock, BreakLock, RemoveAbandoned, RecordVerified, Finish, Discard)
"""Where it matters that a request without an answer may have been carried out."""


class BakeResult(Frozen):
    """How it ended well. `copies` are all AMIs, by region."""

    result: Result
    planned: Planned
    copies: Copies


class LockedBake:
    """One image, from a plan to bake or copy to its AMIs.

    forced   the images to bake whatever is there
    settled  the AMIs of what it is made from
    place    is given back while it waits for somebody else
    """

    def __init__(
        self,
        resolver: Resolver,
        planned: Planned,
        *,
        forced: frozenset[str],
        settled: Mapping[str, Ami | None],
        place: BuildSlot,
        patience: WaitPolicy,
    ) -> None:
        assert planned.plan.digest is not None
        self.resolver = resolver
        self.ports = resolver.ports
        self.planned = planned
        self.image = planned.plan.image
        self.digest = planned.plan.digest
        self.home = planned.plan.regions[0]
        self.forced = forced
        self.settled = settled
        self.place = place
        self.patience = patience
        self.timing = lock_timing(self.ports.environment)
        self.run = self.ports.new_run()
        self.sight = AmiWaiter(self.ports, self.image)
        self.held: HeldLock | None = None
        self.shown: SeenLock | None = None
        self.error: BakeryError | None = None
        self.baker: Baker | None = None
        self.stamps: Stamps | None = None
        self.amis: Mapping[str, Ami] = {}
        self.copies: Copies | None = None
        self._gone: frozenset[str] = frozenset()
        self._expires_at = 0.0
        self._loss = ""
        self._finished = False
        self._told = ""
        self.hidden = HiddenLock(self.timing)
        self.foreign = ""
        """The id of the key pair that has the lock's name and is no lock, where it can be seen."""
        self._seen_first: dict[str, datetime] = {}
        self._wait_until: float | None = None

    def carry_out(self) -> BakeResult | None:
        """None where the definition moved meanwhile: `planned` is what it is now. Raises where it fails."""
        flight = begin(
            forced=self.image in self.forced,
            required=self.digest.scheme is Scheme.SHA256,
            waits=self.patience.waits,
        )
        try:
            while not isinstance(flight.step, End):
                self._gone = flight.past_locks
                self._finished = isinstance(flight.step, CopyToRegions | WaitVisible)
                flight = advance(flight, self._seen(flight.step))
                self._hold(flight.lock)
        finally:
            if self.held is not None:
                # A bug, or the end of the program: what can still be done for the others.
                self._release(Release(self.held.id, keep=flight.recorded))
        return self._ended(flight.step.ending)

    def _hold(self, lock: str | None) -> None:
        if self.held is not None and self.held.id != lock:
            self.held.abandon()
            self.held = None
        if lock is not None and self.held is None:
            self._loss = ""
            self.held = HeldLock(self.ports, self.home, lock, self.timing, self._on_loss, expires_at=self._expires_at)

    def _on_loss(self, why: str) -> None:
        self.ports.packer.stop(self.image)
        if not self._loss:
            self._loss = why
            then = "The AMI is finished all the same" if self._finished else "Packer is told to stop, nothing is tagged"
            self.ports.reporter.warn(f"{self.image}: our lock is lost: {why}. {then}")

    def _seen(self, step: Step) -> StepResult:
        handle: Callable[[LockedBake, Any], StepResult] = _HANDLERS[type(step)]
        try:
            return handle(self, step)
        except BakeryError as error:
            self.error = error
            if isinstance(error, AwsError):
                if error.is_denied and isinstance(step, _LOCK_STEPS):
                    return self._denied(step, error)
                if error.is_unanswered and isinstance(step, _MAY_HAVE_HAPPENED):
                    return ProtocolEvent.UNANSWERED
            return ProtocolEvent.FAILED

    def _denied(self, step: Step, error: AwsError) -> ProtocolEvent:
        if isinstance(step, AcquireLock | ReadLock) and self.digest.scheme is Scheme.SHA1:
            self.ports.reporter.warn(
                f"{self.image} is baked without a lock, so that another runner may bake it at the same time: {error}. "
                f"{error.todo}"
            )
        return ProtocolEvent.DENIED

    # The lock.

    def _take(self, step: AcquireLock) -> StepResult:
        self.place.take()
        locks = self.ports.locks
        tags = new_lock_tags(
            digest=self.digest.hex,
            image=self.image,
            run=self.run,
            holder=locks.holder(),
            job=ci_job(self.ports.environment),
            now=locks.now(self.home),
            timing=self.timing,
            inherited=step.inherited,
            configured=self.planned.definition.image.tags,
        )
        self._expires_at = self.ports.clock.monotonic() + self.timing.lifetime_seconds
        lock = locks.acquire(self.home, lock_name(self.digest.hex), tags)
        if lock is not None:
            return LockAcquired(lock)
        self.hidden.refused(self.ports.clock.monotonic())
        return ProtocolEvent.REFUSED

    def _read(self, _step: ReadLock) -> StepResult:
        self.place.give_back()
        found = self.ports.locks.of_digests(self.home, [self.digest.hex])
        if not found:
            return self._not_shown()
        found = tuple(self._known_longest(lock) for lock in found)
        # One that is gone may still be shown beside its successor.
        lock = max(
            found, key=lambda lock: (lock.id not in self._gone, lock.run == self.run, not lock.expired, lock.since)
        )
        return self._show(lock)

    def _show(self, lock: SeenLock) -> LockSeen:
        self.shown = lock
        self._expires_at = self.ports.clock.monotonic() + lock.remaining_seconds
        self.hidden.end()
        return LockSeen(lock.id, lock.run == self.run, lock.expired, lock.finished, lock.inherited)

    def _known_longest(self, lock: SeenLock) -> SeenLock:
        """A lock that does not tell for how long it has been there has been there since we saw it first."""
        since = self._seen_first.setdefault(lock.id, lock.seen_at)
        return lock if lock.exists_since is not None else replace(lock, exists_since=since)

    def _not_shown(self) -> StepResult:
        """Nobody is shown although the name is taken: it may be too early, or a key pair that is no lock."""
        if not self.hidden.is_overdue(self.ports.clock.monotonic()):
            return LockNotVisible()
        pairs = self.ports.temporary_resources.key_pairs(self.home)
        if pairs is None:
            return LockNotVisible(overdue=True)
        name = lock_name(self.digest.hex)
        pair = next((pair for pair in pairs if pair.name == name), None)
        self.hidden.end()
        if pair is None:
            return LockNotVisible()
        if LOCK_TAG in pair.tags:
            now = self.ports.locks.now(self.home)
            return self._show(SeenLock(id=pair.id, region=self.home, tags=pair.tags, seen_at=now))
        self.foreign = pair.id
        return LockNotVisible(overdue=True)

    def _break(self, step: BreakLock) -> StepResult:
        if self.shown is not None and self.shown.run != self.run:
            self.ports.reporter.note(f"{self.image}: taking over the lock of {self.shown.describe()}: it has expired")
            facts = self.planned.definition.facts or self.resolver.facts(self.planned.definition.image)
            tag_orphaned_resources(self.ports, self.image, self.shown, regions_named(facts.builders))
        self.ports.locks.delete(self.home, step.lock)
        return ProtocolEvent.DONE

    def _pause(self, _step: Pause) -> StepResult:
        self.place.give_back()
        clock, reporter = self.ports.clock, self.ports.reporter
        now, timeout = clock.monotonic(), self.patience.timeout
        if self._wait_until is None and timeout is not None:
            self._wait_until = now + timeout.total_seconds()
        if self._wait_until is not None and now >= self._wait_until:
            return ProtocolEvent.TIMED_OUT
        who = self.shown.describe() if self.shown else "somebody else"
        said = f"waiting: it is being baked by {who}"
        reporter.update(self.image, said) if said == self._told else reporter.step(self.image, said)
        self._told = said
        # Not all in step: they would ask EC2 in the same moments.
        seconds = self.timing.poll_seconds * random.uniform(0.75, 1.25)
        clock.sleep(seconds if self._wait_until is None else min(seconds, self._wait_until - now))
        return ProtocolEvent.DONE

    def _release(self, step: Release) -> StepResult:
        held, self.held = self.held, None
        assert held is not None
        try:
            held.release(keep=step.keep)
        except Exception as error:
            # Whatever it is: the lock is no reason to lose the AMI that was finished under it.
            held.abandon()
            left = f"until then others wait: {self.timing.lifetime_seconds} s at most"
            why = error if isinstance(error, BakeryError) else type(error).__name__
            self.ports.reporter.warn(f"{self.image}: the lock expires by itself ({left}), since {why}")
        return ProtocolEvent.DONE

    # What is there.

    def _look(self, step: LookUp) -> StepResult:
        if step.purpose is Purpose.AFTER:
            return self._look_for_anothers()
        if step.settled:
            self._settle()
        seen = self._plan_again()
        if self.planned.plan.action is Action.WAIT:
            # Somebody bakes without a lock: with the original's checksum that is possible.
            pending = next(ami for ami in self.planned.found if ami.state is AmiState.PENDING)
            self.sight.wait_for_other_runner(pending, self.patience)
            seen = self._plan_again()
        return seen

    def _settle(self) -> None:
        """Until an AMI is seen, or what was done under the lock before ours can be seen by everybody."""
        self.sight.step("waiting until EC2 shows what the last one has done")
        while (seconds := self._to_settle()) > 0 and not _is_there(refresh(self.resolver, self.planned)):
            self.ports.clock.sleep(min(seconds, self.timing.poll_seconds))

    def _to_settle(self) -> float:
        return self.timing.settling_seconds - self.held.held_seconds if self.held is not None else 0.0

    def _plan_again(self) -> StepResult:
        """Files, bases and AMIs may have moved since they were looked at.

        The stamps are taken before the inputs are hashed: no change can fall between the two.
        """
        self.stamps = self._stamps()
        self.resolver = self.resolver.without_cache()
        self.planned = replan(self.resolver, self.planned, forced=self.forced, known=self.settled)
        if self.planned.plan.digest != self.digest or self.planned.plan.regions[0] != self.home:
            return ProtocolEvent.CHANGED
        return _looked(self.planned)

    def _stamps(self) -> Stamps | None:
        facts = self.planned.definition.facts
        if facts is None:
            return None
        try:
            return self.resolver.stamps(self.planned.definition.image, facts)
        except SourceError:
            return None  # an input is gone: planning again reports it, or finds that it is no input any more

    def _look_for_anothers(self) -> LookupResult:
        """Our look before may have been too early to show what was finished just before we took the lock."""
        while True:
            seconds = self._to_settle()
            again = refresh(self.resolver, self.planned)
            if _is_there(again):
                self.planned = again
                return _looked(again)
            if seconds <= 0:
                return LookupResult()
            self.ports.clock.sleep(min(seconds, self.timing.poll_seconds))

    # What a dead holder left.

    def _judge(self, step: CheckInherited) -> StepResult:
        baker = self._new_baker()
        self.amis = adoptable(baker, step.ami)
        if not self.amis:
            return ProtocolEvent.REFUSED
        ami, who = self.amis[self.home].id, self.shown.describe() if self.shown else "a run"
        detail = f"{ami} was baked and verified by {who}, which ended before it could tag it"
        self.planned = replace(self.planned, plan=replace(self.planned.plan, reasons=(Reason("adopted", ami, detail),)))
        return ProtocolEvent.DONE

    def _give_up_left(self, step: AbandonInherited) -> StepResult:
        if self.held is None:
            return AmisAbandoned()
        amis = name_conflicts(self.resolver, self.planned, step.inherited)
        if amis and self._to_settle() > 0:
            # What was finished a moment ago may look unfinished yet.
            self.sight.step("waiting until EC2 shows what the last one has done")
            if self.image not in self.forced and (looked := self._look_for_anothers()).ami is not None:
                return looked
            while (seconds := self._to_settle()) > 0:
                self.ports.clock.sleep(seconds)
            amis = name_conflicts(self.resolver, self.planned, step.inherited)
        if not amis:
            return AmisAbandoned()
        # The lock is still ours: so what was seen is of runs before ours, wherever it is.
        if not self.held.tag([ami.id for ami in amis if ami.region == self.home], {ABANDONED_TAG: self.run}):
            return AmisAbandoned() if self.held.renew(patient=True) else ProtocolEvent.LOST
        self.amis = {ami.id: ami for ami in amis}
        return AmisAbandoned(tuple(self.amis))

    def _remove_left(self, _step: RemoveAbandoned) -> StepResult:
        why = "which another run left unfinished under the name that this one will get"
        remove_amis(self.ports, self.image, self.amis.values(), why)
        self.sight.await_gone(self.amis.values())
        return ProtocolEvent.DONE

    # The work.

    def _new_baker(self) -> Baker:
        def note(notes: Mapping[str, str]) -> None:
            if self.held is not None:
                self.held.note(notes)

        self.baker = Baker(self.resolver, self.planned, self.sight, run=self.run, note=note, stamps=self.stamps)
        return self.baker

    def _bake(self, _step: Bake) -> StepResult:
        self._tell_plan()
        if self.stamps is None and self.planned.definition.facts is not None:
            raise SourceError(
                f"reading the inputs of image {self.image}",
                "they change while they are read",
                "Bake again when nothing writes to the inputs.",
            )
        baker, self.amis = self._new_baker(), {}
        check_names(self.resolver, self.planned)
        if self.held is not None and not self.held.confirm():
            return ProtocolEvent.LOST
        try:
            self.amis = baker.make()
        except BakeryError:
            if self.held is not None and self.held.lost:
                return ProtocolEvent.LOST
            raise
        home = self.amis[self.home]
        if self.held is not None and self.held.lost:
            self.ports.reporter.warn(f"{self.image}: {home.id} of {self.home} was left, without the digest")
            return ProtocolEvent.LOST
        finished = self.digest.scheme is Scheme.SHA1 and home.tags.get(DIGEST_TAG) == self.digest.hex
        return Baked(format_amis(self.amis.values(), self.home), finished)

    def _tell_plan(self) -> None:
        because = "; ".join(reason_lines(self.planned.plan.reasons))
        self.ports.reporter.note(f"{self.image}: {self.planned.plan.action}: {because}")

    def _note_verified(self, step: RecordVerified) -> StepResult:
        assert self.held is not None
        there = not self.held.lost and self.held.renew({VERIFIED_TAG: step.ami}, patient=True)
        return ProtocolEvent.DONE if there else ProtocolEvent.LOST

    def _finish(self, step: Finish) -> StepResult:
        assert self.baker is not None
        held = self.held
        finished = self.baker.finish(self.amis, held.tag if held is not None and step.lock is not None else None)
        if finished is not None:
            self.amis = finished
            return ProtocolEvent.DONE
        if held is not None and held.renew(patient=True):
            ami = self.amis[self.home]
            raise AwsError(
                f"tagging {ami.id} in {self.home}", "EC2 does not know it any more", "Bake again: somebody deleted it."
            )
        return ProtocolEvent.LOST

    def _discard(self, _step: Discard) -> StepResult:
        remove_amis(self.ports, self.image, self.amis.values(), "since another runner had finished one before")
        return ProtocolEvent.DONE

    def _spread(self, _step: CopyToRegions) -> StepResult:
        plan = self.planned.plan
        if plan.action is Action.COPY:
            self._tell_plan()
            self.copies = copy_to_regions(self.resolver, self.planned, self.sight, plan.amis, plan.source)
        else:
            assert self.baker is not None
            amis = self.baker.finish_others(self.amis)
            self.copies = copy_to_regions(self.resolver, self.planned, self.sight, amis, amis[self.home])
        return ProtocolEvent.DONE

    def _await_sight(self, _step: WaitVisible) -> StepResult:
        """The next one that gets the lock should see it."""
        assert self.copies is not None
        home = self.copies.amis.get(self.home)
        deadline = self.ports.clock.monotonic() + _SIGHT_SECONDS
        owners = self.planned.definition.image.owners
        while home is not None:
            found = self.ports.ec2.find_by_digest(self.home, [self.digest.hex], owners)
            if any(ami.id == home.id and ami.carries(self.digest) for ami in found):
                break
            if self.ports.clock.monotonic() > deadline:
                self.ports.reporter.warn(
                    f"{self.image}: {home.id} is tagged, and EC2 does not find it by its digest after "
                    f"{_SIGHT_SECONDS:.0f} s: another runner may bake it again"
                )
                break
            self.ports.clock.sleep(self.timing.poll_seconds)
        return ProtocolEvent.DONE

    # The end.

    def _ended(self, ending: Ending) -> BakeResult | None:
        doing = f"baking image {self.image}"
        match ending:
            case Ending.CHANGED:
                return None
            case Ending.BUSY:
                who = self.shown.describe() if self.shown else "somebody else, who has just begun"
                raise BusyError(doing, f"it is being baked by {who}", BUSY_TODO)
            case Ending.NAME_TAKEN:
                raise foreign_key_pair(doing, self.home, lock_name(self.digest.hex), self.foreign)
            case Ending.LOST:
                raise AwsError(
                    doing,
                    f"its lock was lost again and again: {self._loss or 'others took it over'}",
                    "Look at this machine's network and load; AMI_BAKERY_LOCK_TTL_SECONDS lets locks live longer.",
                )
            case Ending.FAILED:
                assert self.error is not None
                raise self._with_what_is_left(self.error)
        copies = self.copies if self.copies is not None else Copies(amis=self.planned.plan.amis)
        return BakeResult(result=_RESULTS[ending], planned=self.planned, copies=copies)

    def _with_what_is_left(self, error: BakeryError) -> BakeryError:
        """What is baked and verified, and has no digest for want of what failed after it."""
        amis = [ami for ami in self.amis.values() if not ami.verified and ami.id not in f"{error} {error.todo}"]
        if self.baker is not None and amis:
            error.todo += f" {', '.join(f'{ami.id} of {ami.region}' for ami in amis)} was left, without the digest."
        return error


_RESULTS = {
    Ending.BAKED: Result.BAKED,
    Ending.REUSED: Result.REUSED,
    Ending.COPIED: Result.COPIED,
    Ending.ADOPTED: Result.REUSED,
}
_HANDLERS: dict[type[Any], Callable[[LockedBake, Any], StepResult]] = {
    AcquireLock: LockedBake._take,
    ReadLock: LockedBake._read,
    BreakLock: LockedBake._break,
    Pause: LockedBake._pause,
    LookUp: LockedBake._look,
    CheckInherited: LockedBake._judge,
    AbandonInherited: LockedBake._give_up_left,
    RemoveAbandoned: LockedBake._remove_left,
    Bake: LockedBake._bake,
    RecordVerified: LockedBake._note_verified,
    Finish: LockedBake._finish,
    Discard: LockedBake._discard,
    CopyToRegions: LockedBake._spread,
    WaitVisible: LockedBake._await_sight,
    Release: LockedBake._release,
}


def _is_there(planned: Planned) -> bool:
    return planned.plan.action in (Action.REUSE, Action.COPY)


def _looked(planned: Planned) -> LookupResult:
    if not _is_there(planned):
        return LookupResult()
    assert planned.plan.source is not None
    return LookupResult(planned.plan.source.id, complete=planned.plan.action is Action.REUSE)
