"""The steps after verification: record, tag, copy, and wait until the AMI is visible."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from ami_bakery.bake.adopt import remove_amis
from ami_bakery.bake.region_copies import copy_to_regions
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.lock.lock import VERIFIED_TAG
from ami_bakery.core.lock.protocol_steps import (
    CopyToRegions,
    Discard,
    Finish,
    ProtocolEvent,
    RecordVerified,
    WaitVisible,
)
from ami_bakery.core.plan.enabling import must_be_enabled
from ami_bakery.core.plan.plan import Action
from ami_bakery.core.plan.revoked import revoked_amis
from ami_bakery.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ami_bakery.bake.bake_state import BakeState
    from ami_bakery.core.definition.digest import Digest
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.lock.protocol_steps import PublishStep, StepResult

_VISIBLE_SECONDS = 60.0


class PublishSteps:
    """Carries out the steps of one bake after its AMI is verified."""

    def __init__(self, state: BakeState) -> None:
        self._state = state
        self._ports = state.ports

    def carry_out(self, step: PublishStep) -> StepResult:
        """Carries out one step. Raises `BakeryError`."""
        match step:
            case RecordVerified():
                return self._record_verified(step)
            case Finish():
                return self._finish(step)
            case Discard():
                return self._discard()
            case CopyToRegions():
                return self._copy()
            case WaitVisible():
                return self._wait_visible()
            case _:
                assert_never(step)

    def _record_verified(self, step: RecordVerified) -> StepResult:
        held = self._state.held
        assert held is not None
        exists = not held.lost and held.renew({VERIFIED_TAG: step.ami}, retry=True)
        return ProtocolEvent.DONE if exists else ProtocolEvent.LOST

    def _finish(self, step: Finish) -> StepResult:
        state = self._state
        assert state.tagger is not None
        tag = state.held.tag if state.held is not None and step.lock is not None else None
        try:
            finished = state.tagger.finish(state.amis, tag)
        except AwsError:
            state.reported = True
            raise
        if finished is not None:
            state.amis = finished
            return ProtocolEvent.DONE
        if state.held is not None and state.held.renew(retry=True):
            home = state.amis[state.home]
            state.amis = {region: ami for region, ami in state.amis.items() if region != state.home}
            raise AwsError(
                f"tagging {home.id} in {state.home}", "it does not exist any more", "Bake again: it was deleted."
            )
        return ProtocolEvent.LOST

    def _discard(self) -> StepResult:
        why = "because another runner had finished one first"
        if self._state.failed_test is not None:
            why = "which failed its test"
        remove_amis(self._ports, self._state.image, self._state.amis.values(), why)
        return ProtocolEvent.DONE

    def _copy(self) -> StepResult:
        state, plan = self._state, self._state.planned.plan
        if plan.action is Action.COPY or (plan.action is Action.ENABLE and not state.must_test):
            if plan.action is Action.COPY:
                state.report_plan()
            state.copies = copy_to_regions(state.resolver, state.planned, state.waiter, plan.amis, plan.source)
            return ProtocolEvent.DONE
        assert state.tagger is not None
        try:
            amis = state.tagger.finish_others(state.amis)
        except AwsError:
            state.reported = True
            raise
        state.copies = copy_to_regions(state.resolver, state.planned, state.waiter, amis, amis[state.home])
        return ProtocolEvent.DONE

    def _wait_visible(self) -> StepResult:
        """Waits until a look-up by digest shows the AMI. Then the next holder sees it, too.

        An AMI that was revoked meanwhile is no answer.
        """
        state, clock = self._state, self._ports.clock
        assert state.copies is not None
        home = state.copies.amis.get(state.home)
        deadline = clock.monotonic() + _VISIBLE_SECONDS
        owners = state.planned.definition.image.owners
        while home is not None:
            found = self._ports.ec2.find_by_digest(state.home, [state.digest.hex], owners)
            self._refuse_revoked(found)
            tested = state.tagger.tested if state.tagger is not None else ""
            if any(ami.id == home.id and _is_usable(ami, state.digest, tested) for ami in found):
                break
            if clock.monotonic() > deadline:
                self._ports.reporter.warn(
                    f"{state.image}: {home.id} is tagged, but EC2 does not find it by its digest after "
                    f"{_VISIBLE_SECONDS:.0f} s: another runner may bake it again"
                )
                break
            clock.sleep(state.timing.poll_seconds)
        return ProtocolEvent.DONE

    def _refuse_revoked(self, found: Sequence[Ami]) -> None:
        state = self._state
        assert state.copies is not None
        if state.digest.scheme is not Scheme.SHA256:
            return
        why = revoked_amis(found)
        revoked = next((ami for ami in state.copies.amis.values() if ami.id in why), None)
        if revoked is not None:
            raise AwsError(
                f"baking image {state.image}",
                f"{revoked.id} ({revoked.region}) was revoked while it was built, tested or copied: {why[revoked.id]}",
                "Bake again: the image is built again.",
            )


def _is_usable(ami: Ami, digest: Digest, tested: str) -> bool:
    return ami.available and ami.carries(digest) and not must_be_enabled(ami) and (not tested or ami.tested == tested)
