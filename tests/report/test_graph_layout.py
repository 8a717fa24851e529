"""The layout of the lineage graph: boxes, layers, lines, and the number of crossings."""

from __future__ import annotations

import random
from itertools import combinations, pairwise, product
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ami_bakery.core.report.layers import SWEEPS, Key, count_crossings, reduce_crossings
from ami_bakery.core.report.layout import HIGHEST_STACK, GraphBox, GraphEdge, GraphLayout, lay_out

Graph: TypeAlias = tuple[list[GraphBox], list[GraphEdge]]


def laid_out(*edges: str) -> GraphLayout:
    """Lays out edges such as `a>b` between boxes of one size, which are in the order of their names."""
    pairs = [tuple(edge.split(">")) for edge in edges]
    boxes = [
        GraphBox(id=name, width=200, height=40, port=20) for name in sorted({name for pair in pairs for name in pair})
    ]
    return lay_out(boxes, [GraphEdge(origin=origin, target=target, port=20) for origin, target in pairs], width=1300)


@st.composite
def graphs(draw: st.DrawFn, most: int = 20) -> Graph:
    """Generates graphs without cycles: boxes of different sizes in any order, and edges from different ports."""
    count = draw(st.integers(1, most))
    boxes = [
        GraphBox(id=f"n{number}", width=(120, 200)[number % 2], height=(22, 40, 94)[number % 3], port=11)
        for number in range(count)
    ]
    number = st.integers(0, count - 1)
    edges = [
        GraphEdge(origin=f"n{low}", target=f"n{high}", port=(11, 19)[(low + high) % 2])
        for low, high in (sorted(pair) for pair in draw(st.lists(st.tuples(number, number), max_size=count * 2)))
        if low != high
    ]
    return draw(st.permutations(boxes)), edges


@given(graphs())
def test_every_box_has_a_place_and_no_two_overlap(graph: Graph) -> None:
    boxes, edges = graph
    layout = lay_out(boxes, edges, width=900)
    assert sorted(layout.places) == sorted(box.id for box in boxes)
    for one, other in combinations(boxes, 2):
        (left, top), (x, y) = layout.places[one.id], layout.places[other.id]
        is_beside = left + one.width <= x or x + other.width <= left
        assert is_beside or top + one.height <= y or y + other.height <= top
    for box in boxes:
        left, top = layout.places[box.id]
        assert 0 <= left <= layout.width - box.width
        assert 0 <= top <= layout.height - box.height


@given(graphs())
@example(
    (
        [
            GraphBox(id=name, width=120, height=height, port=11)
            for name, height in (("n1", 40), ("n0", 22), ("n2", 94), ("n3", 22), ("n4", 40))
        ],
        [
            GraphEdge(origin=origin, target=target, port=port)
            for origin, target, port in (("n0", "n1", 19), ("n0", "n3", 19), ("n0", "n4", 11))
        ]
        + [GraphEdge(origin="n1", target="n2", port=19), GraphEdge(origin="n2", target="n4", port=11)],
    )
)
def test_every_edge_has_one_line_that_leads_right(graph: Graph) -> None:
    boxes, edges = graph
    layout = lay_out(boxes, edges, width=900)
    sizes = {box.id: box for box in boxes}
    lines = [(route.edge.origin, route.edge.target) for route in layout.routes]
    assert sorted(lines) == sorted({(edge.origin, edge.target) for edge in edges})
    for route in layout.routes:
        origin, target = sizes[route.edge.origin], sizes[route.edge.target]
        (left, top), end = layout.places[origin.id], layout.places[target.id]
        assert left + origin.width < end[0]
        assert route.points[0] == (left + origin.width, top + route.edge.port)
        assert route.points[-1] == (end[0], end[1] + target.port)
        assert all(before[0] <= after[0] for before, after in pairwise(route.points))


@given(graphs())
def test_the_order_of_edges_does_not_change_the_layout(graph: Graph) -> None:
    boxes, edges = graph
    assert lay_out(boxes, edges, width=900) == lay_out(boxes, edges[::-1], width=900)


@given(graphs())
def test_no_line_runs_through_a_box(graph: Graph) -> None:
    boxes, edges = graph
    layout = lay_out(boxes, edges, width=900)
    for route in layout.routes:
        for (left, top), (right, bottom) in pairwise(route.points):
            for box in boxes:
                x, y = layout.places[box.id]
                is_beside = max(left, right) <= x or x + box.width <= min(left, right)
                assert is_beside or max(top, bottom) <= y or y + box.height <= min(top, bottom)


@pytest.mark.parametrize(
    ("edges", "crossings"),
    [
        (["a>x", "a>y", "x>z", "y>z"], 0),
        (["a>z", "b>y", "c>x", "a>y", "b>x"], 0),
        (["a>x", "a>z", "b>x", "b>y", "c>y", "c>v", "d>v", "d>w"], 0),
        (["a>y", "a>x", "b>y", "b>x"], 1),
        (["a>x", "b>x", "b>y", "c>y", "c>z", "a>z"], 2),
    ],
    ids=["diamond", "reversed", "zigzag", "unavoidable", "ring"],
)
def test_lines_of_known_graphs_cross_as_rarely_as_possible(edges: list[str], crossings: int) -> None:
    layout = laid_out(*edges)
    ends = [(route.points[0], route.points[-1]) for route in layout.routes]
    crossed = [
        (one[0][1] - other[0][1]) * (one[1][1] - other[1][1]) < 0
        for one, other in combinations(ends, 2)
        if one[0][0] == other[0][0] and one[1][0] == other[1][0]
    ]
    assert sum(crossed) == crossings


neighbours = st.dictionaries(st.integers(0, 9), st.lists(st.integers(10, 19), unique=True, max_size=4))


@given(neighbours)
def test_crossings_are_counted_as_by_comparing_all_pairs(after: dict[Key, list[Key]]) -> None:
    rows: list[list[Key]] = [list(range(10)), list(range(10, 20))]
    edges = [(origin, target) for origin in range(10) for target in after.get(origin, [])]
    expected = sum(one[0] < other[0] and one[1] > other[1] for one, other in product(edges, edges))  # type: ignore[operator]
    assert count_crossings(rows, after) == expected


@given(neighbours)
def test_sorting_layers_never_adds_crossings(after: dict[Key, list[Key]]) -> None:
    rows: list[list[Key]] = [list(range(10)), list(range(10, 20))]
    before: dict[Key, list[Key]] = {}
    for origin, targets in after.items():
        for target in targets:
            before.setdefault(target, []).append(origin)
    reduced = reduce_crossings(rows, before, after)
    assert [sorted(row) for row in reduced] == rows  # type: ignore[type-var]
    assert count_crossings(reduced, after) <= count_crossings(rows, after)


class CountedLookups(dict[Key, list[Key]]):
    """Counts how often the neighbours of a box are asked for."""

    lookups = 0

    def get(self, key: Key, default: Any = None) -> Any:
        self.lookups += 1
        return super().get(key, default)


def test_each_sweep_looks_at_each_box_once_and_their_number_is_bounded() -> None:
    chance = random.Random(5)
    rows: list[list[Key]] = [[(layer, number) for number in range(100)] for layer in range(10)]
    before, after = CountedLookups(), CountedLookups()
    for row, following in pairwise(rows):
        for origin, target in ((chance.choice(row), chance.choice(following)) for _ in range(200)):
            after.setdefault(origin, []).append(target)
            before.setdefault(target, []).append(origin)
    reduce_crossings(rows, before, after)
    sorting, counting = SWEEPS * 1000, (SWEEPS + 1) * 900
    assert before.lookups + after.lookups == sorting + counting


def test_a_graph_of_1000_boxes_has_a_place_for_each() -> None:
    chance = random.Random(3)
    edges = [f"{chance.randrange(number):04}>{number:04}" for number in range(1, 1000) for _ in range(number % 3 or 1)]
    layout = laid_out(*edges)
    assert len(layout.places) == 1000
    assert len(layout.routes) == len(set(edges))


def test_a_chain_of_1000_boxes_is_one_line() -> None:
    layout = laid_out(*(f"{number:04}>{number + 1:04}" for number in range(999)))
    assert {top for _, top in layout.places.values()} == {0}
    assert all(len({y for _, y in route.points}) == 1 for route in layout.routes)


def test_200_children_are_in_columns_in_the_order_of_their_names() -> None:
    layout = laid_out(*(f"source>{number:03}" for number in range(200)))
    places = [layout.places[f"{number:03}"] for number in range(200)]
    assert places == sorted(places)
    assert len({left for left, _ in places}) == 4
    assert layout.width <= 1300
    assert layout.height <= 200 / 4 * 54 + 40


def test_a_small_number_of_children_is_in_one_column() -> None:
    layout = laid_out(*(f"source>{number}" for number in range(8)))
    assert len({left for left, _ in layout.places.values()}) == 2
    assert layout.height <= HIGHEST_STACK


def test_parts_without_an_edge_between_them_are_below_each_other() -> None:
    layout = laid_out("a>b", "x>y", "x>z")
    tops = {name: top for name, (_, top) in layout.places.items()}
    assert max(tops["a"], tops["b"]) + 40 < min(tops["x"], tops["y"], tops["z"])


def test_a_cycle_is_an_error_and_an_edge_to_an_unknown_box_is_ignored() -> None:
    with pytest.raises(ValueError, match="cycle"):
        laid_out("a>b", "b>a")
    box = GraphBox(id="a", width=200, height=40, port=20)
    assert lay_out([box], [GraphEdge(origin="a", target="b", port=20)], width=900).routes == ()


def test_nothing_is_an_empty_layout() -> None:
    assert lay_out([], [], width=900) == GraphLayout(width=0, height=0, places={}, routes=())
