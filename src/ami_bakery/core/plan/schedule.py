"""Which image's turn it is: none before what it is made from, each exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Schedule:
    """The turns of a forest of images. `parents` has what each is made from, where that is among them.

    An image whose parent failed gets its turn, too: whoever takes it knows of the failure, and says so.
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
        """How many are not done."""
        return len(self._parents) - len(self._finished)

    @property
    def unfinished(self) -> bool:
        return self.left > 0

    def start_ready(self) -> tuple[str, ...]:
        """The images whose turn has come, in their order; each is given once."""
        ready = tuple(name for name in self._waiting if self._parents[name] in (None, *self._finished))
        self._waiting = [name for name in self._waiting if name not in ready]
        self._started.update(ready)
        return ready

    def finish(self, names: Iterable[str]) -> None:
        """These are done, well or badly. Raises `ValueError` for one that was not started, or is done already."""
        for name in names:
            if name not in self._started - self._finished:
                raise ValueError(f"{name} is not at work")
            self._finished.add(name)
