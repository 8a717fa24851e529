"""Writes the lines of a graph as path data of SVG."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ami_bakery.core.report.layers import Point

_RADIUS = 8


def coordinate(value: float) -> str:
    """Returns a coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def rounded_path(points: Sequence[Point]) -> str:
    """Returns a line with round corners. Diagonal segments become curves that start and end horizontally."""
    x, y = points[0]
    commands = [f"M{coordinate(x)} {coordinate(y)}"]
    for index, (start, end) in enumerate(pairwise(points)):
        if start[0] != end[0] and start[1] != end[1]:
            middle = coordinate((start[0] + end[0]) / 2)
            commands.append(
                f"C{middle} {coordinate(start[1])} {middle} {coordinate(end[1])} {coordinate(end[0])} {coordinate(end[1])}"
            )
        elif index + 2 < len(points) and _is_corner(start, end, points[index + 2]):
            commands.append(_corner(start, end, points[index + 2]))
        else:
            commands.append(f"L{coordinate(end[0])} {coordinate(end[1])}")
    return "".join(commands)


def _is_corner(start: Point, middle: Point, end: Point) -> bool:
    """Whether a horizontal and a vertical segment meet."""
    return (start[0] == middle[0]) != (middle[0] == end[0]) and (start[1] == middle[1]) != (middle[1] == end[1])


def _corner(start: Point, middle: Point, end: Point) -> str:
    radius = min(_RADIUS, _length(start, middle) / 2, _length(middle, end) / 2)
    before, after = _towards(middle, start, radius), _towards(middle, end, radius)
    return (
        f"L{coordinate(before[0])} {coordinate(before[1])}"
        f"Q{coordinate(middle[0])} {coordinate(middle[1])} {coordinate(after[0])} {coordinate(after[1])}"
    )


def _length(start: Point, end: Point) -> float:
    return abs(start[0] - end[0]) + abs(start[1] - end[1])


def _towards(point: Point, other: Point, distance: float) -> Point:
    length = _length(point, other)
    return (
        point[0] + (other[0] - point[0]) * distance / length,
        point[1] + (other[1] - point[1]) * distance / length,
    )
