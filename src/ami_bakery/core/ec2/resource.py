"""The temporary resources of a build in EC2: kinds, ids and names."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from datetime import datetime


class ResourceKind(StrEnum):
    """In the order in which they can be removed: what uses others goes first."""

    INSTANCE = "instance"
    VOLUME = "volume"
    SECURITY_GROUP = "security-group"
    KEY_PAIR = "key-pair"
    AMI = "ami"
    SNAPSHOT = "snapshot"
    LOCK = "lock"
    """A key pair, whose tags say whose bake it is, and what that has made: it goes last."""


_PREFIXES = {
    "i-": ResourceKind.INSTANCE,
    "vol-": ResourceKind.VOLUME,
    "sg-": ResourceKind.SECURITY_GROUP,
    "key-": ResourceKind.KEY_PAIR,
    "ami-": ResourceKind.AMI,
    "snap-": ResourceKind.SNAPSHOT,
}


def kind_of(identifier: str) -> ResourceKind | None:
    """By the form of EC2's ids; None for a kind that no run leaves."""
    return next((kind for prefix, kind in _PREFIXES.items() if identifier.startswith(prefix)), None)


class Resource(Frozen):
    """One of them. `id` is a key pair's name where its id is not known.

    name   of a key pair, security group or AMI
    began  when it was made; None where EC2 does not tell
    uses   the name of an instance's key pair, if it has one
    groups the ids of an instance's security groups
    parts  what is to go with it: an AMI's snapshots, the volumes that an instance would leave
    """

    kind: ResourceKind
    id: str
    region: str
    name: str = ""
    began: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    uses: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind.replace('-', ' ') if self.kind is not ResourceKind.AMI else 'AMI'} {self.id}"
