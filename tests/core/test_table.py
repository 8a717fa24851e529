"""A table does without its optional columns where the terminal is narrow, and says so."""

from __future__ import annotations

from ami_bakery.adapters.drawing import drawn
from ami_bakery.core.table import Cell, Table

TABLE = Table(
    columns=("IMAGE", "AMI", "BASE", "COMMIT"),
    rows=((Cell("app"), Cell("ami-0123456789abcdef0"), Cell("ami-0123456789abcdef1"), Cell("b" * 12)),),
    optional=("COMMIT", "BASE"),
)


def test_a_wide_terminal_shows_all_columns() -> None:
    assert "COMMIT" in drawn(TABLE, color=False, width=120)
    assert "wider" not in drawn(TABLE, color=False, width=120)


def test_a_narrow_terminal_leaves_the_least_important_columns_out() -> None:
    shown = drawn(TABLE, color=False, width=60)
    assert "BASE" in shown
    assert "bbbb" not in shown
    assert shown.endswith("A wider terminal also shows: commit.")
    assert max(map(len, shown.splitlines())) <= 60


def test_an_id_is_never_cut() -> None:
    assert "ami-0123456789abcdef0" in drawn(TABLE, color=False, width=10)
