"""Reads the permissions of shared AMIs. Adds the steps that update them to plans."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.concurrency import run_all
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.ami import IMAGE_TAG, SHARED_TAG
from ami_bakery.core.plan.desired_state import PUBLIC, DesiredState, Permissions, is_marked
from ami_bakery.core.plan.enabling import in_quarantine, noted_permissions
from ami_bakery.core.plan.plan import Action
from ami_bakery.core.plan.steps import with_steps
from ami_bakery.errors import AwsError, DeniedError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Planned
    from ami_bakery.ports import Ports


def read_permissions(ports: Ports, ami: Ami, desired: DesiredState) -> Permissions | None:
    """Reads an AMI's permissions from EC2. None, without a call, if ami-bakery does not manage them.

    An AMI that is to be enabled gets the permissions that it had before its quarantine.
    """
    if not desired.manages_permissions(ami):
        return None
    read = partial(ports.ec2.permissions, ami.region)
    launch = noted_permissions(ami) | (frozenset() if in_quarantine(ami) else read(ami.id))
    if PUBLIC in launch:
        ports.reporter.warn(
            f"{ami.id} in {ami.region} is public: anyone can launch it, regardless of `share_with`. "
            "If this is not intended, remove the permission in EC2"
        )
    snapshots = ami.snapshots if desired.manages_snapshots(ami) else ()
    return Permissions(launch=launch, volumes={snapshot: read(snapshot) for snapshot in snapshots})


def add_steps(resolver: Resolver, plans: Sequence[Planned]) -> tuple[Planned, ...]:
    """Adds all steps of a bake to the plans. One concurrent call for each AMI of a shared image."""
    desired = {planned.plan.image: DesiredState.of(planned.definition.image) for planned in plans}
    stale = stale_shares(resolver, plans)
    amis = [
        (ami, desired[planned.plan.image])
        for planned in plans
        for ami in (*_current_amis(planned), *stale.get(planned.plan.image, ()))
    ]
    denials: list[AwsError] = []

    def read(ami: Ami, state: DesiredState) -> Permissions | None:
        try:
            return read_permissions(resolver.ports, ami, state)
        except DeniedError as error:
            denials.append(error)
            return None

    answers = run_all([partial(read, ami, state) for ami, state in amis])
    if denials:
        resolver.ports.reporter.warn(
            f"cannot read the permissions of AMIs, so the plan does not show what to grant or revoke: {denials[0]}"
        )
    permissions = {ami.id: answer for (ami, _), answer in zip(amis, answers, strict=True) if answer is not None}
    return tuple(
        replace(
            planned,
            plan=with_steps(
                planned.plan,
                desired[planned.plan.image],
                kms_keys=resolver.kms_keys(planned.definition.image),
                made_by_packer=planned.definition.regions_of_template,
                permissions=permissions,
                stale_shares=stale.get(planned.plan.image, ()),
            ),
        )
        for planned in plans
    )


def stale_shares(resolver: Resolver, plans: Sequence[Planned]) -> Mapping[str, tuple[Ami, ...]]:
    """Returns, by image, the AMIs whose shares must be revoked.

    They are older AMIs, not the image's current ones, and AMIs in regions that are not configured any more. AMIs in
    such regions are only looked up for images that have a share to revoke in their configured regions. They are first
    in the result, so that the next run finds them again if this one is interrupted.
    """
    desired = {
        planned.plan.image: DesiredState.of(planned.definition.image)
        for planned in plans
        if planned.definition.image.scheme is Scheme.SHA256 and _is_or_was_shared(planned)
    }
    regions = {planned.plan.image: planned.plan.regions for planned in plans if planned.plan.image in desired}
    current = {ami.id for planned in plans for ami in _current_amis(planned)}
    shared_here = _shared_amis(resolver, regions)
    to_revoke = sorted({ami.tags[IMAGE_TAG] for ami in shared_here if desired[ami.tags[IMAGE_TAG]].must_revoke(ami)})
    shared_elsewhere = _shared_amis_elsewhere(resolver, {image: regions[image] for image in to_revoke})
    stale: dict[str, tuple[Ami, ...]] = {}
    for ami in (*shared_elsewhere, *shared_here):
        image = ami.tags[IMAGE_TAG]
        if ami.available and ami.id not in current and desired[image].must_revoke(ami):
            stale[image] = (*stale.get(image, ()), ami)
    return stale


def _current_amis(planned: Planned) -> tuple[Ami, ...]:
    """Returns the AMIs of an image that is not built again."""
    is_built = planned.plan.action in (Action.BAKE, Action.PENDING, Action.WAIT)
    return () if is_built else tuple(planned.plan.amis.values())


def _is_or_was_shared(planned: Planned) -> bool:
    image = planned.definition.image
    return image.share_with is not None or any(map(is_marked, (*planned.found, *planned.before)))


def _shared_amis(resolver: Resolver, regions: Mapping[str, Iterable[str]]) -> list[Ami]:
    """Returns the AMIs that ami-bakery has shared, by image and its regions."""
    return [ami for amis in run_all(list(_calls(resolver, regions).values())) for ami in amis]


def _calls(resolver: Resolver, regions: Mapping[str, Iterable[str]]) -> dict[str, Callable[[], tuple[Ami, ...]]]:
    by_region: dict[str, list[str]] = {}
    for image, image_regions in regions.items():
        for region in image_regions:
            by_region.setdefault(region, []).append(image)
    marked = resolver.ports.ec2.find_tagged
    return {region: partial(marked, region, images, SHARED_TAG) for region, images in sorted(by_region.items())}


def _shared_amis_elsewhere(resolver: Resolver, regions: Mapping[str, Sequence[str]]) -> list[Ami]:
    """Returns these images' shared AMIs in regions not configured for the images.

    Skips a region in which access is denied, with a warning, because nothing could be changed there either.
    """
    if not regions:
        return []
    denied: list[str] = []

    def unless_denied(region: str, call: Callable[[], tuple[Ami, ...]]) -> tuple[Ami, ...]:
        try:
            return call()
        except DeniedError:
            denied.append(region)
            return ()

    reporter = resolver.ports.reporter
    try:
        all_regions = resolver.ports.ec2.regions(next(iter(regions.values()))[0])
    except DeniedError as error:
        reporter.warn(f"cannot check whether AMIs are still shared in regions that are not in `regions`: {error}")
        return []
    others = {image: [region for region in all_regions if region not in own] for image, own in regions.items()}
    calls = _calls(resolver, others)
    found = [ami for amis in run_all([partial(unless_denied, *item) for item in calls.items()]) for ami in amis]
    if denied:
        names = ", ".join(sorted(denied))
        reporter.warn(f"cannot check whether AMIs are still shared in {names}: DescribeImages is denied there")
    return found
