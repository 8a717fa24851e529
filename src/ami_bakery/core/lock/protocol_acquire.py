"""The locking protocol's transitions that acquire, wait for and take over the lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.lock.protocol_state import end, hold, wait, without_permission
from ami_bakery.core.lock.protocol_steps import (
    AcquireLock,
    BreakLock,
    Ending,
    LockAcquired,
    LockNotVisible,
    LockSeen,
    LookUp,
    Pause,
    ProtocolEvent,
    Purpose,
    ReadLock,
)
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.lock.protocol_state import ProtocolState
    from ami_bakery.core.lock.protocol_steps import StepResult

_MAX_UNANSWERED = 3


def after_acquire(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result:
        case LockAcquired(lock):
            return hold(state, lock)
        case ProtocolEvent.REFUSED:
            # Read the holder immediately the first time. Afterwards, pause as long as no holder is visible.
            step = Pause() if state.refusals and state.waits else ReadLock()
            return replace(state, step=step, contended=True, refusals=min(state.refusals + 1, 2))
        case ProtocolEvent.UNANSWERED if state.unanswered < _MAX_UNANSWERED:
            # The lock may be ours. If it is, its tags have the id of our run.
            return replace(state, step=ReadLock(), contended=True, unanswered=state.unanswered + 1)
        case ProtocolEvent.DENIED:
            return without_permission(state)
        case ProtocolEvent.UNANSWERED | ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None


def after_read(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result:
        case LockSeen():
            return _after_lock_seen(state, result)
        case LockNotVisible(overdue=True):
            return end(state, Ending.NAME_TAKEN)
        case LockNotVisible():
            if state.refusals > 1 and not state.waits:
                return end(state, Ending.BUSY)
            return replace(state, step=LookUp(Purpose.GONE))
        case ProtocolEvent.DENIED:
            return without_permission(state)
        case ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None


def _after_lock_seen(state: ProtocolState, result: LockSeen) -> ProtocolState:
    if result.lock in state.past_locks:
        # EC2 still shows a deleted lock, or it was not deleted. If the name is still refused, pause.
        return replace(state, step=BreakLock(result.lock), inherited=state.inherited | result.inherited)
    state = replace(state, refusals=0)
    if result.ours:
        return hold(state, result.lock)
    if result.expired:
        # Deleted by id: the lock of a runner that took it over meanwhile has another id, so it is not deleted.
        return replace(state, step=BreakLock(result.lock), inherited=state.inherited | result.inherited)
    if result.failed and not state.forced:
        # The result is ours, too. Otherwise all waiting runners would repeat the test, one after another.
        return end(state, Ending.TEST_FAILED)
    if result.finished:
        return replace(state, step=LookUp(Purpose.FINISHED))
    return wait(state)


def after_break(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result, state.step:
        case ((ProtocolEvent.DONE | ProtocolEvent.UNANSWERED), BreakLock(lock)):
            return replace(
                state, step=AcquireLock(state.inherited), contended=True, past_locks=state.past_locks | {lock}
            )
        case ((ProtocolEvent.DENIED | ProtocolEvent.FAILED), _):
            return end(state, Ending.FAILED)
    return None


def after_pause(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result:
        case ProtocolEvent.DONE:
            return replace(state, step=ReadLock())
        case ProtocolEvent.TIMED_OUT:
            return end(state, Ending.BUSY)
        case ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None
