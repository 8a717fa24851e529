"""A lock that we hold: renewed while we work, noted on, and given up when it is lost."""

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
"""Packer may have been about to start when it was told to stop."""
_WATCH_SECONDS = 1.0
_PAUSED_SECONDS = 5.0
"""A thread that woke up so late was paused with its machine."""


class HeldLock:
    """It is renewed from the moment it is made until it is let go. `on_loss` is called, again and again until then,
    when it is gone or could not be renewed before it expired.

    expires_at  on this machine's monotonic clock: EC2's answer that we have it may have come late
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
        self._taken_at = ports.clock.monotonic()
        self._expires_at = expires_at
        self._error: Exception | None = None
        """Of the last renewal; None where it went well, or has not returned."""
        self._lost = threading.Event()
        self._over = threading.Event()
        self._losing = threading.Lock()
        for name, work in (("renews", self._renew_loop), ("watches", self._watch_expiry)):
            threading.Thread(target=work, name=f"{name} {lock}", daemon=True).start()

    @property
    def lost(self) -> bool:
        return self._lost.is_set()

    @property
    def held_seconds(self) -> float:
        return self._ports.clock.monotonic() - self._taken_at

    def confirm(self) -> bool:
        """Whether it is ours now: renews it where a renewal is due. Raises `AwsError`."""
        renewed_at = self._expires_at - self._timing.lifetime_seconds
        due = self._ports.clock.monotonic() >= renewed_at + self._timing.renew_seconds
        return not self.lost and (not due or self.renew(patient=True))

    def renew(self, notes: Mapping[str, str] | None = None, *, patient: bool = False) -> bool:
        """With notes in the same call, if there are any. False where it is gone. Raises `AwsError`."""
        before = self._ports.clock.monotonic()
        tags = {**(notes or {}), EXPIRES_TAG: expiry(self._ports.locks.now(self._region), self._timing)}
        if not self.tag((), tags, patient=patient):
            return False
        self._expires_at = before + self._timing.lifetime_seconds
        return True

    def note(self, notes: Mapping[str, str]) -> None:
        """Best effort: for whoever takes the lock over from us. Raises `AwsError`."""
        self._ports.locks.tag(self._region, [self.id], notes, patient=False)

    def tag(self, amis: Sequence[str], tags: Mapping[str, str], *, patient: bool = True) -> bool:
        """In one call with the lock, all or nothing. False where the lock or one of the AMIs is not there.

        A lock that is new may not be there yet for all parts of EC2: only later is it gone.
        """
        while True:
            if self._ports.locks.tag(self._region, [self.id, *amis], tags, patient=patient):
                return True
            if self.held_seconds >= self._timing.settling_seconds:
                return False
            self._ports.clock.sleep_uninterrupted(min(1.0, self._timing.settling_seconds / 4))

    def release(self, *, keep: bool) -> None:
        """Delete it; or leave it for what is noted on it, expired. Where neither can be done it expires by itself."""
        self.abandon()
        locks = self._ports.locks
        if keep:
            locks.tag(self._region, [self.id], {EXPIRES_TAG: past_expiry(locks.now(self._region))}, patient=False)
        else:
            locks.delete(self._region, self.id)

    def abandon(self) -> None:
        """No more renewals."""
        self._over.set()

    def _renew_loop(self) -> None:
        """Renew until it is let go or lost. Whatever a renewal raises is a failed renewal, and tried again."""
        pause, why = self._timing.renew_seconds, ""
        while not (why or self._lost.is_set() or self._over.wait(pause)):
            self._error = None
            try:
                there = self.renew()
            except Exception as error:
                self._error = error
                # More often, as long as it lives.
                pause = self._timing.settling_seconds
                if self._ports.clock.monotonic() >= self._expires_at:
                    why = _why(error)
            else:
                pause = self._timing.renew_seconds
                if not there:
                    why = "it is not there any more: somebody has taken it over, or deleted it"
        if why:
            self._lose(why)

    def _watch_expiry(self) -> None:
        """A renewal may hang, such as one whose credentials come from a program that does not answer.

        Whoever takes the lock over lets the settling time pass before it builds: until then our Packer has stopped.
        """
        woke_at = grace_until = self._ports.clock.monotonic()
        while not self._lost.is_set() and not self._over.wait(_WATCH_SECONDS):
            now = self._ports.clock.monotonic()
            if now - woke_at >= _WATCH_SECONDS + _PAUSED_SECONDS:
                # This machine was paused: the renewal is about to run, and tells whether somebody has it.
                grace_until = now + max(_PAUSED_SECONDS, self._timing.settling_seconds)
            woke_at = now
            if now >= max(self._expires_at, grace_until):
                self._lose(_why(self._error))

    def _lose(self, why: str) -> None:
        with self._losing:
            if self._lost.is_set():
                return
            self._lost.set()
        while not self._over.is_set():
            # A failure to report the loss must not keep Packer running.
            with suppress(Exception):
                self._on_loss(why)
            self._over.wait(_STOP_AGAIN_SECONDS)


def _why(error: Exception | None) -> str:
    code = "no answer" if error is None else type(error).__name__
    if isinstance(error, BakeryError):
        code = error.code if isinstance(error, AwsError) else ""
    return f"it could not be renewed before it expired{f' ({code})' if code else ''}"
