"""Connects source AMIs, images and their copies in a graph without cycles."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.core.report.image_states import ImageState
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.ec2.lineage import AmiKey


class NodeKind(StrEnum):
    SOURCE = "source"
    """A source AMI that is not built here."""
    IMAGE = "image"
    COPY = "copy"
    """The copies of an image in another region."""


class EdgeKind(StrEnum):
    BUILT_FROM = "built-from"
    COPIED = "copied"


class LineageNode(Frozen):
    """A node. `id`: unique in the graph, and the same in each report. `image` is None for a source AMI."""

    id: str
    kind: NodeKind
    label: str
    image: str | None
    ami: str | None
    region: str | None
    state: ImageState


class LineageEdge(Frozen):
    """An edge from the node `origin` to the node that was made from it."""

    kind: EdgeKind
    origin: str
    target: str


class LineageImage(Frozen):
    """An image, and what it is built from.

    parent   the image that it is built from; None if none
    sources  its source AMIs; they only count if it has no parent in the graph
    amis     the AMI that counts in each region, that of the build first; None if there is none
    """

    name: str
    state: ImageState
    parent: str | None
    sources: tuple[AmiKey, ...]
    amis: Mapping[str, str | None]


class LineageGraph(Frozen):
    """The graph. Parents come before children in `nodes`, if they do so in the images."""

    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]


def connect_lineage(images: Iterable[LineageImage], sources: Mapping[AmiKey, Ami | None]) -> LineageGraph:
    """Returns the graph of these images, and of the source AMIs of those without a parent.

    It has no cycle, because `bakery.toml` allows none, and because a source AMI has its own node, even if an image of
    this configuration built it.

    sources  None: EC2 does not show it any more
    """
    listed = tuple(images)
    names = {image.name for image in listed}
    nodes: dict[str, LineageNode] = {}
    edges: dict[LineageEdge, None] = {}
    for image in listed:
        home = _image_id(image.name)
        if image.parent in names:
            edges[LineageEdge(kind=EdgeKind.BUILT_FROM, origin=_image_id(image.parent or ""), target=home)] = None
        for key in image.sources if image.parent not in names else ():
            source = _source_node(key, sources.get(key))
            nodes.setdefault(source.id, source)
            edges[LineageEdge(kind=EdgeKind.BUILT_FROM, origin=source.id, target=home)] = None
    for image in listed:
        for node in _image_nodes(image):
            nodes[node.id] = node
            if node.kind is NodeKind.COPY:
                edges[LineageEdge(kind=EdgeKind.COPIED, origin=_image_id(image.name), target=node.id)] = None
    return LineageGraph(nodes=tuple(nodes.values()), edges=tuple(edges))


def _image_nodes(image: LineageImage) -> Iterator[LineageNode]:
    """Yields the node of the build region, then those of the copies."""
    for number, (region, ami) in enumerate(image.amis.items()):
        lacks = number > 0 and ami is None and image.state is ImageState.CURRENT
        yield LineageNode(
            id=f"copy:{image.name}:{region}" if number else _image_id(image.name),
            kind=NodeKind.COPY if number else NodeKind.IMAGE,
            label=image.name,
            image=image.name,
            ami=ami,
            region=region,
            state=ImageState.NOT_COPIED if lacks else image.state,
        )


def _source_node(key: AmiKey, ami: Ami | None) -> LineageNode:
    return LineageNode(
        id=f"source:{key.region}:{key.id}",
        kind=NodeKind.SOURCE,
        label=ami.name if ami is not None and ami.name else key.id,
        image=None,
        ami=key.id,
        region=key.region,
        state=ImageState.UNKNOWN if ami is None else ImageState.CURRENT,
    )


def _image_id(name: str) -> str:
    return f"image:{name}"
