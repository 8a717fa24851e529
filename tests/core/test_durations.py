"""Durations in bakery.toml and on the command line: one grammar, with the units that make sense for each value."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ami_bakery.core.text.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("30d", timedelta(days=30)),
        ("999999w", timedelta(weeks=999999)),
    ],
)
def test_duration_is_a_number_with_a_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text, examples="2h") == duration


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1.5h", "1 h", "1H", "1h30m", "1y", "1000000w", "٣h", "1h\n"])
def test_other_text_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a duration such as 15m or 2h, got "):
        parse_duration(text, examples="15m or 2h")


def test_unit_that_makes_no_sense_is_named() -> None:
    with pytest.raises(ValueError, match=r"^expected a duration such as 30d, got '90s': seconds make no sense here$"):
        parse_duration("90s", examples="30d", units="mhdw")


def test_zero_is_refused_unless_allowed() -> None:
    assert parse_duration("0s", examples="90s", zero=True) == timedelta(0)
    assert parse_duration("0", examples="90s", zero=True) == timedelta(0), "zero needs no unit"
    with pytest.raises(ValueError, match=r"got '0'$"):
        parse_duration("0", examples="90s")
    with pytest.raises(ValueError, match=r"got '0s'$"):
        parse_duration("0s", examples="90s")
