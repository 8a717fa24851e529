"""Keeps finished AMIs as configured: puts tags on them, and grants and takes back permissions. Changes differences."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, assert_never

from ami_bakery.concurrency import run_all
from ami_bakery.core.ec2.image import SHARED_TAG
from ami_bakery.core.plan.desired_state import (
    DesiredState,
    Permissions,
    Step,
    StepKind,
    describe,
    take_back_steps,
    upkeep_steps,
)
from ami_bakery.errors import AwsError, BakeryError, Stopped
from ami_bakery.plan.sharing import read_permissions
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ami_bakery.core.ec2.image import Ami
    from ami_bakery.ports import Ports


class Kept(Frozen):
    """What was done for some AMIs, and what failed."""

    steps: tuple[Step, ...]
    failures: tuple[BakeryError, ...]


def reconcile_amis(ports: Ports, image: str, upkeep: DesiredState, amis: Iterable[Ami]) -> Kept:
    """Side by side; what fails for one AMI does not stop the others."""
    done = run_all([partial(_keep_one, ports, image, upkeep, ami, upkeep_steps) for ami in amis])
    return Kept(
        steps=tuple(step for steps, _ in done for step in steps),
        failures=tuple(failure for _, failure in done if failure is not None),
    )


def revoke_stale_shares(ports: Ports, image: str, upkeep: DesiredState, amis: Iterable[Ami]) -> Kept:
    """What AMIs that do not count are shared for and should not be; one after the other, and no further than the first
    that fails: as long as those at the end carry their mark, the next run comes back to the others."""
    steps: list[Step] = []
    for ami in amis:
        done, failure = _keep_one(ports, image, upkeep, ami, take_back_steps)
        steps += done
        if failure is not None and not _is_gone(failure):
            return Kept(steps=tuple(steps), failures=(failure,))
    return Kept(steps=tuple(steps), failures=())


def _is_gone(failure: BakeryError) -> bool:
    return isinstance(failure, AwsError) and failure.code in ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")


def _keep_one(
    ports: Ports,
    image: str,
    upkeep: DesiredState,
    ami: Ami,
    steps: Callable[[Ami, DesiredState, Permissions | None], Iterable[Step]],
) -> tuple[list[Step], BakeryError | None]:
    done: list[Step] = []
    try:
        for step in steps(ami, upkeep, read_permissions(ports, ami, upkeep)):
            _do(ports, ami, step)
            ports.reporter.note(f"{image}: {describe(step)}")
            done.append(step)
    except Stopped:
        raise
    except BakeryError as error:
        return done, error
    return done, None


def _do(ports: Ports, ami: Ami, step: Step) -> None:
    resource = step.snapshot or ami.id
    match step.kind:
        case StepKind.TAG:
            put = {name: value for name, value in step.tags if value is not None}
            off = [name for name, value in step.tags if value is None]
            marker = {name: put.pop(name) for name in (SHARED_TAG,) if name in put}
            if put:
                # Together: what the AMI has is not looked for on its snapshots again.
                ports.ec2.tag(ami.region, [ami.id, *ami.snapshots], put)
            if marker:
                ports.ec2.tag(ami.region, [ami.id], marker)
            if off:
                ports.ec2.untag(ami.region, [ami.id], off)
        case StepKind.GRANT:
            ports.ec2.grant(ami.region, resource, step.targets)
        case StepKind.REVOKE:
            ports.ec2.revoke(ami.region, resource, step.targets)
        case StepKind.BAKE | StepKind.COPY:
            raise AssertionError(f"{step.kind} is no upkeep")
        case _:
            assert_never(step.kind)
