"""Renews this runner's lock, records on it, and detects its loss."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from ami_bakery.core.lock.lock import EXPIRES_TAG, expiry, past_expiry
from ami_bakery.errors import AwsError, BakeryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ami_bakery.core.lock.lock import Timing
    from ami_bakery.ports import Ports

_STOP_AGAIN_SECONDS = 1.0
"""Packer may have been about to start when it was stopped, so it is stopped again."""
_WATCH_SECONDS = 1.0
_PAUSED_SECONDS = 5.0
"""A thread that wakes up this late was paused with its machine."""
_GONE = "it does not exist any more: another runner has taken it over, or it was deleted"


class HeldLock:
    """Renews the lock until it is released.

    If the lock is gone, or could not be renewed before it expired, calls `on_loss` repeatedly until the release.

    expires_at  the expiry on this machine's monotonic clock; EC2's response that we hold the lock may have been late
    """

    def __init__(
        self,
        ports: Ports,
        region: str,
        lock: str,
        timing: Timing,
        on_loss: Callable[[str], None],
        *,
        expires_at: float,
    ) -> None:
        self.id = lock
        self._ports = ports
        self._region = region
        self._timing = timing
        self._on_loss = on_loss
        self._acquired_at = ports.clock.monotonic()
        self._expires_at = expires_at
        self._loss = _GONE
        self._error: Exception | None = None
        """The error of the last renewal; None if it succeeded, or has not returned yet."""
        self._lost = threading.Event()
        self._released = threading.Event()
        self._losing = threading.Lock()
        for name, work in (("renews", self._renew_loop), ("watches", self._watch_expiry)):
            threading.Thread(target=work, name=f"{name} {lock}", daemon=True).start()

    @property
    def lost(self) -> bool:
        return self._lost.is_set()

    @property
    def loss(self) -> str:
        """Why the lock is lost, as a clause."""
        return self._loss

    @property
    def held_seconds(self) -> float:
        return self._ports.clock.monotonic() - self._acquired_at

    def confirm(self) -> bool:
        """Whether the lock is ours now. Renews it if a renewal is due. Raises `AwsError`."""
        renewed_at = self._expires_at - self._timing.lifetime_seconds
        due = self._ports.clock.monotonic() >= renewed_at + self._timing.renew_seconds
        return not self.lost and (not due or self.renew(retry=True))

    def renew(self, records: Mapping[str, str] | None = None, *, retry: bool = False) -> bool:
        """Renews the lock, with records in the same call. Returns False if it is gone. Raises `AwsError`."""
        before = self._ports.clock.monotonic()
        tags = {**(records or {}), EXPIRES_TAG: expiry(self._ports.locks.now(self._region), self._timing)}
        if not self.tag((), tags, retry=retry):
            return False
        self._expires_at = before + self._timing.lifetime_seconds
        return True

    def record(self, records: Mapping[str, str]) -> None:
        """Adds records for a runner that takes the lock over. Best effort. Raises `AwsError`."""
        self._ports.locks.tag(self._region, [self.id], records, retry=False)

    def tag(self, amis: Sequence[str], tags: Mapping[str, str], *, retry: bool = True) -> bool:
        """Tags AMIs in one call with the lock, all or nothing. Returns False if the lock or an AMI does not exist.

        EC2 may not know a new lock for a moment, so False is final only after the settling time.
        """
        while True:
            if self._ports.locks.tag(self._region, [self.id, *amis], tags, retry=retry):
                return True
            if self.held_seconds >= self._timing.settling_seconds:
                return False
            self._ports.clock.sleep_uninterrupted(min(1.0, self._timing.settling_seconds / 4))

    def release(self, *, keep: bool) -> None:
        """Deletes the lock; with `keep`, sets it to expired and keeps its records. If this fails, the lock expires."""
        self.abandon()
        locks = self._ports.locks
        if keep:
            locks.tag(self._region, [self.id], {EXPIRES_TAG: past_expiry(locks.now(self._region))}, retry=False)
        else:
            locks.delete(self._region, self.id)

    def try_release(self, subject: str, *, keep: bool) -> None:
        """Releases the lock. Only reports a failure, because the work under the lock is done and the lock expires."""
        try:
            self.release(keep=keep)
        except Exception as error:
            self.abandon()
            why = error if isinstance(error, BakeryError) else type(error).__name__
            self._ports.reporter.warn(
                f"{subject}: could not release the lock; other runners wait until it expires, for at most "
                f"{self._timing.lifetime_seconds} s: {why}"
            )

    def abandon(self) -> None:
        """Stops renewing."""
        self._released.set()

    def _renew_loop(self) -> None:
        """Renews until the lock is released or lost. Repeats a renewal after any exception."""
        pause, why = self._timing.renew_seconds, ""
        while not (why or self._lost.is_set() or self._released.wait(pause)):
            self._error = None
            try:
                there = self.renew()
            except Exception as error:
                self._error = error
                # Retry more often, as long as the lock has not expired.
                pause = self._timing.settling_seconds
                if self._ports.clock.monotonic() >= self._expires_at:
                    why = _why(error)
            else:
                pause = self._timing.renew_seconds
                if not there:
                    why = _GONE
        if why:
            self._lose(why)

    def _watch_expiry(self) -> None:
        """Detects expiry while a renewal hangs.

        A renewal hangs, for example, because a credential process does not respond. A runner that takes the lock over
        waits for the settling time before it builds; by then our Packer has stopped.
        """
        woke_at = grace_until = self._ports.clock.monotonic()
        while not self._lost.is_set() and not self._released.wait(_WATCH_SECONDS):
            now = self._ports.clock.monotonic()
            if now - woke_at >= _WATCH_SECONDS + _PAUSED_SECONDS:
                # This machine was paused. The next renewal shows whether another runner has the lock.
                grace_until = now + max(_PAUSED_SECONDS, self._timing.settling_seconds)
            woke_at = now
            if now >= max(self._expires_at, grace_until):
                self._lose(_why(self._error))

    def _lose(self, why: str) -> None:
        with self._losing:
            if self._lost.is_set():
                return
            self._loss = why
            self._lost.set()
        while not self._released.is_set():
            # A failure to report the loss must not keep Packer running.
            with suppress(Exception):
                self._on_loss(why)
            self._released.wait(_STOP_AGAIN_SECONDS)


def _why(error: Exception | None) -> str:
    code = "no answer" if error is None else type(error).__name__
    if isinstance(error, BakeryError):
        code = error.code if isinstance(error, AwsError) else ""
    return f"it could not be renewed before it expired{f' ({code})' if code else ''}"
