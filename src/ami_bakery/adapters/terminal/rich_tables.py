"""Tables and trees as rich draws them, for a terminal."""

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
"""Columns; nothing that is shown is as wide."""


def draw_table(shown: Table | Tree, *, color: bool, width: int) -> str:
    """As wide as it needs, in a terminal of `width` columns: a narrower one breaks the lines, and every id stays whole.

    A table first does without its optional columns, and names them.
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(
        file=io.StringIO(), force_terminal=True, color_system="standard" if color else None, width=_WIDEST
    )
    omitted: list[str] = []

    def wide(made: RenderableType) -> int:
        return Measurement.get(console, console.options, made).maximum

    while isinstance(shown, Table) and shown.optional and wide(_table(shown)) > width:
        omitted.append(shown.optional[0])
        shown = shown.without(shown.optional[0])
    made = _table(shown) if isinstance(shown, Table) else _tree(shown)
    wanted = wide(made)
    with console.capture() as captured:
        console.print(made, width=max(wanted, 1), highlight=False, markup=False)
    lines = [line.rstrip() for line in captured.get().strip("\n").split("\n")]
    if omitted:
        lines += ["", f"A wider terminal also shows: {', '.join(name.lower() for name in omitted)}."]
    return "\n".join(lines)


def _table(table: Table) -> RenderableType:
    from rich import box
    from rich.table import Table as RichTable

    made = RichTable(*table.columns, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in made.columns:
        column.no_wrap = True
    for row in table.rows:
        made.add_row(*(_text(cell) for cell in row))
    return made


def _tree(tree: Tree) -> RichTree:
    from rich.tree import Tree as RichTree

    made = RichTree(_label(tree), guide_style="dim")
    for branch in tree.branches:
        made.children.append(_tree(branch))
    return made


def _label(tree: Tree) -> Text:
    from rich.text import Text

    return Text("  ").join(_text(cell) for cell in tree.label)


def _text(cell: Cell) -> Text:
    from rich.text import Text

    return Text(cell.text, style=cell.color, no_wrap=True)
