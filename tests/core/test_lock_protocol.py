"""One runner's way through the protocol, step by step. All orders of several runners' are explored in tests/locking."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ami_bakery.core.lock.protocol import ProtocolState, advance, begin
from ami_bakery.core.lock.protocol_steps import (
    AbandonInherited,
    AmisAbandoned,
    Bake,
    Baked,
    BreakLock,
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
    Seen,
    TakeLock,
    WaitVisible,
)

ALONE: Mapping[type, tuple[Seen, ...]] = {
    TakeLock: (LockAcquired("lock"),),
    ReadLock: (LockSeen("another", ours=False, expired=False),),
    BreakLock: (ProtocolEvent.DONE,),
    Pause: (ProtocolEvent.DONE,),
    Look: (LookupResult(None),),
    AbandonInherited: (AmisAbandoned(),),
    Bake: (Baked("ami"),),
    NoteVerified: (ProtocolEvent.DONE,),
    Finish: (ProtocolEvent.DONE,),
    Discard: (ProtocolEvent.DONE,),
    CopyToRegions: (ProtocolEvent.DONE,),
    WaitVisible: (ProtocolEvent.DONE,),
    Release: (ProtocolEvent.DONE,),
}
"""What each step shows, one time after the other, and the last of these from then on."""
BAKING = [TakeLock, Look, AbandonInherited, Bake, Look, NoteVerified, Finish, CopyToRegions, WaitVisible, Release]


def flown(seen: Mapping[type, tuple[Seen, ...]], flight: ProtocolState) -> tuple[list[type], End]:
    """The steps that were taken, and how it ended."""
    steps: list[type] = []
    left = {step: list(shown) for step, shown in {**ALONE, **seen}.items()}
    while not isinstance(flight.step, End):
        steps.append(type(flight.step))
        shown = left[type(flight.step)]
        flight = advance(flight, shown.pop(0) if len(shown) > 1 else shown[0])
    return steps, flight.step


def test_who_is_alone_bakes() -> None:
    assert flown({}, begin()) == (BAKING, End(Ending.BAKED, "ami"))


def test_who_comes_second_waits_for_what_the_first_one_bakes() -> None:
    seen: dict[type, tuple[Seen, ...]] = {
        TakeLock: (ProtocolEvent.REFUSED,),
        ReadLock: (LockSeen("another", ours=False, expired=False), NotShown()),
        Look: (LookupResult("theirs"),),
    }
    assert flown(seen, begin()) == ([TakeLock, ReadLock, Pause, ReadLock, Look], End(Ending.REUSED, "theirs"))
    steps, end = flown(seen, begin(waits=False))
    assert (steps, end.ending) == ([TakeLock, ReadLock], Ending.BUSY)


def test_a_dead_runners_lock_is_taken_over() -> None:
    seen: dict[type, tuple[Seen, ...]] = {
        TakeLock: (ProtocolEvent.REFUSED, LockAcquired("lock")),
        ReadLock: (LockSeen("another", ours=False, expired=True),),
    }
    assert flown(seen, begin()) == ([TakeLock, ReadLock, BreakLock, *BAKING], End(Ending.BAKED, "ami"))


def test_what_has_been_baked_in_vain_is_discarded() -> None:
    """Somebody else's AMI of the same digest is there when ours is finished."""
    steps, end = flown({Look: (LookupResult(None), LookupResult("theirs"))}, begin())
    assert (steps[:6], end) == ([TakeLock, Look, AbandonInherited, Bake, Look, Discard], End(Ending.REUSED, "theirs"))


def test_a_bake_that_fails_gives_the_lock_back() -> None:
    steps, end = flown({Bake: (ProtocolEvent.FAILED,)}, begin())
    assert (steps[-1], end.ending) == (Release, Ending.FAILED)


def test_a_step_cannot_be_seen_to_end_as_another_does() -> None:
    with pytest.raises(ValueError, match="cannot end with"):
        advance(begin(), ProtocolEvent.MOVED)
    with pytest.raises(ValueError, match="has ended"):
        advance(ProtocolState(step=End(Ending.BAKED)), ProtocolEvent.DONE)
