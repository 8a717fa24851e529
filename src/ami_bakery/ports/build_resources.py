"""Interfaces to what builds create in EC2 while they run: resources and locks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from ami_bakery.core.ec2.resource import Resource
    from ami_bakery.core.lock.lock import LockRecord


class TemporaryResources(Protocol):
    """Temporary resources of builds in EC2, one region per call.

    Each method reads all pages, ignores resources that do not exist, and raises `AwsError`.
    """

    def tagged(self, region: str, keys: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Returns all resources with one of these tags: the requested tags, by resource id."""

    def instances(
        self, region: str, *, ids: Sequence[str] = (), key_pairs: Sequence[str] = (), amis: Sequence[str] = ()
    ) -> tuple[Resource, ...]:
        """Returns instances that are not terminated: by id, by key pair name, or by AMI."""

    def source_amis(self, region: str, instances: Sequence[str]) -> Mapping[str, str]:
        """Returns the AMI that each of these instances was started from. Includes terminated ones that EC2 shows."""

    def security_groups(
        self, region: str, *, ids: Sequence[str] = (), names: Sequence[str] = ()
    ) -> tuple[Resource, ...]: ...

    def key_pairs(self, region: str) -> tuple[Resource, ...] | None:
        """Returns all key pairs; None without permission to list them, which Packer's documented policy lacks."""

    def volumes(self, region: str, ids: Sequence[str]) -> tuple[Resource, ...]: ...

    def snapshots(self, region: str, ids: Sequence[str]) -> tuple[Resource, ...]:
        """Returns the snapshots of this account among `ids`."""

    def remove(self, resource: Resource) -> None:
        """Requests the removal, without waiting for it. A missing resource counts as removed."""


class Locks(Protocol):
    """Locks in EC2, one region per call. A lock's name is unique. Each method raises `AwsError`."""

    def holder(self) -> str:
        """Returns a description of this machine and process: ``build-7 (pid 42)``."""

    def now(self, region: str) -> datetime:
        """Returns EC2's time without a request. The time is the same for all runners."""

    def acquire(self, region: str, name: str, tags: Mapping[str, str]) -> str | None:
        """Creates a lock with these tags and returns its id; None if a lock of this name exists."""

    def of_digests(self, region: str, digests: Sequence[str]) -> tuple[LockRecord, ...]:
        """Returns the locks of these digests, including expired ones."""

    def tag(self, region: str, ids: Sequence[str], tags: Mapping[str, str], *, retry: bool = True) -> bool:
        """Tags all these locks and AMIs, or none. Returns False if one does not exist.

        `retry`: whether to retry, with long timeouts; otherwise it fails after a few seconds.
        """

    def delete(self, region: str, lock: str) -> None:
        """Deletes a lock by its id. A missing lock is ignored."""
