"""The lineage graph of a report."""

from __future__ import annotations

from datetime import UTC, datetime
from graphlib import TopologicalSorter

from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.ec2.ami import Ami, AmiState
from ami_bakery.core.ec2.lineage import AmiKey
from ami_bakery.core.report.image_states import ImageState
from ami_bakery.core.report.lineage_graph import LineageImage, connect_lineage
from ami_bakery.values import replace

HOME, FAR = "us-east-1", "eu-west-1"
UBUNTU = AmiKey(HOME, "ami-u")
AMI = Ami(
    id="ami-u",
    region=HOME,
    name="ubuntu",
    state=AmiState.AVAILABLE,
    created=datetime(2026, 6, 1, tzinfo=UTC),
    owner="099720109477",
)
BASE = LineageImage(
    name="base", state=ImageState.CURRENT, parent=None, sources=(UBUNTU,), amis={HOME: "ami-1", FAR: "ami-2"}
)
APP = LineageImage(
    name="app", state=ImageState.PENDING, parent="base", sources=(AmiKey(HOME, "ami-1"),), amis={HOME: None}
)


def test_source_ami_image_copy_and_child_are_connected() -> None:
    graph = connect_lineage([BASE, APP], {UBUNTU: AMI})
    assert {node.id: (node.label, node.ami, node.region, node.state.value) for node in graph.nodes} == {
        "source:us-east-1:ami-u": ("ubuntu", "ami-u", HOME, "current"),
        "image:base": ("base", "ami-1", HOME, "current"),
        "copy:base:eu-west-1": ("base", "ami-2", FAR, "current"),
        "image:app": ("app", None, HOME, "pending"),
    }
    assert {(edge.kind.value, edge.origin, edge.target) for edge in graph.edges} == {
        ("built-from", "source:us-east-1:ami-u", "image:base"),
        ("copied", "image:base", "copy:base:eu-west-1"),
        ("built-from", "image:base", "image:app"),
    }


def test_source_ami_that_is_gone_is_named_by_its_id() -> None:
    graph = connect_lineage([BASE], {UBUNTU: None})
    assert (graph.nodes[0].label, graph.nodes[0].state) == ("ami-u", ImageState.UNKNOWN)


def test_missing_copy_of_a_current_image_is_not_current() -> None:
    graph = connect_lineage([replace(BASE, amis={HOME: "ami-1", FAR: None})], {UBUNTU: AMI})
    assert [node.state.value for node in graph.nodes] == ["current", "current", "not-copied"]


def test_source_ami_of_an_image_whose_parent_is_not_in_the_report_is_shown() -> None:
    graph = connect_lineage([APP], {})
    assert [node.id for node in graph.nodes] == ["source:us-east-1:ami-1", "image:app"]


@st.composite
def _images(draw: st.DrawFn) -> list[LineageImage]:
    """Images whose parents are other images, without a circle, in any order. Source AMIs may be any AMIs."""
    count = draw(st.integers(0, 8))
    ids = st.sampled_from([f"ami-{number}" for number in range(12)])
    images = []
    for number in range(count):
        parent = draw(st.none() | st.integers(0, number - 1)) if number else None
        regions = draw(st.lists(st.sampled_from([HOME, FAR, "us-west-2"]), min_size=1, unique=True))
        images.append(
            LineageImage(
                name=f"image-{number}",
                state=draw(st.sampled_from(ImageState)),
                parent=None if parent is None else f"image-{parent}",
                sources=tuple(AmiKey(HOME, ami) for ami in draw(st.lists(ids, max_size=3))),
                amis={region: draw(st.none() | ids) for region in regions},
            )
        )
    return draw(st.permutations(images))


@given(_images())
def test_graph_has_each_node_once_no_loose_edge_and_no_cycle(images: list[LineageImage]) -> None:
    graph = connect_lineage(images, {})
    ids = [node.id for node in graph.nodes]
    assert len(ids) == len(set(ids))
    assert {end for edge in graph.edges for end in (edge.origin, edge.target)} <= set(ids)
    assert len(graph.edges) == len(set(graph.edges))
    origins: dict[str, set[str]] = {name: set() for name in ids}
    for edge in graph.edges:
        origins[edge.target].add(edge.origin)
    assert len(list(TopologicalSorter(origins).static_order())) == len(ids), "a cycle raises CycleError"
    for image in images:
        assert {node.region for node in graph.nodes if node.image == image.name} == set(image.amis)
