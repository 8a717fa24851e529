"""Asks EC2 who may use finished AMIs, of those alone that were or shall be shared, and adds to plans what follows."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.plan import Action, with_steps
from ami_bakery.core.upkeep import PUBLIC, Permissions, Upkeep
from ami_bakery.side_by_side import side_by_side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ami_bakery.core.image import Ami
    from ami_bakery.planning import Planned
    from ami_bakery.ports import Outside
    from ami_bakery.resolve import Resolver


def look(outside: Outside, ami: Ami, upkeep: Upkeep) -> Permissions | None:
    """None where this AMI's permissions are no business of ours: then nobody is asked."""
    if not upkeep.looks_at(ami):
        return None
    ask = partial(outside.ec2.permissions, ami.region)
    launch = ask(ami.id)
    if PUBLIC in launch:
        outside.watcher.warn(
            f"{ami.id} of {ami.region} is public: anybody may launch it, whatever `share_with` says. "
            "If that is not meant, take the permission away in EC2"
        )
    snapshots = ami.snapshots if upkeep.looks_at_snapshots(ami) else ()
    return Permissions(launch=launch, volumes={snapshot: ask(snapshot) for snapshot in snapshots})


def add_steps(resolver: Resolver, plans: Sequence[Planned]) -> tuple[Planned, ...]:
    """Plans with all that a bake would do: one question for each AMI of images that are shared, side by side."""
    upkeep = {planned.plan.image: Upkeep.of(planned.definition.image) for planned in plans}
    there = [
        (ami, upkeep[planned.plan.image])
        for planned in plans
        if planned.plan.action in (Action.REUSE, Action.COPY)
        for ami in planned.plan.amis.values()
    ]
    answers = side_by_side([partial(look, resolver.outside, ami, kept) for ami, kept in there])
    permissions = {ami.id: answer for (ami, _), answer in zip(there, answers, strict=True) if answer is not None}
    return tuple(
        replace(
            planned,
            plan=with_steps(
                planned.plan,
                upkeep[planned.plan.image],
                kms_keys=resolver.kms_keys(planned.definition.image),
                made_by_packer=planned.definition.regions_of_template,
                permissions=permissions,
            ),
        )
        for planned in plans
    )
