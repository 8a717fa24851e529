"""Draws the lineage graph of a report as inline SVG.

The page has a strict Content Security Policy, so the markup has no ids, no style and no colors, only classes. Texts
are HTML-escaped.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ami_bakery.core.report.layout import GraphBox, GraphEdge, lay_out
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.render.report_page.node_text import shorten, text_width
from ami_bakery.render.report_page.svg_path import coordinate, rounded_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ami_bakery.core.report.layers import Point
    from ami_bakery.core.report.layout import GraphLayout

NODE_WIDTH, NODE_HEIGHT = 224, 46
COPY_HEIGHT, COPY_GAP, COPY_INDENT = 22, 5, 18
PAGE_WIDTH, MARGIN = 1300, 8
LABEL_SIZE, DETAIL_SIZE, BOLD = 13, 11, 1.08
"""Font sizes in pixels, and how much wider bold text is. Texts are shortened for these."""

_GLYPHS = {
    "current": "M-3.5.2-1 2.7 3.6-2.8",
    "behind": "M0 4v-8M-3.4-.8 0-4.2 3.4-.8",
    "not-built": "M0-4v8M-4 0h8",
    "building": "M-3.6 0h.01M0 0h.01M3.6 0h.01",
    "pending": "M0-4V.4L2.8 2.2",
    "not-copied": "M-4 0h8M.8-3.4 4.2 0 .8 3.4",
    "untested": "M0-4.4V1M0 4h.01",
    "failing-test": "M-3.2-3.2l6.4 6.4M3.2-3.2l-6.4 6.4",
    "revoked": "M-4.2-4.2 4.2 4.2",
    "disabled": "M-1.8-3.4v6.8M1.8-3.4v6.8",
    "unknown": "M-2.3-2.2a2.3 2.3 0 1 1 3.4 2C.3.3 0 .7 0 1.5M0 4.2h.01",
}
"""The sign of each state: lines around 0, 0."""
_SOURCE_GLYPH = "M-4.4-1.4 0-3.8l4.4 2.4L0 1zM-4.4 1.6 0 4l4.4-2.4"
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+", re.ASCII)
_KINDS = ("source", "image", "copy")


def lineage_svg(lineage: Mapping[str, Any]) -> str:
    """Returns the `lineage` of a report's document as SVG markup; empty if it has no nodes.

    Its size is `width` and `height` in pixels, which CSS may change. Images are links to `#/image/NAME`. The copies of
    an image are rows below it. A page styles these classes: `node` with its kind and state (`node-image state-behind`)
    and in it `box`, `sign`, `glyph`, `label` and `detail`; `edge`, `edge-copied` and `arrows`.
    """
    nodes = sorted(
        lineage["nodes"], key=lambda node: (_KINDS.index(node["kind"]), node["label"].casefold(), node["id"])
    )
    if not nodes:
        return ""
    rows = _rows(nodes, lineage["edges"])
    layout = _layout(nodes, lineage["edges"], rows)
    shown = {node["id"]: node for node in nodes}
    places = _node_places(layout.places, rows)
    parts = [*_edges(layout, rows, lineage["edges"], places)]
    parts += [_node(shown[name], place, is_row=name not in layout.places) for name, place in places.items()]
    width, height = coordinate(layout.width + 2 * MARGIN), coordinate(layout.height + 2 * MARGIN)
    return (
        f'<svg class="lineage" role="group" direction="ltr" font-size="{DETAIL_SIZE}"'
        f' aria-label="{_summary(nodes)}" width="{width}" height="{height}"'
        f' viewBox="{-MARGIN} {-MARGIN} {width} {height}">{"".join(parts)}</svg>'
    )


def _summary(nodes: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(node["kind"] for node in nodes)
    words = zip(_KINDS, ("source AMI", "image", "copy"), ("source AMIs", "images", "copies"), strict=True)
    return "Lineage: " + ", ".join(
        f"{counts[kind]} {one if counts[kind] == 1 else many}" for kind, one, many in words if counts[kind]
    )


def _rows(nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> Mapping[str, list[str]]:
    """Returns the copies that are rows of an image: those with one edge, from the image."""
    kinds = {node["id"]: node["kind"] for node in nodes}
    origins = defaultdict(list)
    for edge in edges:
        origins[edge["target"]].append(edge["origin"])
    rows = defaultdict(list)
    for node in sorted(nodes, key=lambda node: node["region"] or ""):
        above = origins[node["id"]]
        if node["kind"] == "copy" and len(above) == 1 and kinds.get(above[0], "copy") != "copy":
            rows[above[0]].append(node["id"])
    return rows


def _layout(
    nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]], rows: Mapping[str, Sequence[str]]
) -> GraphLayout:
    owners = {row: (owner, _row_top(index)) for owner, names in rows.items() for index, row in enumerate(names)}
    middle = NODE_HEIGHT / 2
    boxes = [
        GraphBox(id=name, width=NODE_WIDTH, height=_row_top(len(rows.get(name, ()))) - COPY_GAP, port=middle)
        for name in (node["id"] for node in nodes)
        if name not in owners
    ]
    links = []
    for edge in edges:
        if edge["target"] not in owners:
            owner, top = owners.get(edge["origin"], (edge["origin"], None))
            port = middle if top is None else top + COPY_HEIGHT / 2
            links.append(GraphEdge(origin=owner, target=edge["target"], port=port))
    return lay_out(boxes, links, width=PAGE_WIDTH)


def _row_top(index: int) -> float:
    return NODE_HEIGHT + COPY_GAP + index * (COPY_HEIGHT + COPY_GAP)


def _node_places(boxes: Mapping[str, Point], rows: Mapping[str, Sequence[str]]) -> Mapping[str, Point]:
    places = {}
    for name, (x, y) in boxes.items():
        places[name] = (x, y)
        for index, row in enumerate(rows.get(name, ())):
            places[row] = (x + COPY_INDENT, y + _row_top(index))
    return places


def _edges(
    layout: GraphLayout,
    rows: Mapping[str, Sequence[str]],
    edges: Sequence[Mapping[str, Any]],
    places: Mapping[str, Point],
) -> Iterable[str]:
    copied = {(edge["origin"], edge["target"]) for edge in edges if edge["kind"] == "copied"}
    paths: dict[tuple[str, str], list[str]] = defaultdict(list)
    heads = []
    for route in layout.routes:
        is_copy = (route.edge.origin, route.edge.target) in copied
        paths[route.edge.origin, "edge edge-copied" if is_copy else "edge"].append(rounded_path(route.points))
        x, y = route.points[-1]
        heads.append(f"M{coordinate(x)} {coordinate(y)}l-6-3.5v7z")
    for owner, names in rows.items():
        left, top = places[owner]
        for name in names:
            x, y = left + COPY_INDENT / 2, places[name][1] + COPY_HEIGHT / 2
            points = ((x, top + NODE_HEIGHT), (x, y), (left + COPY_INDENT, y))
            paths[owner, "edge edge-copied"].append(rounded_path(points))
    yield '<g class="edges" aria-hidden="true" fill="none">'
    yield from (f'<path class="{kind}" d="{"".join(lines)}"/>' for (_, kind), lines in paths.items())
    yield f'<path class="arrows" d="{"".join(heads)}"/></g>' if heads else "</g>"


def _node(node: Mapping[str, Any], place: Point, *, is_row: bool) -> str:
    kind, state = node["kind"], node["state"]
    label = _clean(node["image"] or node["label"] if kind == "copy" else node["label"])
    words = "gone" if kind == "source" and state == "unknown" else state.replace("-", " ")
    where = [_clean(text) for text in (node["region"], node["ami"]) if text]
    name = {
        "source": f"Source AMI {label}" + (": gone" if words == "gone" else ""),
        "image": f"{label}: {words}",
        "copy": " ".join([f"Copy of {label}", *(["in", where[0]] if node["region"] else [])]) + f": {words}",
    }[kind]
    title = "\n".join([label, *where, "source AMI" + ", gone" * (words == "gone") if kind == "source" else words])
    x, y = place
    attributes = (
        f'class="node node-{kind} state-{escape(state)}" transform="translate({coordinate(x)} {coordinate(y)})"'
        f' aria-label="{escape(name)}"'
    )
    drawing = (_row_drawing if is_row else _box_drawing)(node, label, where) + f"<title>{escape(title)}</title>"
    if kind == "image":
        image = quote(node["image"] or node["label"], safe="", errors="replace")
        return f'<a href="#/image/{image}" {attributes}>{drawing}</a>'
    return f'<g role="img" {attributes}>{drawing}</g>'


def _box_drawing(node: Mapping[str, Any], label: str, where: Sequence[str]) -> str:
    corner = NODE_HEIGHT / 2 if node["kind"] == "source" else 8
    glyph = _SOURCE_GLYPH if node["kind"] == "source" and node["state"] == "current" else _glyph(node["state"])
    room = NODE_WIDTH - 34 - 12
    return (
        f'<rect class="box" width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="{coordinate(corner)}"/>'
        f'<circle class="sign" cx="19" cy="23" r="8.5"/><path class="glyph" d="{glyph}" transform="translate(19 23)"/>'
        + _text("label", 34, 19.5 if where else 27.5, _short_label(label, room), f' font-size="{LABEL_SIZE}"')
        + (_text("detail", 34, 35.5, _place_text(where, room)) if where else "")
    )


def _row_drawing(node: Mapping[str, Any], label: str, where: Sequence[str]) -> str:
    width = NODE_WIDTH - COPY_INDENT
    return (
        f'<rect class="box" width="{width}" height="{COPY_HEIGHT}" rx="5"/>'
        f'<circle class="sign" cx="12" cy="11" r="6"/>'
        f'<path class="glyph" d="{_glyph(node["state"])}" transform="translate(12 11)scale(.7)"/>'
        + _text("detail", 23, 15, _place_text(where or [label], width - 23 - 8))
    )


def _glyph(state: str) -> str:
    return _GLYPHS.get(state, _GLYPHS["unknown"])


def _place_text(where: Sequence[str], room: float) -> str:
    """Returns a region and an AMI. The AMI is shortened first."""
    width = room / DETAIL_SIZE
    shown = shorten(where[0], width)
    return " ".join([shown, *(shorten(text, width - text_width(f"{shown} ")) for text in where[1:])])


def _short_label(label: str, room: float) -> str:
    """Returns a label that fits, without the folders of names such as `ubuntu/images/hvm-ssd/ubuntu-noble`."""
    width = room / LABEL_SIZE / BOLD
    if text_width(label) > width and _PATH.fullmatch(label):
        label = label.rpartition("/")[2]
    return shorten(label, width)


def _text(kind: str, x: float, y: float, text: str, more: str = "") -> str:
    # The isolates keep a text from right to left together.
    return f'<text class="{kind}" x="{coordinate(x)}" y="{coordinate(y)}"{more}>\u2068{escape(text)}\u2069</text>'


def _clean(text: str) -> str:
    """Escapes characters that XML does not allow, or that change the direction of the text around."""
    return one_line(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
