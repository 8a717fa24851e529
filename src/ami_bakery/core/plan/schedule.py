"""Schedules images so that each starts exactly once, after its parent."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import TopologicalSorter


class Schedule:
    """Selects images whose parents are finished. `parents`: the parent of each image; None if it is not scheduled.

    Also selects an image whose parent failed: the caller reports the failure.

    left  the number of images that are not finished
    """

    def __init__(self, parents: Mapping[str, str | None]) -> None:
        self._sorter = TopologicalSorter({name: [parent] if parent else [] for name, parent in parents.items()})
        self._sorter.prepare()
        self._count = self.left = len(parents)

    def __len__(self) -> int:
        return self._count

    @property
    def unfinished(self) -> bool:
        return self._sorter.is_active()

    def start_ready(self) -> tuple[str, ...]:
        """Returns the images that can start now. Each is returned once."""
        return self._sorter.get_ready()

    def finish(self, name: str) -> None:
        """Marks an image as finished, whether it succeeded or failed.

        Raises `ValueError` for an image that was not started, or is already finished.
        """
        self._sorter.done(name)
        self.left -= 1
