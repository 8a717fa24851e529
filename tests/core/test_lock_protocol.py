"""One runner's path through the protocol. tests/locking explores several runners at once."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

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
    Pause,
    ProtocolEvent,
    ReadLock,
    RecordVerified,
    Release,
    RunTest,
    StepResult,
    WaitVisible,
)

ALONE: Mapping[type, tuple[StepResult, ...]] = {
    AcquireLock: (LockAcquired("lock"),),
    ReadLock: (LockSeen("another", ours=False, expired=False),),
    BreakLock: (ProtocolEvent.DONE,),
    Pause: (ProtocolEvent.DONE,),
    LookUp: (LookupResult(None),),
    AbandonInherited: (AmisAbandoned(),),
    Bake: (Baked("ami"),),
    RecordVerified: (ProtocolEvent.DONE,),
    Finish: (ProtocolEvent.DONE,),
    Discard: (ProtocolEvent.DONE,),
    CopyToRegions: (ProtocolEvent.DONE,),
    WaitVisible: (ProtocolEvent.DONE,),
    EnableAmi: (ProtocolEvent.DONE,),
    EndQuarantine: (ProtocolEvent.DONE,),
    RunTest: (AmiTested(passed=True),),
    Release: (ProtocolEvent.DONE,),
}
"""Results of each step, in order; the last one is repeated."""
BAKING = [
    AcquireLock,
    LookUp,
    AbandonInherited,
    Bake,
    LookUp,
    RecordVerified,
    Finish,
    CopyToRegions,
    WaitVisible,
    Release,
]


def run_protocol(result: Mapping[type, tuple[StepResult, ...]], state: ProtocolState) -> tuple[list[type], End]:
    """Returns the steps that were carried out, and the ending."""
    steps: list[type] = []
    inherited = {step: list(shown) for step, shown in {**ALONE, **result}.items()}
    while not isinstance(state.step, End):
        steps.append(type(state.step))
        shown = inherited[type(state.step)]
        state = advance(state, shown.pop(0) if len(shown) > 1 else shown[0])
    return steps, state.step


def test_single_runner_bakes() -> None:
    assert run_protocol({}, begin()) == (BAKING, End(Ending.BAKED, "ami"))


def test_second_runner_waits_for_the_ami_of_the_first() -> None:
    result: dict[type, tuple[StepResult, ...]] = {
        AcquireLock: (ProtocolEvent.REFUSED,),
        ReadLock: (LockSeen("another", ours=False, expired=False), LockNotVisible()),
        LookUp: (LookupResult("theirs"),),
    }
    assert run_protocol(result, begin()) == (
        [AcquireLock, ReadLock, Pause, ReadLock, LookUp],
        End(Ending.REUSED, "theirs"),
    )
    steps, end = run_protocol(result, begin(waits=False))
    assert (steps, end.ending) == ([AcquireLock, ReadLock], Ending.BUSY)


def test_lock_of_a_dead_runner_is_taken_over() -> None:
    result: dict[type, tuple[StepResult, ...]] = {
        AcquireLock: (ProtocolEvent.REFUSED, LockAcquired("lock")),
        ReadLock: (LockSeen("another", ours=False, expired=True),),
    }
    assert run_protocol(result, begin()) == ([AcquireLock, ReadLock, BreakLock, *BAKING], End(Ending.BAKED, "ami"))


def test_own_ami_is_discarded_if_another_one_was_finished_first() -> None:
    """Another runner's AMI of the same digest is visible after our build."""
    steps, end = run_protocol({LookUp: (LookupResult(None), LookupResult("theirs"))}, begin())
    assert (steps[:6], end) == (
        [AcquireLock, LookUp, AbandonInherited, Bake, LookUp, Discard],
        End(Ending.REUSED, "theirs"),
    )


def test_ami_in_quarantine_is_enabled_after_a_settled_lookup_and_not_built() -> None:
    steps, end = run_protocol({LookUp: (LookupResult(quarantined="old"),)}, begin())
    assert (steps, end) == (
        [AcquireLock, LookUp, LookUp, EnableAmi, EndQuarantine, CopyToRegions, WaitVisible, Release],
        End(Ending.ENABLED, "old"),
    )


def test_untested_ami_in_quarantine_is_enabled_and_tested() -> None:
    steps, end = run_protocol({LookUp: (LookupResult(quarantined="old", untested="old"),)}, begin(tests=True))
    assert steps[3:-1] == [EnableAmi, EndQuarantine, RecordVerified, RunTest, Finish, CopyToRegions, WaitVisible]
    assert end == End(Ending.TESTED, "old")


@pytest.mark.parametrize("step", [EnableAmi, EndQuarantine])
def test_ami_that_was_deregistered_during_its_quarantine_is_built_again(step: type) -> None:
    shown = LookupResult(quarantined="old")
    steps, end = run_protocol({LookUp: (shown, shown, LookupResult()), step: (ProtocolEvent.REFUSED,)}, begin())
    assert end == End(Ending.BAKED, "ami")
    assert steps[steps.index(step) + 1 :] == BAKING[1:]


@pytest.mark.parametrize("step", [EnableAmi, EndQuarantine])
def test_failure_to_enable_an_ami_is_an_error_and_no_build(step: type) -> None:
    result: dict[type, tuple[StepResult, ...]] = {
        LookUp: (LookupResult(quarantined="old"),),
        step: (ProtocolEvent.FAILED,),
    }
    steps, end = run_protocol(result, begin())
    assert (steps[-2:], end) == ([step, Release], End(Ending.FAILED))


def test_forced_bake_builds_although_an_ami_is_in_quarantine() -> None:
    assert run_protocol({}, begin(forced=True))[1] == End(Ending.BAKED, "ami")


def test_failed_build_releases_the_lock() -> None:
    steps, end = run_protocol({Bake: (ProtocolEvent.FAILED,)}, begin())
    assert (steps[-1], end.ending) == (Release, Ending.FAILED)


def test_step_refuses_the_result_of_another_step() -> None:
    with pytest.raises(ValueError, match="cannot end with"):
        advance(begin(), ProtocolEvent.CHANGED)
    with pytest.raises(ValueError, match="has ended"):
        advance(ProtocolState(step=End(Ending.BAKED)), ProtocolEvent.DONE)
