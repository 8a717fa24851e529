"""Fixtures: a browser for all tests of a process, and pages of the report in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from ami_bakery.render.report_page.page import render_page
from tests.report.browser import Tab, chromium
from tests.report.documents import DOCUMENTS

OpenTab = Callable[..., Tab]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns a function that renders a document of this name, once."""
    folder = tmp_path_factory.mktemp("pages")

    def file_of(name: str) -> Path:
        file = folder / f"{name}.html"
        if not file.exists():
            file.write_text(render_page(DOCUMENTS[name]()))
        return file

    return file_of


@pytest.fixture
def tab(browser: Browser, page_file: Callable[[str], Path]) -> Iterator[OpenTab]:
    """Returns a function that opens a document's page, which may request nothing and print no error or warning."""
    opened: list[Tab] = []

    def open_tab(document: str = "small", route: str = "", **options: Any) -> Tab:
        made = Tab(browser, page_file(document), options)
        opened.append(made)
        made.open(route)
        return made

    yield open_tab
    for each in opened:
        each.context.close()
    assert [message for each in opened for message in each.messages] == []
    assert [url for each in opened for url in each.requests] == []
