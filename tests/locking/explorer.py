"""Drives the protocol through every order of events that EC2, crashes, pauses and late requests allow.

The runners are the real ones: `advance` of core/single_flight.py. Around them is a small EC2 (`Cloud`), which is:

- strict: the lock's name is taken once, and a lock is deleted by its id;
- slow with news: what is read may be as it was up to LAG ticks ago, and a lock that was deleted up to LAG ticks ago may
  still be taken for there;
- deaf now and then: a request may get no answer, and be carried out at any later time, or never. Its sender gives up on
  it, or sends it once more.

Time goes by in ticks, at any moment or not at all. A runner may stand still for as long as it likes between any two of
its steps, and may be killed there. Any lock may be shown as expired, since its holder may have stood still, or its
renewals have been lost: neither renewals nor the lifetime need to be modelled.

Each freedom has a budget; what is explored is every order of events within them. A state is a number: each part of it
is numbered when it is met for the first time, and what follows from a part is worked out once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, TypeVar

from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.core.lock.protocol import ProtocolState, advance, begin
from ami_bakery.core.lock.protocol_steps import (
    AbandonInherited,
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
    LockSeen,
    Look,
    LookupResult,
    NoteVerified,
    NotShown,
    Pause,
    ProtocolEvent,
    ReadLock,
    Release,
    RemoveLeft,
    Seen,
    Step,
    TakeLock,
    WaitVisible,
)

LAG = 1
SETTLED = 3
"""More than twice the lag: once for a lock that is still taken for there, once for a tag that is not seen yet."""
NEVER = -1
NOBODY = -1


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is explored: the protocol, and EC2 as docs/concepts/locking.md assumes it.

    Other values than the defaults show what happens without a part of it.

    fence   of the call that writes the digest: `whole`, it does nothing where the lock is gone; `partial`, the AMI is
            tagged all the same; `none`, it does not name the lock
    """

    advance: Callable[[ProtocolState, Seen], ProtocolState] = advance
    settles: bool = True
    fence: str = "whole"
    breaks_by_name: bool = False
    removes: bool = True
    settles_to_remove: bool = True
    marks: bool = True


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How many runners there are, and how much may go wrong on one way through.

    late      requests without an answer
    pauses    locks of living holders that are shown as expired
    failures  steps that fail: Packer's, a copy, a refusal of EC2's
    history   how many former states of the lock may still be read: none of them is older than LAG in any case
    """

    runners: int = 2
    crashes: int = 1
    late: int = 1
    pauses: int = 1
    failures: int = 0
    history: int = 99


class Lock(NamedTuple):
    """A lock and its tags. `left` is what it was created with, `unverified` and `verified` what was noted since."""

    name: str
    owner: int
    left: InheritedAmis
    unverified: str | None = None
    verified: str | None = None
    finished: bool = False
    kept: bool = False

    @property
    def carries(self) -> InheritedAmis:
        unverified = self.left.unverified | ({self.unverified} if self.unverified else frozenset())
        return InheritedAmis(self.verified) | InheritedAmis(self.left.verified, unverified)


class Ami(NamedTuple):
    """For how many ticks it has had the digest, been given up, been removed: NEVER, or one more than LAG at most.

    sound  its maker lived to verify it
    """

    name: str
    sound: bool = True
    finished: int = NEVER
    marked: int = NEVER
    removed: int = NEVER

    def older(self) -> Ami:
        most = LAG + 1
        ages = (_older(self.finished, most), _older(self.marked, most), _older(self.removed, most))
        return Ami(self.name, self.sound, *ages)


class Cloud(NamedTuple):
    """`before`: what the lock was, and for how long it has not been that, as long as it may still be read."""

    lock: Lock | None = None
    before: tuple[tuple[Lock | None, int], ...] = ()
    amis: tuple[Ami, ...] = ()

    def find(self, name: str) -> Ami | None:
        return next((ami for ami in self.amis if ami.name == name), None)

    def holds(self, lock: str | None) -> bool:
        return self.lock is not None and self.lock.name == lock

    def may_hold(self, lock: str | None) -> bool:
        """Whether it is there, or was a moment ago."""
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
        """With the runners numbered anew; those that have no number are nobody."""

        def anew(lock: Lock | None) -> Lock | None:
            return lock and lock._replace(owner=owners[lock.owner] if 0 <= lock.owner < len(owners) else NOBODY)

        before = {anew(lock): age for lock, age in sorted(self.before, key=lambda item: -item[1])}
        return Cloud(anew(self.lock), _in_order(before), self.amis)


class Runner(NamedTuple):
    """`flight` is a number. `held_for`: ticks since it knows that it has the lock. `told`: an AMI was there for all to
    see at that time."""

    flight: int
    held_for: int = NEVER
    told: bool = False


class Request(NamedTuple):
    """One that was sent and not answered."""

    owner: int
    step: Step


class World(NamedTuple):
    """Numbers of its parts. A runner that was killed or has ended is NOBODY. `answer` is a bit among names."""

    cloud: int
    runners: tuple[int, ...]
    sent: tuple[int, ...]
    answer: int
    crashes: int
    late: int
    pauses: int
    failures: int


class Names(NamedTuple):
    """Of what is made next."""

    lock: str
    ami: str


class Move(NamedTuple):
    """What one step of a runner comes to. `answer`: the bit of the AMI that it ends with."""

    cloud: int
    runner: int
    what: str
    paused: bool = False
    ending: Ending | None = None
    answer: int = 0


class Violation(AssertionError):
    """A property that does not hold."""


@dataclass(kw_only=True)
class Result:
    states: int = 0
    endings: Counter[Ending] = field(default_factory=Counter)


_Value = TypeVar("_Value", bound=Hashable)


class _Numbered(Generic[_Value]):
    """Numbers values as they come."""

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
_CHANGING = (TakeLock, BreakLock, Release, NoteVerified, AbandonInherited, RemoveLeft, Discard, Finish)
_FALLIBLE = (Look, Bake, CopyToRegions, WaitVisible, Finish, ReadLock)


class Steps:
    """What each step of a runner may come to in a cloud."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def outcomes(
        self,
        cloud: Cloud,
        flight: ProtocolState,
        held_for: int,
        own: int,
        living: frozenset[int],
        pauses: bool,
        free: Names,
    ) -> Iterator[tuple[Cloud, Seen, bool]]:
        """With what is seen, and whether it takes a pause; the usual outcome first."""
        step = flight.step
        if isinstance(step, NoteVerified) and pauses and cloud.holds(step.lock):
            # It could not be renewed, and is there all the same.
            yield cloud, ProtocolEvent.LOST, True
        if isinstance(step, _CHANGING):
            for after, seen in self._changed(cloud, step, held_for, own, free.lock):
                yield after, seen, False
            return
        match step:
            case ReadLock():
                yield from self._read(cloud, own, living, pauses)
            case Pause() | CopyToRegions() | WaitVisible():
                yield cloud, ProtocolEvent.DONE, False
            case Look(_, settled):
                for looked in _looks(cloud):
                    if looked.ami or not (self._rules.settles and settled) or held_for >= SETTLED:
                        yield cloud, looked, False
            case CheckInherited(name):
                ami = cloud.find(name)
                if ami is not None and ami.marked <= LAG and ami.removed <= LAG:
                    yield cloud, ProtocolEvent.DONE, False
                yield cloud, ProtocolEvent.REFUSED, False
            case Bake():
                yield from self._baked(cloud, flight.lock, pauses, free.ami)

    def _changed(self, cloud: Cloud, step: Step, held_for: int, own: int, free: str) -> Iterator[tuple[Cloud, Seen]]:
        if isinstance(step, AbandonInherited):
            return self._given_up(cloud, step, self.may_give_up(step, held_for))
        return self.carried_out(cloud, own, step, free)

    def _read(self, cloud: Cloud, own: int, living: frozenset[int], pauses: bool) -> Iterator[tuple[Cloud, Seen, bool]]:
        for lock in dict.fromkeys((cloud.lock, *(lock for lock, _ in cloud.before))):
            if lock is None:
                yield cloud, NotShown(), False
                continue
            shown = LockSeen(lock.name, lock.owner == own, False, lock.finished, lock.carries)
            if lock.kept or lock.owner not in living:
                yield cloud, replace(shown, expired=True), False
            elif pauses and lock.owner != own:
                yield cloud, replace(shown, expired=True), True
            yield cloud, shown, False

    def _baked(self, cloud: Cloud, lock: str | None, pauses: bool, free: str) -> Iterator[tuple[Cloud, Seen, bool]]:
        yield _made(cloud, lock, Ami(free)), Baked(free), False
        if not cloud.holds(lock):
            yield cloud, ProtocolEvent.LOST, False
        elif pauses:
            yield cloud, ProtocolEvent.LOST, True

    def carried_out(self, cloud: Cloud, own: int, step: Step, free: str) -> Iterator[tuple[Cloud, Seen]]:
        """What EC2 does with a request that changes something."""
        match step:
            case TakeLock() if cloud.lock is not None:
                yield cloud, ProtocolEvent.REFUSED
            case TakeLock(left):
                yield cloud.with_lock(Lock(free, own, left)), LockAcquired(free)
            case BreakLock(name) | Release(name, keep=False):
                yield self._deleted(cloud, name), ProtocolEvent.DONE
            case Release(name):
                kept = cloud.with_lock(cloud.lock._replace(kept=True)) if cloud.lock and cloud.holds(name) else cloud
                yield kept, ProtocolEvent.DONE
            case NoteVerified(name, ami):
                if cloud.lock is not None and cloud.holds(name):
                    yield cloud.with_lock(cloud.lock._replace(verified=ami)), ProtocolEvent.DONE
                    return
                if cloud.may_hold(name):
                    yield cloud, ProtocolEvent.DONE
                yield cloud, ProtocolEvent.LOST
            case AbandonInherited():
                yield cloud, AmisAbandoned(())
                yield from self._marked(cloud, step)
            case RemoveLeft(names):
                yield _removed(cloud, names), ProtocolEvent.DONE
            case Discard(name):
                yield _removed(cloud, (name,)), ProtocolEvent.DONE
            case Finish(lock, name):
                yield from self._finished(cloud, lock, name)

    def _deleted(self, cloud: Cloud, name: str) -> Cloud:
        if cloud.holds(name):
            return cloud.with_lock(None)
        if self._rules.breaks_by_name and cloud.lock is not None:
            raise Violation(f"{cloud.lock.name} is deleted by one who means {name}")
        return cloud

    def may_give_up(self, step: AbandonInherited, held_for: int) -> bool:
        """Whether it may be sent by now."""
        return step.lock is not None and (held_for >= SETTLED or not self._rules.settles_to_remove)

    def _given_up(self, cloud: Cloud, step: AbandonInherited, may: bool) -> Iterator[tuple[Cloud, Seen]]:
        """Whether a name is in the way is not modelled: all that are unfinished, or look it, may be, or none."""
        yield cloud, AmisAbandoned(())
        if not may:
            return
        for ami in cloud.amis:
            if ami.finished != NEVER:
                yield cloud, LookupResult(ami.name)
        yield from self._marked(cloud, step)

    def _marked(self, cloud: Cloud, step: AbandonInherited) -> Iterator[tuple[Cloud, Seen]]:
        unfinished = tuple(ami for ami in cloud.amis if ami.finished <= LAG and ami.removed <= LAG)
        if not unfinished or not self._rules.removes:
            return
        names = tuple(ami.name for ami in unfinished)
        if not self._rules.marks:
            yield cloud, AmisAbandoned(names)
        elif cloud.may_hold(step.lock):
            marked = cloud
            for ami in unfinished:
                marked = marked.with_ami(ami._replace(marked=0))
            yield marked, AmisAbandoned(names)
        if not cloud.holds(step.lock):
            yield cloud, ProtocolEvent.LOST

    def _finished(self, cloud: Cloud, lock: str | None, name: str) -> Iterator[tuple[Cloud, Seen]]:
        ami = cloud.find(name)
        if ami is None or ami.removed != NEVER:
            # Whoever hears that looks for its lock, too.
            yield cloud, ProtocolEvent.FAILED if cloud.holds(lock) else ProtocolEvent.LOST
        if ami is None or ami.removed > LAG:
            return
        if cloud.may_hold(lock) or self._rules.fence == "none":
            yield _tagged(cloud, lock, ami), ProtocolEvent.DONE
        if not cloud.holds(lock) and self._rules.fence == "partial":
            yield _tagged(cloud, lock, ami), ProtocolEvent.LOST
        elif not cloud.holds(lock) and self._rules.fence == "whole":
            yield cloud, ProtocolEvent.LOST


class Explorer:
    """Explores breadth first, so that a way to a violation is a short one."""

    def __init__(self, budget: Budget, rules: Rules | None = None) -> None:
        self._budget = budget
        self._rules = rules or Rules()
        self._steps = Steps(self._rules)
        self._flights: _Numbered[ProtocolState] = _Numbered()
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
        """Raises `Violation`, with the way there."""
        budget = self._budget
        runners = (self._runners.number(Runner(self._flights.number(begin()))),) * budget.runners
        start = World(
            self._clouds.number(Cloud()), runners, (), 0, budget.crashes, budget.late, budget.pauses, budget.failures
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
            raise Violation(f"{violation}\n{self._way_to(world)}") from None
        self.result.states = len(self._seen)
        return self.result

    def _way_to(self, world: World) -> str:
        lines = []
        step = self._seen.get(world)
        while step is not None:
            lines.append(step[1])
            step = self._seen.get(step[0])
        return "\n".join(reversed(lines))

    # What can happen next.

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
        for own, runner in enumerate(world.runners):
            if runner == NOBODY:
                continue
            if world.crashes:
                dead = world._replace(runners=_with(world.runners, own, NOBODY), crashes=world.crashes - 1)
                yield self._canonical(dead), f"{own} is killed"
                if isinstance(self._flight_of(runner).step, Bake):
                    left = self._left_by(world, runner)
                    yield self._canonical(dead._replace(cloud=left)), f"{own} is killed when Packer has made an AMI"
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
        step = self._flight_of(runner).step
        held_for = self._runners.values[runner].held_for
        early = isinstance(step, AbandonInherited) and not self._steps.may_give_up(step, held_for)
        if world.late and isinstance(step, _CHANGING) and not early:
            sent = tuple(sorted((*world.sent, self._requests.number(Request(own, step)))))
            sending = world._replace(sent=sent, late=world.late - 1)
            yield self._canonical(sending), f"{own}: {step} gets no answer, and is sent again"
            unanswered = ProtocolEvent.FAILED if isinstance(step, AbandonInherited) else ProtocolEvent.UNANSWERED
            yield self._canonical(self._failed(sending, own, runner, unanswered)), f"{own}: {step} gets no answer"
        if world.failures and isinstance(step, _FALLIBLE):
            failing = world._replace(failures=world.failures - 1)
            yield self._canonical(self._failed(failing, own, runner, ProtocolEvent.FAILED)), f"{own}: {step} fails"

    def _flight_of(self, runner: int) -> ProtocolState:
        return self._flights.values[self._runners.values[runner].flight]

    def _left_by(self, world: World, runner: int) -> int:
        cloud, lock = self._clouds.values[world.cloud], self._flight_of(runner).lock
        return self._cloud(_made(cloud, lock, Ami(self._free(world).ami, sound=False)))

    def _failed(self, world: World, own: int, runner: int, seen: Seen) -> World:
        """Nothing changes but what the runner does next."""
        move = self._move(self._clouds.values[world.cloud], self._runners.values[runner], own, seen, paused=False)
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
                self._move(after, value, own, seen, paused)
                for after, seen, paused in self._steps.outcomes(
                    cloud, self._flights.values[value.flight], value.held_for, own, living, world.pauses > 0, free
                )
            )
        return self._moves_memo[key]

    def _move(self, cloud: Cloud, runner: Runner, own: int, seen: Seen, paused: bool) -> Move:
        before = self._flights.values[runner.flight]
        what = f"{own}: {before.step} -> {seen}"
        number = self._once(
            ("advance", runner.flight, seen), lambda: self._flights.number(self._advanced(before, seen))
        )
        flight = self._flights.values[number]
        held_for, told = (NEVER, False) if flight.lock is None else (runner.held_for, runner.told)
        if flight.lock is not None and flight.lock != before.lock:
            held_for, told = 0, any(ami.finished > LAG for ami in cloud.amis)
        if isinstance(flight.step, Bake) and told:
            raise Violation(f"an AMI is baked that was there for all to see when the lock was taken\n{what}")
        if not isinstance(flight.step, End):
            moved = self._runners.number(Runner(number, held_for, told))
            return Move(self._cloud(cloud), moved, what, paused)
        ending, name = flight.step.ending, flight.step.ami
        if name is not None:
            ami = cloud.find(name)
            if ami is None or ami.finished == NEVER or ami.removed != NEVER:
                raise Violation(f"{name} is an answer, and is not finished and there\n{what}")
        return Move(self._cloud(cloud), NOBODY, what, paused, ending, _BITS[name] if name else 0)

    def _cloud(self, cloud: Cloud) -> int:
        if len(cloud.before) > self._budget.history:
            cloud = cloud._replace(before=cloud.before[: self._budget.history])
        return self._clouds.number(cloud)

    def _advanced(self, flight: ProtocolState, seen: Seen) -> ProtocolState:
        """On to the next step that matters."""
        flight = self._rules.advance(flight, seen)
        while not self._budget.failures and _says_nothing(flight.step):
            flight = self._rules.advance(flight, ProtocolEvent.DONE)
        return flight

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

    def _once(self, key: Hashable, work_out: Callable[[], int]) -> int:
        number = self._memo.get(key)
        if number is None:
            number = self._memo[key] = work_out()
        return number

    # States that differ in nothing that matters are one.

    def _canonical(self, world: World) -> World:
        """Runners are alike: their order says nothing. What nobody speaks of any more is forgotten."""
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
        spoken = self._spoken_of(cloud, runners, sent)
        cloud = self._without_forgotten(cloud, spoken)
        if sent:
            living = any(runner != NOBODY for runner in runners)
            sent = tuple(request for request in sent if self._matters(request, cloud, living))
        visible = self._mask("cloud", cloud)
        runners = tuple(self._without_gone(runner, visible) for runner in runners)
        return world._replace(cloud=cloud, runners=runners, sent=sent)

    def _owned(self, cloud: int, owners: tuple[int, ...]) -> int:
        """With the runners numbered anew."""
        return self._once(
            ("owned", cloud, owners), lambda: self._clouds.number(self._clouds.values[cloud].owned(owners))
        )

    def _sent_by(self, request: int, owners: tuple[int, ...]) -> int:
        owner, step = self._requests.values[request]
        return self._requests.number(Request(NOBODY if owner == NOBODY else owners[owner], step))

    def _matters(self, request: int, cloud: int, living: bool) -> bool:
        """Whether EC2 would do anything with it, now or later."""

        def matters() -> bool:
            step, there = self._requests.values[request].step, self._clouds.values[cloud]
            match step:
                case TakeLock():
                    return living
                case BreakLock(lock) | Release(lock):
                    return there.holds(lock)
                case NoteVerified(lock) | AbandonInherited(lock) | Finish(lock):
                    return there.may_hold(lock) or self._rules.fence != "whole" or not self._rules.marks
                case _:
                    return True

        return bool(self._once(("matters", request, cloud, living), lambda: int(matters())))

    def _without_forgotten(self, number: int, spoken: int) -> int:
        cloud = self._clouds.values[number]
        amis = tuple(ami for ami in cloud.amis if ami.finished != NEVER or _BITS[ami.name] & spoken)
        return number if len(amis) == len(cloud.amis) else self._clouds.number(cloud._replace(amis=amis))

    def _without_gone(self, number: int, visible: int) -> int:
        """A lock that cannot be shown any more need not be remembered as gone."""
        if number == NOBODY or not self._flight_of(number).gone:
            return number

        def forget() -> int:
            flight = self._flight_of(number)
            gone = frozenset(name for name in flight.gone if _BITS[name] & visible)
            kept = self._flights.number(replace(flight, gone=gone))
            return self._runners.number(self._runners.values[number]._replace(flight=kept))

        return self._once(("gone", number, visible), forget)

    def _free(self, world: World) -> Names:
        """Names that nobody speaks of."""
        spoken = self._spoken_of(world.cloud, world.runners, world.sent) | self._mask("amis", world.cloud)
        return self._free_names(spoken)

    def _free_names(self, spoken: int) -> Names:
        if spoken not in self._names:
            free = [name for name in _NAMES if not _BITS[name] & spoken]
            self._names[spoken] = Names(free[0], next(name for name in free if name.startswith("ami")))
        return self._names[spoken]

    def _spoken_of(self, cloud: int, runners: tuple[int, ...], sent: tuple[int, ...]) -> int:
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
                    names = set(_names_in_flight(self._flight_of(number)))
                case _:
                    names = set(_names_in_step(self._requests.values[number].step))
            mask = self._masks[key] = sum(_BITS[name] for name in names)
        return mask

    # Nobody is ever stuck.

    def _check_liveness(self, world: World) -> None:
        """From here on each runner that lives comes to an end alone: the others stand still for ever, what they sent is
        lost, and time goes by as long as it is needed."""
        for own, runner in enumerate(world.runners):
            if runner == NOBODY:
                continue
            cloud = self._owned(world.cloud, tuple(0 if run == own else NOBODY for run in range(own + 1)))
            way: list[tuple[int, int]] = []
            while runner != NOBODY and (cloud, runner) not in self._ends_alone:
                if len(way) > 99:
                    raise Violation(f"runner {own} does not come to an end alone")
                way.append((cloud, runner))
                cloud, runner = self._usual_move(*self._still(cloud, runner))
            self._ends_alone.update(way)

    def _still(self, cloud: int, runner: int) -> tuple[int, int]:
        """When all news has come."""
        while (older := (self._older_cloud(cloud), self._older_runner(runner))) != (cloud, runner):
            cloud, runner = older
        return cloud, runner

    def _usual_move(self, number: int, runner: int) -> tuple[int, int]:
        cloud, value, flight = self._clouds.values[number], self._runners.values[runner], self._flight_of(runner)
        spoken = self._mask("cloud", number) | self._mask("amis", number) | self._mask("runner", runner)
        after, seen, _ = next(
            self._steps.outcomes(cloud, flight, value.held_for, 0, frozenset({0}), False, self._free_names(spoken))
        )
        move = self._move(after, value, 0, seen, False)
        return move.cloud, move.runner


def violation(budget: Budget, rules: Rules) -> str:
    """What goes wrong under these rules, and the way there; empty where nothing does."""
    try:
        Explorer(budget, rules).explore()
    except Violation as found:
        return str(found)
    return ""


def _says_nothing(step: Step) -> bool:
    """It has one outcome, at any time, and changes nothing."""
    return isinstance(step, Pause | CopyToRegions | WaitVisible)


def _answered(world: World, answer: int) -> World:
    if not answer:
        return world
    if world.answer not in (0, answer):
        raise Violation("two runners have different answers")
    return world._replace(answer=answer)


def _looks(cloud: Cloud) -> Iterator[LookupResult]:
    """What a look-up may show: everything that is old enough, and any of what is new."""
    finished = [ami for ami in cloud.amis if ami.finished != NEVER]
    for ami in finished:
        yield LookupResult(ami.name)
    if all(ami.finished <= LAG for ami in finished):
        yield LookupResult(None)


def _made(cloud: Cloud, lock: str | None, ami: Ami) -> Cloud:
    """Packer's AMI is noted on the lock as soon as it has an id, if the lock is there."""
    if cloud.lock is None or not cloud.holds(lock):
        return cloud.with_ami(ami)
    return cloud.with_ami(ami).with_lock(cloud.lock._replace(unverified=ami.name))


def _tagged(cloud: Cloud, lock: str | None, ami: Ami) -> Cloud:
    if ami.removed != NEVER:
        raise Violation(f"{ami.name} is finished after it was removed")
    if not ami.sound:
        raise Violation(f"{ami.name} is finished, and was never verified")
    if any(other.finished != NEVER for other in cloud.amis if other.name != ami.name):
        raise Violation(f"{ami.name} is finished, and is the second one")
    tagged = cloud.with_ami(ami if ami.finished != NEVER else ami._replace(finished=0))
    if tagged.lock is not None and tagged.holds(lock):
        return tagged.with_lock(tagged.lock._replace(finished=True))
    return tagged


def _removed(cloud: Cloud, names: tuple[str, ...]) -> Cloud:
    for ami in cloud.amis:
        if ami.name in names and ami.finished != NEVER:
            raise Violation(f"{ami.name} is removed, and is finished")
        if ami.name in names and ami.removed == NEVER:
            cloud = cloud.with_ami(ami._replace(removed=0))
    return cloud


def _in_order(before: dict[Lock | None, int]) -> tuple[tuple[Lock | None, int], ...]:
    """One order for what is the same: by age, then by the lock's tags."""

    def key(item: tuple[Lock | None, int]) -> tuple[object, ...]:
        lock, age = item
        if lock is None:
            return (age,)
        left = (lock.left.verified or "", *sorted(lock.left.unverified))
        return age, lock.name, lock.owner, left, lock.unverified or "", lock.verified or "", lock.finished, lock.kept

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
            yield from _names_left(lock.left)


def _names_in_flight(flight: ProtocolState) -> Iterator[str]:
    yield from flight.gone
    yield from (name for name in (flight.lock, flight.ami) if name)
    yield from _names_left(flight.left)
    yield from _names_in_step(flight.step)


def _names_in_step(step: Step) -> Iterator[str]:
    yield from (name for field in ("lock", "ami") if (name := getattr(step, field, None)))
    yield from getattr(step, "amis", ())
    yield from _names_left(getattr(step, "left", InheritedAmis()))


def _names_left(left: InheritedAmis) -> Iterator[str]:
    yield from left.unverified
    if left.verified is not None:
        yield left.verified
