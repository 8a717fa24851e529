"""Asks EC2 who may use finished AMIs, of those alone that were or shall be shared, and adds to plans what follows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.concurrency import run_all
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.image import IMAGE_TAG, SHARED_TAG
from ami_bakery.core.plan.desired_state import PUBLIC, DesiredState, Permissions, is_marked
from ami_bakery.core.plan.plan import Action, with_steps
from ami_bakery.errors import AwsError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ami_bakery.core.ec2.image import Ami
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Planned
    from ami_bakery.ports import Ports


def read_permissions(ports: Ports, ami: Ami, upkeep: DesiredState) -> Permissions | None:
    """None where this AMI's permissions are no business of ours: then nobody is asked."""
    if not upkeep.looks_at(ami):
        return None
    ask = partial(ports.ec2.permissions, ami.region)
    launch = ask(ami.id)
    if PUBLIC in launch:
        ports.reporter.warn(
            f"{ami.id} of {ami.region} is public: anybody may launch it, whatever `share_with` says. "
            "If that is not meant, take the permission away in EC2"
        )
    snapshots = ami.snapshots if upkeep.looks_at_snapshots(ami) else ()
    return Permissions(launch=launch, volumes={snapshot: ask(snapshot) for snapshot in snapshots})


def add_steps(resolver: Resolver, plans: Sequence[Planned]) -> tuple[Planned, ...]:
    """Plans with all that a bake would do: one question for each AMI of images that are shared, side by side."""
    upkeep = {planned.plan.image: DesiredState.of(planned.definition.image) for planned in plans}
    shared = stale_shares(resolver, plans)
    there = [
        (ami, upkeep[planned.plan.image])
        for planned in plans
        for ami in (*_counting(planned), *shared.get(planned.plan.image, ()))
    ]
    refused: list[AwsError] = []

    def seen(ami: Ami, kept: DesiredState) -> Permissions | None:
        try:
            return read_permissions(resolver.ports, ami, kept)
        except AwsError as error:
            if not error.is_denied:
                raise
            refused.append(error)
            return None

    answers = run_all([partial(seen, ami, kept) for ami, kept in there])
    if refused:
        resolver.ports.reporter.warn(
            f"who may use AMIs cannot be read, so that what is to be granted or taken back is not known: {refused[0]}"
        )
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
                stale_shares=shared.get(planned.plan.image, ()),
            ),
        )
        for planned in plans
    )


def stale_shares(resolver: Resolver, plans: Sequence[Planned]) -> Mapping[str, tuple[Ami, ...]]:
    """By image the AMIs beside those that count that are shared with somebody who is not to have them any more: older
    ones, and those in regions where the image is not wanted any more.

    One call for each region, of images alone that are or were shared. Only where that finds something to be taken back
    are the account's other regions asked, too; what they have goes first, so that a run which ends early comes back.
    """
    upkeep = {
        planned.plan.image: DesiredState.of(planned.definition.image)
        for planned in plans
        if planned.definition.image.scheme is Scheme.SHA256 and _is_or_was_shared(planned)
    }
    regions = {planned.plan.image: planned.plan.regions for planned in plans if planned.plan.image in upkeep}
    here = _marked(resolver, regions)
    changed = sorted({ami.tags[IMAGE_TAG] for ami in here if upkeep[ami.tags[IMAGE_TAG]].takes_back(ami)})
    elsewhere = _marked_elsewhere(resolver, {image: regions[image] for image in changed})
    counting = {ami.id for planned in plans for ami in _counting(planned)}
    found: dict[str, tuple[Ami, ...]] = {}
    for ami in (*elsewhere, *here):
        image = ami.tags[IMAGE_TAG]
        if ami.available and ami.id not in counting and upkeep[image].takes_back(ami):
            found[image] = (*found.get(image, ()), ami)
    return found


def _counting(planned: Planned) -> tuple[Ami, ...]:
    """The AMIs that stay the image's own; those of one that is baked again become older ones."""
    return tuple(planned.plan.amis.values()) if planned.plan.action in (Action.REUSE, Action.COPY) else ()


def _is_or_was_shared(planned: Planned) -> bool:
    image = planned.definition.image
    return image.share_with is not None or any(map(is_marked, (*planned.found, *planned.before)))


def _marked(resolver: Resolver, regions: Mapping[str, Iterable[str]]) -> list[Ami]:
    """The AMIs of these images that the bakery has shared, in these regions of each."""
    return [ami for amis in run_all(list(_questions(resolver, regions).values())) for ami in amis]


def _questions(resolver: Resolver, regions: Mapping[str, Iterable[str]]) -> dict[str, Callable[[], tuple[Ami, ...]]]:
    asked: dict[str, list[str]] = {}
    for image, wanted in regions.items():
        for region in wanted:
            asked.setdefault(region, []).append(image)
    marked = resolver.ports.ec2.find_tagged
    return {region: partial(marked, region, images, SHARED_TAG) for region, images in sorted(asked.items())}


def _marked_elsewhere(resolver: Resolver, regions: Mapping[str, Sequence[str]]) -> list[Ami]:
    """Of these images in all other regions than these of each. A region that may not be asked is passed over: it is
    said, and nothing can be changed there either."""
    if not regions:
        return []
    unseen: list[str] = []

    def seen(region: str, ask: Callable[[], tuple[Ami, ...]]) -> tuple[Ami, ...]:
        try:
            return ask()
        except AwsError as error:
            if not error.is_denied:
                raise
            unseen.append(region)
            return ()

    reporter = resolver.ports.reporter
    try:
        every = resolver.ports.ec2.regions(next(iter(regions.values()))[0])
    except AwsError as error:
        if not error.is_denied:
            raise
        reporter.warn(f"whether AMIs in regions that are not in `regions` are shared still cannot be seen: {error}")
        return []
    others = {image: [region for region in every if region not in wanted] for image, wanted in regions.items()}
    questions = _questions(resolver, others)
    found = [ami for amis in run_all([partial(seen, *asked) for asked in questions.items()]) for ami in amis]
    if unseen:
        where = ", ".join(sorted(unseen))
        reporter.warn(f"whether AMIs are shared still cannot be seen in {where}: DescribeImages is refused there")
    return found
