"""Draws tables and trees that fit the width of a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ami_bakery.core.text.sanitize import COLORS, one_line
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.text.tree import Tree

Style = Callable[[str, str], str]
"""Colors a text: (text, name of a color) to text; `plain` or `ansi`."""

_GAP = "  "
_NARROWEST = 12
"""The smallest width of the last column."""


class Cell(Frozen):
    """`color` by name; empty for none."""

    text: str
    color: str

    def __init__(self, text: str, color: str = "") -> None:
        super().__init__(text=one_line(text), color=color)


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
        """Yields lines of padded cells.

        If the table is wider than `width`, omits its optional columns, one by one, and names them at the end; then
        wraps the last column between words. Words, such as ids, are never broken.
        """
        table, omitted = self, []
        while (
            width is not None and table.optional and sum(table._widths()) + (len(table.columns) - 1) * len(_GAP) > width
        ):
            omitted.append(table.optional[0])
            table = table.without(table.optional[0])
        *widths, _ = table._widths()
        before = sum(widths) + len(widths) * len(_GAP)
        room = width - before if width is not None and width - before >= _NARROWEST else None
        for row in table._all_rows():
            padded = (Cell(f"{cell.text:{wide}}{_GAP}", cell.color) for cell, wide in zip(row, widths, strict=False))
            text, color = row[-1].text, row[-1].color
            first, *more = _wrapped(text, room) if room and text else [text]
            yield (*padded, Cell(first, color))
            for rest in more:
                yield (Cell(" " * before), Cell(rest, color))
        if omitted:
            yield ()
            yield (Cell(f"A wider terminal also shows: {', '.join(name.lower() for name in omitted)}."),)

    def _all_rows(self) -> tuple[tuple[Cell, ...], ...]:
        return (tuple(Cell(column, "bold") for column in self.columns), *self.rows)

    def _widths(self) -> list[int]:
        return [
            max(map(len, texts))
            for texts in zip(*([cell.text for cell in row] for row in self._all_rows()), strict=True)
        ]


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def plain(text: str, _color: str) -> str:
    return text


def ansi(text: str, color: str) -> str:
    return f"\x1b[{COLORS[color]}m{text}\x1b[0m"


def draw(shown: Table | Tree, style: Style = plain, width: int | None = None) -> str:
    """Draws a table or a tree. `width`: that of the terminal; None: a file or another program reads it."""

    def cells(line: Iterable[Cell], gap: str) -> str:
        return gap.join(style(cell.text, cell.color) if cell.color else cell.text for cell in line)

    if isinstance(shown, Table):
        return "\n".join(cells(line, "").rstrip() for line in shown.lines(width))
    return "\n".join(f"{lead}{cells(label, '  ')}" for lead, label in shown.lines())


def clock_time(seconds: float) -> str:
    """`0:07`, `12:31`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
