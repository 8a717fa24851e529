"""Draws tables and trees for a terminal, with rich."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ami_bakery.core.text.table import Cell, Table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text
    from rich.tree import Tree as RichTree

    from ami_bakery.core.text.tree import Tree

_WIDEST = 10_000
"""Columns; wider than any table."""


def draw_table(shown: Table | Tree, *, color: bool, width: int) -> str:
    """Draws a table or tree for a terminal of `width` columns.

    If a table is too wide, omits its optional columns, one by one, and names them at the end. If it is still too wide,
    the terminal wraps the lines: ids are never truncated.
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(
        file=io.StringIO(), force_terminal=True, color_system="standard" if color else None, width=_WIDEST
    )
    omitted: list[str] = []

    def width_of(drawn: RenderableType) -> int:
        return Measurement.get(console, console.options, drawn).maximum

    while isinstance(shown, Table) and shown.optional and width_of(_table(shown)) > width:
        omitted.append(shown.optional[0])
        shown = shown.without(shown.optional[0])
    drawn = _table(shown) if isinstance(shown, Table) else _tree(shown)
    needed = width_of(drawn)
    with console.capture() as captured:
        console.print(drawn, width=max(needed, 1), highlight=False, markup=False)
    lines = [line.rstrip() for line in captured.get().strip("\n").split("\n")]
    if omitted:
        lines += ["", f"A wider terminal also shows: {', '.join(name.lower() for name in omitted)}."]
    return "\n".join(lines)


def _table(table: Table) -> RenderableType:
    from rich import box
    from rich.table import Table as RichTable

    drawn = RichTable(*table.columns, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in drawn.columns:
        column.no_wrap = True
    for row in table.rows:
        drawn.add_row(*(_text(cell) for cell in row))
    return drawn


def _tree(tree: Tree) -> RichTree:
    from rich.tree import Tree as RichTree

    drawn = RichTree(_label(tree), guide_style="dim")
    for branch in tree.branches:
        drawn.children.append(_tree(branch))
    return drawn


def _label(tree: Tree) -> Text:
    from rich.text import Text

    return Text("  ").join(_text(cell) for cell in tree.label)


def _text(cell: Cell) -> Text:
    from rich.text import Text

    return Text(cell.text, style=cell.color, no_wrap=True)
