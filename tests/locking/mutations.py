"""The protocol without one of its parts: what the explorer must find fault with."""

from __future__ import annotations

from ami_bakery.core.lock.inherited import Left
from ami_bakery.core.lock.protocol import Flight, advance
from ami_bakery.core.lock.protocol_steps import (
    GiveUpLeft,
    Look,
    Looked,
    Marked,
    NotShown,
    Purpose,
    ReadLock,
    Seen,
    Shown,
    TakeLock,
    Taken,
)


def without_second_look(flight: Flight, seen: Seen) -> Flight:
    """Who has the lock bakes, whatever has been baked meanwhile."""
    after = advance(flight, seen)
    return advance(after, Looked()) if after.step in (Look(Purpose.BEFORE), Look(Purpose.BEFORE, True)) else after


def without_third_look(flight: Flight, seen: Seen) -> Flight:
    """The digest is written though the look before may have been too early."""
    after = advance(flight, seen)
    return advance(after, Looked()) if isinstance(after.step, Look) and after.step.purpose is Purpose.AFTER else after


def adopting_unverified(flight: Flight, seen: Seen) -> Flight:
    """An AMI that a dead holder only noted is taken for a verified one."""
    if isinstance(seen, Shown) and seen.left.unverified and seen.left.verified is None:
        seen = Shown(seen.lock, seen.ours, seen.expired, seen.finished, Left(min(seen.left.unverified)))
    return advance(flight, seen)


nothing_left = Marked(())


def straight_on(flight: Flight, lock: str) -> Seen:
    """What a runner sees that is alone, up to its bake."""
    match flight.step:
        case TakeLock():
            return Taken(lock)
        case GiveUpLeft():
            return nothing_left
        case Look():
            return Looked()
        case ReadLock():
            return NotShown()
    raise AssertionError(flight.step)
