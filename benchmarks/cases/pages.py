"""Measures the page of a report in Chromium: its first paint, and when a filter works."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.comparison import Case, Contender, Kind
from benchmarks.harness import Harness, write
from benchmarks.table_pages import datatables_page, tabulator_page

_ROOT = Path(__file__).parent.parent.parent
_TEXT = "payments-api-gpu"
"""The name of one image."""


def cases(harness: Harness) -> Iterator[Case]:
    sys.path.insert(0, str(_ROOT))  # the tests' documents are not installed
    from tests.report.documents import large_document

    from ami_bakery.render.report_page.page import render_page

    images, builds = harness.scale.reported_images, harness.scale.reported_builds
    document = large_document(images=images, builds=builds)
    pages = {"report": write(harness.folder / "pages/report.html", render_page(document))}
    if harness.baselines.tables.path:
        modules = Path(harness.baselines.tables.path)
        pages["DataTables"] = write(harness.folder / "pages/datatables.html", datatables_page(document, modules))
        pages["Tabulator"] = write(harness.folder / "pages/tabulator.html", tabulator_page(document, modules))
    empty = write(harness.folder / "pages/empty.html", "<!doctype html><title>Empty</title><p>Nothing</p>")
    size = f"{images} images with {builds} builds each"
    for what, about in (
        ("paint", f"From the navigation to the first paint of a page of {size}"),
        ("filter", f"From the navigation until a text in the search has its result, in a page of {size}"),
    ):
        contenders = [
            _contender(harness, what, name, pages.get(name)) for name in ("report", "DataTables", "Tabulator")
        ]
        if what == "paint":
            contenders.append(_contender(harness, what, "a page with one line", empty))
        name = "page, first paint" if what == "paint" else "page, first filter"
        yield Case(name=name, about=about, rounds=harness.scale.rounds, contenders=tuple(contenders))


def _contender(harness: Harness, what: str, name: str, page: Path | None) -> Contender:
    kind = {"report": Kind.OURS, "a page with one line": Kind.LIMIT}.get(name, Kind.BASELINE)
    missing = harness.baselines.chromium.missing or (harness.baselines.tables.missing if page is None else "")
    if missing:
        return Contender(name=name, kind=kind, missing=missing)
    return Contender(
        name=name,
        kind=kind,
        command=(sys.executable, "-m", "benchmarks.page_timing", what, str(page), _TEXT, "1"),
        environment=harness.environment,
        folder=_ROOT,
        reports=True,
    )
