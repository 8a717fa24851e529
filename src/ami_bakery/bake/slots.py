"""The places at the oven: as many images are at work at once as `--jobs` says. Who waits for another takes none."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from ami_bakery.errors import Stopped
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from datetime import timedelta


class WaitPolicy(Frozen):
    """What to do while another runner bakes: wait, at most for `timeout`, or as long as it takes; or not at all."""

    waits: bool = True
    timeout: timedelta | None = None


class BuildSlots:
    """Who asked first gets one first."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._closed = False
        self._waiting: list[BuildSlot] = []
        self._changed = threading.Condition()

    def close(self) -> None:
        """Nobody gets one any more: who waits for one is told to stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def ask(self, place: BuildSlot) -> None:
        with self._changed:
            self._waiting.append(place)

    def take(self, place: BuildSlot) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or place in self._waiting[: self._free])
            if self._closed:
                raise Stopped("waiting for a place", "the program was told to stop", "Run again.")
            self._waiting.remove(place)
            self._free -= 1

    def leave(self, place: BuildSlot, *, had: bool) -> None:
        with self._changed:
            if had:
                self._free += 1
            if place in self._waiting:
                self._waiting.remove(place)
            self._changed.notify_all()


class BuildSlot:
    """One image's, which it may have or not. As a context manager: it is given back at the end."""

    def __init__(self, places: BuildSlots) -> None:
        self._places = places
        self._has = False
        self._asked = False

    def ask(self) -> None:
        """To be in the queue before those who ask later, even if it is taken only in a moment."""
        if not self._has and not self._asked:
            self._places.ask(self)
            self._asked = True

    def take(self) -> None:
        if not self._has:
            self.ask()
            self._places.take(self)
            self._has, self._asked = True, False

    def give_back(self) -> None:
        if self._has or self._asked:
            had, self._has, self._asked = self._has, False, False
            self._places.leave(self, had=had)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()
