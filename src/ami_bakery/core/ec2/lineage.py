"""Finds the source AMIs and originals of AMIs, and builds lineage trees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import FROM_TAG, ORIGIN_TAG
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.ec2.ami import Ami


@dataclass(frozen=True, slots=True, order=True)
class AmiKey:
    """The region and id of an AMI."""

    region: str
    id: str


def key_of(ami: Ami) -> AmiKey:
    return AmiKey(ami.region, ami.id)


def copied_from(ami: Ami, home: str) -> AmiKey | None:
    """Returns the AMI that this one is a copy of; None if it was built. `home`: the image's build region."""
    if ami.source and ami.source_region and ami.source_region != ami.region:
        return AmiKey(ami.source_region, ami.source)
    origin = ami.tags.get(ORIGIN_TAG)
    return AmiKey(ami.source_region or home, origin) if origin and origin != ami.id else None


def baked_from(ami: Ami, home: str) -> AmiKey | None:
    """Returns this AMI's source AMI. For a copy, returns the source AMI of its original."""
    copied = copied_from(ami, home)
    bases = ami.tags.get(FROM_TAG, "").split()
    if bases:
        base = ami.source if ami.source in bases else bases[0]
        return AmiKey(copied.region if copied else ami.region, base or "")
    return AmiKey(ami.region, ami.source) if ami.source and copied is None else None


def parent_key(ami: Ami, home: str) -> AmiKey | None:
    """Returns the original of a copy, or else the source AMI."""
    return copied_from(ami, home) or baked_from(ami, home)


class Lineage(Frozen):
    """An AMI and its children. `ami` is None if EC2 no longer has it."""

    key: AmiKey
    ami: Ami | None
    children: tuple[Lineage, ...] = ()


def grow(parents: Mapping[AmiKey, AmiKey | None], amis: Mapping[AmiKey, Ami]) -> tuple[Lineage, ...]:
    """Builds the trees of these AMIs from their `parents`. AMIs without a parent are roots.

    Children and roots are sorted newest first. Anyone can write tags: if they are circular, the first AMI of the circle
    is a root.
    """
    children: dict[AmiKey | None, list[AmiKey]] = {}
    for key, parent in parents.items():
        children.setdefault(None if parent is None or _in_circle(key, parents) else parent, []).append(key)
    everyone = set(parents)
    for parent in [parent for parent in children if parent is not None and parent not in everyone]:
        children.setdefault(None, []).append(parent)

    def tree(key: AmiKey) -> Lineage:
        return Lineage(
            key=key, ami=amis.get(key), children=tuple(map(tree, _newest_first(children.get(key, ()), amis)))
        )

    return tuple(map(tree, _newest_first(children.get(None, ()), amis)))


def _in_circle(key: AmiKey, parents: Mapping[AmiKey, AmiKey | None]) -> bool:
    """Whether `key` is the first AMI of a circle of parents."""
    seen = [key]
    at = parents.get(key)
    while at is not None and at not in seen:
        seen.append(at)
        at = parents.get(at)
    return at == key and key == min(seen)


def _newest_first(keys: Iterable[AmiKey], amis: Mapping[AmiKey, Ami]) -> list[AmiKey]:
    def age(key: AmiKey) -> tuple[bool, float, AmiKey]:
        ami = amis.get(key)
        created = ami.created if ami else None
        return created is not None, created.timestamp() if created else 0.0, key

    return sorted(keys, key=age, reverse=True)
