"""Removes resources from EC2 in dependency order."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import IMAGE_TAG
from ami_bakery.core.ec2.resource import Resource, ResourceKind
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.errors import AwsError, InUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ami_bakery.ports import Ports

_POLL_SECONDS = 5.0
_WAIT_SECONDS = 10 * 60.0
"""EC2 needs about a minute to terminate an instance, sometimes more."""


def remove(
    ports: Ports, resources: Iterable[Resource], pause: Callable[[float], None]
) -> Iterator[tuple[Resource, AwsError | None]]:
    """Removes resources. Yields each with the error if it could not be removed; continues after errors.

    An AMI from which an instance was started is kept. Volumes and snapshots of removed resources are removed and
    yielded, too.
    """
    ordered = sorted(
        resources, key=lambda resource: (list(ResourceKind).index(resource.kind), resource.region, resource.id)
    )
    instances = [resource for resource in ordered if resource.kind is ResourceKind.INSTANCE]
    refused = dict(_terminate(ports, instances, pause))
    for instance in instances:
        yield instance, refused.get(instance.id)
        if instance.id not in refused:
            yield from _parts_removed(ports, instance, pause)
    for resource in ordered:
        if resource.kind is not ResourceKind.INSTANCE:
            yield from _removed(ports, resource, pause)


def _terminate(
    ports: Ports, instances: Sequence[Resource], pause: Callable[[float], None]
) -> Iterator[tuple[str, AwsError]]:
    """Terminates all instances and waits. Their security groups cannot be removed before that."""
    waiting: dict[str, list[str]] = {}
    for instance in instances:
        try:
            ports.temporary_resources.remove(instance)
        except AwsError as error:
            yield instance.id, error
        else:
            waiting.setdefault(instance.region, []).append(instance.id)
    deadline = ports.clock.monotonic() + _WAIT_SECONDS
    for region, ids in waiting.items():
        while left := ports.temporary_resources.instances(region, ids=ids):
            if ports.clock.monotonic() > deadline:
                for instance in left:
                    yield instance.id, _too_slow(instance)
                break
            pause(_POLL_SECONDS)


def _too_slow(instance: Resource) -> AwsError:
    return AwsError(
        f"waiting until {instance.id} is terminated in {instance.region}",
        f"it is not terminated after {_WAIT_SECONDS / 60:.0f} minutes",
        "Check it in EC2.",
    )


def _removed(
    ports: Ports, resource: Resource, pause: Callable[[float], None]
) -> Iterator[tuple[Resource, AwsError | None]]:
    try:
        if resource.kind is ResourceKind.AMI:
            _check_unused(ports, resource)
            _mark_snapshots(ports, resource)
        _remove_patiently(ports, resource, pause)
    except AwsError as error:
        yield resource, error
        return
    yield resource, None
    yield from _parts_removed(ports, resource, pause)


def _parts_removed(
    ports: Ports, resource: Resource, pause: Callable[[float], None]
) -> Iterator[tuple[Resource, AwsError | None]]:
    kind = ResourceKind.SNAPSHOT if resource.kind is ResourceKind.AMI else ResourceKind.VOLUME
    for part in resource.parts:
        yield from _removed(ports, Resource(kind=kind, id=part, region=resource.region), pause)


def _mark_snapshots(ports: Ports, ami: Resource) -> None:
    """Tags the snapshots. A later cleanup then finds those that this one does not delete."""
    if RUN_TAG in ami.tags and ami.parts:
        tags = {name: ami.tags[name] for name in (RUN_TAG, IMAGE_TAG) if name in ami.tags}
        with suppress(AwsError):
            ports.ec2.tag(ami.region, ami.parts, tags)


def _remove_patiently(ports: Ports, resource: Resource, pause: Callable[[float], None]) -> None:
    """Removes a resource, with retries. A terminated instance may use its security group a moment longer."""
    deadline = ports.clock.monotonic() + _WAIT_SECONDS / 10
    while True:
        try:
            return ports.temporary_resources.remove(resource)
        except InUseError:
            if ports.clock.monotonic() > deadline:
                raise
        pause(_POLL_SECONDS)


def _check_unused(ports: Ports, ami: Resource) -> None:
    users = ports.temporary_resources.instances(ami.region, amis=[ami.id])
    if users:
        raise AwsError(
            f"removing {ami} in {ami.region}",
            f"{', '.join(user.id for user in users)} was started from it",
            "Terminate it first if it is not needed.",
        )
