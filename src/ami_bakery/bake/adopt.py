"""Adopts verified, unfinished AMIs of a digest.

It also finds unfinished AMIs whose names conflict. If the AMI name depends only on the definition, the unfinished AMI
of a dead run has the name of every later build, and would make each of them fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cleanup.deletion import remove
from ami_bakery.core.check.finding import is_constant
from ami_bakery.core.ec2.ami import ABANDONED_TAG, DIGEST_TAG, IMAGE_TAG, Ami, AmiState
from ami_bakery.core.ec2.resource import Resource, ResourceKind
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.lock.lock import parse_amis
from ami_bakery.core.plan.enabling import in_quarantine
from ami_bakery.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ami_bakery.bake.baker import Baker
    from ami_bakery.core.definition.digest import Digest
    from ami_bakery.core.lock.inherited import InheritedAmis
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Planned
    from ami_bakery.ports import Ports

_DIGEST_CHARACTERS = 8
"""Number of digest characters in a name that identify the digest; templates often shorten it."""


def adoptable(baker: Baker, recorded: str) -> dict[str, Ami]:
    """Returns the AMIs that a lock records, by region.

    Returns none if they cannot be adopted: the AMI of the home region must exist, match the digest, and be neither
    finished, abandoned, revoked nor too old. The run that recorded the AMIs verified them and hashed the inputs again.
    This checks again what EC2 can show.
    """
    ports, home = baker.ports, baker.planned.plan.regions[0]
    ids = parse_amis(recorded)
    amis = {
        region: ami for region, ami_id in ids.items() for ami in ports.ec2.find_own(region, [ami_id]) if ami.available
    }
    found = amis.get(home)
    finished = found is not None and found.verified and found.tags.get(DIGEST_TAG)
    if found is None or finished or _is_too_old(found, baker):
        return {}
    if any(ami.revoked or ABANDONED_TAG in ami.tags for ami in amis.values()):
        return {}
    digest, expected = baker.definition.digest, {base for _, base in baker.definition.base}
    if digest is None or found.tags.get(DIGEST_TAG, digest.hex) != digest.hex:
        return {}
    return amis if not expected or baker.is_made_from(found, expected) else {}


def _is_too_old(ami: Ami, baker: Baker) -> bool:
    max_age = baker.image.max_age
    return max_age is not None and ami.created is not None and baker.ports.clock.now() - ami.created > max_age


def name_conflicts(resolver: Resolver, planned: Planned, inherited: InheritedAmis) -> tuple[Ami, ...]:
    """Returns this digest's unfinished AMIs with the name of the next build.

    An AMI is unfinished if it has none of the tags of a verified AMI. It belongs to the digest if the lock records it,
    if Packer wrote the digest on it, or if it has the tag of a run and the digest in its name. Regions that the
    template copies to are included, because a conflict there fails a build at its end.

    The holder of the lock may remove these AMIs after it has seen no finished AMI for the settling time. Their runs do
    not hold the lock any more, so they cannot finish them.
    """
    digest = planned.plan.digest
    names = _names(resolver, planned)
    if digest is None or not names:
        return ()
    recorded = {key for text in (*inherited.unverified, inherited.verified or "") for key in parse_amis(text).items()}
    regions = dict.fromkeys((planned.plan.regions[0], *planned.definition.regions_of_template))
    return tuple(
        ami
        for region in regions
        for ami in resolver.ports.ec2.find_by_name(region, sorted(names))
        if not ami.verified
        and not ami.carries(digest)
        and ((region, ami.id) in recorded or _is_of(ami, digest, planned.plan.image))
    )


def _is_of(ami: Ami, digest: Digest, image: str) -> bool:
    if ami.tags.get(DIGEST_TAG, ""):
        return ami.tags[DIGEST_TAG] == digest.hex
    ours = RUN_TAG in ami.tags and ami.tags.get(IMAGE_TAG) == image
    return ours and digest.hex[:_DIGEST_CHARACTERS] in ami.name


def check_names(resolver: Resolver, planned: Planned) -> None:
    """Raises on AMI name conflicts that Packer notices only after the build.

    Before a build, Packer checks neither disabled AMIs, nor AMIs in the regions that the template copies to. AMIs that
    may be removed are removed before this check.
    """
    names = sorted(_names(resolver, planned))
    home = planned.plan.regions[0]
    facts = planned.definition.facts
    replaces = facts is not None and any(builder.force_deregister for builder in facts.builders)
    regions = dict.fromkeys((home, *planned.definition.regions_of_template)) if names else ()
    for region in regions:
        for ami in resolver.ports.ec2.find_by_name(region, names):
            if ami.state is AmiState.DISABLED or ((region != home or ami.revoked) and not replaces):
                raise _name_taken(planned, ami)


def _name_taken(planned: Planned, ami: Ami) -> AwsError:
    image, digest = planned.definition.image.name, planned.plan.digest
    state = f"{'revoked' if ami.revoked else ami.state} AMI {ami.id}"
    todo = f"Deregister it if it is not needed: aws ec2 deregister-image --region {ami.region} --image-id {ami.id}"
    if in_quarantine(ami):
        state += ", which prune disabled,"
        todo = f"Remove it from quarantine: ami-bakery prune {image} --apply --quarantine 0. Or: {todo}"
    elif ami.state is AmiState.DISABLED and digest is not None and ami.carries(digest) and not ami.revoked:
        state += ", which was built from this definition"
        todo = f"Enable it: aws ec2 enable-image --region {ami.region} --image-id {ami.id}. Or: {todo}"
    return AwsError(
        f"checking the AMI name of image {image}",
        f"the {state} has the name {ami.name} in {ami.region}: a build would fail at its end",
        f"{todo}, or put {{{{timestamp}}}} into ami_name.",
    )


def _names(resolver: Resolver, planned: Planned) -> set[str]:
    """Returns the AMI names that are fully known: without a time, or a part that only Packer knows."""
    definition = planned.definition
    facts = definition.facts or resolver.facts(definition.image)
    handed = dict(resolver.handed_variables(definition, facts, planned.plan.regions[0]))
    builders = resolver.facts(definition.image, handed).builders
    return {builder.ami_name for builder in builders if builder.ami_name and is_constant(builder.ami_name)}


def remove_amis(ports: Ports, image: str, amis: Iterable[Ami], why: str) -> None:
    """Removes AMIs with their snapshots. Reports those that cannot be removed, and keeps them."""
    resources = [
        Resource(kind=ResourceKind.AMI, id=ami.id, region=ami.region, name=ami.name, parts=ami.snapshots)
        for ami in amis
    ]
    for resource, error in remove(ports, resources, ports.clock.sleep):
        if error is not None:
            ports.reporter.warn(f"{image}: {resource} of {resource.region} could not be removed: {error.wrong}")
        elif resource.kind is ResourceKind.AMI:
            ports.reporter.note(f"{image}: removed {resource} of {resource.region}, {why}")
