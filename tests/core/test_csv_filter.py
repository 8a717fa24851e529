"""Filter values are parsed as Go's encoding/csv does for packer-plugin-amazon (common/build_filter.go)."""

from __future__ import annotations

import pytest

from ami_bakery.core.packer.csv_filter import listed


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("golden-*", ("golden-*",)),
        ("golden-*,silver-*", ("golden-*", "silver-*")),
        ("a,\tb ,  c", ("a", "b ", "c")),
        (" golden-*", ("golden-*",)),
        ("golden-*\n", ("golden-*",)),
        ("\n\r\ngolden-*\r\nsilver-*", ("golden-*",)),
        ("golden-*,\n  silver-*\n", ("golden-*", "")),
        ("a,", ("a", "")),
        (",", ("", "")),
        ('"a, b", c', ("a, b", "c")),
        ('"a" , "b"', ('a" , "b',)),
        ('a "b" c,d', ('a "b" c', "d")),
        ('"say ""yes""",b', ('say "yes"', "b")),
        ('"two\nlines",b', ("two\nlines", "b")),
        ('"never closed, at all', ("never closed, at all",)),
        ('"a"\n"b"', ("a",)),
        ('""', ("",)),
        ("", ("",)),
        ("\n\n", ("\n\n",)),
    ],
)
def test_filter_value_is_split_as_csv(value: str, parts: tuple[str, ...]) -> None:
    assert listed(value) == parts
