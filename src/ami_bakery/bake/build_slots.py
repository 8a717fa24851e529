"""Limits concurrent builds to `--jobs`; waiting images do not use a slot."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from ami_bakery.errors import Stopped
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from datetime import timedelta


class WaitPolicy(Frozen):
    """Whether to wait while another runner bakes. `timeout`: the longest wait; None: no limit."""

    waits: bool = True
    timeout: timedelta | None = None


class BuildSlots:
    """The slots, assigned in the order of requests."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._closed = False
        self._waiting: list[BuildSlot] = []
        self._changed = threading.Condition()

    def close(self) -> None:
        """Assigns no more slots; waiting threads get `Stopped`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def queue(self, slot: BuildSlot) -> None:
        with self._changed:
            self._waiting.append(slot)

    def acquire(self, slot: BuildSlot) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or slot in self._waiting[: self._free])
            if self._closed:
                raise Stopped("waiting for a build slot", "the program is stopping", "Run again.")
            self._waiting.remove(slot)
            self._free -= 1

    def release(self, slot: BuildSlot, *, held: bool) -> None:
        with self._changed:
            if held:
                self._free += 1
            if slot in self._waiting:
                self._waiting.remove(slot)
            self._changed.notify_all()


class BuildSlot:
    """One image's request for a build slot. A context manager that releases the slot at its end."""

    def __init__(self, slots: BuildSlots) -> None:
        self._slots = slots
        self._holds = False
        self._queued = False

    def queue(self) -> None:
        """Joins the queue now, even if the slot is acquired later."""
        if not self._holds and not self._queued:
            self._slots.queue(self)
            self._queued = True

    def acquire(self) -> None:
        if not self._holds:
            self.queue()
            self._slots.acquire(self)
            self._holds, self._queued = True, False

    def release(self) -> None:
        if self._holds or self._queued:
            held, self._holds, self._queued = self._holds, False, False
            self._slots.release(self, held=held)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
