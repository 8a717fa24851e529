"""The layout of the lineage graph: boxes, layers, lines, and the number of crossings."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.report.layout import GraphBox, GraphEdge, lay_out

Graph: TypeAlias = tuple[list[GraphBox], list[GraphEdge]]


@st.composite
def graphs(draw: st.DrawFn, most: int = 30) -> Graph:
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
