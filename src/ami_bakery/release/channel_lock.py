"""Serializes the changes of one channel with a lock in EC2."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from ami_bakery.core.lock.lock import ROLLBACK_TAG
from ami_bakery.errors import BusyError
from ami_bakery.release.lock_queue import BUSY_TODO, LockQueue, LockSubject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ami_bakery.bake.build_slots import WaitPolicy
    from ami_bakery.bake.held_lock import HeldLock
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.ports import Ports

_CLOCK_SLACK = timedelta(seconds=2)
"""Maximum difference between the clocks of EC2 and SSM."""


class HeldChannel:
    """The lock of a channel that this runner holds.

    unfinished  the target of a roll-back whose runner was killed or failed, as `us-east-1:ami-1`; empty if none
    """

    def __init__(self, doing: str, held: HeldLock, unfinished: str, waited_since: datetime | None) -> None:
        self._doing = doing
        self._held = held
        self._keeps = bool(unfinished)
        self._waited_since = waited_since
        self.unfinished = unfinished

    def confirm(self) -> None:
        """Raises `BusyError` if the lock is lost."""
        if not self._held.confirm():
            raise self._lost()

    def waited_for(self, moment: datetime | None) -> bool:
        """Whether a change at this time may be one that this runner waited for. None: the time is unknown."""
        if self._waited_since is None:
            return False
        return moment is None or moment >= self._waited_since - _CLOCK_SLACK

    def begin_rollback(self, target: str) -> None:
        """Records the target, so that a later run can finish this roll-back."""
        if not self._held.renew({ROLLBACK_TAG: target}, retry=True):
            raise self._lost()
        self._keeps = True

    def complete(self) -> None:
        """Declares that every region has the AMI. So no roll-back of this channel is unfinished."""
        self._keeps = False

    def release(self) -> None:
        """Releases the lock. As long as a roll-back is unfinished, the expired lock is kept for its record."""
        self._held.try_release(self._doing, keep=self._keeps and not self._held.lost)

    def _lost(self) -> BusyError:
        return BusyError(self._doing, f"the channel's lock was lost: {self._held.loss}", BUSY_TODO)


@contextmanager
def lock_channel(
    ports: Ports, image: ImageConfig, region: str, parameter: str, doing: str, wait_policy: WaitPolicy
) -> Iterator[HeldChannel]:
    """Holds the lock of a channel, in the image's first region.

    Raises `BusyError` if another runner holds it and waiting is disabled or timed out.
    """
    subject = LockSubject(
        image=image,
        region=region,
        value=parameter,
        doing=doing,
        others="another runner is changing this channel",
        carried=(ROLLBACK_TAG,),
    )
    queue = LockQueue(ports, subject)
    lock = queue.acquire(wait_policy)
    held = HeldChannel(doing, lock, queue.carried.get(ROLLBACK_TAG, ""), queue.waited_since)
    try:
        yield held
    finally:
        held.release()
