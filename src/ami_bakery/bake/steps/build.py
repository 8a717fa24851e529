"""The steps from the lookup to a verified AMI: adopt, abandon, remove, build."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from ami_bakery.bake.adopt import adoptable, check_names, name_conflicts, remove_amis
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.ami import ABANDONED_TAG, DIGEST_TAG, AmiState
from ami_bakery.core.lock.lock import format_amis
from ami_bakery.core.lock.protocol_steps import (
    AbandonInherited,
    AmisAbandoned,
    Bake,
    Baked,
    CheckInherited,
    LookUp,
    LookupResult,
    ProtocolEvent,
    Purpose,
    RemoveAbandoned,
)
from ami_bakery.core.plan.plan import Action, Reason
from ami_bakery.errors import BakeryError, SourceError
from ami_bakery.plan.planner import plan_retest, refresh, replan
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.bake.bake_state import BakeState
    from ami_bakery.core.definition.stamp import Stamps
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.lock.protocol_steps import BuildStep, StepResult
    from ami_bakery.plan.planner import Planned

_SETTLING = "waiting for the last holder's changes to become visible"


class BuildSteps:
    """Carries out the lookups and the build of one bake."""

    def __init__(self, state: BakeState) -> None:
        self._state = state
        self._ports = state.ports

    def carry_out(self, step: BuildStep) -> StepResult:
        """Carries out one step. Raises `BakeryError`."""
        match step:
            case LookUp():
                return self._look_up(step)
            case CheckInherited():
                return self._check_inherited(step)
            case AbandonInherited():
                return self._abandon_inherited(step)
            case RemoveAbandoned():
                return self._remove_abandoned()
            case Bake():
                return self._bake()
            case _:
                assert_never(step)

    def _look_up(self, step: LookUp) -> StepResult:
        state = self._state
        if step.purpose is Purpose.AFTER:
            return self._look_for_finished()
        if step.settled:
            self._settle()
        result = self._replan()
        if state.planned.plan.action is Action.WAIT:
            # In drop-in mode another runner may bake without a lock.
            pending = next(ami for ami in state.planned.found if ami.state is AmiState.PENDING)
            state.waiter.wait_for_other_runner(pending, state.wait_policy)
            result = self._replan()
        return result

    def _settle(self) -> None:
        """Waits until an AMI is visible, or the settling time has passed."""
        state = self._state
        state.waiter.step(_SETTLING)
        while (seconds := state.settling_seconds()) > 0 and not _has_ami(refresh(state.resolver, state.planned)):
            self._ports.clock.sleep(min(seconds, state.timing.poll_seconds))

    def _replan(self) -> StepResult:
        """Plans again, because files, source AMIs and AMIs may have changed.

        The stamps are read before the inputs are hashed, so no change between the two is missed.
        """
        state = self._state
        state.stamps = self._read_stamps()
        state.resolver = state.resolver.without_cache()
        state.planned = replan(state.resolver, state.planned, forced=state.forced, known=state.known)
        if state.planned.plan.digest != state.digest or state.planned.plan.regions[0] != state.home:
            return ProtocolEvent.CHANGED
        return self._lookup_result()

    def _lookup_result(self) -> LookupResult:
        """Returns the AMI that the plan found. An AMI that must be tested is untested."""
        state = self._state
        if state.retested:
            state.planned = plan_retest(state.planned)
        plan = state.planned.plan
        if plan.action is Action.ENABLE:
            assert plan.source is not None
            source = format_amis([plan.source], plan.source.region)
            return LookupResult(quarantined=source, untested=source if state.must_test else None)
        untested = plan.source if plan.action is Action.TEST else None
        if untested is not None and untested.region == state.home:
            state.new_baker()
            state.amis = {**plan.amis, state.home: untested}
            return LookupResult(untested=format_amis([untested], state.home))
        if not _has_ami(state.planned):
            return LookupResult()
        assert plan.source is not None
        return LookupResult(plan.source.id, complete=plan.action is Action.REUSE)

    def _read_stamps(self) -> Stamps | None:
        state = self._state
        facts = state.planned.definition.facts
        if facts is None:
            return None
        try:
            return state.resolver.stamps(state.planned.definition.image, facts)
        except SourceError:
            return None  # An input is gone. Planning again reports it, or finds that it is not an input any more.

    def _look_for_finished(self) -> LookupResult:
        """Looks up an AMI that another run finished. It may have done so just before we acquired the lock."""
        state = self._state
        while True:
            seconds = state.settling_seconds()
            again = refresh(state.resolver, state.planned)
            if _has_ami(again):
                state.planned = again
                return self._lookup_result()
            if seconds <= 0:
                return LookupResult()
            self._ports.clock.sleep(min(seconds, state.timing.poll_seconds))

    def _check_inherited(self, step: CheckInherited) -> StepResult:
        state = self._state
        state.amis = adoptable(state.new_baker(), step.ami)
        if not state.amis:
            return ProtocolEvent.REFUSED
        ami, holder = state.amis[state.home].id, state.describe_holder("a run")
        detail = f"{ami} was baked and verified by {holder}, which ended before it could tag it"
        plan = replace(state.planned.plan, reasons=(Reason("adopted", ami, detail),))
        state.planned = replace(state.planned, plan=plan)
        return ProtocolEvent.DONE

    def _abandon_inherited(self, step: AbandonInherited) -> StepResult:
        state = self._state
        if state.held is None:
            return AmisAbandoned()
        amis = name_conflicts(state.resolver, state.planned, step.inherited)
        if amis and state.settling_seconds() > 0:
            # An AMI that was finished a moment ago may still seem unfinished.
            state.waiter.step(_SETTLING)
            if state.image not in state.forced and (result := self._look_for_finished()).ami is not None:
                return result
            while (seconds := state.settling_seconds()) > 0:
                self._ports.clock.sleep(seconds)
            amis = name_conflicts(state.resolver, state.planned, step.inherited)
        if not amis:
            return AmisAbandoned()
        return self._tag_abandoned(amis)

    def _tag_abandoned(self, amis: tuple[Ami, ...]) -> StepResult:
        """Tags the AMIs in one call with the lock. While the lock is ours, they belong to earlier runs."""
        state = self._state
        assert state.held is not None
        if not state.held.tag([ami.id for ami in amis if ami.region == state.home], {ABANDONED_TAG: state.run}):
            return AmisAbandoned() if state.held.renew(retry=True) else ProtocolEvent.LOST
        state.abandoned = amis
        return AmisAbandoned(tuple(ami.id for ami in amis))

    def _remove_abandoned(self) -> StepResult:
        state = self._state
        why = "an unfinished AMI of another run with the name of this build"
        remove_amis(self._ports, state.image, state.abandoned, why)
        state.waiter.wait_gone(state.abandoned)
        return ProtocolEvent.DONE

    def _bake(self) -> StepResult:
        state = self._state
        state.report_plan()
        if state.stamps is None and state.planned.definition.facts is not None:
            raise SourceError(
                f"reading the inputs of image {state.image}",
                "they changed while they were read",
                "Bake again when nothing writes to the inputs.",
            )
        baker, state.amis = state.new_baker(), {}
        check_names(state.resolver, state.planned)
        if state.held is not None and not state.held.confirm():
            return ProtocolEvent.LOST
        try:
            state.amis = baker.build()
        except BakeryError:
            if state.held is not None and state.held.lost:
                return ProtocolEvent.LOST
            raise
        home = state.amis[state.home]
        if state.held is not None and state.held.lost:
            self._ports.reporter.warn(f"{state.image}: {home.id} of {state.home} remains, without the digest")
            return ProtocolEvent.LOST
        finished = state.digest.scheme is Scheme.SHA1 and home.tags.get(DIGEST_TAG) == state.digest.hex
        return Baked(format_amis(state.amis.values(), state.home), finished)


def _has_ami(planned: Planned) -> bool:
    return planned.plan.action in (Action.REUSE, Action.COPY)
