"""The places at the oven: as many images are at work at once as `--jobs` says. Who waits for another takes none."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ami_bakery.errors import Stopped

if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """What to do while another runner bakes: wait, at most for `timeout`, or as long as it takes; or not at all."""

    waits: bool = True
    timeout: timedelta | None = None


class Places:
    def __init__(self, count: int) -> None:
        self._free = count
        self._closed = False
        self._changed = threading.Condition()

    def close(self) -> None:
        """Nobody gets one any more: who waits for one is told to stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._free)
            if self._closed:
                raise Stopped("waiting for a place", "the program was told to stop", "Run again.")
            self._free -= 1

    def give_back(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify()


class Place:
    """One image's, which it may have or not. As a context manager: it is given back at the end."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._has = False

    def take(self) -> None:
        if not self._has:
            self._places.take()
            self._has = True

    def give_back(self) -> None:
        if self._has:
            self._has = False
            self._places.give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()
