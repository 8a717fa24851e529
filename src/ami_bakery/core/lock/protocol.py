"""The locking protocol: one bake of a digest at a time.

`advance` is the whole protocol. It has no clock and no network: `ami_bakery.bake` carries out its steps, and the tests
drive the same code through every order of events that EC2, crashes, pauses and late requests allow.
docs/concepts/locking.md explains the rules; protocol_steps.py defines the steps and their results.
"""

from __future__ import annotations

from typing import assert_never

from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.core.lock.protocol_acquire import after_acquire, after_break, after_pause, after_read
from ami_bakery.core.lock.protocol_state import (
    ProtocolState,
    build_step,
    end,
    lose,
    tag_step,
    test_or_finish,
    use_finished,
    wait,
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
    EnableAmi,
    End,
    Ending,
    EndQuarantine,
    Finish,
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


def begin(
    *,
    forced: bool = False,
    tests: bool = False,
    builds: bool = True,
    required: bool = True,
    waits: bool = True,
) -> ProtocolState:
    """Returns a runner's first state. Its image needs a bake, a copy, a test or an enabling."""
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
            return after_acquire(state, result)
        case ReadLock():
            return after_read(state, result)
        case BreakLock():
            return after_break(state, result)
        case Pause():
            return after_pause(state, result)
        case LookUp():
            return _after_lookup(state, result)
        case CheckInherited():
            return _after_check(state, result)
        case EnableAmi():
            return _after_enable(state, result)
        case EndQuarantine():
            return _after_quarantine(state, result)
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
    if result.quarantined is not None and state.lock is not None:
        return _before_enabling(state, result.quarantined, state.lock, tests=result.untested is not None)
    if result.untested is not None and state.lock is not None:
        return _before_test(state, result.untested)
    if state.inherited.verified is not None and state.lock is not None and not state.forced:
        return replace(state, step=CheckInherited(state.inherited.verified))
    return build_step(state)


def _before_enabling(state: ProtocolState, ami: str, lock: str, *, tests: bool) -> ProtocolState:
    """Enables an AMI, once EC2 must show earlier holders' changes.

    A holder may have built another AMI, or prune may be about to deregister this one.
    """
    if state.step != LookUp(Purpose.BEFORE, settled=True):
        return replace(state, step=LookUp(Purpose.BEFORE, settled=True))
    return replace(state, step=EnableAmi(lock, ami), ending=Ending.TESTED if tests else Ending.ENABLED)


def _after_enable(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result, state.step:
        case (ProtocolEvent.DONE, EnableAmi(lock, ami)):
            return replace(state, step=EndQuarantine(lock, ami))
        case (ProtocolEvent.REFUSED, _):
            return replace(state, step=LookUp(Purpose.BEFORE, settled=True), ending=None)
        case (ProtocolEvent.LOST, _):
            return lose(state)
        case (ProtocolEvent.FAILED, _):
            return end(state, Ending.FAILED)
    return None


def _after_quarantine(state: ProtocolState, result: StepResult) -> ProtocolState | None:
    match result, state.step:
        case (ProtocolEvent.DONE, EndQuarantine(_, ami)):
            step = tag_step(state, ami) if state.ending is Ending.TESTED else CopyToRegions(ami)
            return replace(state, step=step, ami=ami)
        case (ProtocolEvent.REFUSED, _):
            return replace(state, step=LookUp(Purpose.BEFORE, settled=True), ending=None)
        case (ProtocolEvent.LOST, _):
            return lose(state)
        case (ProtocolEvent.UNANSWERED | ProtocolEvent.FAILED, _):
            # The next run finds the AMI in quarantine, or enabled. It continues there.
            return end(state, Ending.FAILED)
    return None


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
