"""Schedules images so that each starts exactly once, after its parent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Schedule:
    """Selects images whose parents are finished. `parents`: the parent of each image; None if it is not scheduled.

    Also selects an image whose parent failed: the caller reports the failure.
    """

    def __init__(self, parents: Mapping[str, str | None]) -> None:
        self._parents = dict(parents)
        self._waiting = list(parents)
        self._started: set[str] = set()
        self._finished: set[str] = set()

    def __len__(self) -> int:
        return len(self._parents)

    @property
    def left(self) -> int:
        """The number of images that are not finished."""
        return len(self._parents) - len(self._finished)

    @property
    def unfinished(self) -> bool:
        return self.left > 0

    def start_ready(self) -> tuple[str, ...]:
        """Returns the images that can start now, in their order. Each is returned once."""
        ready = tuple(name for name in self._waiting if self._parents[name] in (None, *self._finished))
        self._waiting = [name for name in self._waiting if name not in ready]
        self._started.update(ready)
        return ready

    def finish(self, names: Iterable[str]) -> None:
        """Marks images as finished, whether they succeeded or failed.

        Raises `ValueError` for an image that was not started, or is already finished.
        """
        for name in names:
            if name not in self._started - self._finished:
                raise ValueError(f"{name} is not running")
            self._finished.add(name)
