"""The report's page on narrow screens, in the dark, on paper, without JavaScript, and for axe-core."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.report.browser import NARROW, violations
from tests.report.conftest import OpenTab
from tests.report.documents import small_document

ROUTES = ("#/", "#/lineage", "#/prune", "#/orphans", "#/findings", "#/image/app", "#/image/broken", "#/image/nothing")
COUNT = len(small_document()["images"])

_TOO_WIDE = """() => [...document.querySelectorAll('body *')]
  .filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .filter(each => getComputedStyle(each).visibility !== 'hidden' && each.getClientRects().length)
  .map(each => `${each.tagName}.${each.className} ${each.textContent.slice(0, 40)}`).slice(0, 8)"""


def overflow(page: Page) -> list[str]:
    """Returns the elements that make the page scroll horizontally; empty if it does not."""
    sizes = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    if sizes[0] <= sizes[1]:
        return []
    return [f"{sizes[0]} > {sizes[1]}", *page.evaluate(_TOO_WIDE)]


@pytest.mark.parametrize("document", ["small", "hostile", "empty"])
def test_no_view_scrolls_horizontally_at_400_pixels(tab: OpenTab, document: str) -> None:
    opened = tab(document, viewport=NARROW)
    routes = [*ROUTES]
    if document == "hostile":
        routes += [
            link.get_attribute("href") or "" for link in opened.page.get_by_role("rowheader").get_by_role("link").all()
        ]
    found = {}
    for route in routes:
        found[route] = overflow(opened.go(route))
    assert {route: wide for route, wide in found.items() if wide} == {}


@pytest.mark.parametrize("width", [700, 1024, 1180, 1257, 1600])
def test_no_view_scrolls_horizontally_at_other_widths(tab: OpenTab, width: int) -> None:
    opened = tab(viewport={"width": width, "height": 800})
    assert {route: wide for route in ROUTES if (wide := overflow(opened.go(route)))} == {}


@pytest.mark.parametrize("document", ["small", "hostile", "empty"])
def test_axe_finds_nothing_serious_in_any_view(tab: OpenTab, document: str) -> None:
    opened = tab(document)
    routes = ROUTES if document == "small" else ROUTES[:4]
    assert [f"{route}: {found}" for route in routes for found in violations(opened.go(route))] == []


@pytest.mark.parametrize("document", ["small", "empty"])
def test_axe_finds_enough_contrast_in_dark_mode(tab: OpenTab, document: str) -> None:
    opened = tab(document, color_scheme="dark")
    routes = ROUTES if document == "small" else ROUTES[:2]
    found = {route: violations(opened.go(route), "color-contrast") for route in routes}
    assert {route: each for route, each in found.items() if each} == {}


def test_axe_finds_nothing_serious_on_a_narrow_screen(tab: OpenTab) -> None:
    opened = tab(viewport=NARROW)
    assert [each for route in ("#/", "#/image/app") for each in violations(opened.go(route))] == []


def test_dark_mode_has_a_dark_background_and_light_text(tab: OpenTab) -> None:
    channels = """property => getComputedStyle(document.body)[property].match(/[\\d.]+/g).slice(0, 3).map(Number)"""
    brightness = {}
    for scheme in ("light", "dark"):
        page = tab(color_scheme=scheme).page
        background, text = (sum(page.evaluate(channels, each)) for each in ("backgroundColor", "color"))
        brightness[scheme] = background > text
    assert brightness == {"light": True, "dark": False}


def test_paper_has_every_table_and_no_controls(tab: OpenTab) -> None:
    page = tab().page
    assert page.pdf().startswith(b"%PDF")
    page.emulate_media(media="print")
    tables = page.locator("table")
    assert tables.count() > COUNT
    assert [table.is_visible() for table in tables.all()] == [True] * tables.count()
    expect(page.get_by_role("searchbox")).to_be_hidden()
    expect(page.locator("button:not(th button)").filter(visible=True)).to_have_count(0)


def test_paper_is_white_also_in_dark_mode(tab: OpenTab) -> None:
    page = tab(color_scheme="dark").page
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )


def test_without_javascript_all_tables_are_there_and_no_control_is(tab: OpenTab) -> None:
    page = tab(java_script_enabled=False).page
    rows = page.get_by_role("table", name="Images", exact=True).get_by_role("rowheader")
    for image in small_document()["images"]:
        name = image["image"]
        expect(rows.get_by_role("link", name=name, exact=True)).to_be_visible()
        expect(page.get_by_role("heading", level=2, name=name).first).to_be_visible()
        if image["builds"]:
            expect(page.get_by_role("table", name=f"AMIs of {name}", exact=True)).to_be_visible()
    expect(page.get_by_role("searchbox")).to_be_hidden()
    expect(page.get_by_role("combobox")).to_have_count(0)
    expect(page.get_by_role("button")).to_have_count(0)
    rows.get_by_role("link", name="app", exact=True).click()
    expect(page.get_by_role("heading", level=2, name="app").first).to_be_in_viewport()


def test_animations_stop_if_the_user_wants_less_motion(tab: OpenTab) -> None:
    page = tab(reduced_motion="reduce").page
    assert page.evaluate("document.getAnimations().filter(each => each.playState === 'running').length") == 0
