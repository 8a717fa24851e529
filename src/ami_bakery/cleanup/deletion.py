"""Removes what runs have left in EC2, in the order that EC2 allows: what uses others first."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.image import IMAGE_TAG
from ami_bakery.core.ec2.resource import Resource, ResourceKind
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ami_bakery.ports import Ports

_POLL_SECONDS = 5.0
_WAIT_SECONDS = 10 * 60.0
"""EC2 takes a minute or so to terminate an instance, and some longer."""
_IN_USE = "DependencyViolation"


def remove(
    ports: Ports, things: Iterable[Resource], pause: Callable[[float], None]
) -> Iterator[tuple[Resource, AwsError | None]]:
    """Each of them with why it could not be removed, as they come; a refusal does not keep the others back.

    An AMI from which an instance was started stays. The parts of what is removed go with it, and are told of, too.
    """
    ordered = sorted(things, key=lambda thing: (list(ResourceKind).index(thing.kind), thing.region, thing.id))
    instances = [thing for thing in ordered if thing.kind is ResourceKind.INSTANCE]
    refused = dict(_terminate(ports, instances, pause))
    for instance in instances:
        yield instance, refused.get(instance.id)
        if instance.id not in refused:
            yield from _parts_removed(ports, instance, pause)
    for thing in ordered:
        if thing.kind is not ResourceKind.INSTANCE:
            yield from _removed(ports, thing, pause)


def _terminate(
    ports: Ports, instances: Sequence[Resource], pause: Callable[[float], None]
) -> Iterator[tuple[str, AwsError]]:
    """Ask for all, then wait for all: their security groups can go only when they are gone."""
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
        f"it is not after {_WAIT_SECONDS / 60:.0f} minutes",
        "Look at it in EC2.",
    )


def _removed(
    ports: Ports, thing: Resource, pause: Callable[[float], None]
) -> Iterator[tuple[Resource, AwsError | None]]:
    try:
        if thing.kind is ResourceKind.AMI:
            _check_unused(ports, thing)
            _mark_snapshots(ports, thing)
        _remove_patiently(ports, thing, pause)
    except AwsError as error:
        yield thing, error
        return
    yield thing, None
    yield from _parts_removed(ports, thing, pause)


def _parts_removed(
    ports: Ports, thing: Resource, pause: Callable[[float], None]
) -> Iterator[tuple[Resource, AwsError | None]]:
    kind = ResourceKind.SNAPSHOT if thing.kind is ResourceKind.AMI else ResourceKind.VOLUME
    for part in thing.parts:
        yield from _removed(ports, Resource(kind=kind, id=part, region=thing.region), pause)


def _mark_snapshots(ports: Ports, ami: Resource) -> None:
    """They are found by it where they outlive their AMI: if one cannot be deleted, or we are killed in between."""
    if RUN_TAG in ami.tags and ami.parts:
        tags = {name: ami.tags[name] for name in (RUN_TAG, IMAGE_TAG) if name in ami.tags}
        with suppress(AwsError):
            ports.ec2.tag(ami.region, ami.parts, tags)


def _remove_patiently(ports: Ports, thing: Resource, pause: Callable[[float], None]) -> None:
    """A terminated instance may hold its security group for some moments yet."""
    deadline = ports.clock.monotonic() + _WAIT_SECONDS / 10
    while True:
        try:
            return ports.temporary_resources.remove(thing)
        except AwsError as error:
            if error.code != _IN_USE or ports.clock.monotonic() > deadline:
                raise
        pause(_POLL_SECONDS)


def _check_unused(ports: Ports, ami: Resource) -> None:
    users = ports.temporary_resources.instances(ami.region, amis=[ami.id])
    if users:
        raise AwsError(
            f"removing {ami} in {ami.region}",
            f"{', '.join(user.id for user in users)} was started from it",
            "Terminate that first, if nobody needs it.",
        )
