"""Drives the protocol through every possible order of events.

EC2, crashes, pauses and late requests determine which orders are possible.

The runners are real: `advance` of core/lock/protocol.py. Around them is a small model of EC2 (`Cloud`). It is

- strict: the lock's name is unique, and a lock is deleted by its id;
- eventually consistent: a read returns a state up to LAG ticks old, and a lock that was deleted up to LAG ticks ago may
  still be treated as existing;
- unreliable: a request may get no response, and be carried out at any later time, or never. Its sender gives up, or
  sends it again.

Time advances in ticks, at any moment or not at all. A runner may pause for any time between two of its steps, and may
be killed there. Any lock may be shown as expired, since its holder may have been paused, or its renewals may have been
lost. So neither renewals nor the lifetime need to be modelled.

Each kind of fault has a budget; the explorer visits every order of events within the budgets. A state is a number: each
part of it is numbered when it is first seen, and the successors of a part are computed once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, TypeVar

from ami_bakery import values
from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.core.lock.protocol import advance, begin
from ami_bakery.core.lock.protocol_state import ProtocolState
from ami_bakery.core.lock.protocol_steps import (
    AbandonInherited,
    AcquireLock,
    AmisAbandoned,
    AmiTested,
    Bake,
    Baked,
    BreakLock,
    CheckInherited,
    CopyToRegions,
    Discard,
    EnableAmi,
    End,
    Ending,
    EndQuarantine,
    Finish,
    LockAcquired,
    LockNotVisible,
    LockSeen,
    LookUp,
    LookupResult,
    MarkFailed,
    Pause,
    ProtocolEvent,
    ProtocolStep,
    ReadLock,
    RecordVerified,
    Release,
    RemoveAbandoned,
    RunTest,
    StepResult,
    WaitVisible,
)

LAG = 1
SETTLED = 3
"""More than twice the lag: once for a deleted lock that still seems to exist, once for a tag that is not visible yet.
"""
NEVER = -1
NOBODY = -1


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The explored protocol, and EC2 as docs/concepts/locking.md assumes it.

    Other values than the defaults remove a part of the protocol.

    marks_with_lock  whether the call that tags a failed AMI includes the lock
    prune_marks      whether prune tags an AMI, in one call with the lock, before it deregisters the AMI
    fence   of the call that writes the digest. `complete`: it does nothing if the lock is gone; `partial`: it tags the
            AMI anyway; `none`: it does not include the lock
    """

    advance: Callable[[ProtocolState, StepResult], ProtocolState] = advance
    settles: bool = True
    fence: str = "complete"
    deletes_by_name: bool = False
    removes: bool = True
    settles_to_remove: bool = True
    tags_first: bool = True
    marks_with_lock: bool = True
    prune_marks: bool = True


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The number of runners, and the number of faults in one history.

    late      requests without a response
    pauses    locks of live holders that are shown as expired
    failures  failed steps: Packer's, a test, a copy, a refusal of EC2
    history   former states of the lock that may still be read; none of them is older than LAG in any case
    tests     whether the image has a test
    removes_failed  whether an AMI that fails its test is removed
    untested  whether there is an AMI at the start: verified, and without the current test
    quarantined  whether there is an AMI at the start that prune disabled
    prunes       whether prune may deregister it, under the lock. It takes the lock while no runner holds it
    """

    runners: int = 2
    crashes: int = 1
    late: int = 1
    pauses: int = 1
    failures: int = 0
    history: int = 99
    tests: bool = False
    removes_failed: bool = False
    untested: bool = False
    quarantined: bool = False
    prunes: bool = False


class Lock(NamedTuple):
    """A lock and its tags: `inherited` since it was created; `unverified` and `verified` were recorded later."""

    name: str
    owner: int
    inherited: InheritedAmis
    unverified: str | None = None
    verified: str | None = None
    finished: bool = False
    kept: bool = False
    failed: bool = False

    @property
    def carries(self) -> InheritedAmis:
        unverified = self.inherited.unverified | ({self.unverified} if self.unverified else frozenset())
        return InheritedAmis(self.verified) | InheritedAmis(self.inherited.verified, unverified)


class Ami(NamedTuple):
    """Ticks since it got its digest, was abandoned, was removed, was kept, left quarantine: NEVER, or at most LAG + 1.

    sound   its builder lived to verify it
    kept    tagged as one that lacks only the current test
    passed  it passed its test
    quarantined  prune disabled it
    enabled      it was enabled since
    ended        its permissions were restored, and the tags of its quarantine were emptied
    """

    name: str
    sound: bool = True
    finished: int = NEVER
    abandoned: int = NEVER
    removed: int = NEVER
    kept: int = NEVER
    passed: bool = False
    quarantined: bool = False
    enabled: bool = False
    ended: int = NEVER

    def older(self) -> Ami:
        most = LAG + 1
        return self._replace(
            finished=_older(self.finished, most),
            abandoned=_older(self.abandoned, most),
            removed=_older(self.removed, most),
            kept=_older(self.kept, most),
            ended=_older(self.ended, most),
        )

    @property
    def untouched(self) -> bool:
        """Whether it is neither finished nor removed, nor about to be."""
        return self.finished == self.abandoned == self.removed == NEVER

    @property
    def is_answer(self) -> bool:
        """Whether a look-up may return it as an answer."""
        if not self.quarantined:
            return self.finished != NEVER
        return self.ended != NEVER and self.abandoned <= LAG and self.removed <= LAG

    @property
    def is_visible(self) -> bool:
        """Whether every look-up returns it as an answer."""
        return self.is_answer and self.finished > LAG and (not self.quarantined or self.ended > LAG)

    @property
    def to_enable(self) -> bool:
        """Whether a look-up may return it as quarantined."""
        return self.quarantined and self.ended <= LAG and self.abandoned <= LAG and self.removed <= LAG

    @property
    def in_quarantine(self) -> bool:
        """Whether prune may still deregister it."""
        return self.quarantined and self.ended == self.abandoned == self.removed == NEVER

    @property
    def to_test(self) -> bool:
        """Whether a look-up may return it as untested."""
        return self.kept != NEVER and self.finished <= LAG and self.abandoned <= LAG and self.removed <= LAG


class Cloud(NamedTuple):
    """`before`: former states of the lock that may still be read, with the ticks since they ended."""

    lock: Lock | None = None
    before: tuple[tuple[Lock | None, int], ...] = ()
    amis: tuple[Ami, ...] = ()

    def find(self, name: str) -> Ami | None:
        return next((ami for ami in self.amis if ami.name == name), None)

    @property
    def shows_unready(self) -> bool:
        """Whether an AMI that must be tested or enabled is visible to everyone."""
        return any((ami.kept > LAG and ami.untouched) or ami.in_quarantine for ami in self.amis)

    @property
    def may_be_pruned(self) -> bool:
        """Whether prune may hold the lock. It may also have done so until a moment ago, and have sent a request then.

        Prune waits for the settling time: all former locks are known to be gone.
        """
        return all(lock is None for lock, _ in self.before) and (self.lock is None or bool(self.before))

    def holds(self, lock: str | None) -> bool:
        return self.lock is not None and self.lock.name == lock

    def may_hold(self, lock: str | None) -> bool:
        """Whether it exists, or did a moment ago."""
        return self.holds(lock) or any(was is not None and was.name == lock for was, _ in self.before)

    def with_lock(self, lock: Lock | None) -> Cloud:
        before = {was: age for was, age in self.before if was != lock} | {self.lock: 0}
        return Cloud(lock, _in_order(before), self.amis)

    def with_ami(self, ami: Ami) -> Cloud:
        amis = (*(other for other in self.amis if other.name != ami.name), ami)
        return Cloud(self.lock, self.before, tuple(sorted(amis)))

    def older(self) -> Cloud:
        before = tuple((lock, age + 1) for lock, age in self.before if age < LAG)
        return Cloud(self.lock, before, tuple(ami.older() for ami in self.amis))

    def owned(self, owners: tuple[int, ...]) -> Cloud:
        """Returns it with renumbered runners; those without a number become NOBODY."""

        def renumbered(lock: Lock | None) -> Lock | None:
            return lock and lock._replace(owner=owners[lock.owner] if 0 <= lock.owner < len(owners) else NOBODY)

        before = {renumbered(lock): age for lock, age in sorted(self.before, key=lambda item: -item[1])}
        return Cloud(renumbered(self.lock), _in_order(before), self.amis)


class Runner(NamedTuple):
    """`state` is a number. `held_for`: ticks since it knows that it has the lock. `ami_was_visible`: a finished AMI was
    visible to everyone at that time. `unready_was_visible`: one that must be tested or enabled.
    """

    state: int
    held_for: int = NEVER
    ami_was_visible: bool = False
    unready_was_visible: bool = False


class Request(NamedTuple):
    """A request that was sent and not answered."""

    owner: int
    step: ProtocolStep


class World(NamedTuple):
    """The numbers of its parts. A runner that was killed or has ended is NOBODY. `answer` is a bit among names."""

    cloud: int
    runners: tuple[int, ...]
    sent: tuple[int, ...]
    answer: int
    crashes: int
    late: int
    pauses: int
    failures: int


class Names(NamedTuple):
    """The names of the next lock and AMI."""

    lock: str
    ami: str


class Move(NamedTuple):
    """An outcome of one step of a runner. `answer`: the bit of the AMI that it ends with."""

    cloud: int
    runner: int
    what: str
    paused: bool = False
    ending: Ending | None = None
    answer: int = 0


class Violation(AssertionError):
    """An invariant that does not hold."""


@dataclass(kw_only=True)
class Result:
    states: int = 0
    endings: Counter[Ending] = field(default_factory=Counter)


_Value = TypeVar("_Value", bound=Hashable)


class _Numbered(Generic[_Value]):
    """Numbers values in the order in which they are seen."""

    def __init__(self) -> None:
        self.values: list[_Value] = []
        self._numbers: dict[_Value, int] = {}

    def number(self, value: _Value) -> int:
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self.values)
            self.values.append(value)
        return number


_NAMES = tuple(f"{kind}-{number}" for kind in ("key", "ami") for number in range(16))
_BITS = {name: 1 << place for place, name in enumerate(_NAMES)}
_CHANGING = (
    AcquireLock,
    BreakLock,
    Release,
    RecordVerified,
    AbandonInherited,
    RemoveAbandoned,
    MarkFailed,
    Discard,
    Finish,
    EnableAmi,
    EndQuarantine,
)
_FALLIBLE = (LookUp, Bake, RunTest, CopyToRegions, WaitVisible, Finish, ReadLock, EnableAmi, EndQuarantine)


class Steps:
    """The possible outcomes of each step of a runner in a cloud."""

    def __init__(self, rules: Rules, budget: Budget) -> None:
        self._rules = rules
        self._tests = budget.tests
        self._removes_failed = budget.removes_failed

    def outcomes(  # noqa: C901 - one case a step
        self,
        cloud: Cloud,
        state: ProtocolState,
        held_for: int,
        own: int,
        living: frozenset[int],
        pauses: bool,
        free: Names,
    ) -> Iterator[tuple[Cloud, StepResult, bool]]:
        """Yields the result of each, and whether it uses a pause; the usual outcome first."""
        step = state.step
        if isinstance(step, RecordVerified) and pauses and cloud.holds(step.lock):
            # It could not be renewed, but still exists.
            yield cloud, ProtocolEvent.LOST, True
        if isinstance(step, _CHANGING):
            for after, result in self._changed(cloud, step, held_for, own, free.lock):
                yield after, result, False
            return
        match step:
            case ReadLock():
                yield from self._read(cloud, own, living, pauses)
            case Pause() | CopyToRegions() | WaitVisible():
                yield cloud, ProtocolEvent.DONE, False
            case LookUp(_, settled):
                for lookup in _lookups(cloud):
                    if lookup.ami or not (self._rules.settles and settled) or held_for >= SETTLED:
                        yield cloud, lookup, False
            case CheckInherited(name):
                ami = cloud.find(name)
                if ami is not None and ami.abandoned <= LAG and ami.removed <= LAG:
                    yield cloud, ProtocolEvent.DONE, False
                yield cloud, ProtocolEvent.REFUSED, False
            case Bake():
                yield from self._baked(cloud, state.lock, pauses, free.ami)
            case RunTest(lock, name):
                yield _with_passed(cloud, name), AmiTested(passed=True), False
                yield from _losses(cloud, lock, pauses)

    def _changed(
        self, cloud: Cloud, step: ProtocolStep, held_for: int, own: int, free: str
    ) -> Iterator[tuple[Cloud, StepResult]]:
        if isinstance(step, AbandonInherited):
            return self._abandoned(cloud, step, self.may_abandon(step, held_for))
        return self.carried_out(cloud, own, step, free)

    def _read(
        self, cloud: Cloud, own: int, living: frozenset[int], pauses: bool
    ) -> Iterator[tuple[Cloud, StepResult, bool]]:
        for lock in dict.fromkeys((cloud.lock, *(lock for lock, _ in cloud.before))):
            if lock is None:
                yield cloud, LockNotVisible(), False
                continue
            lock_seen = LockSeen(lock.name, lock.owner == own, False, lock.finished, lock.carries, lock.failed)
            if lock.kept or lock.owner not in living:
                yield cloud, replace(lock_seen, expired=True), False
            elif pauses and lock.owner != own:
                yield cloud, replace(lock_seen, expired=True), True
            yield cloud, lock_seen, False

    def _baked(
        self, cloud: Cloud, lock: str | None, pauses: bool, free: str
    ) -> Iterator[tuple[Cloud, StepResult, bool]]:
        yield _with_new_ami(cloud, lock, Ami(free)), Baked(free), False
        yield from _losses(cloud, lock, pauses)

    def carried_out(  # noqa: C901 - one case a step
        self, cloud: Cloud, own: int, step: ProtocolStep, free: str
    ) -> Iterator[tuple[Cloud, StepResult]]:
        """Yields the effects of a changing request in EC2."""
        match step:
            case AcquireLock() if cloud.lock is not None:
                yield cloud, ProtocolEvent.REFUSED
            case AcquireLock(inherited):
                yield cloud.with_lock(Lock(free, own, inherited)), LockAcquired(free)
            case BreakLock(name) | Release(name, keep=False):
                yield self._deleted(cloud, name), ProtocolEvent.DONE
            case Release(name):
                kept = cloud.with_lock(cloud.lock._replace(kept=True)) if cloud.lock and cloud.holds(name) else cloud
                yield kept, ProtocolEvent.DONE
            case RecordVerified(name, ami):
                if cloud.lock is not None and cloud.holds(name):
                    yield cloud.with_lock(cloud.lock._replace(verified=ami)), ProtocolEvent.DONE
                    return
                if cloud.may_hold(name):
                    yield cloud, ProtocolEvent.DONE
                yield cloud, ProtocolEvent.LOST
            case AbandonInherited():
                yield cloud, AmisAbandoned(())
                yield from self._tagged_abandoned(cloud, step)
            case RemoveAbandoned(names):
                yield _removed(cloud, names), ProtocolEvent.DONE
            case Discard(name):
                yield _removed(cloud, (name,)), ProtocolEvent.DONE
            case MarkFailed(lock, name):
                yield from self._marked(cloud, lock, name)
            case Finish(lock, name):
                yield from self._finished(cloud, lock, name)
            case EnableAmi(lock, name):
                yield from self._enabled(cloud, lock, name)
            case EndQuarantine(lock, name):
                yield from self._ended(cloud, lock, name)

    def _deleted(self, cloud: Cloud, name: str) -> Cloud:
        if cloud.holds(name):
            return cloud.with_lock(None)
        if self._rules.deletes_by_name and cloud.lock is not None:
            raise Violation(f"{cloud.lock.name} is deleted by a runner that means {name}")
        return cloud

    def may_abandon(self, step: AbandonInherited, held_for: int) -> bool:
        """Whether the request may be sent by now."""
        return step.lock is not None and (held_for >= SETTLED or not self._rules.settles_to_remove)

    def _abandoned(self, cloud: Cloud, step: AbandonInherited, may: bool) -> Iterator[tuple[Cloud, StepResult]]:
        """Name conflicts are not modelled: all AMIs that are, or seem, unfinished may conflict, or none."""
        yield cloud, AmisAbandoned(())
        if not may:
            return
        for ami in cloud.amis:
            if ami.is_answer:
                yield cloud, LookupResult(ami.name)
        yield from self._tagged_abandoned(cloud, step)

    def _tagged_abandoned(self, cloud: Cloud, step: AbandonInherited) -> Iterator[tuple[Cloud, StepResult]]:
        unfinished = tuple(ami for ami in cloud.amis if ami.finished <= LAG and ami.removed <= LAG)
        if not unfinished or not self._rules.removes:
            return
        names = tuple(ami.name for ami in unfinished)
        if not self._rules.tags_first:
            yield cloud, AmisAbandoned(names)
        elif cloud.may_hold(step.lock):
            abandoned = cloud
            for ami in unfinished:
                abandoned = abandoned.with_ami(ami._replace(abandoned=0))
            yield abandoned, AmisAbandoned(names)
        if not cloud.holds(step.lock):
            yield cloud, ProtocolEvent.LOST

    def _marked(self, cloud: Cloud, lock: str, name: str) -> Iterator[tuple[Cloud, StepResult]]:
        ami = cloud.find(name)
        if ami is None or ami.removed != NEVER:
            yield cloud, ProtocolEvent.FAILED if cloud.holds(lock) else ProtocolEvent.LOST
        elif cloud.may_hold(lock) or not self._rules.marks_with_lock:
            if ami.finished != NEVER:
                raise Violation(f"{name} is tagged as failed although it is finished")
            marked = ami._replace(abandoned=0) if self._removes_failed else ami._replace(kept=max(ami.kept, 0))
            after = cloud.with_ami(marked)
            if after.lock is not None and after.holds(lock):
                after = after.with_lock(after.lock._replace(failed=True))
            yield after, AmisAbandoned((name,)) if self._removes_failed else ProtocolEvent.DONE
        if not cloud.holds(lock):
            yield cloud, ProtocolEvent.LOST

    def _finished(self, cloud: Cloud, lock: str | None, name: str) -> Iterator[tuple[Cloud, StepResult]]:
        ami = cloud.find(name)
        if ami is None or ami.removed != NEVER:
            # The sender of this result looks for its lock, too.
            yield cloud, ProtocolEvent.FAILED if cloud.holds(lock) else ProtocolEvent.LOST
        if ami is None or ami.removed > LAG:
            return
        if cloud.may_hold(lock) or self._rules.fence == "none":
            yield _tagged(cloud, lock, ami, tests=self._tests), ProtocolEvent.DONE
        if not cloud.holds(lock) and self._rules.fence == "partial":
            yield _tagged(cloud, lock, ami, tests=self._tests), ProtocolEvent.LOST
        elif not cloud.holds(lock) and self._rules.fence == "complete":
            yield cloud, ProtocolEvent.LOST

    def _enabled(self, cloud: Cloud, lock: str, name: str) -> Iterator[tuple[Cloud, StepResult]]:
        ami = cloud.find(name)
        if ami is None or ami.removed != NEVER:
            yield cloud, ProtocolEvent.REFUSED
        else:
            yield cloud.with_ami(ami._replace(enabled=True)), ProtocolEvent.DONE
        if not cloud.holds(lock):
            yield cloud, ProtocolEvent.LOST

    def _ended(self, cloud: Cloud, lock: str, name: str) -> Iterator[tuple[Cloud, StepResult]]:
        ami = cloud.find(name)
        if ami is None or ami.removed != NEVER:
            yield cloud, ProtocolEvent.REFUSED if cloud.holds(lock) else ProtocolEvent.LOST
        elif cloud.may_hold(lock) or self._rules.fence == "none":
            if ami.abandoned != NEVER:
                raise Violation(f"{name} leaves quarantine although prune is going to deregister it")
            yield cloud.with_ami(ami._replace(ended=max(ami.ended, 0))), ProtocolEvent.DONE
        if not cloud.holds(lock):
            yield cloud, ProtocolEvent.LOST

    def pruned(self, cloud: Cloud) -> Iterator[Cloud]:
        """Yields what prune may do now with AMIs in quarantine."""
        for ami in cloud.amis:
            if not ami.quarantined or ami.removed != NEVER:
                continue
            if not self._rules.prune_marks or ami.abandoned != NEVER:
                if ami.ended != NEVER:
                    raise Violation(f"prune deregisters {ami.name} although it has left quarantine")
                yield cloud.with_ami(ami._replace(removed=0))
            elif ami.in_quarantine and cloud.may_be_pruned:
                yield cloud.with_ami(ami._replace(abandoned=0))


class Explorer:
    """Explores breadth first, so that the path to a violation is short."""

    def __init__(self, budget: Budget, rules: Rules | None = None) -> None:
        self._budget = budget
        self._rules = rules or Rules()
        self._steps = Steps(self._rules, budget)
        self._protocol_states: _Numbered[ProtocolState] = _Numbered()
        self._clouds: _Numbered[Cloud] = _Numbered()
        self._runners: _Numbered[Runner] = _Numbered()
        self._requests: _Numbered[Request] = _Numbered()
        self._moves_memo: dict[Hashable, tuple[Move, ...]] = {}
        self._memo: dict[Hashable, int] = {}
        self._masks: dict[tuple[str, int], int] = {}
        self._names: dict[int, Names] = {}
        self._ends_alone: set[tuple[int, int]] = set()
        self._seen: dict[World, tuple[World, str] | None] = {}
        self.result = Result()

    def explore(self) -> Result:
        """Raises `Violation`, with the path to it."""
        budget = self._budget
        first = self._protocol_states.number(begin(tests=budget.tests))
        runners = (self._runners.number(Runner(first)),) * budget.runners
        amis = (Ami(_NAMES[-1], kept=LAG + 1),) if budget.untested else ()
        if budget.quarantined:
            amis = (Ami(_NAMES[-1], finished=LAG + 1, quarantined=True),)
        start = World(
            self._clouds.number(Cloud(amis=amis)),
            runners,
            (),
            0,
            budget.crashes,
            budget.late,
            budget.pauses,
            budget.failures,
        )
        self._seen[start] = None
        queue = deque([start])
        world, what = start, "start"
        try:
            while queue:
                world = queue.popleft()
                self._check_liveness(world)
                for after, what in self._successors(world):
                    if after not in self._seen:
                        self._seen[after] = (world, what)
                        queue.append(after)
        except Violation as violation:
            raise Violation(f"{violation}\n{self._path_to(world)}") from None
        self.result.states = len(self._seen)
        return self.result

    def _path_to(self, world: World) -> str:
        lines = []
        step = self._seen.get(world)
        while step is not None:
            lines.append(step[1])
            step = self._seen.get(step[0])
        return "\n".join(reversed(lines))

    # Possible next events.

    def _successors(self, world: World) -> Iterator[tuple[World, str]]:
        if not world.sent and all(runner == NOBODY for runner in world.runners):
            return
        ticked = self._ticked(world)
        if ticked != world:
            yield self._canonical(ticked), "time goes by"
        for request in dict.fromkeys(world.sent):
            sent = list(world.sent)
            sent.remove(request)
            for cloud in self._arrived(world, request):
                after = world._replace(cloud=cloud, sent=tuple(sent))
                yield self._canonical(after), f"late: {self._requests.values[request].step}"
        if self._budget.prunes:
            for pruned in self._steps.pruned(self._clouds.values[world.cloud]):
                yield self._canonical(world._replace(cloud=self._cloud(pruned))), "prune"
        for own, runner in enumerate(world.runners):
            if runner == NOBODY:
                continue
            if world.crashes:
                dead = world._replace(runners=_with(world.runners, own, NOBODY), crashes=world.crashes - 1)
                yield self._canonical(dead), f"{own} is killed"
                if isinstance(self._protocol_state_of(runner).step, Bake):
                    cloud = self._after_kill(world, runner)
                    yield (
                        self._canonical(dead._replace(cloud=cloud)),
                        f"{own} is killed after Packer has created an AMI",
                    )
            yield from self._moved(world, own, runner)

    def _moved(self, world: World, own: int, runner: int) -> Iterator[tuple[World, str]]:
        for move in self._moves(world, own, runner):
            after = world._replace(
                cloud=move.cloud,
                runners=_with(world.runners, own, move.runner),
                pauses=world.pauses - move.paused,
            )
            if move.ending is not None:
                self.result.endings[move.ending] += 1
                after = _answered(after, move.answer)
            yield self._canonical(after), move.what
        step = self._protocol_state_of(runner).step
        held_for = self._runners.values[runner].held_for
        early = isinstance(step, AbandonInherited) and not self._steps.may_abandon(step, held_for)
        if world.late and isinstance(step, _CHANGING) and not early:
            sent = tuple(sorted((*world.sent, self._requests.number(Request(own, step)))))
            sending = world._replace(sent=sent, late=world.late - 1)
            yield self._canonical(sending), f"{own}: {step} gets no response, and is sent again"
            fails = isinstance(step, AbandonInherited | EnableAmi)
            unanswered = ProtocolEvent.FAILED if fails else ProtocolEvent.UNANSWERED
            yield self._canonical(self._failed(sending, own, runner, unanswered)), f"{own}: {step} gets no response"
        if world.failures and isinstance(step, _FALLIBLE):
            failing = world._replace(failures=world.failures - 1)
            yield self._canonical(self._failed(failing, own, runner, ProtocolEvent.FAILED)), f"{own}: {step} fails"
            if isinstance(step, RunTest):
                failed = self._failed(failing, own, runner, AmiTested(passed=False))
                yield self._canonical(failed), f"{own}: {step.ami} fails its test"

    def _protocol_state_of(self, runner: int) -> ProtocolState:
        return self._protocol_states.values[self._runners.values[runner].state]

    def _after_kill(self, world: World, runner: int) -> int:
        cloud, lock = self._clouds.values[world.cloud], self._protocol_state_of(runner).lock
        return self._cloud(_with_new_ami(cloud, lock, Ami(self._free(world).ami, sound=False)))

    def _failed(self, world: World, own: int, runner: int, result: StepResult) -> World:
        """Only the next step of the runner changes."""
        move = self._move(self._clouds.values[world.cloud], self._runners.values[runner], own, result, paused=False)
        after = world._replace(runners=_with(world.runners, own, move.runner))
        if move.ending is None:
            return after
        self.result.endings[move.ending] += 1
        return _answered(after, move.answer)

    def _moves(self, world: World, own: int, runner: int) -> tuple[Move, ...]:
        living = frozenset(other for other, number in enumerate(world.runners) if number != NOBODY)
        free = self._free(world)
        key = (world.cloud, runner, own, living, world.pauses > 0, free)
        if key not in self._moves_memo:
            cloud, value = self._clouds.values[world.cloud], self._runners.values[runner]
            self._moves_memo[key] = tuple(
                self._move(after, value, own, result, paused)
                for after, result, paused in self._steps.outcomes(
                    cloud,
                    self._protocol_states.values[value.state],
                    value.held_for,
                    own,
                    living,
                    world.pauses > 0,
                    free,
                )
            )
        return self._moves_memo[key]

    def _move(self, cloud: Cloud, runner: Runner, own: int, result: StepResult, paused: bool) -> Move:
        before = self._protocol_states.values[runner.state]
        what = f"{own}: {before.step} -> {result}"
        number = self._once(
            ("advance", runner.state, result), lambda: self._protocol_states.number(self._advanced(before, result))
        )
        state = self._protocol_states.values[number]
        after = runner._replace(state=number) if state.lock is not None else Runner(number)
        if state.lock is not None and state.lock != before.lock:
            after = Runner(
                number,
                held_for=0,
                ami_was_visible=any(ami.is_visible for ami in cloud.amis),
                unready_was_visible=cloud.shows_unready,
            )
        _check_needed(state.step, after, cloud, what)
        if not isinstance(state.step, End):
            moved = self._runners.number(after)
            return Move(self._cloud(cloud), moved, what, paused)
        ending, name = state.step.ending, state.step.ami
        if name is not None:
            ami = cloud.find(name)
            if ami is None or ami.finished == NEVER or ami.removed != NEVER:
                raise Violation(f"{name} is an answer, but is not finished or does not exist\n{what}")
            if ami.quarantined and not (ami.enabled and ami.ended != NEVER):
                raise Violation(f"{name} is an answer, but is in quarantine\n{what}")
        return Move(self._cloud(cloud), NOBODY, what, paused, ending, _BITS[name] if name else 0)

    def _cloud(self, cloud: Cloud) -> int:
        if len(cloud.before) > self._budget.history:
            cloud = cloud._replace(before=cloud.before[: self._budget.history])
        return self._clouds.number(cloud)

    def _advanced(self, state: ProtocolState, result: StepResult) -> ProtocolState:
        """Advances to the next step that matters."""
        state = self._rules.advance(state, result)
        while not self._budget.failures and _is_neutral(state.step):
            state = self._rules.advance(state, ProtocolEvent.DONE)
        return state

    def _arrived(self, world: World, request: int) -> tuple[int, ...]:
        free = self._free(world).lock
        owner, step = self._requests.values[request]
        cloud = self._clouds.values[world.cloud]
        return tuple(
            dict.fromkeys(self._cloud(after) for after, _ in self._steps.carried_out(cloud, owner, step, free))
        )

    def _ticked(self, world: World) -> World:
        return world._replace(
            cloud=self._older_cloud(world.cloud),
            runners=tuple(self._older_runner(runner) for runner in world.runners),
        )

    def _older_cloud(self, number: int) -> int:
        return self._once(("older", number), lambda: self._clouds.number(self._clouds.values[number].older()))

    def _older_runner(self, number: int) -> int:
        if number == NOBODY:
            return number
        runner = self._runners.values[number]
        if runner.held_for in (NEVER, SETTLED):
            return number
        return self._runners.number(runner._replace(held_for=runner.held_for + 1))

    def _once(self, key: Hashable, compute: Callable[[], int]) -> int:
        number = self._memo.get(key)
        if number is None:
            number = self._memo[key] = compute()
        return number

    # States that differ in nothing that matters are merged.

    def _canonical(self, world: World) -> World:
        """Runners are alike, so their order does not matter. Names that are not used any more are dropped."""
        cloud, runners, sent = world.cloud, world.runners, world.sent
        lock = self._clouds.values[cloud].lock
        owner = NOBODY if lock is None else lock.owner
        senders = [self._requests.values[request].owner for request in sent]
        order = sorted(
            range(len(runners)),
            key=lambda run: (runners[run] == NOBODY, runners[run], run != owner, run not in senders),
        )
        owners = tuple(NOBODY if runners[run] == NOBODY else order.index(run) for run in range(len(runners)))
        if owners != tuple(range(len(runners))):
            runners = tuple(runners[run] for run in order)
            cloud = self._owned(cloud, owners)
            sent = tuple(sorted(self._sent_by(request, owners) for request in sent))
        used = self._used_names(cloud, runners, sent)
        cloud = self._without_forgotten(cloud, used)
        if sent:
            living = any(runner != NOBODY for runner in runners)
            sent = tuple(request for request in sent if self._matters(request, cloud, living))
        visible = self._mask("cloud", cloud)
        runners = tuple(self._without_gone(runner, visible) for runner in runners)
        return world._replace(cloud=cloud, runners=runners, sent=sent)

    def _owned(self, cloud: int, owners: tuple[int, ...]) -> int:
        """Returns it with renumbered runners."""
        return self._once(
            ("owned", cloud, owners), lambda: self._clouds.number(self._clouds.values[cloud].owned(owners))
        )

    def _sent_by(self, request: int, owners: tuple[int, ...]) -> int:
        owner, step = self._requests.values[request]
        return self._requests.number(Request(NOBODY if owner == NOBODY else owners[owner], step))

    def _matters(self, request: int, cloud: int, living: bool) -> bool:
        """Whether EC2 would act on it, now or later."""

        def matters() -> bool:
            step, there = self._requests.values[request].step, self._clouds.values[cloud]
            match step:
                case AcquireLock():
                    return living
                case BreakLock(lock) | Release(lock):
                    return there.holds(lock)
                case MarkFailed(lock):
                    return there.may_hold(lock) or not self._rules.marks_with_lock
                case EnableAmi(_, name):
                    ami = there.find(name)
                    return ami is not None and not ami.enabled and ami.removed == NEVER
                case RecordVerified(lock) | AbandonInherited(lock) | Finish(lock) | EndQuarantine(lock):
                    return there.may_hold(lock) or self._rules.fence != "complete" or not self._rules.tags_first
                case _:
                    return True

        return bool(self._once(("matters", request, cloud, living), lambda: int(matters())))

    def _without_forgotten(self, number: int, used: int) -> int:
        cloud = self._clouds.values[number]
        amis = tuple(ami for ami in cloud.amis if _is_remembered(ami) or _BITS[ami.name] & used)
        return number if len(amis) == len(cloud.amis) else self._clouds.number(cloud._replace(amis=amis))

    def _without_gone(self, number: int, visible: int) -> int:
        """Drops past locks of the runner that cannot be shown any more."""
        if number == NOBODY or not self._protocol_state_of(number).past_locks:
            return number

        def forget() -> int:
            state = self._protocol_state_of(number)
            past_locks = frozenset(name for name in state.past_locks if _BITS[name] & visible)
            kept = self._protocol_states.number(values.replace(state, past_locks=past_locks))
            return self._runners.number(self._runners.values[number]._replace(state=kept))

        return self._once(("past_locks", number, visible), forget)

    def _free(self, world: World) -> Names:
        """Returns unused names."""
        used = self._used_names(world.cloud, world.runners, world.sent) | self._mask("amis", world.cloud)
        return self._free_names(used)

    def _free_names(self, used: int) -> Names:
        if used not in self._names:
            free = [name for name in _NAMES if not _BITS[name] & used]
            self._names[used] = Names(free[0], next(name for name in free if name.startswith("ami")))
        return self._names[used]

    def _used_names(self, cloud: int, runners: tuple[int, ...], sent: tuple[int, ...]) -> int:
        mask = self._mask("cloud", cloud)
        for runner in runners:
            if runner != NOBODY:
                mask |= self._mask("runner", runner)
        for request in sent:
            mask |= self._mask("request", request)
        return mask

    def _mask(self, kind: str, number: int) -> int:
        key = (kind, number)
        mask = self._masks.get(key)
        if mask is None:
            match kind:
                case "cloud":
                    names = set(_names_in_cloud(self._clouds.values[number]))
                case "amis":
                    names = {ami.name for ami in self._clouds.values[number].amis}
                case "runner":
                    names = set(_names_in_state(self._protocol_state_of(number)))
                case _:
                    names = set(_names_in_step(self._requests.values[number].step))
            mask = self._masks[key] = sum(_BITS[name] for name in names)
        return mask

    # No runner gets stuck.

    def _check_liveness(self, world: World) -> None:
        """From here, each live runner comes to an end alone: the others are paused for ever, their requests are lost,
        and time advances as needed.
        """
        for own, runner in enumerate(world.runners):
            if runner == NOBODY:
                continue
            cloud = self._owned(world.cloud, tuple(0 if run == own else NOBODY for run in range(own + 1)))
            path: list[tuple[int, int]] = []
            while runner != NOBODY and (cloud, runner) not in self._ends_alone:
                if len(path) > 99:
                    raise Violation(f"runner {own} gets stuck alone")
                path.append((cloud, runner))
                cloud, runner = self._usual_move(*self._settled(cloud, runner))
            self._ends_alone.update(path)

    def _settled(self, cloud: int, runner: int) -> tuple[int, int]:
        """Returns both once every change is visible."""
        while (older := (self._older_cloud(cloud), self._older_runner(runner))) != (cloud, runner):
            cloud, runner = older
        return cloud, runner

    def _usual_move(self, number: int, runner: int) -> tuple[int, int]:
        cloud, value, state = self._clouds.values[number], self._runners.values[runner], self._protocol_state_of(runner)
        used = self._mask("cloud", number) | self._mask("amis", number) | self._mask("runner", runner)
        after, result, _ = next(
            self._steps.outcomes(cloud, state, value.held_for, 0, frozenset({0}), False, self._free_names(used))
        )
        move = self._move(after, value, 0, result, False)
        return move.cloud, move.runner


def violation(budget: Budget, rules: Rules) -> str:
    """Returns the violation under these rules, and the path to it; empty if there is none."""
    try:
        Explorer(budget, rules).explore()
    except Violation as found:
        return str(found)
    return ""


def _is_neutral(step: ProtocolStep) -> bool:
    """Whether it has one outcome, at any time, and changes nothing."""
    return isinstance(step, Pause | CopyToRegions | WaitVisible)


def _answered(world: World, answer: int) -> World:
    if not answer:
        return world
    if world.answer not in (0, answer):
        raise Violation("two runners have different answers")
    return world._replace(answer=answer)


def _lookups(cloud: Cloud) -> Iterator[LookupResult]:
    """Yields what a look-up may return: every old enough AMI, and any of the new ones."""
    for ami in cloud.amis:
        if ami.is_answer:
            yield LookupResult(ami.name)
    if any(ami.is_visible for ami in cloud.amis):
        return
    for ami in cloud.amis:
        if ami.to_enable:
            yield LookupResult(quarantined=ami.name)
    if any(ami.quarantined and ami.abandoned == ami.removed == NEVER for ami in cloud.amis):
        return
    to_test = [ami for ami in cloud.amis if ami.to_test]
    for ami in to_test:
        yield LookupResult(None, untested=ami.name)
    if all(ami.kept <= LAG or not ami.untouched for ami in to_test):
        yield LookupResult(None)


def _losses(cloud: Cloud, lock: str | None, pauses: bool) -> Iterator[tuple[Cloud, StepResult, bool]]:
    if not cloud.holds(lock):
        yield cloud, ProtocolEvent.LOST, False
    elif pauses:
        yield cloud, ProtocolEvent.LOST, True


def _check_needed(step: ProtocolStep, runner: Runner, cloud: Cloud, what: str) -> None:
    """No runner works for an AMI that it can see."""
    if isinstance(step, Bake | RunTest) and runner.ami_was_visible:
        does = "bakes" if isinstance(step, Bake) else "tests"
        raise Violation(f"a runner {does} although the AMI was visible to everyone when it acquired the lock\n{what}")
    if isinstance(step, Bake) and runner.unready_was_visible and cloud.shows_unready:
        raise Violation(
            "a runner bakes although an untested AMI, or one in quarantine, was visible to everyone when it acquired "
            f"the lock\n{what}"
        )


def _is_remembered(ami: Ami) -> bool:
    if ami.quarantined:
        return ami.removed <= LAG
    return ami.finished != NEVER or ami.to_test


def _with_passed(cloud: Cloud, name: str) -> Cloud:
    ami = cloud.find(name)
    return cloud if ami is None else cloud.with_ami(ami._replace(passed=True))


def _with_new_ami(cloud: Cloud, lock: str | None, ami: Ami) -> Cloud:
    """Records Packer's AMI on the lock, if the lock exists. This happens as soon as the AMI has an id."""
    if cloud.lock is None or not cloud.holds(lock):
        return cloud.with_ami(ami)
    return cloud.with_ami(ami).with_lock(cloud.lock._replace(unverified=ami.name))


def _tagged(cloud: Cloud, lock: str | None, ami: Ami, *, tests: bool) -> Cloud:
    if ami.removed != NEVER:
        raise Violation(f"{ami.name} is finished after it was removed")
    if not ami.sound:
        raise Violation(f"{ami.name} is finished, but was never verified")
    if tests and not ami.passed:
        raise Violation(f"{ami.name} is finished, but passed no test")
    if any(_counts(other) for other in cloud.amis if other.name != ami.name):
        raise Violation(f"{ami.name} is the second finished AMI")
    tagged = cloud.with_ami(ami if ami.finished != NEVER else ami._replace(finished=0))
    if tagged.lock is not None and tagged.holds(lock):
        return tagged.with_lock(tagged.lock._replace(finished=True))
    return tagged


def _counts(ami: Ami) -> bool:
    """Whether it is finished, and prune is not going to deregister it."""
    return ami.finished != NEVER and not (ami.quarantined and (ami.abandoned, ami.removed) != (NEVER, NEVER))


def _removed(cloud: Cloud, names: tuple[str, ...]) -> Cloud:
    for ami in cloud.amis:
        if ami.name in names and ami.finished != NEVER:
            raise Violation(f"{ami.name} is removed although it is finished")
        if ami.name in names and ami.removed == NEVER:
            cloud = cloud.with_ami(ami._replace(removed=0))
    return cloud


def _in_order(before: dict[Lock | None, int]) -> tuple[tuple[Lock | None, int], ...]:
    """Returns them in a canonical order: by age, then by the lock's tags."""

    def key(item: tuple[Lock | None, int]) -> tuple[object, ...]:
        lock, age = item
        if lock is None:
            return (age,)
        inherited = (lock.inherited.verified or "", *sorted(lock.inherited.unverified))
        return (
            age,
            lock.name,
            lock.owner,
            inherited,
            lock.unverified or "",
            lock.verified or "",
            lock.finished,
            lock.kept,
        )

    return tuple(sorted(before.items(), key=key))


def _older(age: int, most: int) -> int:
    return age if age in (NEVER, most) else age + 1


def _with(numbers: tuple[int, ...], place: int, number: int) -> tuple[int, ...]:
    return (*numbers[:place], number, *numbers[place + 1 :])


def _names_in_cloud(cloud: Cloud) -> Iterator[str]:
    for lock in (cloud.lock, *(lock for lock, _ in cloud.before)):
        if lock is not None:
            yield lock.name
            yield from (name for name in (lock.unverified, lock.verified) if name)
            yield from _names_inherited(lock.inherited)


def _names_in_state(state: ProtocolState) -> Iterator[str]:
    yield from state.past_locks
    yield from (name for name in (state.lock, state.ami) if name)
    yield from _names_inherited(state.inherited)
    yield from _names_in_step(state.step)


def _names_in_step(step: ProtocolStep) -> Iterator[str]:
    yield from (name for field in ("lock", "ami") if (name := getattr(step, field, None)))
    yield from getattr(step, "amis", ())
    yield from _names_inherited(getattr(step, "inherited", InheritedAmis()))


def _names_inherited(inherited: InheritedAmis) -> Iterator[str]:
    yield from inherited.unverified
    if inherited.verified is not None:
        yield inherited.verified
