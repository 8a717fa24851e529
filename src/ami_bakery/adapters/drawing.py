"""Tables and trees as rich draws them, for a terminal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ami_bakery.core.table import Cell, Table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text
    from rich.tree import Tree as RichTree

    from ami_bakery.core.tree import Tree

_WIDEST = 10_000
"""Columns; nothing that is shown is as wide."""


def drawn(shown: Table | Tree, *, color: bool) -> str:
    """As wide as it needs: a terminal that is narrower breaks the lines, and every id stays whole."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(
        file=io.StringIO(), force_terminal=True, color_system="standard" if color else None, width=_WIDEST
    )
    made = _table(shown) if isinstance(shown, Table) else _tree(shown)
    wanted = Measurement.get(console, console.options, made).maximum
    with console.capture() as captured:
        console.print(made, width=max(wanted, 1), highlight=False, markup=False)
    return "\n".join(line.rstrip() for line in captured.get().strip("\n").split("\n"))


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
