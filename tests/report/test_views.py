"""Views of the report's page, their URLs, and what each shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.report.conftest import OpenTab
from tests.report.documents import empty_document, small_document

VIEWS = {"#/": "Overview", "#/lineage": "Lineage", "#/prune": "Prune", "#/orphans": "Orphans", "#/findings": "Findings"}
"""The names of the views in the navigation, by URL."""


def stem(route: str) -> str:
    """Returns what the name and the heading of a view have in common: "Orphans" is short for "Orphaned resources"."""
    return VIEWS[route][:6]


def heading(page: Page) -> str:
    """Returns the visible heading of the view."""
    headings = page.get_by_role("main").get_by_role("heading", level=2)
    expect(headings).to_have_count(1)
    return headings.inner_text().split("\n")[0]


@pytest.mark.parametrize("route", VIEWS)
def test_the_navigation_opens_each_view_and_marks_it(tab: OpenTab, route: str) -> None:
    page = tab().page
    page.get_by_role("navigation").get_by_role("link", name=re.compile(f"^{VIEWS[route]}")).click()
    assert page.url.endswith(route)
    assert heading(page).startswith(stem(route))
    current = page.locator('[aria-current="page"]')
    expect(current).to_have_count(1)
    expect(current).to_contain_text(VIEWS[route])


def test_each_image_has_a_view_with_its_state(tab: OpenTab) -> None:
    opened = tab()
    for image in small_document()["images"]:
        page = opened.go(f"#/image/{image['image']}")
        assert heading(page).startswith(image["image"])
        expect(page.get_by_role("main").get_by_role("heading", level=3, name="Builds", exact=True)).to_be_visible()


def test_back_forward_and_reload_keep_the_view(tab: OpenTab) -> None:
    page = tab().page
    page.get_by_role("main").get_by_role("link", name="app", exact=True).first.click()
    assert heading(page).startswith("app")
    page.get_by_role("navigation").get_by_role("link", name="Lineage").click()
    page.go_back()
    assert heading(page).startswith("app")
    page.reload()
    assert heading(page).startswith("app")
    page.go_back()
    assert heading(page) == "Overview"
    page.go_forward()
    assert heading(page).startswith("app")


@pytest.mark.parametrize(
    "route", ["#/image/nothing", "#/image/%E0%A4%A", "#/nowhere", "#/image/", "#/image/constructor"]
)
def test_an_unknown_url_says_so_and_leads_to_the_overview(tab: OpenTab, route: str) -> None:
    page = tab(route=route).page
    assert heading(page) == "Not found"
    page.get_by_role("main").get_by_role("link", name="overview").click()
    assert heading(page) == "Overview"


def test_the_title_names_the_view(tab: OpenTab) -> None:
    page = tab(route="#/image/app").page
    expect(page).to_have_title(re.compile("app"))
    page.get_by_role("navigation").get_by_role("link", name="Prune").click()
    expect(page).to_have_title(re.compile("Prune"))


def test_the_page_says_when_it_was_made_of_which_commit_account_and_regions(tab: OpenTab) -> None:
    document = small_document()
    banner = tab().page.get_by_role("banner")
    for text in (document["account"], *document["regions"], document["version"]):
        expect(banner).to_contain_text(text)
    expect(banner.locator("time")).to_have_attribute("datetime", document["generated"])
    commit = document["repository"]["commit"]
    expect(banner.get_by_role("link", name=commit[:7])).to_have_attribute("href", document["repository"]["commit_url"])
    expect(banner).to_contain_text("uncommitted")
    expect(banner.locator(f'a[href="{document["job"]}"]')).to_be_visible()


def test_what_could_not_be_read_is_on_the_page(tab: OpenTab) -> None:
    for sentence in small_document()["unknown"]:
        expect(tab().page.get_by_text(sentence)).to_be_visible()


def test_an_empty_report_says_what_to_do_in_each_view(tab: OpenTab) -> None:
    opened = tab("empty")
    assert empty_document()["images"] == []
    for route in VIEWS:
        page = opened.open(route)
        assert heading(page).startswith(stem(route))
        expect(page.get_by_role("table")).to_have_count(0)
    expect(opened.open().get_by_role("main")).to_contain_text("ami-bakery init")


def test_the_page_without_data_is_at_most_150_kb(page_file: Callable[[str], Path]) -> None:
    assert page_file("empty").stat().st_size <= 150_000


def test_prune_and_orphans_show_what_would_change(tab: OpenTab) -> None:
    document = small_document()
    opened = tab(route="#/prune")
    rows = opened.page.get_by_role("main").get_by_role("row")
    for image in document["images"]:
        for ami in (ami for build in image["builds"] for ami in build["amis"] if ami["prune"]):
            changes = ami["prune"]["action"] in ("disable", "deregister", "wait", "enable", "report")
            expect(rows.filter(has_text=ami["ami"])).to_have_count(1 if changes else 0)
    page = opened.open("#/orphans")
    for orphan in document["orphans"]:
        row = page.get_by_role("row").filter(has_text=orphan["id"])
        expect(row).to_contain_text(orphan["why"])
        expect(row).to_contain_text(orphan["region"])


def test_findings_of_check_show_file_line_and_what_to_do(tab: OpenTab) -> None:
    findings = next(image["findings"] for image in small_document()["images"] if image["image"] == "app")
    page = tab(route="#/findings").page
    for finding in findings:
        main = page.get_by_role("main")
        place = finding["file"] if finding["line"] is None else f"{finding['file']}:{finding['line']}"
        for text in (place, finding["message"], finding["todo"]):
            expect(main.get_by_text(text).first).to_be_visible()
