"""The lineage graph as a table, and the images of source AMIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ami_bakery.render.report_page.labels import STATES
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class LineageRow(Frozen):
    """A node, with the labels and images of its neighbours."""

    node: Mapping[str, Any]
    origins: tuple[Mapping[str, Any], ...]
    built: tuple[Mapping[str, Any], ...]
    copied: tuple[Mapping[str, Any], ...]


def lineage_rows(lineage: Mapping[str, Any]) -> tuple[LineageRow, ...]:
    """Returns sources and images; copies are in the row of their image."""
    nodes = {node["id"]: node for node in lineage["nodes"]}
    edges = [edge for edge in lineage["edges"] if edge["origin"] in nodes and edge["target"] in nodes]
    origins: dict[str, list[Mapping[str, Any]]] = {node: [] for node in nodes}
    targets: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for edge in edges:
        origins[edge["target"]].append(nodes[edge["origin"]])
        targets.setdefault((edge["kind"], edge["origin"]), []).append(nodes[edge["target"]])
    return tuple(
        LineageRow(
            node=node,
            origins=tuple(origins[id_]),
            built=tuple(targets.get(("built-from", id_), ())),
            copied=tuple(targets.get(("copied", id_), ())),
        )
        for id_, node in nodes.items()
        if node["kind"] != "copy"
    )


def graph_states(lineage: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the states of images in the graph: those that need attention first."""
    states = {node["state"] for node in lineage["nodes"] if node["kind"] == "image"}
    return tuple(state for state in STATES if state in states)


def images_of_source(ami: str, images: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Returns the images whose current definition starts from a source AMI."""
    return tuple(
        image["image"] for image in images if image["definition"] and ami in image["definition"]["source_amis"]
    )
