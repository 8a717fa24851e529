"""Renders the page of a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ami_bakery.render.report_page.embedding import content_policy, embedded_json, visible_document
from ami_bakery.render.report_page.labels import STATES
from ami_bakery.render.report_page.lineage_rows import graph_states, lineage_rows
from ami_bakery.render.report_page.lineage_svg import lineage_svg
from ami_bakery.render.report_page.overview_rows import OverviewRow, choices, overview_rows, state_counts
from ami_bakery.render.report_page.page_templates import page_environment
from ami_bakery.render.report_page.prune_rows import prune_counts, prune_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ASSETS = Path(__file__).parent / "assets"
_STYLES = ("base.css", "table.css", "views.css", "print.css")
_SCRIPTS = ("page.js", "overview.js", "image.js", "graph.js", "start.js")
"""Files in the order in which the page has them."""


def render_page(document: Mapping[str, Any]) -> str:
    """Renders the document of `report --json` (docs/reference/report.schema.json) as HTML.

    The page is complete: styles, scripts and data are in it, and it makes no requests. The same document gives the
    same page.
    """
    report = visible_document(document)
    style, script, early = _text(*_STYLES), _script(), _text("early.js")
    return (
        page_environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            policy=content_policy(scripts=(early, script), styles=(style,)),
            icon=_icon(),
            style=Markup(style),  # noqa: S704 (our own file)
            early_script=Markup(early),  # noqa: S704
            script=Markup(script),  # noqa: S704
            data=Markup(embedded_json(document)),  # noqa: S704 (without <, > and &)
            **_views(report),
        )
    )


def _views(report: Mapping[str, Any]) -> dict[str, Any]:
    images = report["images"]
    rows = overview_rows(images)
    return {
        "rows": rows,
        "counts": state_counts(rows),
        "filters": _filters(rows),
        "image_names": frozenset(image["image"] for image in images),
        "finding_count": sum(len(image["findings"] or ()) for image in images),
        "unchecked": [image["image"] for image in images if image["findings"] is None],
        "graph": Markup(lineage_svg(report["lineage"])),  # noqa: S704 (escapes its texts)
        "graph_states": graph_states(report["lineage"]),
        "lineage": lineage_rows(report["lineage"]),
        "prune_rows": prune_rows(images),
        "prune_counts": prune_counts(images),
    }


def _filters(rows: Sequence[OverviewRow]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Returns the select elements above the overview: label, name, and the options as values with texts."""
    values = choices(rows)
    states = [(name, STATES[name].word) for name, _ in state_counts(rows)]
    plain = {"Region": values.regions, "Channel": values.channels, "Tag": values.tags}
    return [
        ("State", "state", states),
        *[(label, label.lower(), [(each, each) for each in texts]) for label, texts in plain.items()],
    ]


def _script() -> str:
    return '(()=>{"use strict";\n' + _text(*_SCRIPTS) + "})();\n"


def _icon() -> str:
    from urllib.parse import quote

    return f"data:image/svg+xml,{quote(_text('icon.svg').strip(), safe=' /:=')}"


def _text(*names: str) -> str:
    return "".join((_ASSETS / name).read_text("utf-8") for name in names)
