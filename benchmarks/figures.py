"""Medians, ratios and their spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A median or a ratio, and between what the middle half of the rounds lies."""

    value: float
    low: float
    high: float


def middle(values: Sequence[float]) -> Figure:
    """The median and the quartiles."""
    low, high = _quartiles(values)
    return Figure(value=statistics.median(values), low=low, high=high)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """The ratio of the medians. Its spread is that of the rounds' own ratios: both were run in the same minute."""
    low, high = _quartiles([one / other for one, other in zip(ours, theirs, strict=True)])
    return Figure(value=statistics.median(ours) / statistics.median(theirs), low=low, high=high)


def surplus(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """By how much ours is more, each round for itself."""
    return middle([one - other for one, other in zip(ours, theirs, strict=True)])


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high
