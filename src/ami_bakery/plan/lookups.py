"""Looks up the AMIs of many definitions at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.concurrency import run_all
from ami_bakery.core.ec2.ami import DIGEST_TAG, Ami

if TYPE_CHECKING:
    from ami_bakery.define.resolver import ImageDefinition, Resolver


def regions_of_definition(resolver: Resolver, definition: ImageDefinition) -> tuple[str, ...]:
    """Returns the configured regions, and those to which the template copies AMIs."""
    return tuple(dict.fromkeys((*resolver.regions_of(definition.image), *definition.regions_of_template)))


def look_up(resolver: Resolver, definitions: Sequence[ImageDefinition]) -> dict[str, list[Ami]]:
    """Returns AMIs by digest. One call for each region and set of owners, all concurrently."""
    wanted: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for definition in definitions:
        if definition.digest is not None:
            for region in regions_of_definition(resolver, definition):
                wanted.setdefault((region, definition.image.owners), set()).add(definition.digest.hex)
    with_digests = resolver.ports.ec2.find_by_digest
    calls = [
        partial(with_digests, region, sorted(digests), owners) for (region, owners), digests in sorted(wanted.items())
    ]
    found: dict[str, list[Ami]] = {}
    for ami in (ami for amis in run_all(calls) for ami in amis):
        found.setdefault(ami.tags.get(DIGEST_TAG, ""), []).append(ami)
    return found


def may_be_kept(definition: ImageDefinition, found: Mapping[str, Sequence[Ami]]) -> bool:
    """Whether an AMI that failed its test may exist. It exists only in place of a finished one."""
    digest = definition.digest
    if definition.test is None or digest is None:
        return False
    return not any(ami.available and not ami.revoked and ami.carries(digest) for ami in found.get(digest.hex, ()))


def look_up_failed(resolver: Resolver, definitions: Sequence[ImageDefinition]) -> tuple[Ami, ...]:
    """Returns AMIs that failed their test. One call for each build region and set of owners."""
    wanted: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for definition in definitions:
        if definition.digest is not None:
            key = (resolver.region_of(definition.image), definition.image.owners)
            wanted.setdefault(key, set()).add(definition.digest.hex)
    lookup = resolver.ports.ec2.find_test_failed
    calls = [partial(lookup, region, sorted(digests), owners) for (region, owners), digests in sorted(wanted.items())]
    return tuple(ami for amis in run_all(calls) for ami in amis)


def of_images(resolver: Resolver, names: Mapping[tuple[str, tuple[str, ...]], Iterable[str]]) -> list[Ami]:
    """Returns all AMIs of these images. One concurrent call for each region and set of owners (the keys of `names`)."""
    of_images = resolver.ports.ec2.find_by_image
    calls = [partial(of_images, region, sorted(images), owners) for (region, owners), images in sorted(names.items())]
    return [ami for amis in run_all(calls) for ami in amis]
