"""Detects a key pair with a lock's name that is no lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.lock.lock import LOCK_TAG
from ami_bakery.errors import AwsError

if TYPE_CHECKING:
    from ami_bakery.core.lock.lock import Timing


class HiddenLock:
    """Measures how long a lock's name is refused without a visible lock.

    If this runner is paused between a refusal and the next look-up, another run may release the name meanwhile, and a
    third one may acquire it. So only the time between two refusals counts, and a longer pause between two events
    restarts the measurement. Times are of a monotonic clock.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._first: float | None = None
        self._last = 0.0

    def refused(self, now: float) -> None:
        if self._first is None or self._paused(now):
            self._first = now
        self._last = now

    def is_overdue(self, now: float) -> bool:
        """Whether the name's refusals last longer than a lock can be invisible."""
        if self._first is None:
            return False
        if self._paused(now):
            self.end()
            return False
        return self._last - self._first > self._timing.overdue_seconds

    def end(self) -> None:
        """Restarts the measurement: a lock was visible, or the name was free."""
        self._first = None

    def _paused(self, now: float) -> bool:
        return now - self._last > self._timing.lifetime_seconds


def foreign_key_pair(doing: str, region: str, name: str, key_pair: str) -> AwsError:
    """Returns the error for a key pair that is not a lock.

    key_pair  its id; empty if the credentials may not list key pairs. The advice uses the id, because deleting by name
              could delete the lock of another run that has acquired the name meanwhile
    """
    wrong = f"the key pair {key_pair or name} in {region} has the lock's name"
    wrong += f" {name}" if key_pair else ""
    wrong += " but none of its tags: it was not created by ami-bakery"
    delete = f"aws ec2 delete-key-pair --region {region} --key-pair-id"
    if key_pair:
        return AwsError(doing, wrong, f"Delete it if it is not needed: {delete} {key_pair}")
    look = f"aws ec2 describe-key-pairs --region {region} --key-names {name}"
    return AwsError(
        doing, wrong, f"Look at it: {look}. If it has no tag {LOCK_TAG}, delete it by the id shown there: {delete} ID"
    )
