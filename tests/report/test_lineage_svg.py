"""The SVG of the lineage graph: links, names, signs, and texts of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from ami_bakery.render.report_page.lineage_svg import lineage_svg
from tests.report.documents import hostile_document, large_document, small_document

SCHEMA = Path(__file__).parents[2] / "docs/reference/report.schema.json"
Lineage: TypeAlias = dict[str, list[dict[str, Any]]]


def node(name: str, kind: str = "image", **fields: str | None) -> dict[str, Any]:
    """Returns a node of the graph; its label and image are its id."""
    known = {"label": name, "image": None if kind == "source" else name, "ami": "ami-1", "region": "us-east-1"}
    return {"id": name, "kind": kind, "state": "current", **known, **fields}


def edge(origin: str, target: str, kind: str = "built-from") -> dict[str, Any]:
    return {"kind": kind, "origin": origin, "target": target}


def parsed(lineage: Lineage) -> ElementTree.Element:
    return ElementTree.fromstring(lineage_svg(lineage))


def by_class(svg: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in svg.iter() if name in element.get("class", "").split()]


def text_of(element: ElementTree.Element, name: str) -> str:
    return "".join(by_class(element, name)[0].itertext()).strip("\u2068\u2069")


@pytest.mark.parametrize("document", [small_document(), large_document(), hostile_document()])
def test_every_image_is_one_link_to_its_view(document: dict[str, Any]) -> None:
    lineage = document["lineage"]
    links = [unquote(link.get("href", "")) for link in parsed(lineage).iter("a")]
    images = [f"#/image/{node['image']}" for node in lineage["nodes"] if node["kind"] == "image"]
    assert sorted(links) == sorted(images)


def test_names_have_the_state_and_copies_are_no_links() -> None:
    svg = parsed(
        {
            "nodes": [
                node("ubuntu", "source"),
                node("old", "source", state="unknown"),
                node("app", state="failing-test"),
                node("copy", "copy", label="app in eu-west-1", image="app", region="eu-west-1", state="not-copied"),
            ],
            "edges": [edge("ubuntu", "app"), edge("app", "copy", "copied")],
        }
    )
    assert svg.get("aria-label") == "Lineage: 2 source AMIs, 1 image, 1 copy"
    assert {each.get("aria-label"): each.tag for each in by_class(svg, "node")} == {
        "Source AMI ubuntu": "g",
        "Source AMI old: gone": "g",
        "app: failing test": "a",
        "Copy of app in eu-west-1: not copied": "g",
    }


def test_each_state_has_a_sign_of_its_own() -> None:
    states = json.loads(SCHEMA.read_text())["$defs"]["state"]["enum"]
    svg = parsed({"nodes": [node(state, state=state) for state in states], "edges": []})
    signs = [glyph.get("d") for glyph in by_class(svg, "glyph")]
    assert len(set(signs)) == len(states)
    assert [len(by_class(svg, f"state-{state}")) for state in states] == [1] * len(states)


def test_a_long_text_is_short_in_the_graph_and_complete_in_its_title() -> None:
    name, ami = "image-" + "x" * 60 + "-end", "ami-0123456789abcdef0"
    svg = parsed({"nodes": [node(name, ami=ami, region="ap-southeast-1")], "edges": []})
    label, detail = text_of(svg, "label"), text_of(svg, "detail")
    assert label.startswith("image-")
    assert label.endswith("-end")
    assert len(label) < 30
    assert detail.startswith("ap-southeast-1 ami-")
    assert len(detail) < 38
    assert [title.text for title in svg.iter("title")] == [f"{name}\nap-southeast-1\n{ami}\ncurrent"]


def test_a_name_without_room_for_its_folders_loses_them_first() -> None:
    name = "ubuntu/images/hvm-ssd/ubuntu-noble-24.04"
    svg = parsed({"nodes": [node(name, "source")], "edges": []})
    assert text_of(svg, "label").startswith("ubuntu-nob")


@pytest.mark.parametrize(
    "text", ["</svg><script>alert(1)</script>", "\"' onload='x", "a\x00\x1b[1m\ufffe\u202eb", "]]>&lt;"]
)
def test_a_hostile_text_is_only_text(text: str) -> None:
    fields = dict.fromkeys(("label", "image", "ami", "region"), text)
    lineage: Lineage = {
        "nodes": [node(text, **fields), node("copy", "copy", **fields), node("source", "source", **fields)],
        "edges": [edge(text, "copy", "copied"), edge("source", text)],
    }
    tags = {element.tag for element in parsed(lineage).iter()}
    assert tags == {"svg", "g", "a", "path", "rect", "circle", "text", "title"}
    attributes = {name for element in parsed(lineage).iter() for name in element.attrib}
    assert not {name for name in attributes if name in ("id", "style") or name.startswith("on")}


def test_a_text_cannot_change_the_direction_of_others() -> None:
    svg = lineage_svg({"nodes": [node("a\u202e\u2069b")], "edges": []})
    assert "\u202e" not in svg
    assert svg.count("\u2068") == svg.count("\u2069") == 2


def test_copies_are_rows_below_their_image_and_lines_start_at_them() -> None:
    svg = parsed(
        {
            "nodes": [node("base"), node("eu", "copy", region="eu-west-1"), node("app")],
            "edges": [edge("base", "eu", "copied"), edge("eu", "app")],
        }
    )
    places = {each.get("aria-label", ""): each.get("transform") for each in by_class(svg, "node")}
    assert places["base: current"] == "translate(0 0)"
    assert places["Copy of eu in eu-west-1: current"] == "translate(18 51)"
    assert [path.get("d", "").split("L")[0] for path in by_class(svg, "edge")] == ["M224 62", "M9 46"]
    assert [path.get("class") for path in by_class(svg, "edge-copied")] == ["edge edge-copied"]


def test_a_graph_without_nodes_is_empty() -> None:
    assert lineage_svg({"nodes": [], "edges": []}) == ""
