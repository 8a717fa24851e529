"""The steps that enable an AMI in quarantine, and restore its launch permissions."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, assert_never

from ami_bakery.cleanup.restored_shares import restore_permissions
from ami_bakery.core.concurrency import run_all
from ami_bakery.core.ec2.quarantine import enabled_tag, quarantine_tag_names, read_quarantine
from ami_bakery.core.lock.protocol_steps import EnableAmi, EndQuarantine, ProtocolEvent
from ami_bakery.core.plan.enabling import noted_permissions
from ami_bakery.errors import AwsError, DeniedError, NotFoundError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ami_bakery.bake.bake_state import BakeState
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.lock.protocol_steps import EnableStep, StepResult

_VISIBLE_SECONDS = 60.0
"""How long EC2 may take to show a change."""


class EnableSteps:
    """Enables the AMI of one bake, and its copies. Both steps can be repeated after an interruption."""

    def __init__(self, state: BakeState) -> None:
        self._state = state
        self._ports = state.ports

    def carry_out(self, step: EnableStep) -> StepResult:
        """Carries out one step. Raises `BakeryError`."""
        match step:
            case EnableAmi():
                return self._enable()
            case EndQuarantine():
                return self._end_quarantine()
            case _:
                assert_never(step)

    def _enable(self) -> StepResult:
        """Enables the AMIs. The tag that prune respects is first, in one call with the lock."""
        state = self._state
        assert state.held is not None
        if not state.held.confirm():
            return ProtocolEvent.LOST
        state.report_plan()
        amis = state.planned.plan.to_enable
        state.waiter.step(f"enabling {', '.join(f'{ami.id} ({ami.region})' for ami in amis)}")
        tags = enabled_tag(self._ports.locks.now(state.home))
        home = [ami for ami in amis if ami.region == state.home]
        if not self._tag_home(home, tags):
            return self._why_not_tagged(home)
        there = run_all([partial(self._enable_ami, ami, tags) for ami in amis])
        state.enabled = tuple(ami for ami in there if ami is not None)
        if home and not any(ami.region == state.home for ami in state.enabled):
            self._wait_gone(home)
            return ProtocolEvent.REFUSED
        return ProtocolEvent.LOST if state.held.lost else ProtocolEvent.DONE

    def _tag_home(self, home: Collection[Ami], tags: Mapping[str, str]) -> bool:
        """Tags the AMI of the home region in one call with the lock. Returns False if one of them does not exist."""
        held = self._state.held
        assert held is not None
        return held.tag([ami.id for ami in home], tags) if home else held.renew(retry=True)

    def _why_not_tagged(self, home: Collection[Ami]) -> ProtocolEvent:
        held = self._state.held
        assert held is not None
        if not held.renew(retry=True):
            return ProtocolEvent.LOST
        self._wait_gone(home)
        return ProtocolEvent.REFUSED

    def _enable_ami(self, ami: Ami, tags: Mapping[str, str]) -> Ami | None:
        """Enables one AMI, and waits until it is available. Returns None if it does not exist any more."""
        try:
            if ami.region != self._state.home:
                self._ports.ec2.tag(ami.region, [ami.id], tags)
            if not ami.available:
                self._ports.usage.enable(ami.region, ami.id)
        except NotFoundError:
            return None
        except DeniedError as error:
            todo = f"{error.todo} The image is not built again, because {ami.id} exists: prune only disabled it."
            raise error.revised(todo=todo) from error
        seen = self._wait_until(ami, lambda seen: seen is not None and seen.available, "EC2 still shows it as disabled")
        assert seen is not None
        return seen if read_quarantine(seen.tags) is not None else replace(seen, tags={**ami.tags, **seen.tags})

    def _end_quarantine(self) -> StepResult:
        """Restores the permissions, and empties the tags. The AMI of the home region is last.

        As long as it has the tags, the next run continues here.
        """
        state = self._state
        assert state.held is not None
        if not state.held.confirm():
            return ProtocolEvent.LOST
        run_all([partial(self._restore_permissions, ami) for ami in state.enabled])
        for ami in state.enabled:
            if ami.region != state.home:
                self._ports.ec2.tag(ami.region, [ami.id], _emptied(ami))
                self._drop_emptied(ami)
        home = [ami for ami in state.enabled if ami.region == state.home]
        if not self._tag_home(home, _emptied(home[0]) if home else {}):
            return self._why_not_tagged(home)
        for ami in home:
            self._drop_emptied(ami)
        self._use_enabled()
        return ProtocolEvent.DONE

    def _drop_emptied(self, ami: Ami) -> None:
        """Deletes the emptied tags. Best effort: an empty tag does not count."""
        with suppress(AwsError):
            self._ports.ec2.drop_empty_tags(ami.region, [ami.id], tuple(_emptied(ami)))

    def _restore_permissions(self, ami: Ami) -> None:
        noted = noted_permissions(ami)
        if noted:
            self._state.waiter.step(f"sharing {ami.id} ({ami.region}) as before its quarantine")
            restore_permissions(self._ports, ami, noted)

    def _use_enabled(self) -> None:
        """Changes the plan: the enabled AMIs exist. Copies that do not exist any more are made again."""
        state = self._state
        plan = state.planned.plan
        enabled = {ami.id: replace(ami, tags=_without(ami)) for ami in state.enabled}
        asked = {ami.id for ami in plan.to_enable}
        amis = {
            region: enabled.get(ami.id, ami)
            for region, ami in plan.amis.items()
            if ami.id in enabled or ami.id not in asked
        }
        source = enabled.get(plan.source.id, plan.source) if plan.source is not None else None
        state.planned = replace(state.planned, plan=replace(plan, amis=amis, source=source, to_enable=()))
        if state.must_test:
            assert source is not None
            state.new_baker()
            state.amis = {**amis, state.home: source}

    def _wait_gone(self, amis: Collection[Ami]) -> None:
        for ami in amis:
            self._wait_until(
                ami, lambda seen: seen is None, "EC2 still lists the AMI, but refuses calls because it does not exist"
            )

    def _wait_until(self, ami: Ami, is_done: Callable[[Ami | None], bool], otherwise: str) -> Ami | None:
        """Returns the AMI as soon as a lookup by digest shows the change. Raises `AwsError` after a minute."""
        state, clock = self._state, self._ports.clock
        owners = state.planned.definition.image.owners
        deadline = clock.monotonic() + _VISIBLE_SECONDS
        while True:
            found = self._ports.ec2.find_by_digest(ami.region, [state.digest.hex], owners)
            seen = next((each for each in found if each.id == ami.id), None)
            if is_done(seen):
                return seen
            if clock.monotonic() > deadline:
                raise AwsError(
                    f"enabling {ami.id} of image {state.image} in {ami.region}",
                    f"after {_VISIBLE_SECONDS:.0f} s, {otherwise}",
                    "Run the command again later.",
                )
            clock.sleep(state.timing.poll_seconds)


def _emptied(ami: Ami) -> dict[str, str]:
    """Returns the tags of the quarantine, emptied. Without permission to delete tags, they stay so and do not count."""
    return dict.fromkeys(quarantine_tag_names(ami.tags), "")


def _without(ami: Ami) -> dict[str, str]:
    return {name: value for name, value in ami.tags.items() if name not in quarantine_tag_names(ami.tags)}
