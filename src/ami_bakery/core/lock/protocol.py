"""The lock protocol: from what a runner has seen of EC2 to its next step (docs/concepts/locking.md).

`advance` is the whole protocol, and has no clock and no network: `execute/` carries its steps out, and the tests drive
the same code through every order of events that EC2, crashes, pauses and late requests allow.

Its words are those of flight_steps.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ami_bakery.core.lock.inherited import InheritedAmis
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
    Purpose,
    ReadLock,
    Release,
    RemoveLeft,
    Seen,
    Step,
    TakeLock,
    WaitVisible,
)
from ami_bakery.values import Frozen, field, replace

_MOST_LOSSES = 2
"""Who lost its lock that often, and once more, gives up: its machine or its network stands still for minutes."""
_MOST_UNANSWERED = 3


class ProtocolState(Frozen):
    """Where a runner is: `step` is to be carried out next.

    forced    bake whatever is there
    required  without the right to lock there is no bake
    waits     for another's bake, or fails at once
    lock      the one that we hold
    contended somebody else may have held it a moment ago: what that one did may not be seen yet
    refusals  how often the name was taken since we last saw who has it: 0, 1, or 2 for more
    gone      locks that we have broken or lost: EC2 may still show them
    ami       the one that is to become, or is, the answer
    noted     whether our lock holds what the next one needs, if we end here
    ending    how it will end, when the lock is released
    """

    step: Step
    forced: bool = False
    required: bool = True
    waits: bool = True
    lock: str | None = None
    contended: bool = False
    refusals: int = 0
    unanswered: int = 0
    losses: int = 0
    gone: frozenset[str] = field(default=frozenset())
    left: InheritedAmis = field(default=InheritedAmis())
    ami: str | None = None
    noted: bool = False
    ending: Ending | None = None


def begin(*, forced: bool = False, required: bool = True, waits: bool = True) -> ProtocolState:
    """A runner that has looked, and found that there is something to bake or to copy."""
    return ProtocolState(step=TakeLock(InheritedAmis()), forced=forced, required=required, waits=waits)


def advance(flight: ProtocolState, seen: Seen) -> ProtocolState:
    """Raises ValueError where the step cannot be seen to end like that."""
    if isinstance(flight.step, End):
        raise ValueError("it has ended")
    after = _AFTER[type(flight.step)](flight, seen)
    if after is None:
        raise ValueError(f"{flight.step} cannot end with {seen}")
    return after


def _after_take(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    match seen:
        case LockAcquired(lock):
            return _hold(flight, lock)
        case ProtocolEvent.REFUSED:
            # The first time we look who has it at once. Then, as long as nobody is shown, we take our time.
            step = Pause() if flight.refusals and flight.waits else ReadLock()
            return replace(flight, step=step, contended=True, refusals=min(flight.refusals + 1, 2))
        case ProtocolEvent.UNANSWERED if flight.unanswered < _MOST_UNANSWERED:
            # It may be ours without our knowing: then it is shown with our name on it.
            return replace(flight, step=ReadLock(), contended=True, unanswered=flight.unanswered + 1)
        case ProtocolEvent.DENIED:
            return _without_right(flight)
        case ProtocolEvent.UNANSWERED | ProtocolEvent.FAILED:
            return _end(flight, Ending.FAILED)
    return None


def _after_read(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    match seen:
        case LockSeen():
            return _after_sight(flight, seen)
        case NotShown(overdue=True):
            return _end(flight, Ending.TAKEN)
        case NotShown():
            if flight.refusals > 1 and not flight.waits:
                return _end(flight, Ending.BUSY)
            return replace(flight, step=Look(Purpose.GONE))
        case ProtocolEvent.DENIED:
            return _without_right(flight)
        case ProtocolEvent.FAILED:
            return _end(flight, Ending.FAILED)
    return None


def _after_sight(flight: ProtocolState, seen: LockSeen) -> ProtocolState:
    if seen.lock in flight.gone:
        # News are late, or it is there all the same. Where the name stays taken, we take our time.
        return replace(flight, step=BreakLock(seen.lock), left=flight.left | seen.left)
    flight = replace(flight, refusals=0)
    if seen.ours:
        return _hold(flight, seen.lock)
    if seen.expired:
        # By its id: whoever else has taken it over meanwhile has one of another id, which stays.
        return replace(flight, step=BreakLock(seen.lock), left=flight.left | seen.left)
    if seen.finished:
        return replace(flight, step=Look(Purpose.FINISHED))
    return _wait(flight)


def _after_break(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    match seen, flight.step:
        case ((ProtocolEvent.DONE | ProtocolEvent.UNANSWERED), BreakLock(lock)):
            return replace(flight, step=TakeLock(flight.left), contended=True, gone=flight.gone | {lock})
        case ((ProtocolEvent.DENIED | ProtocolEvent.FAILED), _):
            return _end(flight, Ending.FAILED)
    return None


def _after_pause(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    match seen:
        case ProtocolEvent.DONE:
            return replace(flight, step=ReadLock())
        case ProtocolEvent.TIMED_OUT:
            return _end(flight, Ending.BUSY)
        case ProtocolEvent.FAILED:
            return _end(flight, Ending.FAILED)
    return None


def _after_look(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    assert isinstance(flight.step, Look)
    match seen:
        case ProtocolEvent.MOVED:
            return _end(flight, Ending.MOVED)
        case ProtocolEvent.FAILED:
            return _end(flight, Ending.FAILED)
        case LookupResult():
            return _LOOKED[flight.step.purpose](flight, seen)
    return None


def _looked_from_outside(flight: ProtocolState, seen: LookupResult) -> ProtocolState:
    if seen.ami is not None and seen.whole:
        return _end(flight, Ending.REUSED, seen.ami)
    if flight.step == Look(Purpose.FINISHED):
        return _wait(flight)
    return replace(flight, step=TakeLock(flight.left))


def _looked_before(flight: ProtocolState, seen: LookupResult) -> ProtocolState:
    if seen.ami is not None:
        return _use(flight, seen.ami, Ending.REUSED if seen.whole else Ending.COPIED)
    if flight.left.verified is not None and flight.lock is not None and not flight.forced:
        return replace(flight, step=CheckInherited(flight.left.verified))
    return replace(flight, step=AbandonInherited(flight.lock, flight.left))


def _looked_after(flight: ProtocolState, seen: LookupResult) -> ProtocolState:
    """EC2 did not show the AMI of the holder before us when we began; now it must, whoever finished one."""
    assert flight.ami is not None
    if seen.ami is None or seen.ami == flight.ami:
        return replace(flight, step=_tag(flight, flight.ami))
    ending = Ending.REUSED if seen.whole else Ending.COPIED
    return replace(flight, step=Discard(flight.ami), ami=seen.ami, ending=ending)


def _after_judge(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    match seen:
        case ProtocolEvent.DONE:
            # It is noted already: taking the lock over has carried the note on.
            ami = flight.left.verified
            assert ami is not None
            return replace(flight, step=Finish(flight.lock, ami), ami=ami, ending=Ending.ADOPTED)
        case ProtocolEvent.REFUSED:
            return replace(flight, step=AbandonInherited(flight.lock, flight.left))
        case ProtocolEvent.FAILED:
            return _end(flight, Ending.FAILED)
    return None


def _after_giving_up(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    match seen:
        case AmisAbandoned(()):
            return replace(flight, step=Bake(), left=InheritedAmis(), noted=False)
        case AmisAbandoned(amis):
            return replace(flight, step=RemoveLeft(amis), left=InheritedAmis(), noted=False)
        case LookupResult(ami, whole) if ami is not None:
            return _use(flight, ami, Ending.REUSED if whole else Ending.COPIED)
        case ProtocolEvent.LOST:
            return _lose(flight)
        case ProtocolEvent.FAILED:
            return _end(flight, Ending.FAILED)
    return None


def _after_removing(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    match seen:
        case ProtocolEvent.DONE | ProtocolEvent.UNANSWERED | ProtocolEvent.DENIED:
            # Where it is still there, Packer says that the name is taken.
            return replace(flight, step=Bake())
        case ProtocolEvent.FAILED:
            return _end(flight, Ending.FAILED)
    return None


def _after_bake(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    match seen:
        case Baked(ami, finished=True):
            return replace(flight, step=CopyToRegions(ami), ami=ami, ending=Ending.BAKED)
        case Baked(ami):
            flight = replace(flight, ami=ami, ending=Ending.BAKED)
            if flight.forced:
                return replace(flight, step=_tag(flight, ami))
            return replace(flight, step=Look(Purpose.AFTER, settled=flight.lock is not None))
        case ProtocolEvent.LOST:
            return _lose(flight)
        case ProtocolEvent.FAILED:
            return _end(flight, Ending.FAILED)
    return None


def _after_note(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    assert flight.ami is not None
    match seen:
        case ProtocolEvent.DONE:
            return replace(flight, step=Finish(flight.lock, flight.ami), noted=True)
        case ProtocolEvent.LOST:
            return _lose(flight)
        case ProtocolEvent.UNANSWERED | ProtocolEvent.FAILED:
            return _end(replace(flight, noted=True), Ending.FAILED)
    return None


def _after_finish(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    assert flight.ami is not None
    match seen:
        case ProtocolEvent.DONE:
            return replace(flight, step=CopyToRegions(flight.ami), noted=False)
        case ProtocolEvent.LOST:
            # An earlier try of the same call may have been carried out: what we see when we wait decides.
            return _lose(flight)
        case ProtocolEvent.UNANSWERED | ProtocolEvent.FAILED:
            return _end(flight, Ending.FAILED)
    return None


def _after_discard(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    match seen:
        case ProtocolEvent.DONE | ProtocolEvent.UNANSWERED | ProtocolEvent.DENIED:
            assert flight.ami is not None and flight.ending is not None
            return _use(flight, flight.ami, flight.ending)
        case ProtocolEvent.FAILED:
            return _end(flight, Ending.FAILED)
    return None


def _after_spread(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    assert flight.ami is not None
    match seen:
        case ProtocolEvent.DONE:
            return replace(flight, step=WaitVisible(flight.ami))
        case ProtocolEvent.FAILED:
            return _end(flight, Ending.FAILED)
    return None


def _after_sight_of_own(flight: ProtocolState, seen: Seen) -> ProtocolState | None:
    match seen:
        case ProtocolEvent.DONE:
            assert flight.ending is not None
            return _end(flight, flight.ending, flight.ami)
        case ProtocolEvent.FAILED:
            return _end(flight, Ending.FAILED)
    return None


def _after_release(flight: ProtocolState, _seen: Seen) -> ProtocolState:
    assert flight.ending is not None
    return ProtocolState(step=End(flight.ending, flight.ami))


_AFTER: dict[type[Any], Callable[[ProtocolState, Seen], ProtocolState | None]] = {
    TakeLock: _after_take,
    ReadLock: _after_read,
    BreakLock: _after_break,
    Pause: _after_pause,
    Look: _after_look,
    CheckInherited: _after_judge,
    AbandonInherited: _after_giving_up,
    RemoveLeft: _after_removing,
    Bake: _after_bake,
    NoteVerified: _after_note,
    Finish: _after_finish,
    Discard: _after_discard,
    CopyToRegions: _after_spread,
    WaitVisible: _after_sight_of_own,
    Release: _after_release,
}
_LOOKED: dict[Purpose, Callable[[ProtocolState, LookupResult], ProtocolState]] = {
    Purpose.GONE: _looked_from_outside,
    Purpose.FINISHED: _looked_from_outside,
    Purpose.BEFORE: _looked_before,
    Purpose.AFTER: _looked_after,
}


def _hold(flight: ProtocolState, lock: str) -> ProtocolState:
    return replace(
        flight,
        step=Look(Purpose.BEFORE, settled=flight.contended and not flight.forced),
        lock=lock,
        contended=False,
        refusals=0,
        unanswered=0,
        noted=bool(flight.left),
    )


def _without_right(flight: ProtocolState) -> ProtocolState:
    if flight.required:
        return _end(flight, Ending.FAILED)
    return replace(flight, step=Look(Purpose.BEFORE), lock=None)


def _wait(flight: ProtocolState) -> ProtocolState:
    return replace(flight, step=Pause()) if flight.waits else _end(flight, Ending.BUSY)


def _tag(flight: ProtocolState, ami: str) -> Step:
    return Finish(None, ami) if flight.lock is None else NoteVerified(flight.lock, ami)


def _use(flight: ProtocolState, ami: str, ending: Ending) -> ProtocolState:
    """What somebody else has finished; where it is not whole, we copy it."""
    if ending is Ending.COPIED:
        return replace(flight, step=CopyToRegions(ami), ami=ami, ending=ending)
    return _end(flight, ending, ami)


def _lose(flight: ProtocolState) -> ProtocolState:
    """Without the lock we are as any other who wants it. What we have verified is as good as what the dead left."""
    if flight.losses == _MOST_LOSSES:
        return _end(replace(flight, lock=None), Ending.LOST)
    assert flight.lock is not None
    return replace(
        flight,
        step=ReadLock(),
        lock=None,
        contended=True,
        losses=flight.losses + 1,
        gone=flight.gone | {flight.lock},
        left=InheritedAmis(flight.ami) | flight.left,
        ami=None,
        noted=False,
        ending=None,
    )


def _end(flight: ProtocolState, ending: Ending, ami: str | None = None) -> ProtocolState:
    if flight.lock is None:
        return ProtocolState(step=End(ending, ami))
    keep = flight.noted and ending in (Ending.FAILED, Ending.MOVED)
    return ProtocolState(step=Release(flight.lock, keep), lock=flight.lock, ami=ami, ending=ending)
