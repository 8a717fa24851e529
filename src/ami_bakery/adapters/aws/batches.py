"""Splits values into batches that one call to AWS accepts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

FILTER_VALUES = 200
"""EC2's maximum number of filter values per call, all filters counted together (FilterLimitExceeded)."""


def batches(values: Iterable[str], size: int = FILTER_VALUES) -> Iterator[Sequence[str]]:
    """Yields the distinct values, sorted, in batches."""
    distinct = sorted(set(values))
    for start in range(0, len(distinct), size):
        yield distinct[start : start + size]
