"""Places boxes of a graph without cycles in layers from left to right (Sugiyama, Tagawa and Toda, 1981).

1. The layer of a box is the length of the longest path to it.
2. Edges across several layers get a bend in each layer between.
3. Sweeps over the layers sort each by the mean position of its neighbours in the layer before (the barycenter). The
   order with the fewest crossings wins. The number of sweeps is bounded.
4. Passes over the layers move each box to the mean height of its neighbours, as far as order and gaps allow.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from math import floor
from typing import NamedTuple, TypeAlias, TypeVar

Key: TypeAlias = Hashable
Edge: TypeAlias = tuple[Hashable, Hashable]
Point: TypeAlias = tuple[float, float]
Rows: TypeAlias = list[list[Key]]
"""The boxes and bends of each layer, from its top."""
NodeT = TypeVar("NodeT", bound=Hashable)

LAYER_GAP, ROW_GAP = 64, 14
SWEEPS, PASSES = 12, 8
MOST_STEPS = 200_000
"""How many boxes and bends all sweeps may sort: a graph with very many long edges gets fewer sweeps."""


class BoxSize(NamedTuple):
    """`port`: the y at which edges reach the box, from its top."""

    width: float
    height: float
    port: float


_NO_SIZE = BoxSize(0, 0, 0)


class _Bend(NamedTuple):
    """Where an edge crosses a layer."""

    edge: Edge
    layer: int


def place_layers(
    sizes: Mapping[Key, BoxSize], starts: Mapping[Edge, float]
) -> tuple[Mapping[Key, Point], Mapping[Edge, tuple[Point, ...]]]:
    """Returns the top left corners of boxes, and the lines of edges. They cross gaps between layers diagonally.

    `starts`: the y at which each edge leaves its origin, from the origin's top.
    """
    depths = _depths(sizes, starts)
    rows, chains = _with_bends(depths, starts)
    before, after = _neighbours(chains.values())
    rows = reduce_crossings(rows, before, after)
    ports = _port_heights(rows, before, after, sizes)
    lefts = list(accumulate((_width(row, sizes) + LAYER_GAP for row in rows), initial=0.0))
    top = min(ports[key] - sizes[key].port for key in sizes)
    places = {key: (lefts[depths[key]], ports[key] - size.port - top) for key, size in sizes.items()}
    lines = {}
    for (origin, target), chain in chains.items():
        left, y = places[origin]
        y += starts[origin, target]
        points = [(left + sizes[origin].width, y)]
        for layer, key in enumerate(chain, depths[origin]):
            height = y if key == origin else ports[key] - top
            points += [(lefts[layer], height), (lefts[layer + 1] - LAYER_GAP, height)]
        # Without the left side of the origin, and the right side of the target.
        lines[origin, target] = tuple(dict.fromkeys((points[0], *points[2:-1])))
    return places, lines


def longest_paths(parents: Mapping[NodeT, Sequence[NodeT]], lengths: Mapping[NodeT, float]) -> dict[NodeT, float]:
    """Returns the length of the longest path to each node. `lengths`: of the step from a node to its children.

    Raises `ValueError` if there is a cycle.
    """
    waiting = {node: len(above) for node, above in parents.items()}
    children = defaultdict(list)
    for node, above in parents.items():
        for parent in above:
            children[parent].append(node)
    found = {node: 0.0 for node, count in waiting.items() if not count}
    ready = list(found)
    for node in ready:
        for child in children[node]:
            found[child] = max(found.get(child, 0), found[node] + lengths[node])
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    if len(ready) < len(parents):
        raise ValueError("the graph has a cycle")
    return found


def reduce_crossings(rows: Rows, before: Mapping[Key, Sequence[Key]], after: Mapping[Key, Sequence[Key]]) -> Rows:
    """Sorts each layer so that fewer edges cross. `before`, `after`: the neighbours of each box or bend."""
    best, fewest = rows, count_crossings(rows, after)
    for sweep in range(max(1, min(SWEEPS, MOST_STEPS // sum(map(len, rows))))):
        if not fewest:
            break
        rows = _swept(rows, before) if sweep % 2 == 0 else _swept(rows[::-1], after)[::-1]
        count = count_crossings(rows, after)
        if count < fewest:
            best, fewest = rows, count
    return best


def count_crossings(rows: Rows, after: Mapping[Key, Sequence[Key]]) -> int:
    """Counts the crossings of edges between neighbouring layers."""
    crossings = 0
    for row, following in pairwise(rows):
        position = {key: index for index, key in enumerate(following)}
        seen: list[int] = []
        for key in row:
            ends = sorted(position[target] for target in after.get(key, ()))
            crossings += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return crossings


def _swept(rows: Rows, neighbours: Mapping[Key, Sequence[Key]]) -> Rows:
    position: dict[Key, float] = {}
    swept = []
    for row in rows:
        own = {key: index for index, key in enumerate(row)}
        swept.append(sorted(row, key=lambda key: _mean(position, neighbours.get(key, ()), own[key])))
        position = {key: index for index, key in enumerate(swept[-1])}
    return swept


def _mean(values: Mapping[Key, float], keys: Sequence[Key], default: float) -> float:
    return sum(values[key] for key in keys) / len(keys) if keys else default


def _depths(sizes: Mapping[Key, BoxSize], starts: Mapping[Edge, float]) -> dict[Key, int]:
    parents: dict[Key, list[Key]] = {key: [] for key in sizes}
    for origin, target in starts:
        parents[target].append(origin)
    return {key: int(depth) for key, depth in longest_paths(parents, dict.fromkeys(parents, 1)).items()}


def _with_bends(depths: Mapping[Key, int], edges: Iterable[Edge]) -> tuple[Rows, dict[Edge, list[Key]]]:
    """Returns the layers, and for each edge its origin, bends and target."""
    rows: Rows = [[] for _ in range(max(depths.values()) + 1)]
    for key, depth in depths.items():
        rows[depth].append(key)
    chains = {}
    for edge in edges:
        bends = [_Bend(edge, layer) for layer in range(depths[edge[0]] + 1, depths[edge[1]])]
        for bend in bends:
            rows[bend.layer].append(bend)
        chains[edge] = [edge[0], *bends, edge[1]]
    return rows, chains


def _neighbours(chains: Iterable[Sequence[Key]]) -> tuple[dict[Key, list[Key]], dict[Key, list[Key]]]:
    before, after = defaultdict(list), defaultdict(list)
    for chain in chains:
        for origin, target in pairwise(chain):
            before[target].append(origin)
            after[origin].append(target)
    return before, after


def _width(row: Sequence[Key], sizes: Mapping[Key, BoxSize]) -> float:
    return max(sizes[key].width for key in row if key in sizes)


def _port_heights(
    rows: Rows, before: Mapping[Key, Sequence[Key]], after: Mapping[Key, Sequence[Key]], sizes: Mapping[Key, BoxSize]
) -> dict[Key, float]:
    heights: dict[Key, float] = {}
    for number in range(PASSES + 1):
        # The first pass has no heights of later layers yet. The last goes from left to right again.
        neighbours, order = (before, rows) if number % 2 == 0 else (after, rows[::-1])
        for row in order:
            wanted = [_mean(heights, neighbours.get(key, ()), heights.get(key, 0)) for key in row]
            heights |= zip(row, _spaced(wanted, [sizes.get(key, _NO_SIZE) for key in row]), strict=True)
    # Whole numbers, so that lines that should be straight are. Halves go up: gaps between whole numbers stay.
    return {key: float(floor(round(height, 6) + 0.5)) for key, height in heights.items()}


def _spaced(wanted: Sequence[float], sizes: Sequence[BoxSize]) -> list[float]:
    """Returns the ports that are nearest to the wanted ones (least squares) and keep order and gaps."""
    gaps = (above.height - above.port + ROW_GAP + below.port for above, below in pairwise(sizes))
    offsets = list(accumulate(gaps, initial=0.0))
    groups: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        total, count = want - offset, 1
        while groups and groups[-1][0] / groups[-1][1] >= total / count:
            above, size = groups.pop()
            total, count = total + above, count + size
        groups.append((total, count))
    bases = [total / count for total, count in groups for _ in range(count)]
    return [base + offset for base, offset in zip(bases, offsets, strict=True)]
