"""Finds what dead runs have left in the regions of some images: by tag, by what their locks note, and by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.image import IMAGE_TAG
from ami_bakery.core.leftover import (
    GROUP_TAG,
    INSTANCE_TAG,
    KEYS,
    NAME_TAG,
    Leftover,
    Notes,
    expired_lock,
    judge,
    read_notes,
    suspects,
)
from ami_bakery.core.lock import LOCK_TAG, MADE_TAG, SeenLock
from ami_bakery.core.run import KEY_PAIR_TAG, RUN_TAG
from ami_bakery.core.scaffold import Kind, Thing, kind_of
from ami_bakery.side_by_side import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from ami_bakery.core.image import Ami
    from ami_bakery.ports import Outside
    from ami_bakery.resolve import Resolver


def find_leftovers(resolver: Resolver, names: Sequence[str]) -> tuple[Leftover, ...]:
    """Of every image, in the regions of these: who asks chooses. In the order of region, image, run and kind."""
    regions = sorted({region for name in names for region in resolver.regions_of(resolver.image(name))})
    scaffold, now = resolver.outside.scaffold, resolver.outside.clock.now()
    tagged = side_by_side([partial(scaffold.tagged, region, KEYS) for region in regions])
    by_region = dict(zip(regions, tagged, strict=True))
    locks = [lock for region in regions for lock in _locks(resolver.outside, region, by_region[region])]
    everything = [tags for of_region in tagged for tags in of_region.values()]
    images = {tags[RUN_TAG]: tags[IMAGE_TAG] for tags in everything if RUN_TAG in tags and IMAGE_TAG in tags}
    notes = read_notes(locks, images)
    asked = [partial(_in_region, resolver.outside, region, by_region[region], notes, now) for region in regions]
    found = (leftover for leftovers in side_by_side(asked) for leftover in leftovers)
    return tuple(sorted(found, key=_order))


def _order(leftover: Leftover) -> tuple[str, str, str, int, str]:
    thing = leftover.thing
    return thing.region, leftover.image, leftover.run, list(Kind).index(thing.kind), thing.id


def _locks(outside: Outside, region: str, tagged: Mapping[str, Mapping[str, str]]) -> list[SeenLock]:
    """By EC2's own time: it has just been asked."""
    seen_at = outside.locks.now(region)
    return [
        SeenLock(id=one, region=region, tags=tags, seen_at=seen_at) for one, tags in tagged.items() if LOCK_TAG in tags
    ]


def _in_region(
    outside: Outside, region: str, tagged: Mapping[str, Mapping[str, str]], notes: Notes, now: datetime
) -> tuple[Leftover, ...]:
    search = _Search(outside, region, tuple(suspects(tagged, notes)), notes)
    judged = (judge(thing, notes, now, noted=run) for thing, run in search.things())
    locks = (expired_lock(lock) for lock in _locks(outside, region, tagged))
    return tuple(leftover for leftover in (*judged, *locks) if leftover is not None)


@dataclass(frozen=True, slots=True)
class _Search:
    """What is there of the ids that are tagged, and of what is noted: each with its run, where a note tells."""

    outside: Outside
    region: str
    ids: tuple[str, ...]
    notes: Notes

    def things(self) -> Iterator[tuple[Thing, str]]:
        scaffold, region = self.outside.scaffold, self.region
        pairs = self.notes.noted(KEY_PAIR_TAG)
        instances = scaffold.instances(
            region, ids=[*self._of(Kind.INSTANCE), *self.notes.noted(INSTANCE_TAG)], key_pairs=list(pairs)
        )
        groups = scaffold.security_groups(
            region, ids=self._of(Kind.SECURITY_GROUP), names=list(self.notes.noted(GROUP_TAG))
        )
        noted = self.notes.noted(KEY_PAIR_TAG, GROUP_TAG, INSTANCE_TAG)
        for thing in (*instances, *groups):
            known_by = next((name for name in (thing.id, thing.name, *thing.uses) if name in noted), "")
            yield thing, noted.get(known_by, "")
        yield from self._key_pairs({**_named_by(instances, groups), **pairs})
        yield from ((volume, "") for volume in scaffold.volumes(region, self._of(Kind.VOLUME)))
        yield from ((snapshot, "") for snapshot in scaffold.snapshots(region, self._of(Kind.SNAPSHOT)))
        yield from self._amis()

    def _of(self, kind: Kind) -> list[str]:
        return [one for one in self.ids if kind_of(one) is kind]

    def _key_pairs(self, names: Mapping[str, str]) -> Iterator[tuple[Thing, str]]:
        """By id where they may be listed; else those that something else tells of, which most often are there."""
        ids = self._of(Kind.KEY_PAIR)
        if not names and not ids:
            return
        there = self.outside.scaffold.key_pairs(self.region)
        if there is None:
            there = tuple(Thing(kind=Kind.KEY_PAIR, id=name, region=self.region, name=name) for name in names)
        for pair in there:
            if pair.name in names or pair.id in ids:
                yield pair, names.get(pair.name, "")

    def _amis(self) -> Iterator[tuple[Thing, str]]:
        ids, names = self.notes.noted(MADE_TAG), self.notes.noted(NAME_TAG)
        amis = {ami.id: ami for ami in self.outside.ec2.own(self.region, [*self._of(Kind.AMI), *ids])}
        amis |= {ami.id: ami for ami in self.outside.ec2.named(self.region, list(names))}
        yield from ((_thing(ami), ids.get(ami.id) or names.get(ami.name, "")) for ami in amis.values())


def _named_by(instances: Iterable[Thing], groups: Iterable[Thing]) -> dict[str, str]:
    """The key pairs that they tell of, with their runs. An instance may use one that the user has chosen."""
    named = {
        one.tags[KEY_PAIR_TAG]: one.tags.get(RUN_TAG, "") for one in (*instances, *groups) if KEY_PAIR_TAG in one.tags
    }
    used = {name: one.tags.get(RUN_TAG, "") for one in instances for name in one.uses if name.startswith("packer_")}
    return {**used, **named}


def _thing(ami: Ami) -> Thing:
    return Thing(
        kind=Kind.AMI,
        id=ami.id,
        region=ami.region,
        name=ami.name,
        began=ami.created,
        tags=ami.tags,
        parts=ami.snapshots,
    )
