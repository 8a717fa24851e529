"""A text table that fits the width of a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ami_bakery.core.text.sanitize import one_line
from ami_bakery.values import Frozen

_GAP = "  "
_NARROWEST = 12
"""The smallest width of the last column."""


@dataclass(frozen=True, slots=True)
class Cell:
    """`color` by name; empty for none."""

    text: str
    color: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", one_line(self.text))


class Table(Frozen):
    """Each row has a cell for each column. Only the last column may be long.

    optional  columns that are omitted on a narrow terminal, the least important first
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    optional: tuple[str, ...] = ()

    def without(self, column: str) -> Table:
        at = self.columns.index(column)
        return Table(
            columns=self.columns[:at] + self.columns[at + 1 :],
            rows=tuple(row[:at] + row[at + 1 :] for row in self.rows),
            optional=tuple(name for name in self.optional if name != column),
        )

    def lines(self, width: int | None = None) -> Iterator[tuple[Cell, ...]]:
        """Yields lines of padded cells. With a `width`, the last column wraps to fit, if possible."""
        import textwrap

        rows = (tuple(Cell(column, "bold") for column in self.columns), *self.rows)
        widths = [max(len(row[index].text) for row in rows) for index in range(len(self.columns) - 1)]
        before = sum(widths) + len(widths) * len(_GAP)
        room = width - before if width is not None and width - before >= _NARROWEST else None
        for row in rows:
            padded = (Cell(f"{cell.text:{wide}}{_GAP}", cell.color) for cell, wide in zip(row, widths, strict=False))
            first, *more = textwrap.wrap(row[-1].text, room) if room and row[-1].text else [row[-1].text]
            yield (*padded, Cell(first, row[-1].color))
            for rest in more:
                yield (Cell(" " * before), Cell(rest, row[-1].color))


def clock_time(seconds: float) -> str:
    """`0:07`, `12:31`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
