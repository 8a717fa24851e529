"""The report's page with the keyboard alone."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.report.conftest import OpenTab
from tests.report.test_overview import expect_shown, shown

_FOCUSED = """() => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  return {
    name: element.innerText || element.ariaLabel || element.name || element.id || element.tagName,
    visible: element.matches(':focus-visible') && (style.outlineStyle !== 'none' || style.boxShadow !== 'none'),
    body: element === document.body,
  };
}"""


def press_until(page: Page, text: str, *, most: int = 80) -> list[str]:
    """Presses Tab until an element with this text has the focus; returns the names of all that had it."""
    names: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        names.append(focused["name"].strip())
        assert focused["visible"], f"{focused['name']} does not show that it has the focus"
        if names[-1] == text:
            return names
    raise AssertionError(f"{text} never had the focus: {names}")


def test_the_first_stop_skips_the_navigation(tab: OpenTab) -> None:
    page = tab().page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    expect(page.get_by_role("main").get_by_role("heading", level=2)).to_have_text("Overview")


def test_tab_leads_from_the_navigation_through_filters_to_the_images_and_enter_opens_one(tab: OpenTab) -> None:
    page = tab().page
    names = press_until(page, "monitoring")
    for name in ("Overview", "Lineage", "Prune", "Clear"):
        assert name in names
    page.keyboard.press("Enter")
    heading = page.get_by_role("main").get_by_role("heading", level=2)
    expect(heading).to_contain_text("monitoring")
    expect(heading).to_be_focused()


def test_columns_are_sorted_with_the_keyboard(tab: OpenTab) -> None:
    page = tab().page
    header = page.get_by_role("table", name="Images", exact=True).get_by_role("columnheader", name="Image")
    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    page.keyboard.press("Space")
    expect(header).to_have_attribute("aria-sort", "descending")


def test_slash_focuses_the_search_and_escape_clears_it(tab: OpenTab) -> None:
    page = tab().page
    everything = set(shown(page))
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("vault")
    expect_shown(page, {"vault"})
    page.keyboard.press("Escape")
    expect(page.get_by_role("searchbox")).to_have_value("")
    expect_shown(page, everything)


def test_escape_leads_from_an_image_to_the_overview(tab: OpenTab) -> None:
    page = tab(route="#/image/app").page
    page.keyboard.press("Escape")
    expect(page.get_by_role("main").get_by_role("heading", level=2)).to_have_text("Overview")


def test_back_restores_the_focus_or_the_heading(tab: OpenTab) -> None:
    page = tab().page
    press_until(page, "vault")
    page.keyboard.press("Enter")
    page.go_back()
    assert not page.evaluate(_FOCUSED)["body"]


def test_hidden_views_have_no_tab_stops(tab: OpenTab) -> None:
    page = tab(route="#/prune").page
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("(document.activeElement.closest('section') || {id: ''}).id"))
    assert seen <= {"", "/prune"}
