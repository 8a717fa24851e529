"""The overview of the report's page: filters, sorting, and their URLs."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from ami_bakery.render.report_page.overview_rows import overview_rows
from tests.report.conftest import OpenTab
from tests.report.documents import large_document, small_document

IMAGES = small_document()["images"]


def table(page: Page) -> Locator:
    return page.get_by_role("table", name="Images", exact=True)


def shown(page: Page) -> list[str]:
    """Returns the names of the images in the table, from top to bottom."""
    links = table(page).get_by_role("row").get_by_role("rowheader").get_by_role("link")
    return [text.strip() for text in links.all_inner_texts()]


def expect_shown(page: Page, names: set[str]) -> None:
    links = table(page).get_by_role("row").get_by_role("rowheader").get_by_role("link")
    expect(links).to_have_count(len(names))
    assert set(shown(page)) == names


def test_each_image_is_in_the_table_with_its_state_amis_channels_and_tags(tab: OpenTab) -> None:
    page = tab().page
    expect_shown(page, {image["image"] for image in IMAGES})
    app = table(page).get_by_role("row").filter(has=page.get_by_role("link", name="app", exact=True))
    for text in ("Behind", "prod", "staging", "team=payments", "images/app/setup.sh", "us-east-1", "eu-west-1"):
        expect(app).to_contain_text(text)
    base = next(image for image in IMAGES if image["image"] == "base")
    for ami in base["amis"].values():
        expect(table(page).get_by_text(ami, exact=True)).to_be_visible()


def test_an_image_that_is_current_has_no_reasons() -> None:
    """`plan` gives the AMIs that match as the reasons to reuse them, and they are in the row already."""
    document = small_document()
    document["images"][0]["reasons"] = [{"kind": "ami", "subject": "ami-1", "detail": "ami-1 matches"}]
    rows = overview_rows(document["images"])
    assert (rows[0].shown_reasons, bool(rows[1].shown_reasons)) == ((), True)


FILTERS = {
    "State": ("failing-test", {"monitoring"}),
    "Region": ("ap-southeast-2", {"base", "broken"}),
    "Channel": ("prod", {"app"}),
    "Tag": ("team=security", {"vault"}),
}


@pytest.mark.parametrize("label", FILTERS)
def test_a_filter_shows_the_images_that_match_and_its_url_restores_it(tab: OpenTab, label: str) -> None:
    value, names = FILTERS[label]
    opened = tab()
    page = opened.page
    page.get_by_role("combobox", name=label).select_option(value)
    expect_shown(page, names)
    expect(page.get_by_role("status").first).to_contain_text(str(len(names)))
    page.reload()
    expect_shown(page, names)
    expect(page.get_by_role("combobox", name=label)).to_have_value(value)
    page.get_by_role("button", name="Clear").click()
    expect_shown(page, {image["image"] for image in IMAGES})


def test_text_is_searched_in_names_ids_reasons_and_uses_in_any_case(tab: OpenTab) -> None:
    page = tab().page
    app = next(image for image in IMAGES if image["image"] == "app")
    search = page.get_by_role("searchbox")
    for text, names in (
        ("WORKER", {"worker", "worker-gpu"}),
        (app["builds"][0]["id"], {"app"}),
        ("app-prod-blue", {"app"}),
        ("its AMI is revoked", {"vault"}),
        (app["digest"][:12], {"app"}),
    ):
        search.fill(text)
        expect_shown(page, names)


def test_filters_combine_and_no_match_is_said(tab: OpenTab) -> None:
    page = tab().page
    page.get_by_role("combobox", name="Region").select_option("eu-west-1")
    expect_shown(page, {"base", "app", "ci-runner"})
    page.get_by_role("combobox", name="State").select_option("behind")
    expect_shown(page, {"app"})
    page.get_by_role("searchbox").fill("nothing has this text")
    expect_shown(page, set())
    expect(page.get_by_text("No image matches")).to_be_visible()


def test_a_url_can_carry_filters(tab: OpenTab) -> None:
    page = tab(route="#/?state=behind&region=eu-west-1").page
    expect_shown(page, {"app"})


def test_counts_by_state_lead_to_the_images_of_that_state(tab: OpenTab) -> None:
    page = tab().page
    totals = page.get_by_role("list", name="Images by state")
    totals.get_by_role("link", name="Revoked").click()
    expect_shown(page, {"vault"})
    totals.get_by_role("link", name="All").click()
    expect_shown(page, {image["image"] for image in IMAGES})


def test_every_column_sorts_in_both_directions_and_says_so(tab: OpenTab) -> None:
    page = tab().page
    headers = table(page).get_by_role("columnheader")
    assert headers.count() >= 7
    for number in range(headers.count()):
        header = headers.nth(number)
        header.get_by_role("button").click()
        expect(header).to_have_attribute("aria-sort", "ascending")
        first = shown(page)
        header.get_by_role("button").click()
        expect(header).to_have_attribute("aria-sort", "descending")
        assert shown(page) != first
        assert sorted(shown(page)) == sorted(first)
        expect(table(page).locator("[aria-sort]:not([aria-sort=none])")).to_have_count(1)


def test_images_sort_by_name_and_by_the_time_of_their_newest_build(tab: OpenTab) -> None:
    page = tab().page
    names = sorted(image["image"] for image in IMAGES)
    table(page).get_by_role("button", name="Image").click()
    assert shown(page) == names
    table(page).get_by_role("button", name="Newest build").click()
    dates = {image["image"]: image["builds"][0]["created"] for image in IMAGES if image["builds"]}
    known = [dates[name] for name in shown(page) if dates.get(name)]
    assert known in (sorted(known), sorted(known, reverse=True))


def test_sorted_by_state_images_that_need_attention_come_first(tab: OpenTab) -> None:
    page = tab().page
    assert shown(page) == [image["image"] for image in IMAGES]
    table(page).get_by_role("button", name="State").click()
    order = shown(page)
    assert order.index("monitoring") < order.index("base")
    assert order.index("vault") < order.index("bastion")


def test_a_large_report_opens_and_filters(tab: OpenTab) -> None:
    page = tab("large").page
    expect(table(page).get_by_role("rowheader")).to_have_count(200)
    names = {image["image"]: image["regions"] for image in large_document(builds=1)["images"]}
    page.get_by_role("searchbox").fill("-gpu")
    expect_shown(page, {name for name in names if "-gpu" in name})
    page.get_by_role("combobox", name="Region").select_option("ap-southeast-2")
    expect_shown(page, {name for name in names if "-gpu" in name and len(names[name]) == 3})
