"""Computes medians, ratios and their quartiles."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A median or a ratio, with the lower and upper quartile of the rounds."""

    value: float
    low: float
    high: float


def middle(values: Sequence[float]) -> Figure:
    """Returns the median and the quartiles."""
    low, high = _quartiles(values)
    return Figure(value=statistics.median(values), low=low, high=high)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """Returns the ratio of the medians, with the quartiles of the ratios of each round."""
    low, high = _quartiles([one / other for one, other in zip(ours, theirs, strict=True)])
    return Figure(value=statistics.median(ours) / statistics.median(theirs), low=low, high=high)


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high
