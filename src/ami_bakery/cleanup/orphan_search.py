"""Finds orphaned resources by tags, by the records of locks, and by names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.concurrency import run_all
from ami_bakery.core.ec2.ami import IMAGE_TAG
from ami_bakery.core.ec2.resource import Resource, ResourceKind, kind_of
from ami_bakery.core.ec2.run import KEY_PAIR_TAG, RUN_TAG
from ami_bakery.core.lock.lock import CREATED_AMI_TAG, LOCK_TAG, SeenLock
from ami_bakery.core.orphan.orphan import (
    GROUP_TAG,
    INSTANCE_TAG,
    KEYS,
    NAME_TAG,
    Orphan,
    RunIndex,
    candidates,
    classify,
    expired_lock,
    index_runs,
)
from ami_bakery.errors import BakeryError
from ami_bakery.template.facts import regions_named
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.ports import Ports


def find_orphans(resolver: Resolver, names: Sequence[str]) -> tuple[Orphan, ...]:
    """Returns orphans of any image, in the regions of these images.

    They are sorted by region, image, run and kind.
    """
    regions = sorted({region for name in names for region in _regions(resolver, name)})
    resources, now = resolver.ports.temporary_resources, resolver.ports.clock.now()
    tagged = run_all([partial(resources.tagged, region, KEYS) for region in regions])
    by_region = dict(zip(regions, tagged, strict=True))
    locks = [lock for region in regions for lock in _locks(resolver.ports, region, by_region[region])]
    everything = [tags for of_region in tagged for tags in of_region.values()]
    images = {tags[RUN_TAG]: tags[IMAGE_TAG] for tags in everything if RUN_TAG in tags and IMAGE_TAG in tags}
    runs = index_runs(locks, images)
    searches = [partial(_in_region, resolver.ports, region, by_region[region], runs, now) for region in regions]
    found = (orphan for orphans in run_all(searches) for orphan in orphans)
    return tuple(sorted(found, key=_order))


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


def _locks(ports: Ports, region: str, tagged: Mapping[str, Mapping[str, str]]) -> list[SeenLock]:
    """Returns the locks, with EC2's time of the last response."""
    seen_at = ports.locks.now(region)
    locks = [
        SeenLock(id=item, region=region, tags=tags, seen_at=seen_at)
        for item, tags in tagged.items()
        if LOCK_TAG in tags
    ]
    if not any(lock.exceeds_maximum and not lock.expired for lock in locks):
        return locks
    created = {pair.id: pair.began for pair in ports.temporary_resources.key_pairs(region) or ()}
    return [replace(lock, exists_since=created.get(lock.id)) for lock in locks]


def _in_region(
    ports: Ports, region: str, tagged: Mapping[str, Mapping[str, str]], runs: RunIndex, now: datetime
) -> tuple[Orphan, ...]:
    tagged_candidates = {item: tagged[item] for item in candidates(tagged, runs)}
    search = _Search(ports, region, tagged_candidates, runs)
    classified = (classify(resource, runs, now, recorded_run=run) for resource, run in search.resources())
    locks = (expired_lock(lock) for lock in _locks(ports, region, tagged))
    return tuple(orphan for orphan in (*classified, *locks) if orphan is not None)


def recorded_resources(ports: Ports, lock: SeenLock, regions: Iterable[str] = ()) -> tuple[Resource, ...]:
    """Returns the resources that an expired lock records, and those found through them.

    regions  regions that the template copies the AMI to
    """
    runs = index_runs([lock], {})
    search = _Search(ports, lock.region, {}, runs)
    here = [resource for resource, run in search.resources() if run == lock.run]
    copies = run_all(
        [
            partial(_copies_of_run, ports, region, runs, here)
            for region in dict.fromkeys(regions)
            if region != lock.region
        ]
    )
    return (*here, *(copy for some in copies for copy in some))


def _copies_of_run(ports: Ports, region: str, runs: RunIndex, created: Sequence[Resource]) -> list[Resource]:
    """Returns the copies of a run's AMI: Packer gives them its name, and EC2 shows their source."""
    sources = {
        *runs.recorded(CREATED_AMI_TAG),
        *(resource.id for resource in created if resource.kind is ResourceKind.AMI),
    }
    named = ports.ec2.find_by_name(region, list(runs.recorded(NAME_TAG)))
    return [_resource_of(ami) for ami in named if ami.source is None or ami.source in sources]


@dataclass(frozen=True, slots=True)
class _Search:
    """Searches one region for resources by tags, by records of locks, and by references between them.

    tagged  the tags of resources, by id
    """

    ports: Ports
    region: str
    tagged: Mapping[str, Mapping[str, str]]
    runs: RunIndex

    def resources(self) -> Iterator[tuple[Resource, str]]:
        resources, region = self.ports.temporary_resources, self.region
        pairs = {**self._pairs_of_tags(), **self.runs.recorded(KEY_PAIR_TAG)}
        instances = resources.instances(
            region, ids=[*self._of(ResourceKind.INSTANCE), *self.runs.recorded(INSTANCE_TAG)], key_pairs=list(pairs)
        )
        recorded = {**pairs, **self.runs.recorded(GROUP_TAG, INSTANCE_TAG)}
        runs = {instance.id: _run_of(instance, recorded) for instance in instances}
        used = {group: _run_that_made(instance, runs) for instance in instances for group in instance.groups}
        groups = self._groups([group for group, run in used.items() if run])
        yield from ((instance, runs[instance.id]) for instance in instances)
        yield from ((group, _run_of(group, {**used, **recorded})) for group in groups)
        yield from self._key_pairs({**_named_by(instances, groups), **pairs})
        yield from ((volume, "") for volume in resources.volumes(region, self._of(ResourceKind.VOLUME)))
        yield from ((snapshot, "") for snapshot in resources.snapshots(region, self._of(ResourceKind.SNAPSHOT)))
        made_by = {instance.id: used_by for instance in instances if (used_by := _run_that_made(instance, runs))}
        yield from self._amis({**self._gone_instances(), **self.runs.recorded(INSTANCE_TAG), **made_by})

    def _of(self, kind: ResourceKind) -> list[str]:
        return [item for item in self.tagged if kind_of(item) is kind]

    def _pairs_of_tags(self) -> dict[str, str]:
        """Returns key pairs that tags name. If EC2's response was lost, Packer may have created an unknown instance."""
        return {
            tags[KEY_PAIR_TAG]: tags.get(RUN_TAG, "") for tags in self.tagged.values() if tags.get(KEY_PAIR_TAG, "")
        }

    def _gone_instances(self) -> dict[str, str]:
        """Returns terminated instances with their run: EC2 shows their tags for an hour."""
        return {
            item: tags.get(RUN_TAG, "")
            for item, tags in self.tagged.items()
            if kind_of(item) is ResourceKind.INSTANCE and KEY_PAIR_TAG in tags
        }

    def _groups(self, used: Sequence[str]) -> list[Resource]:
        """Returns the security groups of runs. Of those that only an instance names, returns only Packer's.

        The template may have added a security group of the user to the instance.
        """
        searches = self._of(ResourceKind.SECURITY_GROUP)
        found = self.ports.temporary_resources.security_groups(
            self.region, ids=list(dict.fromkeys([*searches, *used])), names=list(self.runs.recorded(GROUP_TAG))
        )
        return [group for group in found if group.id in searches or group.name.startswith("packer_")]

    def _key_pairs(self, names: Mapping[str, str]) -> Iterator[tuple[Resource, str]]:
        """Yields the key pairs with their runs; only names, unverified, if key pairs may not be listed."""
        ids = self._of(ResourceKind.KEY_PAIR)
        if not names and not ids:
            return
        there = self.ports.temporary_resources.key_pairs(self.region)
        if there is None:
            there = tuple(
                Resource(kind=ResourceKind.KEY_PAIR, id=name, region=self.region, name=name) for name in names
            )
        for pair in there:
            if pair.name in names or pair.id in ids:
                yield pair, names.get(pair.name, "")

    def _amis(self, instances: Mapping[str, str]) -> Iterator[tuple[Resource, str]]:
        """Yields AMIs by id, by name, and by the instance that they were created from, each with its run."""
        ids, names = self.runs.recorded(CREATED_AMI_TAG), self.runs.recorded(NAME_TAG)
        amis = {ami.id: ami for ami in self.ports.ec2.find_own(self.region, [*self._of(ResourceKind.AMI), *ids])}
        amis |= {ami.id: ami for ami in self.ports.ec2.find_by_name(self.region, list(names))}
        amis |= {ami.id: ami for ami in self.ports.ec2.find_created_from(self.region, list(instances))}
        for ami in amis.values():
            yield (
                _resource_of(ami),
                ids.get(ami.id) or names.get(ami.name) or instances.get(ami.source_instance or "", ""),
            )


def _run_of(resource: Resource, recorded: Mapping[str, str]) -> str:
    return next((recorded[name] for name in (resource.id, resource.name, *resource.uses) if recorded.get(name)), "")


def _run_that_made(instance: Resource, runs: Mapping[str, str]) -> str:
    """Returns the run; empty if a user may have copied the tags to the instance."""
    return runs[instance.id] or instance.tags.get(RUN_TAG, "") if _has_packers_key(instance) else ""


def _has_packers_key(instance: Resource) -> bool:
    return any(name.startswith("packer_") for name in instance.uses)


def _named_by(instances: Iterable[Resource], groups: Iterable[Resource]) -> dict[str, str]:
    """Returns the key pairs that tags or instances name, with their runs, without key pairs of the user."""
    named = {
        item.tags[KEY_PAIR_TAG]: item.tags.get(RUN_TAG, "")
        for item in (*instances, *groups)
        if KEY_PAIR_TAG in item.tags
    }
    used = {name: item.tags.get(RUN_TAG, "") for item in instances if _has_packers_key(item) for name in item.uses}
    return {**used, **named}


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
