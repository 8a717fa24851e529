"""Finds what dead runs have left in the regions of some images: by tag, by what their locks note, and by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.concurrency import run_all
from ami_bakery.core.ec2.image import IMAGE_TAG
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

    from ami_bakery.core.ec2.image import Ami
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.ports import Ports


def find_orphans(resolver: Resolver, names: Sequence[str]) -> tuple[Orphan, ...]:
    """Of every image, in the regions of these: who asks chooses. In the order of region, image, run and kind."""
    regions = sorted({region for name in names for region in _regions(resolver, name)})
    resources, now = resolver.ports.temporary_resources, resolver.ports.clock.now()
    tagged = run_all([partial(resources.tagged, region, KEYS) for region in regions])
    by_region = dict(zip(regions, tagged, strict=True))
    locks = [lock for region in regions for lock in _locks(resolver.ports, region, by_region[region])]
    everything = [tags for of_region in tagged for tags in of_region.values()]
    images = {tags[RUN_TAG]: tags[IMAGE_TAG] for tags in everything if RUN_TAG in tags and IMAGE_TAG in tags}
    notes = index_runs(locks, images)
    asked = [partial(_in_region, resolver.ports, region, by_region[region], notes, now) for region in regions]
    found = (leftover for leftovers in run_all(asked) for leftover in leftovers)
    return tuple(sorted(found, key=_order))


def _regions(resolver: Resolver, name: str) -> tuple[str, ...]:
    """Those of the image, and those where its template itself builds or copies to, as far as it can be read."""
    image = resolver.image(name)
    try:
        builders = resolver.facts(image).builders
    except BakeryError as error:
        resolver.ports.reporter.warn(f"{name}: the regions that its template names are not searched: {error}")
        builders = ()
    return (*resolver.regions_of(image), *regions_named(builders))


def _order(leftover: Orphan) -> tuple[str, str, str, int, str]:
    thing = leftover.resource
    return thing.region, leftover.image, leftover.run, list(ResourceKind).index(thing.kind), thing.id


def _locks(ports: Ports, region: str, tagged: Mapping[str, Mapping[str, str]]) -> list[SeenLock]:
    """By EC2's own time: it has just been asked."""
    seen_at = ports.locks.now(region)
    locks = [
        SeenLock(id=one, region=region, tags=tags, seen_at=seen_at) for one, tags in tagged.items() if LOCK_TAG in tags
    ]
    if not any(lock.exceeds_maximum and not lock.expired for lock in locks):
        return locks
    created = {pair.id: pair.began for pair in ports.temporary_resources.key_pairs(region) or ()}
    return [replace(lock, exists_since=created.get(lock.id)) for lock in locks]


def _in_region(
    ports: Ports, region: str, tagged: Mapping[str, Mapping[str, str]], notes: RunIndex, now: datetime
) -> tuple[Orphan, ...]:
    suspected = {one: tagged[one] for one in candidates(tagged, notes)}
    search = _Search(ports, region, suspected, notes)
    judged = (classify(thing, notes, now, recorded_run=run) for thing, run in search.things())
    locks = (expired_lock(lock) for lock in _locks(ports, region, tagged))
    return tuple(leftover for leftover in (*judged, *locks) if leftover is not None)


def traced(ports: Ports, lock: SeenLock, regions: Iterable[str] = ()) -> tuple[Resource, ...]:
    """What is there of what an expired lock notes of its run, and of what that leads to.

    regions  further regions, to which the template itself copies the AMI
    """
    notes = index_runs([lock], {})
    search = _Search(ports, lock.region, {}, notes)
    here = [thing for thing, run in search.things() if run == lock.run]
    copies = run_all(
        [partial(_copies, ports, region, notes, here) for region in dict.fromkeys(regions) if region != lock.region]
    )
    return (*here, *(copy for some in copies for copy in some))


def _copies(ports: Ports, region: str, notes: RunIndex, made: Sequence[Resource]) -> list[Resource]:
    """The copies of a run's AMI: Packer gives them its name, and EC2 tells what they were copied from."""
    sources = {*notes.recorded(CREATED_AMI_TAG), *(thing.id for thing in made if thing.kind is ResourceKind.AMI)}
    named = ports.ec2.find_by_name(region, list(notes.recorded(NAME_TAG)))
    return [_thing(ami) for ami in named if ami.source is None or ami.source in sources]


@dataclass(frozen=True, slots=True)
class _Search:
    """What is there of what is tagged (`tagged`: by id), of what is noted, and of what one thing tells of another: each
    with its run, where something else than its own tags tells that."""

    ports: Ports
    region: str
    tagged: Mapping[str, Mapping[str, str]]
    notes: RunIndex

    def things(self) -> Iterator[tuple[Resource, str]]:
        resources, region = self.ports.temporary_resources, self.region
        pairs = {**self._pairs_of_tags(), **self.notes.recorded(KEY_PAIR_TAG)}
        instances = resources.instances(
            region, ids=[*self._of(ResourceKind.INSTANCE), *self.notes.recorded(INSTANCE_TAG)], key_pairs=list(pairs)
        )
        noted = {**pairs, **self.notes.recorded(GROUP_TAG, INSTANCE_TAG)}
        runs = {instance.id: _run_of(instance, noted) for instance in instances}
        used = {group: _run_that_made(instance, runs) for instance in instances for group in instance.groups}
        groups = self._groups([group for group, run in used.items() if run])
        yield from ((instance, runs[instance.id]) for instance in instances)
        yield from ((group, _run_of(group, {**used, **noted})) for group in groups)
        yield from self._key_pairs({**_named_by(instances, groups), **pairs})
        yield from ((volume, "") for volume in resources.volumes(region, self._of(ResourceKind.VOLUME)))
        yield from ((snapshot, "") for snapshot in resources.snapshots(region, self._of(ResourceKind.SNAPSHOT)))
        made_by = {instance.id: used_by for instance in instances if (used_by := _run_that_made(instance, runs))}
        yield from self._amis({**self._gone_instances(), **self.notes.recorded(INSTANCE_TAG), **made_by})

    def _of(self, kind: ResourceKind) -> list[str]:
        return [one for one in self.tagged if kind_of(one) is kind]

    def _pairs_of_tags(self) -> dict[str, str]:
        """An instance may have been made without our knowing: where EC2's answer was lost, Packer makes another."""
        return {
            tags[KEY_PAIR_TAG]: tags.get(RUN_TAG, "") for tags in self.tagged.values() if tags.get(KEY_PAIR_TAG, "")
        }

    def _gone_instances(self) -> dict[str, str]:
        """With their run. EC2 shows tags of what is terminated for an hour; nobody but us names a key pair there."""
        return {
            one: tags.get(RUN_TAG, "")
            for one, tags in self.tagged.items()
            if kind_of(one) is ResourceKind.INSTANCE and KEY_PAIR_TAG in tags
        }

    def _groups(self, used: Sequence[str]) -> list[Resource]:
        """Those that an instance uses may be the user's: only Packer's are its run's."""
        asked = self._of(ResourceKind.SECURITY_GROUP)
        found = self.ports.temporary_resources.security_groups(
            self.region, ids=list(dict.fromkeys([*asked, *used])), names=list(self.notes.recorded(GROUP_TAG))
        )
        return [group for group in found if group.id in asked or group.name.startswith("packer_")]

    def _key_pairs(self, names: Mapping[str, str]) -> Iterator[tuple[Resource, str]]:
        """By id where they may be listed; else those that something else tells of, which most often are there."""
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
        """By id, by name, and by the instance that they were made from: the run of each is known."""
        ids, names = self.notes.recorded(CREATED_AMI_TAG), self.notes.recorded(NAME_TAG)
        amis = {ami.id: ami for ami in self.ports.ec2.find_own(self.region, [*self._of(ResourceKind.AMI), *ids])}
        amis |= {ami.id: ami for ami in self.ports.ec2.find_by_name(self.region, list(names))}
        amis |= {ami.id: ami for ami in self.ports.ec2.find_created_from(self.region, list(instances))}
        for ami in amis.values():
            yield _thing(ami), ids.get(ami.id) or names.get(ami.name) or instances.get(ami.source_instance or "", "")


def _run_of(thing: Resource, noted: Mapping[str, str]) -> str:
    return next((noted[name] for name in (thing.id, thing.name, *thing.uses) if noted.get(name)), "")


def _run_that_made(instance: Resource, runs: Mapping[str, str]) -> str:
    """Empty where it may be a person's, who has copied the tags."""
    return runs[instance.id] or instance.tags.get(RUN_TAG, "") if _has_packers_key(instance) else ""


def _has_packers_key(instance: Resource) -> bool:
    return any(name.startswith("packer_") for name in instance.uses)


def _named_by(instances: Iterable[Resource], groups: Iterable[Resource]) -> dict[str, str]:
    """The key pairs that they tell of, with their runs. An instance may use one that the user has chosen."""
    named = {
        one.tags[KEY_PAIR_TAG]: one.tags.get(RUN_TAG, "") for one in (*instances, *groups) if KEY_PAIR_TAG in one.tags
    }
    used = {name: one.tags.get(RUN_TAG, "") for one in instances if _has_packers_key(one) for name in one.uses}
    return {**used, **named}


def _thing(ami: Ami) -> Resource:
    return Resource(
        kind=ResourceKind.AMI,
        id=ami.id,
        region=ami.region,
        name=ami.name,
        began=ami.created,
        tags=ami.tags,
        parts=ami.snapshots,
    )
