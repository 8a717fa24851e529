"""Computes all steps of a bake from its plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.plan.desired_state import (
    DesiredState,
    Permissions,
    Step,
    StepKind,
    new_ami_steps,
    reconcile_steps,
    revoke_steps,
)
from ami_bakery.core.plan.enabling import noted_permissions
from ami_bakery.core.plan.plan import Action, ImagePlan
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.ec2.ami import Ami


def with_steps(
    plan: ImagePlan,
    desired: DesiredState,
    *,
    kms_keys: Mapping[str, str],
    made_by_packer: Sequence[str],
    permissions: Mapping[str, Permissions],
    stale_shares: Sequence[Ami] = (),
) -> ImagePlan:
    """Adds all steps of a bake, in order.

    made_by_packer  more regions in which the template itself creates the AMI
    permissions     of existing AMIs, by id, if ami-bakery manages them
    stale_shares    other AMIs whose shares must be revoked
    """
    if plan.action is Action.WAIT:
        return plan
    to_build = plan.action in (Action.BAKE, Action.PENDING)
    home = plan.regions[0]
    to_test = plan.test and (to_build or plan.tests_existing_ami)
    built = (home, *(region for region in made_by_packer if region != home)) if to_build else ()
    existing = {} if to_build else plan.amis
    source = None if to_build else plan.source
    without_copy = {*existing, *(region for region in built if region not in kms_keys)}
    steps: list[Step] = []
    for ami in stale_shares:
        steps += revoke_steps(ami, desired, permissions.get(ami.id))
    steps += (Step(kind=StepKind.BAKE, region=region) for region in built)
    for ami in plan.to_enable:
        shares = tuple(sorted(noted_permissions(ami)))
        steps.append(Step(kind=StepKind.ENABLE, region=ami.region, ami=ami.id, targets=shares))
    if to_test:
        where = source.region if source else home
        steps.append(Step(kind=StepKind.TEST, region=where, ami=source.id if source else None))
    steps += (
        _copy_step(source, home, region, kms_keys.get(region, ""))
        for region in plan.regions
        if region not in without_copy
    )
    for region in plan.regions:
        if region in existing:
            current = existing[region]
            steps += reconcile_steps(current, desired, permissions.get(current.id))
        else:
            steps += new_ami_steps(region, desired)
    if plan.action is Action.PENDING:
        steps = [replace(step, certain=step.kind in (StepKind.REVOKE, StepKind.TAG)) for step in steps]
    return replace(plan, steps=tuple(steps))


def _copy_step(source: Ami | None, home: str, region: str, kms_key: str) -> Step:
    """`source` is None if it is still to be built, in `home`."""
    return Step(
        kind=StepKind.COPY,
        region=region,
        ami=source.id if source else None,
        source=source.region if source else home,
        kms_key=kms_key,
    )
