"""Finds orphaned resources by tags, names, and the records of locks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.concurrency import run_all
from ami_bakery.core.ec2.ami import IMAGE_TAG
from ami_bakery.core.ec2.resource import Resource, ResourceKind
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.lock.lock import LOCK_TAG, LockRecord
from ami_bakery.core.orphan.attribution import Attribution
from ami_bakery.core.orphan.orphan import KEYS, Orphan, RunIndex, candidates, classify, expired_lock, index_runs
from ami_bakery.errors import BakeryError
from ami_bakery.template.facts import regions_named
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.ports import Ports


def find_orphans(resolver: Resolver, names: Sequence[str]) -> tuple[Orphan, ...]:
    """Returns orphans of any image, in the regions of these images.

    They are sorted by region, image, run and kind. The locks and tags of all regions are read first, because a run
    that is alive in one region may use resources in another.
    """
    ports = resolver.ports
    regions = sorted({region for name in names for region in _regions(resolver, name)})
    tagged = run_all([partial(ports.temporary_resources.tagged, region, KEYS) for region in regions])
    locks = [lock for region, tags in zip(regions, tagged, strict=True) for lock in _locks(ports, region, tags)]
    runs = index_runs(locks, _images_of_runs(tagged))
    searches = [
        partial(_search, ports, region, {item: tags[item] for item in candidates(tags, runs)}, runs)
        for region, tags in zip(regions, tagged, strict=True)
    ]
    found = (each for of_region in run_all(searches) for each in of_region)
    now = ports.clock.now()
    orphans = (
        *(classify(resource, runs, now, recorded_run=run) for resource, run in found),
        *(expired_lock(lock) for lock in locks),
    )
    return tuple(sorted((orphan for orphan in orphans if orphan is not None), key=_order))


def orphans_of_images(resolver: Resolver, names: Sequence[str]) -> tuple[Orphan, ...]:
    """Returns the orphans of these images.

    If they are all images of the configuration, also returns orphans without an image, and reports those of unknown
    images.
    """
    known = {image.name for image in resolver.config.images}
    found = find_orphans(resolver, names)
    whole = known <= set(names)
    others = sorted({orphan.image for orphan in found if orphan.image and orphan.image not in known})
    if whole and others:
        resolver.ports.reporter.note(
            f"not shown: orphaned resources of images that are not in {resolver.config.file}: {', '.join(others)}"
        )
    return tuple(orphan for orphan in found if orphan.image in names or (whole and not orphan.image))


def _images_of_runs(tagged: Iterable[Mapping[str, Mapping[str, str]]]) -> dict[str, str]:
    everything = (tags for of_region in tagged for tags in of_region.values())
    return {tags[RUN_TAG]: tags[IMAGE_TAG] for tags in everything if RUN_TAG in tags and IMAGE_TAG in tags}


def _regions(resolver: Resolver, name: str) -> tuple[str, ...]:
    """Returns the regions of an image: the configured ones, and those of its template, if it can be read."""
    image = resolver.image(name)
    try:
        builders = resolver.facts(image).builders
    except BakeryError as error:
        resolver.ports.reporter.warn(f"{name}: the regions of its template are not searched: {error}")
        builders = ()
    return (*resolver.regions_of(image), *regions_named(builders))


def _order(orphan: Orphan) -> tuple[str, str, str, int, str]:
    resource = orphan.resource
    return resource.region, orphan.image, orphan.run, list(ResourceKind).index(resource.kind), resource.id


def _locks(ports: Ports, region: str, tagged: Mapping[str, Mapping[str, str]]) -> list[LockRecord]:
    """Returns the locks, with EC2's time of the last response."""
    seen_at = ports.locks.now(region)
    locks = [
        LockRecord(id=item, region=region, tags=tags, seen_at=seen_at)
        for item, tags in tagged.items()
        if LOCK_TAG in tags
    ]
    if not any(lock.exceeds_maximum and not lock.expired for lock in locks):
        return locks
    created = {pair.id: pair.began for pair in ports.temporary_resources.key_pairs(region) or ()}
    return [replace(lock, exists_since=created.get(lock.id)) for lock in locks]


def recorded_resources(ports: Ports, lock: LockRecord, regions: Iterable[str] = ()) -> tuple[Resource, ...]:
    """Returns an expired lock's recorded resources, and those found through them.

    regions  regions that the template copies the AMI to
    """
    runs = index_runs([lock], {})
    here = [resource for resource, run in _search(ports, lock.region, {}, runs) if run == lock.run]
    known = Attribution(tagged={}, runs=runs)
    others = [region for region in dict.fromkeys(regions) if region != lock.region]
    copies = run_all([partial(_copies_of_run, ports, region, known, here) for region in others])
    return (*here, *(copy for some in copies for copy in some))


def _copies_of_run(ports: Ports, region: str, known: Attribution, created: Sequence[Resource]) -> list[Resource]:
    """Returns the copies of a run's AMI: Packer gives them its name, and EC2 shows their source."""
    sources = {*known.amis, *(resource.id for resource in created if resource.kind is ResourceKind.AMI)}
    named = ports.ec2.find_by_name(region, list(known.ami_names))
    return [_resource_of(ami) for ami in named if ami.source is None or ami.source in sources]


def _search(
    ports: Ports, region: str, tagged: Mapping[str, Mapping[str, str]], runs: RunIndex
) -> list[tuple[Resource, str]]:
    """Returns the resources of one region, each with its run.

    The run is known from records and references.

    tagged  the tags of the candidates, by id
    """
    find = ports.temporary_resources
    known = Attribution(tagged=tagged, runs=runs)
    instances = find.instances(region, ids=known.instance_ids, key_pairs=list(known.key_pairs))
    known = replace(known, instances=instances)
    groups = find.security_groups(region, ids=known.group_ids, names=known.group_names)
    known = replace(known, groups=tuple(group for group in groups if known.is_of_run(group)))
    resources = (
        *known.instances,
        *known.groups,
        *_key_pairs(ports, region, known),
        *find.volumes(region, known.ids(ResourceKind.VOLUME)),
        *find.snapshots(region, known.ids(ResourceKind.SNAPSHOT)),
    )
    amis = _amis(ports, region, known)
    return [
        *((resource, known.run_of(resource)) for resource in resources),
        *((_resource_of(ami), known.run_of_ami(ami)) for ami in amis),
    ]


def _key_pairs(ports: Ports, region: str, known: Attribution) -> Iterator[Resource]:
    """Yields the key pairs; only names, unverified, if key pairs may not be listed."""
    names, ids = known.all_key_pairs, known.ids(ResourceKind.KEY_PAIR)
    if not names and not ids:
        return
    there = ports.temporary_resources.key_pairs(region)
    if there is None:
        yield from (Resource(kind=ResourceKind.KEY_PAIR, id=name, region=region, name=name) for name in names)
    else:
        yield from (pair for pair in there if pair.name in names or pair.id in ids)


def _amis(ports: Ports, region: str, known: Attribution) -> Iterable[Ami]:
    """Returns AMIs by id, by name, and by their source instance."""
    found = (
        *ports.ec2.find_own(region, [*known.ids(ResourceKind.AMI), *known.amis]),
        *ports.ec2.find_by_name(region, list(known.ami_names)),
        *ports.ec2.find_created_from(region, list(known.source_instances)),
    )
    return {ami.id: ami for ami in found}.values()


def _resource_of(ami: Ami) -> Resource:
    return Resource(
        kind=ResourceKind.AMI,
        id=ami.id,
        region=ami.region,
        name=ami.name,
        began=ami.created,
        tags=ami.tags,
        parts=ami.snapshots,
    )
