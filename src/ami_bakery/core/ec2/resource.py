"""The kinds, ids and names of a build's resources in EC2."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from datetime import datetime


class ResourceKind(StrEnum):
    """Kinds of resources, in order of removal: a resource comes before those that it uses."""

    INSTANCE = "instance"
    VOLUME = "volume"
    SECURITY_GROUP = "security-group"
    KEY_PAIR = "key-pair"
    AMI = "ami"
    SNAPSHOT = "snapshot"
    LOCK = "lock"
    """The last one, because the lock's tags record the holder and the other resources. It is a key pair in EC2."""


_PREFIXES = {
    "i-": ResourceKind.INSTANCE,
    "vol-": ResourceKind.VOLUME,
    "sg-": ResourceKind.SECURITY_GROUP,
    "key-": ResourceKind.KEY_PAIR,
    "ami-": ResourceKind.AMI,
    "snap-": ResourceKind.SNAPSHOT,
}


def kind_of(identifier: str) -> ResourceKind | None:
    """Returns the kind by the prefix of an EC2 id; None for kinds that no run creates."""
    return next((kind for prefix, kind in _PREFIXES.items() if identifier.startswith(prefix)), None)


class Resource(Frozen):
    """A resource that a run may have created in EC2.

    id      EC2's id; the name of a key pair if its id is unknown
    name    the name of a key pair, security group or AMI; empty for other kinds
    began   when it was created; None if EC2 has no date
    uses    the name of an instance's key pair, if it has one
    groups  the ids of an instance's security groups
    parts   resources to remove with it: an AMI's snapshots, and volumes that an instance would leave behind
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
