"""Which AMI was made from which: bases, copies, and the trees that they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.image import FROM_TAG, ORIGIN_TAG
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.ec2.image import Ami


@dataclass(frozen=True, slots=True, order=True)
class AmiKey:
    """Where an AMI is, and its id: it belongs to one region."""

    region: str
    id: str


def key_of(ami: Ami) -> AmiKey:
    return AmiKey(ami.region, ami.id)


def copied_from(ami: Ami, home: str) -> AmiKey | None:
    """The AMI that this one is a copy of; None where it was baked. `home`: where its image is baked, if known."""
    if ami.source and ami.source_region and ami.source_region != ami.region:
        return AmiKey(ami.source_region, ami.source)
    origin = ami.tags.get(ORIGIN_TAG)
    return AmiKey(ami.source_region or home, origin) if origin and origin != ami.id else None


def baked_from(ami: Ami, home: str) -> AmiKey | None:
    """The base of this AMI, or of the one that it is a copy of."""
    copied = copied_from(ami, home)
    bases = ami.tags.get(FROM_TAG, "").split()
    if bases:
        base = ami.source if ami.source in bases else bases[0]
        return AmiKey(copied.region if copied else ami.region, base or "")
    return AmiKey(ami.region, ami.source) if ami.source and copied is None else None


def parent_key(ami: Ami, home: str) -> AmiKey | None:
    """What this AMI was made from, by whichever way."""
    return copied_from(ami, home) or baked_from(ami, home)


class Lineage(Frozen):
    """An AMI and what was made from it. `ami` is None where EC2 does not have it any more."""

    key: AmiKey
    ami: Ami | None
    children: tuple[Lineage, ...] = ()


def grow(parents: Mapping[AmiKey, AmiKey | None], amis: Mapping[AmiKey, Ami]) -> tuple[Lineage, ...]:
    """The trees of these AMIs: `parents` has what each was made from. What has no parent here is a root.

    Children stand under their parent newest first, and so do roots. Tags can be written by anyone: where they lead in a
    circle, the first of it is a root.
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
    """Whether following the parents comes back to `key`, which is the first of those on the way."""
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
