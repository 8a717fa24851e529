"""One runner's way through the protocol, step by step. All orders of several runners' are explored in tests/locking."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ami_bakery.core.lock.protocol import Flight, advance, begin
from ami_bakery.core.lock.protocol_steps import (
    AwaitSight,
    Bake,
    Baked,
    BreakLock,
    Discard,
    End,
    Ending,
    Event,
    Finish,
    GiveUpLeft,
    Look,
    Looked,
    Marked,
    NoteVerified,
    NotShown,
    Pause,
    ReadLock,
    Release,
    Seen,
    Shown,
    Spread,
    TakeLock,
    Taken,
)

ALONE: Mapping[type, tuple[Seen, ...]] = {
    TakeLock: (Taken("lock"),),
    ReadLock: (Shown("another", ours=False, expired=False),),
    BreakLock: (Event.DONE,),
    Pause: (Event.DONE,),
    Look: (Looked(None),),
    GiveUpLeft: (Marked(),),
    Bake: (Baked("ami"),),
    NoteVerified: (Event.DONE,),
    Finish: (Event.DONE,),
    Discard: (Event.DONE,),
    Spread: (Event.DONE,),
    AwaitSight: (Event.DONE,),
    Release: (Event.DONE,),
}
"""What each step shows, one time after the other, and the last of these from then on."""
BAKING = [TakeLock, Look, GiveUpLeft, Bake, Look, NoteVerified, Finish, Spread, AwaitSight, Release]


def flown(seen: Mapping[type, tuple[Seen, ...]], flight: Flight) -> tuple[list[type], End]:
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
        TakeLock: (Event.REFUSED,),
        ReadLock: (Shown("another", ours=False, expired=False), NotShown()),
        Look: (Looked("theirs"),),
    }
    assert flown(seen, begin()) == ([TakeLock, ReadLock, Pause, ReadLock, Look], End(Ending.REUSED, "theirs"))
    steps, end = flown(seen, begin(waits=False))
    assert (steps, end.ending) == ([TakeLock, ReadLock], Ending.BUSY)


def test_a_dead_runners_lock_is_taken_over() -> None:
    seen: dict[type, tuple[Seen, ...]] = {
        TakeLock: (Event.REFUSED, Taken("lock")),
        ReadLock: (Shown("another", ours=False, expired=True),),
    }
    assert flown(seen, begin()) == ([TakeLock, ReadLock, BreakLock, *BAKING], End(Ending.BAKED, "ami"))


def test_what_has_been_baked_in_vain_is_discarded() -> None:
    """Somebody else's AMI of the same digest is there when ours is finished."""
    steps, end = flown({Look: (Looked(None), Looked("theirs"))}, begin())
    assert (steps[:6], end) == ([TakeLock, Look, GiveUpLeft, Bake, Look, Discard], End(Ending.REUSED, "theirs"))


def test_a_bake_that_fails_gives_the_lock_back() -> None:
    steps, end = flown({Bake: (Event.FAILED,)}, begin())
    assert (steps[-1], end.ending) == (Release, Ending.FAILED)


def test_a_step_cannot_be_seen_to_end_as_another_does() -> None:
    with pytest.raises(ValueError, match="cannot end with"):
        advance(begin(), Event.MOVED)
    with pytest.raises(ValueError, match="has ended"):
        advance(Flight(step=End(Ending.BAKED)), Event.DONE)
