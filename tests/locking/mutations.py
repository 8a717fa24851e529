"""Variants of the protocol that lack one part. The explorer must find a fault in each."""

from __future__ import annotations

from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.core.lock.protocol import advance
from ami_bakery.core.lock.protocol_state import ProtocolState
from ami_bakery.core.lock.protocol_steps import (
    AbandonInherited,
    AcquireLock,
    AmisAbandoned,
    AmiTested,
    EndQuarantine,
    LockAcquired,
    LockNotVisible,
    LockSeen,
    LookUp,
    LookupResult,
    ProtocolEvent,
    Purpose,
    ReadLock,
    RunTest,
    StepResult,
)


def without_second_look(state: ProtocolState, result: StepResult) -> ProtocolState:
    """The holder bakes without looking up the AMI again."""
    after = advance(state, result)
    return (
        advance(after, LookupResult())
        if after.step in (LookUp(Purpose.BEFORE), LookUp(Purpose.BEFORE, True))
        else after
    )


def without_third_look(state: ProtocolState, result: StepResult) -> ProtocolState:
    """Writes the digest although the second look-up may have been too early."""
    after = advance(state, result)
    return (
        advance(after, LookupResult())
        if isinstance(after.step, LookUp) and after.step.purpose is Purpose.AFTER
        else after
    )


def adopting_unverified(state: ProtocolState, result: StepResult) -> ProtocolState:
    """Adopts a dead holder's AMI as verified. The holder only recorded it."""
    if isinstance(result, LockSeen) and result.inherited.unverified and result.inherited.verified is None:
        result = LockSeen(
            result.lock, result.ours, result.expired, result.finished, InheritedAmis(min(result.inherited.unverified))
        )
    return advance(state, result)


def without_test(state: ProtocolState, result: StepResult) -> ProtocolState:
    """A verified AMI is finished without its test."""
    after = advance(state, result)
    return advance(after, AmiTested(passed=True)) if isinstance(after.step, RunTest) else after


def ignoring_failures(state: ProtocolState, result: StepResult) -> ProtocolState:
    """An AMI that fails its test is finished."""
    return advance(state, AmiTested(passed=True) if isinstance(result, AmiTested) else result)


def testing_without_settling(state: ProtocolState, result: StepResult) -> ProtocolState:
    """Tests an existing AMI too early. EC2 may not show yet that its test is finished."""
    after = advance(state, result)
    untested = isinstance(result, LookupResult) and result.untested is not None
    return advance(after, result) if untested and after.step == LookUp(Purpose.BEFORE, True) else after


def building_again(state: ProtocolState, result: StepResult) -> ProtocolState:
    """An AMI that failed its test is built again."""
    return advance(state, LookupResult() if isinstance(result, LookupResult) and result.untested else result)


def enabling_without_settling(state: ProtocolState, result: StepResult) -> ProtocolState:
    """Enables an AMI too early. EC2 may not show yet that prune is going to deregister it."""
    after = advance(state, result)
    quarantined = isinstance(result, LookupResult) and result.quarantined is not None
    return advance(after, result) if quarantined and after.step == LookUp(Purpose.BEFORE, True) else after


def building_in_quarantine(state: ProtocolState, result: StepResult) -> ProtocolState:
    """An AMI in quarantine is built again."""
    return advance(state, LookupResult() if isinstance(result, LookupResult) and result.quarantined else result)


def without_permissions(state: ProtocolState, result: StepResult) -> ProtocolState:
    """Returns an AMI after it is enabled, before its permissions are restored."""
    after = advance(state, result)
    return advance(after, ProtocolEvent.DONE) if isinstance(after.step, EndQuarantine) else after


nothing_abandoned = AmisAbandoned(())


def undisturbed(state: ProtocolState, lock: str) -> StepResult:
    """The results that a single runner gets up to its bake."""
    match state.step:
        case AcquireLock():
            return LockAcquired(lock)
        case AbandonInherited():
            return nothing_abandoned
        case LookUp():
            return LookupResult()
        case ReadLock():
            return LockNotVisible()
    raise AssertionError(state.step)
