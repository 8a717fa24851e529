"""Places the boxes of a graph without cycles from left to right, and routes its edges.

Lineage is mostly trees: an AMI has one source. A tree has its root at the top left, and the subtrees of the children
are stacked to the right of it. A stack that would be too high becomes a grid of several columns, and the edges to its
boxes share a trunk. What is not a tree is placed in layers (`layers.py`); trees that hang on it are boxes there. Parts
without an edge between them are stacked. The result depends only on the arguments and their order.
"""

from __future__ import annotations

from collections import defaultdict
from math import ceil
from typing import TYPE_CHECKING, TypeAlias

from ami_bakery.core.report.layers import BoxSize, longest_paths, place_layers
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ami_bakery.core.report.layers import Edge, Key, Point

BOX_GAP, PART_GAP, PARENT_GAP = 14, 36, 44
"""Between two siblings; between two parts of the graph; and between a box and its children."""
SPINE_GAP, LANE_GAP, TRUNK_GAP = 20, 7, 14
"""Between a vertical line and the boxes to its right; between two such lines; and between a trunk and its grid."""
HIGHEST_STACK = 480
"""The height at which a stack gets a second column."""


class GraphBox(Frozen):
    """A box. `port`: the y at which edges reach it, from its top."""

    id: str
    width: float
    height: float
    port: float


class GraphEdge(Frozen):
    """An edge between two boxes. `port`: the y at which it leaves its origin, from the origin's top."""

    origin: str
    target: str
    port: float


class Route(Frozen):
    """The line of an edge. Its segments are horizontal, vertical, or cross the gap between two layers."""

    edge: GraphEdge
    points: tuple[Point, ...]

    def moved(self, x: float, y: float) -> Route:
        return Route(edge=self.edge, points=tuple((left + x, top + y) for left, top in self.points))


class GraphLayout(Frozen):
    """Top left corners of boxes, by id; and the lines of edges. All coordinates are positive."""

    width: float
    height: float
    places: Mapping[str, Point]
    routes: tuple[Route, ...]


class _Part(Frozen):
    """A placed part of a graph. It does not repeat its inner parts, since graphs can be deep.

    port    the y at which edges reach it
    box     a box with its top left corner at 0, 0
    boxes   how many boxes there are
    inner   inner parts, and where their origin is
    open    lines that start at the left side, at `port`, and do not reach their origin yet
    """

    left: float = 0
    top: float = 0
    right: float = 0
    bottom: float = 0
    port: float = 0
    box: str | None = None
    boxes: int = 0
    inner: tuple[tuple[_Part, Point], ...] = ()
    routes: tuple[Route, ...] = ()
    open: tuple[Route, ...] = ()

    @property
    def size(self) -> BoxSize:
        return BoxSize(self.right - self.left, self.bottom - self.top, self.port - self.top)

    def at(self, x: float, y: float) -> _Part:
        """Moves the top left corner to a point."""
        return self.moved(x - self.left, y - self.top)

    def moved(self, x: float, y: float) -> _Part:
        return _Part(
            left=self.left + x,
            top=self.top + y,
            right=self.right + x,
            bottom=self.bottom + y,
            port=self.port + y,
            boxes=self.boxes,
            inner=((replace(self, open=()), (x, y)),),
            open=tuple(line.moved(x, y) for line in self.open),
        )

    def joined(self, *start: Point) -> _Part:
        """Adds points before the open lines, so that they reach their origin."""
        return replace(self, routes=self.routes + self.continued(*start).open, open=())

    def continued(self, *start: Point) -> _Part:
        return replace(self, open=tuple(Route(edge=line.edge, points=(*start, *line.points)) for line in self.open))


_Member: TypeAlias = "tuple[GraphEdge | None, _Part]"
"""A part, and the edge that leads to it."""


def lay_out(boxes: Sequence[GraphBox], edges: Iterable[GraphEdge], *, width: float) -> GraphLayout:
    """Places boxes and routes edges. Siblings keep the order of `boxes`.

    `width`: where grids get no more columns; long chains are wider. Repeated edges, and edges of unknown boxes, are
    ignored. Raises `ValueError` if there is a cycle.
    """
    return _Graph(boxes, edges, width).layout()


class _Graph:
    def __init__(self, boxes: Sequence[GraphBox], edges: Iterable[GraphEdge], width: float) -> None:
        self._boxes = {box.id: box for box in boxes}
        self._width = width
        self._out: dict[str, list[GraphEdge]] = defaultdict(list)
        parents: dict[str, list[str]] = {box: [] for box in self._boxes}
        position = {box: index for index, box in enumerate(self._boxes)}
        known = (edge for edge in edges if edge.origin in position and edge.target in position)
        for edge in sorted(known, key=lambda edge: (position[edge.target], position[edge.origin], edge.port)):
            if edge.origin not in parents[edge.target][-1:]:
                self._out[edge.origin].append(edge)
                parents[edge.target].append(edge.origin)
        self._parents = parents
        self._depths = longest_paths(parents, dict.fromkeys(parents, 1))
        self._lefts = longest_paths(parents, {box: self._boxes[box].width + PARENT_GAP for box in parents})
        self._trees: dict[str, _Part] = {}

    def layout(self) -> GraphLayout:
        # From the leaves to the roots, since a recursion would be as deep as the graph.
        for box in sorted(self._boxes, key=lambda box: -self._depths[box]):
            if len(self._parents[box]) < 2 and all(edge.target in self._trees for edge in self._out[box]):
                self._trees[box] = self._tree(self._boxes[box])
        parts = [self._trees.get(group[0]) or self._layers(group) for group in self._groups()]
        branches, leaves = _branches_and_leaves([(None, part) for part in parts])
        grids = [_grid(branches, self._width, PART_GAP, HIGHEST_STACK)] if branches else []
        grids += [_grid(leaves, self._width, BOX_GAP, HIGHEST_STACK / 4)] if leaves else []
        if not grids:
            return _flattened(_Part())
        return _flattened(_merged([grids[0], *(grid.at(0, grids[0].bottom + PART_GAP) for grid in grids[1:])]))

    def _groups(self) -> list[list[str]]:
        """Returns each root of a tree, and each connected group of boxes that are not trees."""
        groups = {box: [box] for box in self._boxes if box not in self._trees or not self._parents[box]}
        for box in [box for box in self._boxes if box not in self._trees]:
            for parent in self._parents[box]:
                if groups[box] is not groups[parent]:
                    groups[parent].extend(groups[box])
                    groups |= dict.fromkeys(groups[box], groups[parent])
        position = {box: index for index, box in enumerate(self._boxes)}
        distinct = {id(group): group for group in groups.values()}
        return [sorted(group, key=lambda box: position[box]) for group in distinct.values()]

    def _blocks(self, box: GraphBox) -> list[tuple[float, _Part]]:
        """Returns the trees below a box, a block for each port of the box that their edges leave from."""
        ports: dict[float, list[_Member]] = defaultdict(list)
        for edge in self._out[box.id]:
            if edge.target in self._trees:
                ports[edge.port].append((edge, self._trees[edge.target]))
        room = self._width - self._lefts[box.id] - box.width - PARENT_GAP
        return [(port, _stack(ports[port], room)) for port in sorted(ports)]

    def _tree(self, box: GraphBox) -> _Part:
        tree = _alone(box)
        spine = box.width + PARENT_GAP - SPINE_GAP
        for number, (port, block) in enumerate(self._blocks(box)):
            # The line to the first block is straight. Those to the others turn to the left of it, and end below it.
            placed = block.at(spine, tree.bottom + BOX_GAP) if number else block.moved(spine, port - block.port)
            lane = max(spine - LANE_GAP * number, box.width)
            tree = _merged([tree, placed.joined((box.width, port), (lane, port), (lane, placed.port))])
        return tree

    def _layers(self, group: Sequence[str]) -> _Part:
        """Places boxes that are not trees in layers, together with the blocks of trees that hang on them."""
        parts: dict[Key, _Part] = {}
        edges: dict[Edge, GraphEdge] = {}
        starts: dict[Edge, float] = {}
        for name in group:
            box = self._boxes[name]
            parts[name] = _alone(box)
            edges |= {(name, edge.target): edge for edge in self._out[name] if edge.target not in self._trees}
            for port, block in self._blocks(box):
                parts[name, port], starts[name, (name, port)] = block, port
        starts |= {key: edge.port for key, edge in edges.items()}
        places, lines = place_layers({key: part.size for key, part in parts.items()}, starts)
        to_blocks = {target: line for (_, target), line in lines.items() if target not in self._boxes}
        pieces = []
        for key, part in parts.items():
            left, top = places[key]
            # The boxes of a block are at the left side of their layer, and its lines in the gap before.
            line = to_blocks.get(key, ())
            pieces.append(part.at(left - SPINE_GAP, top).joined(*line[:-1]) if line else part.at(left, top))
        routes = tuple(Route(edge=edge, points=lines[key]) for key, edge in edges.items())
        return replace(_merged(pieces), routes=routes)


def _stack(members: Sequence[_Member], room: float) -> _Part:
    """Stacks parts below each other; in columns, branches before single boxes, if that is too high."""
    sections = [members]
    if sum(part.size.height + BOX_GAP for _, part in members) > HIGHEST_STACK:
        sections = [section for section in _branches_and_leaves(members) if section]
    stack = _grid(sections[0], room, BOX_GAP, HIGHEST_STACK)
    for section in sections[1:]:
        below = _grid(section, room, BOX_GAP, HIGHEST_STACK).at(0, stack.bottom + BOX_GAP)
        stack = _merged([stack, below.continued((0, stack.port))])
    return stack


def _branches_and_leaves(members: Sequence[_Member]) -> tuple[Sequence[_Member], Sequence[_Member]]:
    branches = [member for member in members if member[1].boxes > 1]
    return branches, [member for member in members if member[1].boxes == 1]


def _grid(members: Sequence[_Member], room: float, gap: float, highest: float) -> _Part:
    """Places parts in columns of about the same height, not higher than `highest` if there is room.

    Open lines start at x = 0.
    """
    indent = SPINE_GAP if members[0][0] else 0
    pitch = max(part.size.width for _, part in members) + BOX_GAP + indent
    total = sum(part.size.height + gap for _, part in members)
    columns = max(1, min(int((room + BOX_GAP) // pitch), ceil(total / highest)))
    top = TRUNK_GAP if indent and columns > 1 else 0
    entry = 0 if top else members[0][1].size.port
    x, y = float(indent), float(top)
    pieces = []
    for edge, part in members:
        if y - top >= total / columns:
            x, y = x + pitch, top
        placed, y = part.at(x, y), y + part.size.height + gap
        spine = x - SPINE_GAP
        line = dict.fromkeys([(0, entry), (spine, entry), (spine, placed.port), (x, placed.port)])
        pieces.append(replace(placed, open=(Route(edge=edge, points=tuple(line)),) if edge else ()))
    return replace(_merged(pieces), left=0, top=0, port=entry)


def _merged(parts: Sequence[_Part]) -> _Part:
    """Returns all parts as one, with the port of the first."""
    return _Part(
        left=min(part.left for part in parts),
        top=min(part.top for part in parts),
        right=max(part.right for part in parts),
        bottom=max(part.bottom for part in parts),
        port=parts[0].port,
        boxes=sum(part.boxes for part in parts),
        inner=tuple((replace(part, open=()), (0, 0)) for part in parts),
        open=tuple(line for part in parts for line in part.open),
    )


def _flattened(whole: _Part) -> GraphLayout:
    places: dict[str, Point] = {}
    routes: list[Route] = []
    waiting: list[tuple[_Part, Point]] = [(whole, (0, 0))]
    while waiting:
        part, (x, y) = waiting.pop()
        if part.box is not None:
            places[part.box] = (x, y)
        routes += [route.moved(x, y) for route in part.routes]
        waiting += [(inner, (x + left, y + top)) for inner, (left, top) in reversed(part.inner)]
    return GraphLayout(width=whole.right, height=whole.bottom, places=places, routes=tuple(routes))


def _alone(box: GraphBox) -> _Part:
    return _Part(right=box.width, bottom=box.height, port=box.port, box=box.id, boxes=1)
