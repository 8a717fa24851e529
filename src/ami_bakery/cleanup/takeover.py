"""Marks what an expired lock alone tells of with its run, before whoever takes it over deletes it: so it can be found.

Nothing is removed: its holder may stand still only. What dead runs have left is shown and removed by `--orphans`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cleanup.orphans import traced
from ami_bakery.core.ec2.image import FORMAT_TAG, IMAGE_TAG
from ami_bakery.core.ec2.resource import ResourceKind, kind_of
from ami_bakery.core.ec2.run import KEY_PAIR_TAG, RUN_TAG
from ami_bakery.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ami_bakery.core.ec2.resource import Resource
    from ami_bakery.core.lock.lock import SeenLock
    from ami_bakery.ports import Ports


def tag_orphaned_resources(ports: Ports, image: str, lock: SeenLock, regions: Sequence[str]) -> None:
    """Best effort: it must keep nobody from taking over. What cannot be marked is told.

    regions  where the template itself copies the AMI to
    """
    try:
        things = traced(ports, lock, regions)
    except AwsError as error:
        ports.reporter.warn(f"{image}: whether {lock.holder} has left something could not be seen: {error}")
        return
    for thing in things:
        try:
            _mark(ports, image, thing, lock, things)
        except AwsError as error:
            ports.reporter.warn(f"{image}: {thing} of {thing.region}, left by {lock.holder}, is not marked: {error}")


def _mark(ports: Ports, image: str, thing: Resource, lock: SeenLock, others: Sequence[Resource]) -> None:
    if thing.tags.get(RUN_TAG) or thing.tags.get(FORMAT_TAG):
        return
    pair = lock.tags.get(KEY_PAIR_TAG, "")
    if kind_of(thing.id) is not None:
        tags = {RUN_TAG: lock.run, IMAGE_TAG: lock.tags.get(IMAGE_TAG, image)}
        if pair and thing.kind in (ResourceKind.INSTANCE, ResourceKind.SECURITY_GROUP):
            tags[KEY_PAIR_TAG] = pair
        ports.ec2.tag(thing.region, [thing.id], tags)
    elif not any(other.kind in (ResourceKind.INSTANCE, ResourceKind.SECURITY_GROUP) for other in others):
        # Known by its name only, where key pairs may not be listed; and nothing else will tell of it.
        ports.temporary_resources.remove(thing)
