"""A table omits its optional columns on a narrow terminal, and says so."""

from __future__ import annotations

import pytest

from ami_bakery.adapters.terminal.live_reporter import _Running
from ami_bakery.core.text.table import Cell, Table, draw

TABLE = Table(
    columns=("IMAGE", "AMI", "BASE", "COMMIT"),
    rows=((Cell("app"), Cell("ami-0123456789abcdef0"), Cell("ami-0123456789abcdef1"), Cell("b" * 12)),),
    optional=("COMMIT", "BASE"),
)


def test_wide_terminal_shows_all_columns() -> None:
    assert "COMMIT" in draw(TABLE, width=120)
    assert "wider" not in draw(TABLE, width=120)


def test_narrow_terminal_omits_the_least_important_columns() -> None:
    shown = draw(TABLE, width=60)
    assert "BASE" in shown
    assert "bbbb" not in shown
    assert shown.endswith("A wider terminal also shows: commit.")
    assert max(map(len, shown.splitlines())) <= 60


def test_id_is_never_cut() -> None:
    assert "ami-0123456789abcdef0" in draw(TABLE, width=10)


def test_last_column_wraps_between_words_and_breaks_no_id() -> None:
    table = Table(columns=("IMAGE", "REASON"), rows=((Cell("app"), Cell("from ami-0123456789abcdef0 now")),))
    assert draw(table, width=20).splitlines() == [
        "IMAGE  REASON",
        "app    from",
        "       ami-0123456789abcdef0",
        "       now",
    ]


def test_table_that_fits_exactly_keeps_all_columns() -> None:
    width = max(map(len, draw(TABLE).splitlines()))
    assert draw(TABLE, width=width) == draw(TABLE)
    assert "wider" in draw(TABLE, width=width - 1)


@pytest.mark.parametrize(
    ("step", "after", "shown"),
    [
        ("copying to eu-west-1 (0:58)", 3.5, "copying to eu-west-1 (1:01)"),
        ("waiting (1:59:59)", 1, "waiting (2:00:00)"),
        ("baking (with Packer 1.6.6)", 5, "baking (with Packer 1.6.6)"),
        ("checking 0:12", 5, "checking 0:12"),
    ],
)
def test_time_at_the_end_of_a_step_advances(step: str, after: float, shown: str) -> None:
    """A step is reported again only after the next call to EC2."""
    assert _Running(step, reported=100.0).text(100.0 + after) == shown
