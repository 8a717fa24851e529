"""Tags resources that only an expired lock records, for later cleanup.

It runs before the lock is deleted, and removes nothing, because the holder may only be paused. `images --orphans` lists
and removes orphaned resources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cleanup.orphan_search import recorded_resources
from ami_bakery.core.ec2.ami import FORMAT_TAG, IMAGE_TAG
from ami_bakery.core.ec2.resource import ResourceKind, kind_of
from ami_bakery.core.ec2.run import KEY_PAIR_TAG, RUN_TAG
from ami_bakery.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ami_bakery.core.ec2.resource import Resource
    from ami_bakery.core.lock.lock import LockRecord
    from ami_bakery.ports import Ports


def tag_orphaned_resources(ports: Ports, image: str, lock: LockRecord, regions: Sequence[str]) -> None:
    """Tags the resources. Best effort: a failure is reported, and does not stop the take-over.

    regions  regions that the template copies the AMI to
    """
    try:
        resources = recorded_resources(ports, lock, regions)
    except AwsError as error:
        ports.reporter.warn(f"{image}: could not look for resources of {lock.holder}: {error}")
        return
    for resource in resources:
        try:
            _mark(ports, image, resource, lock, resources)
        except AwsError as error:
            ports.reporter.warn(
                f"{image}: could not tag {resource} of {resource.region}, a resource of {lock.holder}: {error}"
            )


def _mark(ports: Ports, image: str, resource: Resource, lock: LockRecord, others: Sequence[Resource]) -> None:
    if resource.tags.get(RUN_TAG) or resource.tags.get(FORMAT_TAG):
        return
    pair = lock.tags.get(KEY_PAIR_TAG, "")
    if kind_of(resource.id) is not None:
        tags = {RUN_TAG: lock.run, IMAGE_TAG: lock.tags.get(IMAGE_TAG, image)}
        if pair and resource.kind in (ResourceKind.INSTANCE, ResourceKind.SECURITY_GROUP):
            tags[KEY_PAIR_TAG] = pair
        ports.ec2.tag(resource.region, [resource.id], tags)
    elif not any(other.kind in (ResourceKind.INSTANCE, ResourceKind.SECURITY_GROUP) for other in others):
        # Known only by its name, because key pairs may not be listed; nothing else refers to it.
        ports.temporary_resources.remove(resource)
