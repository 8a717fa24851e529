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
    commands = [f"M{_pair(points[0])}"]
    for index, (start, end) in enumerate(pairwise(points)):
        if start[0] != end[0] and start[1] != end[1]:
            middle = (start[0] + end[0]) / 2
            commands.append(f"C{_pair((middle, start[1]))} {_pair((middle, end[1]))} {_pair(end)}")
        elif index + 2 < len(points) and _is_corner(start, end, points[index + 2]):
            commands.append(_corner(start, end, points[index + 2]))
        else:
            commands.append(f"L{_pair(end)}")
    return "".join(commands)


def _pair(point: Point) -> str:
    return f"{coordinate(point[0])} {coordinate(point[1])}"


def _is_corner(start: Point, middle: Point, end: Point) -> bool:
    """Whether a horizontal and a vertical segment meet."""
    return (start[0] == middle[0]) != (middle[0] == end[0]) and (start[1] == middle[1]) != (middle[1] == end[1])


def _corner(start: Point, middle: Point, end: Point) -> str:
    radius = min(_RADIUS, _length(start, middle) / 2, _length(middle, end) / 2)
    before, after = _towards(middle, start, radius), _towards(middle, end, radius)
    return f"L{_pair(before)}Q{_pair(middle)} {_pair(after)}"


def _length(start: Point, end: Point) -> float:
    return abs(start[0] - end[0]) + abs(start[1] - end[1])


def _towards(point: Point, other: Point, distance: float) -> Point:
    length = _length(point, other)
    return (
        point[0] + (other[0] - point[0]) * distance / length,
        point[1] + (other[1] - point[1]) * distance / length,
    )
