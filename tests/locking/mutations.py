"""The protocol without one of its parts: what the explorer must find fault with."""

from __future__ import annotations

from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.core.lock.protocol import ProtocolState, advance
from ami_bakery.core.lock.protocol_steps import (
    AbandonInherited,
    AmisAbandoned,
    LockAcquired,
    LockSeen,
    Look,
    LookupResult,
    NotShown,
    Purpose,
    ReadLock,
    Seen,
    TakeLock,
)


def without_second_look(flight: ProtocolState, seen: Seen) -> ProtocolState:
    """Who has the lock bakes, whatever has been baked meanwhile."""
    after = advance(flight, seen)
    return advance(after, LookupResult()) if after.step in (Look(Purpose.BEFORE), Look(Purpose.BEFORE, True)) else after


def without_third_look(flight: ProtocolState, seen: Seen) -> ProtocolState:
    """The digest is written though the look before may have been too early."""
    after = advance(flight, seen)
    return (
        advance(after, LookupResult())
        if isinstance(after.step, Look) and after.step.purpose is Purpose.AFTER
        else after
    )


def adopting_unverified(flight: ProtocolState, seen: Seen) -> ProtocolState:
    """An AMI that a dead holder only noted is taken for a verified one."""
    if isinstance(seen, LockSeen) and seen.left.unverified and seen.left.verified is None:
        seen = LockSeen(seen.lock, seen.ours, seen.expired, seen.finished, InheritedAmis(min(seen.left.unverified)))
    return advance(flight, seen)


nothing_left = AmisAbandoned(())


def straight_on(flight: ProtocolState, lock: str) -> Seen:
    """What a runner sees that is alone, up to its bake."""
    match flight.step:
        case TakeLock():
            return LockAcquired(lock)
        case AbandonInherited():
            return nothing_left
        case Look():
            return LookupResult()
        case ReadLock():
            return NotShown()
    raise AssertionError(flight.step)
