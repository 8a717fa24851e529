"""Brings tags and permissions of finished AMIs to the configured state. Writes only differences."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, assert_never

from ami_bakery.core.concurrency import run_all
from ami_bakery.core.ec2.ami import SHARED_TAG
from ami_bakery.core.plan.describe import describe_step
from ami_bakery.core.plan.desired_state import (
    DesiredState,
    Permissions,
    Step,
    StepKind,
    reconcile_steps,
    revoke_steps,
)
from ami_bakery.errors import BakeryError, NotFoundError, Stopped
from ami_bakery.plan.sharing import read_permissions
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.ports import Ports


class Reconciled(Frozen):
    """The steps done for some AMIs, and the failures."""

    steps: tuple[Step, ...]
    failures: tuple[BakeryError, ...]


def reconcile_amis(ports: Ports, image: str, desired: DesiredState, amis: Iterable[Ami]) -> Reconciled:
    """Reconciles the AMIs in parallel. A failure does not stop the others."""
    done = run_all([partial(_reconcile_ami, ports, image, desired, ami, reconcile_steps) for ami in amis])
    return Reconciled(
        steps=tuple(step for steps, _ in done for step in steps),
        failures=tuple(failure for _, failure in done if failure is not None),
    )


def revoke_stale_shares(ports: Ports, image: str, desired: DesiredState, amis: Iterable[Ami]) -> Reconciled:
    """Revokes older AMIs' permissions for accounts that are not configured any more.

    Stops at the first failure. The AMIs after it keep their tag, so the next run continues there.
    """
    steps: list[Step] = []
    for ami in amis:
        done, failure = _reconcile_ami(ports, image, desired, ami, revoke_steps)
        steps += done
        if failure is not None and not _is_gone(failure):
            return Reconciled(steps=tuple(steps), failures=(failure,))
    return Reconciled(steps=tuple(steps), failures=())


def _is_gone(failure: BakeryError) -> bool:
    return isinstance(failure, NotFoundError)


def _reconcile_ami(
    ports: Ports,
    image: str,
    desired: DesiredState,
    ami: Ami,
    steps: Callable[[Ami, DesiredState, Permissions | None], Iterable[Step]],
) -> tuple[list[Step], BakeryError | None]:
    done: list[Step] = []
    try:
        for step in steps(ami, desired, read_permissions(ports, ami, desired)):
            _do(ports, ami, step)
            ports.reporter.note(f"{image}: {describe_step(step)}")
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
                # In one call, because the snapshots' tags are not compared separately.
                ports.ec2.tag(ami.region, [ami.id, *ami.snapshots], put)
            if marker:
                ports.ec2.tag(ami.region, [ami.id], marker)
            if off:
                ports.ec2.untag(ami.region, [ami.id], off)
        case StepKind.GRANT:
            ports.ec2.grant(ami.region, resource, step.targets)
        case StepKind.REVOKE:
            ports.ec2.revoke(ami.region, resource, step.targets)
        case StepKind.BAKE | StepKind.ENABLE | StepKind.TEST | StepKind.COPY:
            raise AssertionError(f"{step.kind} is not a reconcile step")
        case _:
            assert_never(step.kind)
