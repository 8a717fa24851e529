"""Creates pages that show the report's tables with common libraries, to compare with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

IMAGE_COLUMNS = ("Image", "State", "AMIs", "Newest build", "Behind", "Channels", "Used by", "Tags")
BUILD_COLUMNS = ("Image", "AMI", "Created", "State", "Digest", "Commit", "Subject", "Source AMI", "Changes", "AMIs")


def image_rows(document: Mapping[str, Any]) -> list[list[str]]:
    """Returns the rows of the overview."""
    return [
        [
            image["image"],
            image["state"],
            " ".join(ami["ami"] for ami in image["builds"][0]["amis"]),
            image["builds"][0]["created"],
            str(image["builds"][0]["builds_behind"]),
            " ".join(channel["channel"] for channel in image["channels"]),
            "Nothing",
            " ".join(f"{name}={value}" for name, value in image["tags"].items()),
        ]
        for image in document["images"]
    ]


def build_rows(document: Mapping[str, Any]) -> list[list[str]]:
    """Returns one row for each build of each image."""
    return [
        [
            image["image"],
            build["id"],
            build["created"],
            build["state"],
            build["digest"][:12],
            build["commit"][:12],
            document["commits"][build["commit"]]["subject"],
            build["source_amis"][0],
            ", ".join(item["subject"] for item in build["changes"]["items"]) if build["changes"] else "",
            " ".join(ami["ami"] for ami in build["amis"]),
        ]
        for image in document["images"]
        for build in image["builds"]
    ]


def datatables_page(document: Mapping[str, Any], modules: Path) -> str:
    """All images on one page, as in our overview; 10 builds on each page, which the library draws when shown."""
    script = (modules / "datatables.net/js/dataTables.min.js").read_text()
    style = (modules / "datatables.net-dt/css/dataTables.dataTables.min.css").read_text()
    setup = """
      const columns = (titles) => titles.map((title) => ({ title }));
      const options = (titles, data) => ({ data, columns: columns(titles), deferRender: true, searchDelay: 0 });
      const images = new DataTable('#images', { ...options(IMAGES, rows.images), paging: false, dom: 'it' });
      new DataTable('#builds', options(BUILDS, rows.builds));
      document.querySelector('input[type=search]').addEventListener('input', (event) =>
        images.search(event.target.value).draw());
    """
    tables = '<table id="images"></table><table id="builds"></table>'
    return _page(document, style, script, tables, setup)


def tabulator_page(document: Mapping[str, Any], modules: Path) -> str:
    """Draws only the rows that are in view."""
    script = (modules / "tabulator-tables/dist/js/tabulator.min.js").read_text()
    style = (modules / "tabulator-tables/dist/css/tabulator.min.css").read_text()
    setup = """
      const columns = (titles) => titles.map((title, number) => ({ title, field: String(number) }));
      const data = (rows) => rows.map((row, id) => ({ id, ...row }));
      const table = (place, titles, rows) =>
        new Tabulator(place, { height: 700, columns: columns(titles), data: data(rows) });
      const images = table('#images', IMAGES, rows.images);
      table('#builds', BUILDS, rows.builds);
      const isMatch = (row, { text }) => Object.values(row).some((cell) => String(cell).toLowerCase().includes(text));
      document.querySelector('input[type=search]').addEventListener('input', (event) =>
        images.initialized && images.setFilter(isMatch, { text: event.target.value.toLowerCase() }));
    """
    return _page(document, style, script, '<div id="images"></div><div id="builds"></div>', setup)


def _page(document: Mapping[str, Any], style: str, script: str, tables: str, setup: str) -> str:
    rows = _json({"images": image_rows(document), "builds": build_rows(document)})
    names = f"const IMAGES = {_json(IMAGE_COLUMNS)}; const BUILDS = {_json(BUILD_COLUMNS)};"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Images</title><style>{style}</style>'
        f'<h1>Images</h1><label>Search <input type="search"></label>{tables}<script>{script}</script>'
        f"<script>const rows = {rows}; {names} {setup}</script></html>"
    )


def _json(value: object | Sequence[str]) -> str:
    return json.dumps(value).replace("<", "\\u003c")
