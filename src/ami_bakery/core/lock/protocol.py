"""The locking protocol: one bake of a digest at a time.

`advance` is the whole protocol. It has no clock and no network: `ami_bakery.bake` carries out its steps, and the tests
drive the same code through every order of events that EC2, crashes, pauses and late requests allow.
docs/concepts/locking.md explains the rules; protocol_steps.py defines the steps and their results.
"""

from __future__ import annotations

from typing import assert_never

from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.core.lock.protocol_state import (
    ProtocolState,
    build_step,
    end,
    hold,
    lose,
    tag_step,
    test_or_finish,
    use_finished,
    wait,
    without_permission,
)
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
    End,
    Ending,
    Finish,
    LockAcquired,
    LockNotVisible,
    LockSeen,
    LookUp,
    LookupResult,
    MarkFailed,
    Pause,
    ProtocolEvent,
    Purpose,
    ReadLock,
    RecordVerified,
    Release,
    RemoveAbandoned,
    RunTest,
    StepResult,
    WaitVisible,
)
from ami_bakery.values import replace

_MAX_UNANSWERED = 3


def begin(
    *,
    forced: bool = False,
    tests: bool = False,
    builds: bool = True,
    required: bool = True,
    waits: bool = True,
) -> ProtocolState:
    """Returns a runner's first state. Its image needs a bake, a copy or a test."""
    return ProtocolState(
        step=AcquireLock(InheritedAmis()),
        forced=forced,
        tests=tests,
        builds=builds,
        required=required,
        waits=waits,
    )


def advance(state: ProtocolState, result: StepResult) -> ProtocolState:
    """Returns the state after the current step ended with `result`.

    Raises ValueError if the step cannot end with this result.
    """
    if isinstance(state.step, End):
        raise ValueError("the protocol has ended")
    after = _next(state, result)
    if after is None:
        raise ValueError(f"{state.step} cannot end with {result}")
    return after


def _next(state: ProtocolState, result: StepResult) -> ProtocolState | None:  # noqa: C901 - one case a step
    match state.step:
        case AcquireLock():
            return _after_acquire(state, result)
        case ReadLock():
            return _after_read(state, result)
        case BreakLock():
            return _after_break(state, result)
        case Pause():
            return _after_pause(state, result)
        case LookUp():
            return _after_lookup(state, result)
        case CheckInherited():
            return _after_check(state, result)
        case AbandonInherited():
            return _after_abandon(state, result)
        case RemoveAbandoned():
            return _after_remove(state, result)
        case Bake():
            return _after_bake(state, result)
        case RecordVerified():
            return _after_record(state, result)
        case RunTest():
            return _after_test(state, result)
        case MarkFailed():
            return _after_mark(state, result)
        case Finish():
            return _after_finish(state, result)
        case Discard():
            return _after_discard(state, result)
        case CopyToRegions():
            return _after_copy(state, result)
        case WaitVisible():
            return _after_visible(state, result)
        case Release():
            return _after_release(state, result)
        case End():
            return None
        case _:
            assert_never(state.step)


def _after_acquire(state: ProtocolState, result: StepResult) -> ProtocolState | None:
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


def _after_read(state: ProtocolState, result: StepResult) -> ProtocolState | None:
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
    if result.finished:
        return replace(state, step=LookUp(Purpose.FINISHED))
    return wait(state)


def _after_break(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result, state.step:
        case ((ProtocolEvent.DONE | ProtocolEvent.UNANSWERED), BreakLock(lock)):
            return replace(
                state, step=AcquireLock(state.inherited), contended=True, past_locks=state.past_locks | {lock}
            )
        case ((ProtocolEvent.DENIED | ProtocolEvent.FAILED), _):
            return end(state, Ending.FAILED)
    return None


def _after_pause(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result:
        case ProtocolEvent.DONE:
            return replace(state, step=ReadLock())
        case ProtocolEvent.TIMED_OUT:
            return end(state, Ending.BUSY)
        case ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None


def _after_lookup(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    assert isinstance(state.step, LookUp)
    match result:
        case ProtocolEvent.CHANGED:
            return end(state, Ending.CHANGED)
        case ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
        case LookupResult():
            match state.step.purpose:
                case Purpose.GONE | Purpose.FINISHED:
                    return _after_waiting_lookup(state, result)
                case Purpose.BEFORE:
                    return _after_second_lookup(state, result)
                case Purpose.AFTER:
                    return _after_third_lookup(state, result)
                case _:
                    assert_never(state.step.purpose)
    return None


def _after_waiting_lookup(state: ProtocolState, result: LookupResult) -> ProtocolState:
    if result.ami is not None and result.complete:
        return end(state, Ending.REUSED, result.ami)
    if state.step == LookUp(Purpose.FINISHED):
        return wait(state)
    return replace(state, step=AcquireLock(state.inherited))


def _after_second_lookup(state: ProtocolState, result: LookupResult) -> ProtocolState:
    if result.ami is not None:
        return use_finished(state, result.ami, Ending.REUSED if result.complete else Ending.COPIED)
    if result.untested is not None and state.lock is not None:
        return _before_test(state, result.untested)
    if state.inherited.verified is not None and state.lock is not None and not state.forced:
        return replace(state, step=CheckInherited(state.inherited.verified))
    return build_step(state)


def _before_test(state: ProtocolState, ami: str) -> ProtocolState:
    """Tests an existing AMI, once EC2 must show earlier holders' changes. A holder may have finished its test."""
    if state.step != LookUp(Purpose.BEFORE, settled=True):
        return replace(state, step=LookUp(Purpose.BEFORE, settled=True))
    return replace(state, step=tag_step(state, ami), ami=ami, ending=Ending.TESTED)


def _after_third_lookup(state: ProtocolState, result: LookupResult) -> ProtocolState:
    """EC2 may not have shown the previous holder's AMI before the build. Now it must show every finished AMI."""
    assert state.ami is not None
    if result.ami is None or result.ami == state.ami:
        return replace(state, step=tag_step(state, state.ami))
    ending = Ending.REUSED if result.complete else Ending.COPIED
    return replace(state, step=Discard(state.ami), ami=result.ami, ending=ending)


def _after_check(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result:
        case ProtocolEvent.DONE:
            # The record exists already: it was inherited with the lock.
            ami = state.inherited.verified
            assert ami is not None
            ending = Ending.TESTED if state.tests else Ending.ADOPTED
            return replace(state, step=test_or_finish(state, ami), ami=ami, ending=ending)
        case ProtocolEvent.REFUSED:
            return build_step(state)
        case ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None


def _after_abandon(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result:
        case AmisAbandoned(()):
            return replace(state, step=Bake(), inherited=InheritedAmis(), recorded=False)
        case AmisAbandoned(amis):
            return replace(state, step=RemoveAbandoned(amis), inherited=InheritedAmis(), recorded=False)
        case LookupResult(ami, complete) if ami is not None:
            return use_finished(state, ami, Ending.REUSED if complete else Ending.COPIED)
        case ProtocolEvent.LOST:
            return lose(state)
        case ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None


def _after_remove(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result:
        case ProtocolEvent.DONE | ProtocolEvent.UNANSWERED | ProtocolEvent.DENIED:
            # If the AMI still exists, Packer reports that its name is in use.
            return replace(state, step=Bake())
        case ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None


def _after_bake(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result:
        case Baked(ami, finished=True):
            return replace(state, step=CopyToRegions(ami), ami=ami, ending=Ending.BAKED)
        case Baked(ami):
            state = replace(state, ami=ami, ending=Ending.BAKED)
            if state.forced:
                return replace(state, step=tag_step(state, ami))
            return replace(state, step=LookUp(Purpose.AFTER, settled=state.lock is not None))
        case ProtocolEvent.LOST:
            return lose(state)
        case ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None


def _after_record(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    assert state.ami is not None
    match result:
        case ProtocolEvent.DONE:
            return replace(state, step=test_or_finish(state, state.ami), recorded=True)
        case ProtocolEvent.LOST:
            return lose(state)
        case ProtocolEvent.UNANSWERED | ProtocolEvent.FAILED:
            return end(replace(state, recorded=True), Ending.FAILED)
    return None


def _after_test(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    assert state.lock is not None and state.ami is not None
    match result:
        case AmiTested(passed=True):
            return replace(state, step=Finish(state.lock, state.ami))
        case AmiTested():
            return replace(state, step=MarkFailed(state.lock, state.ami))
        case ProtocolEvent.LOST:
            return lose(state)
        case ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None


def _after_mark(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    assert state.ami is not None
    match result:
        case ProtocolEvent.DONE:
            return end(state, Ending.TEST_FAILED)
        case AmisAbandoned(amis) if amis:
            return replace(state, step=Discard(state.ami), ending=Ending.TEST_FAILED, recorded=False)
        case ProtocolEvent.LOST:
            return lose(state)
        case ProtocolEvent.UNANSWERED | ProtocolEvent.FAILED:
            # Keep the lock with its record, so that the next run tests the AMI again.
            return end(state, Ending.FAILED)
    return None


def _after_finish(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    assert state.ami is not None
    match result:
        case ProtocolEvent.DONE:
            return replace(state, step=CopyToRegions(state.ami), recorded=False)
        case ProtocolEvent.LOST:
            # An earlier attempt of the same call may have succeeded. The next look-up decides.
            return lose(state)
        case ProtocolEvent.UNANSWERED | ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None


def _after_discard(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result:
        case ProtocolEvent.DONE | ProtocolEvent.UNANSWERED | ProtocolEvent.DENIED:
            assert state.ami is not None and state.ending is not None
            if state.ending is Ending.TEST_FAILED:
                return end(state, state.ending)
            return use_finished(state, state.ami, state.ending)
        case ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None


def _after_copy(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    assert state.ami is not None
    match result:
        case ProtocolEvent.DONE:
            return replace(state, step=WaitVisible(state.ami))
        case ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None


def _after_visible(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result:
        case ProtocolEvent.DONE:
            assert state.ending is not None
            return end(state, state.ending, state.ami)
        case ProtocolEvent.FAILED:
            return end(state, Ending.FAILED)
    return None


def _after_release(state: ProtocolState, _result: StepResult) -> ProtocolState:
    assert state.ending is not None
    return ProtocolState(step=End(state.ending, state.ami))
