"""AMIs that runs of a digest have left unfinished: adopted where verified, removed where in the way.

A name that is a function of the definition is taken by what a dead run has left, and would stop every later bake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cleanup.deletion import remove
from ami_bakery.core.check.finding import is_constant
from ami_bakery.core.ec2.image import DIGEST_TAG, IMAGE_TAG, Ami, AmiState
from ami_bakery.core.ec2.resource import Resource, ResourceKind
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.lock.lock import ABANDONED_TAG, parse_amis
from ami_bakery.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ami_bakery.bake.baker import Baker
    from ami_bakery.core.definition.digest import Digest
    from ami_bakery.core.lock.inherited import InheritedAmis
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Planned
    from ami_bakery.ports import Ports

_TELLING = 8
"""How many digits of a digest in a name say that it is of that digest: names have it shortened."""


def adoptable(baker: Baker, noted: str) -> dict[str, Ami]:
    """The AMIs of a note, by region, if that of the home region is there and is what the digest stands for; else none.

    They were verified, and the inputs hashed again, by who noted them; what can be seen of them is looked at again.
    """
    ports, home = baker.ports, baker.planned.plan.regions[0]
    ids = parse_amis(noted)
    amis = {
        region: ami for region, ami_id in ids.items() for ami in ports.ec2.find_own(region, [ami_id]) if ami.available
    }
    found = amis.get(home)
    if found is None or ABANDONED_TAG in found.tags or found.verified or _is_too_old(found, baker):
        return {}
    digest, expected = baker.definition.digest, {base for _, base in baker.definition.base}
    if digest is None or found.tags.get(DIGEST_TAG, digest.hex) != digest.hex:
        return {}
    return amis if not expected or baker.is_made_from(found, expected) else {}


def _is_too_old(ami: Ami, baker: Baker) -> bool:
    max_age = baker.image.max_age
    return max_age is not None and ami.created is not None and baker.ports.clock.now() - ami.created > max_age


def name_conflicts(resolver: Resolver, planned: Planned, left: InheritedAmis) -> tuple[Ami, ...]:
    """Those that have the name which the AMI will get, and are provably what a run of this digest left unfinished: one
    is noted on its lock, has the digest that Packer writes, or is marked by one of our runs and has the digest in its
    name; and nothing of what is written when it is verified. Also where the template itself copies to: a name that is
    taken there fails a bake at its end.

    Whoever holds the lock, and has since it took it seen no AMI finished for as long as news may take, may remove them:
    their runs do not hold it, and can finish nothing.
    """
    digest = planned.plan.digest
    names = _names(resolver, planned)
    if digest is None or not names:
        return ()
    noted = {key for text in (*left.unverified, left.verified or "") for key in parse_amis(text).items()}
    regions = dict.fromkeys((planned.plan.regions[0], *planned.definition.regions_of_template))
    return tuple(
        ami
        for region in regions
        for ami in resolver.ports.ec2.find_by_name(region, sorted(names))
        if not ami.verified
        and not ami.carries(digest)
        and ((region, ami.id) in noted or _is_of(ami, digest, planned.plan.image))
    )


def _is_of(ami: Ami, digest: Digest, image: str) -> bool:
    if ami.tags.get(DIGEST_TAG, ""):
        return ami.tags[DIGEST_TAG] == digest.hex
    ours = RUN_TAG in ami.tags and ami.tags.get(IMAGE_TAG) == image
    return ours and digest.hex[:_TELLING] in ami.name


def check_names(resolver: Resolver, planned: Planned) -> None:
    """Raises where an AMI that Packer does not see before it builds has the name: a disabled one, and any in a region
    that the template copies to. What may be removed has been before."""
    names = sorted(_names(resolver, planned))
    home = planned.plan.regions[0]
    facts = planned.definition.facts
    replaces = facts is not None and any(builder.force_deregister for builder in facts.builders)
    regions = dict.fromkeys((home, *planned.definition.regions_of_template)) if names else ()
    for region in regions:
        for ami in resolver.ports.ec2.find_by_name(region, names):
            if ami.state is AmiState.DISABLED or (region != home and not replaces):
                raise _name_taken(planned, ami)


def _name_taken(planned: Planned, ami: Ami) -> AwsError:
    image, digest = planned.definition.image.name, planned.plan.digest
    state = f"{ami.state} AMI {ami.id}"
    todo = f"Deregister it if nobody needs it: aws ec2 deregister-image --region {ami.region} --image-id {ami.id}"
    if ami.state is AmiState.DISABLED and digest is not None and ami.carries(digest):
        state += ", which was built from this definition"
        todo = f"Enable it: aws ec2 enable-image --region {ami.region} --image-id {ami.id}. Or: {todo}"
    return AwsError(
        f"looking whether the name of image {image}'s AMI is free",
        f"the {state} has the name {ami.name} in {ami.region}: a build would fail at its end",
        f"{todo}, or put {{{{timestamp}}}} into ami_name.",
    )


def _names(resolver: Resolver, planned: Planned) -> set[str]:
    """As far as they can be known: a name with a time in it, or what else Packer alone knows, is in nobody's way."""
    definition = planned.definition
    facts = definition.facts or resolver.facts(definition.image)
    handed = dict(resolver.handed_variables(definition, facts, planned.plan.regions[0]))
    builders = resolver.facts(definition.image, handed).builders
    return {builder.ami_name for builder in builders if builder.ami_name and is_constant(builder.ami_name)}


def remove_amis(ports: Ports, image: str, amis: Iterable[Ami], why: str) -> None:
    """With their snapshots; what cannot be removed is told, and stays."""
    things = [
        Resource(kind=ResourceKind.AMI, id=ami.id, region=ami.region, name=ami.name, parts=ami.snapshots)
        for ami in amis
    ]
    for thing, error in remove(ports, things, ports.clock.sleep):
        if error is not None:
            ports.reporter.warn(f"{image}: {thing} of {thing.region} is left: {error.wrong}")
        elif thing.kind is ResourceKind.AMI:
            ports.reporter.note(f"{image}: removed {thing} of {thing.region}, {why}")
