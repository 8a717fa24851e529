"""Finds the copies and descendants of AMIs by their tags."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from ami_bakery.core.channel.promotable import build_key
from ami_bakery.core.ec2.ami import FROM_TAG, IMAGE_TAG, ORIGIN_TAG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ami_bakery.core.ec2.ami import Ami

_LONGEST_REASON = 256
"""EC2's maximum length of a tag's value."""


def reason_problem(reason: str) -> str:
    """Returns why a text cannot be the reason of a revocation; else empty."""
    if not reason.strip():
        return "the reason is empty"
    if len(reason) > _LONGEST_REASON:
        return f"the reason has {len(reason)} characters, and a tag of EC2 has at most {_LONGEST_REASON}"
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in reason):
        return "the reason has a control character, such as a line break"
    return ""


def with_copies(seeds: Iterable[Ami], amis: Iterable[Ami]) -> tuple[Ami, ...]:
    """Returns the seeds and all their builds' copies, by region and id."""
    return _closure(seeds, amis, descendants=False)


def with_descendants(seeds: Iterable[Ami], amis: Iterable[Ami]) -> tuple[Ami, ...]:
    """Returns the seeds, their descendants, and all copies, by region and id.

    What an AMI was built from is in its tag `ami-bakery:from`; EC2 knows the source of a copy, too.
    """
    return _closure(seeds, amis, descendants=True)


def _closure(seeds: Iterable[Ami], amis: Iterable[Ami], *, descendants: bool) -> tuple[Ami, ...]:
    found = {(ami.region, ami.id): ami for ami in seeds}
    others = [ami for ami in amis if (ami.region, ami.id) not in found]
    grows = True
    while grows:
        keys, ids = {build_key(ami) for ami in found.values()}, {ami.id for ami in found.values()}
        new = [
            ami
            for ami in others
            if build_key(ami) in keys or _is_copy(ami, ids) or (descendants and _is_child(ami, ids))
        ]
        found |= {(ami.region, ami.id): ami for ami in new}
        others = [ami for ami in others if (ami.region, ami.id) not in found]
        grows = bool(new)
    return tuple(ami for _, ami in sorted(found.items()))


def _is_copy(ami: Ami, ids: set[str]) -> bool:
    """Whether it is a copy of one of these AMIs."""
    copied = ami.source in ids and ami.source_region is not None and ami.source_region != ami.region
    return copied or (ami.tags.get(ORIGIN_TAG, "") in ids and bool(ami.tags.get(ORIGIN_TAG)))


def _is_child(ami: Ami, ids: set[str]) -> bool:
    return ami.source in ids or not ids.isdisjoint(ami.tags.get(FROM_TAG, "").split())


def affected_images(amis: Iterable[Ami]) -> tuple[str, ...]:
    """Returns the images of these AMIs, sorted, each once."""
    return tuple(sorted({ami.tags[IMAGE_TAG] for ami in amis if ami.tags.get(IMAGE_TAG)}))
