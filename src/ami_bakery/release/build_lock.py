"""Locks one build for prune, with the lock that a bake uses."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ami_bakery.bake.build_slots import WaitPolicy
from ami_bakery.errors import BusyError
from ami_bakery.release.lock_queue import LockQueue, LockSubject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ami_bakery.bake.held_lock import HeldLock
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.core.lock.lock import LockRecord
    from ami_bakery.ports import Ports

PRUNE_TAG = "ami-bakery:prune"
"""A tag on locks of prune. These have no records of a build, so another prune can take over an expired one."""
_TODO = "Run `ami-bakery prune --apply` again later."
_ORPHANS_TODO = "Bake the image, or remove the lock: ami-bakery images --orphans --clean"


@contextmanager
def lock_build(ports: Ports, image: ImageConfig, region: str, digest: str, doing: str) -> Iterator[HeldLock]:
    """Holds the lock of a digest in the image's build region.

    Raises `BusyError` at once if another runner holds it, or if it is the lock of an interrupted bake.
    """
    subject = LockSubject(
        image=image,
        region=region,
        value=digest,
        doing=doing,
        others="another runner bakes or prunes this definition",
        todo=_TODO,
        tags={PRUNE_TAG: "true"},
    )

    def check_takeover(lock: LockRecord) -> None:
        """Refuses to take over the lock of a bake, which records its resources and AMIs."""
        if PRUNE_TAG not in lock.tags:
            wrong = f"an interrupted bake of this definition still has the lock: {lock.describe()}"
            raise BusyError(doing, wrong, _ORPHANS_TODO)

    held = LockQueue(ports, subject, check_takeover).acquire(WaitPolicy(waits=False))
    try:
        yield held
    finally:
        held.try_release(doing, keep=False)
