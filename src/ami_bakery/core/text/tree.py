"""A text tree, drawn with ASCII characters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.text.table import Cell


class Tree(Frozen):
    """A node; the cells of `label` are shown next to each other."""

    label: tuple[Cell, ...]
    branches: tuple[Tree, ...] = ()

    def lines(self) -> Iterator[tuple[str, tuple[Cell, ...]]]:
        """Yields the guides and the label of each node; the tree's own first."""
        yield "", self.label
        for number, branch in enumerate(self.branches, 1):
            last = number == len(self.branches)
            for lead, label in branch.lines():
                guides = ("    ", "|   ") if lead else ("`-- ", "|-- ")
                yield (guides[0] if last else guides[1]) + lead, label
