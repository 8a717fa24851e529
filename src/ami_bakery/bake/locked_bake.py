"""Bakes one image under its digest's lock, following `core/lock/protocol.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from ami_bakery.bake.bake_state import BakeState
from ami_bakery.bake.hidden_lock import foreign_key_pair
from ami_bakery.bake.steps.acquire import LockSteps
from ami_bakery.bake.steps.build import BuildSteps
from ami_bakery.bake.steps.enable import EnableSteps
from ami_bakery.bake.steps.publish import PublishSteps
from ami_bakery.bake.steps.test_steps import TestSteps
from ami_bakery.bake.waiters import BUSY_TODO
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.lock.lock import lock_name
from ami_bakery.core.lock.protocol import advance, begin
from ami_bakery.core.lock.protocol_steps import (
    AbandonInherited,
    AcquireLock,
    Bake,
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
    MarkFailed,
    Pause,
    ProtocolEvent,
    ReadLock,
    RecordVerified,
    Release,
    RemoveAbandoned,
    RunTest,
    WaitVisible,
)
from ami_bakery.core.plan.outcome import Copies, Result
from ami_bakery.errors import (
    AwsError,
    BakeryError,
    BusyError,
    DeniedError,
    FailedTestError,
    NotBuiltError,
    UnansweredError,
)
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ami_bakery.bake.build_slots import BuildSlot, WaitPolicy
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.lock.protocol_state import ProtocolState
    from ami_bakery.core.lock.protocol_steps import ProtocolStep, StepResult
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Planned

_PERMISSION_MATTERS = (AcquireLock, ReadLock, BreakLock, RemoveAbandoned, Discard)
"""Steps whose result is DENIED, not FAILED, if a permission is missing."""
_MAY_HAVE_HAPPENED = (
    AcquireLock,
    BreakLock,
    RemoveAbandoned,
    EndQuarantine,
    RecordVerified,
    MarkFailed,
    Finish,
    Discard,
)
"""Steps whose result is UNANSWERED, not FAILED, without a response: EC2 may have carried out the request."""
_RESULTS = {
    Ending.BAKED: Result.BAKED,
    Ending.COPIED: Result.COPIED,
    Ending.TESTED: Result.TESTED,
    Ending.ENABLED: Result.ENABLED,
    Ending.REUSED: Result.REUSED,
    Ending.ADOPTED: Result.REUSED,
}
"""The results of endings with an AMI."""


class BakeResult(Frozen):
    """The result of a successful bake. `copies` are all AMIs, by region."""

    result: Result
    planned: Planned
    copies: Copies


class LockedBake:
    """Carries out one image's plan to bake, copy, test or enable.

    builds  whether to build if there is no AMI; the other parameters are those of `BakeState`
    """

    def __init__(
        self,
        resolver: Resolver,
        planned: Planned,
        *,
        forced: frozenset[str],
        known: Mapping[str, Ami | None],
        slot: BuildSlot,
        wait_policy: WaitPolicy,
        retested: bool = False,
        builds: bool = True,
    ) -> None:
        self._state = BakeState(
            resolver, planned, forced=forced, known=known, slot=slot, wait_policy=wait_policy, retested=retested
        )
        self._builds = builds
        self._lock = LockSteps(self._state)
        self._build = BuildSteps(self._state)
        self._enable = EnableSteps(self._state)
        self._test = TestSteps(self._state)
        self._publish = PublishSteps(self._state)
        self._error: BakeryError | None = None

    @property
    def planned(self) -> Planned:
        """The plan after the last look-up."""
        return self._state.planned

    def carry_out(self) -> BakeResult | None:
        """Carries out the plan. Raises `BakeryError`.

        Returns None if the definition has a new digest; `planned` is then the new plan.
        """
        state = self._state
        protocol = begin(
            forced=state.image in state.forced,
            tests=state.planned.definition.test is not None,
            builds=self._builds,
            required=state.digest.scheme is Scheme.SHA256,
            waits=state.wait_policy.waits,
        )
        try:
            while not isinstance(protocol.step, End):
                state.publishing = isinstance(protocol.step, CopyToRegions | WaitVisible)
                protocol = advance(protocol, self._result(protocol.step, protocol))
                self._lock.hold(protocol.lock)
        finally:
            if state.held is not None:
                # A bug, or the end of the program. Other runners should not wait until the lock expires.
                self._lock.release(Release(state.held.id, keep=protocol.recorded))
        return self._end(protocol.step.ending)

    def _result(self, step: ProtocolStep, protocol: ProtocolState) -> StepResult:
        try:
            return self._carry_out(step, protocol)
        except BakeryError as error:
            self._error = error
            if isinstance(error, DeniedError) and isinstance(step, _PERMISSION_MATTERS):
                return self._denied(step, error)
            if isinstance(error, UnansweredError) and isinstance(step, _MAY_HAVE_HAPPENED):
                return ProtocolEvent.UNANSWERED
            return ProtocolEvent.FAILED

    def _carry_out(self, step: ProtocolStep, protocol: ProtocolState) -> StepResult:
        match step:
            case AcquireLock() | ReadLock() | BreakLock() | Pause() | Release():
                return self._lock.carry_out(step, protocol.past_locks)
            case LookUp() | CheckInherited() | AbandonInherited() | RemoveAbandoned() | Bake():
                return self._build.carry_out(step)
            case EnableAmi() | EndQuarantine():
                return self._enable.carry_out(step)
            case RunTest() | MarkFailed():
                return self._test.carry_out(step)
            case RecordVerified() | Finish() | Discard() | CopyToRegions() | WaitVisible():
                return self._publish.carry_out(step)
            case End():
                raise AssertionError("the protocol has ended")
            case _:
                assert_never(step)

    def _denied(self, step: ProtocolStep, error: AwsError) -> ProtocolEvent:
        state = self._state
        if isinstance(step, AcquireLock | ReadLock) and state.digest.scheme is Scheme.SHA1:
            state.ports.reporter.warn(
                f"{state.image} is baked without a lock; another runner may bake it at the same time: {error}. "
                f"{error.todo}"
            )
        return ProtocolEvent.DENIED

    def _end(self, ending: Ending) -> BakeResult | None:
        state, doing = self._state, f"baking image {self._state.image}"
        match ending:
            case Ending.CHANGED:
                return None
            case Ending.BUSY:
                holder = state.describe_holder("another runner that has just started")
                raise BusyError(doing, f"it is being baked by {holder}", BUSY_TODO)
            case Ending.NAME_TAKEN:
                raise foreign_key_pair(doing, state.home, lock_name(state.digest.hex), self._lock.foreign)
            case Ending.LOST:
                raise AwsError(
                    doing,
                    f"its lock was lost too often: {self._lock.loss or 'other runners took it over'}",
                    "Check this machine's network and load, or set AMI_BAKERY_LOCK_TTL_SECONDS to a higher value.",
                )
            case Ending.FAILED:
                assert self._error is not None
                raise self._with_remaining_amis(self._error)
            case Ending.TEST_FAILED:
                raise state.failed_test.error if state.failed_test is not None else self._failed_elsewhere()
            case Ending.NOT_BUILT:
                raise not_built(state.image)
            case Ending.BAKED | Ending.COPIED | Ending.TESTED | Ending.ENABLED | Ending.REUSED | Ending.ADOPTED:
                return self._success(_RESULTS[ending])
            case _:
                assert_never(ending)

    def _failed_elsewhere(self) -> FailedTestError:
        holder = self._state.describe_holder("another runner")
        return FailedTestError(
            f"testing the AMI of image {self._state.image}",
            f"it failed its test in the run of {holder}, for which this run waited",
            "See the output of that run. Fix the image or its test, then run again.",
        )

    def _success(self, result: Result) -> BakeResult:
        state = self._state
        copies = state.copies if state.copies is not None else Copies(amis=state.planned.plan.amis)
        return BakeResult(result=result, planned=state.planned, copies=copies)

    def _with_remaining_amis(self, error: BakeryError) -> BakeryError:
        """Names our verified AMIs without a digest in the error's advice."""
        amis = [f"{ami.id} of {ami.region}" for ami in self._state.amis.values() if not ami.verified]
        if amis and not self._state.reported:
            error.todo += f" {', '.join(amis)} remains, without the digest."
        return error


def not_built(image: str) -> NotBuiltError:
    return NotBuiltError(
        f"testing image {image}",
        "it has no AMI of its current definition",
        f"Build it: `ami-bakery bake {image}` also tests it.",
    )
