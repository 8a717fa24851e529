"""The lineage graph of the report's page: nodes, zoom, pan, and links to images."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.report.conftest import OpenTab
from tests.report.documents import small_document


def graph(page: Page) -> Locator:
    return page.get_by_role("region", name="Lineage graph")


def place(page: Page) -> tuple[int, int, int]:
    """Returns where the node of `base` is in the frame, and its width, in pixels."""
    frame, box = graph(page).bounding_box(), graph(page).get_by_role("link", name="base").first.bounding_box()
    assert frame
    assert box
    return round(box["x"] - frame["x"]), round(box["y"] - frame["y"]), round(box["width"])


def test_the_graph_has_a_link_for_each_image_and_nodes_for_copies_and_source_amis(tab: OpenTab) -> None:
    page = tab(route="#/lineage").page
    nodes = small_document()["lineage"]["nodes"]
    expect(graph(page).get_by_role("link")).to_have_count(sum(node["kind"] == "image" for node in nodes))
    texts = graph(page).text_content() or ""
    for node in nodes:
        assert (node["ami"] or node["image"]) in texts


def test_the_graph_shows_states_with_words_and_not_only_with_colors(tab: OpenTab) -> None:
    page = tab(route="#/lineage").page
    expect(graph(page).get_by_role("link", name="monitoring").first).to_have_accessible_name(
        re.compile("failing test", re.IGNORECASE)
    )


def test_a_click_on_an_image_opens_it_and_so_does_enter(tab: OpenTab) -> None:
    opened = tab(route="#/lineage")
    page = opened.page
    heading = page.get_by_role("main").get_by_role("heading", level=2)
    graph(page).get_by_role("link", name="monitoring").click()
    expect(heading).to_contain_text("monitoring")
    page = opened.open("#/lineage")
    graph(page).get_by_role("link", name="vault").focus()
    page.keyboard.press("Enter")
    expect(heading).to_contain_text("vault")


def test_buttons_and_keys_zoom_and_fit_restores(tab: OpenTab) -> None:
    page = tab(route="#/lineage").page
    page.get_by_role("button", name="Fit").click()
    start = place(page)
    page.get_by_role("button", name="Zoom in").click()
    assert place(page)[2] > start[2]
    graph(page).focus()
    page.keyboard.press("0")
    assert place(page) == start
    page.keyboard.press("+")
    assert place(page)[2] > start[2]
    page.keyboard.press("0")
    page.keyboard.press("-")
    assert place(page)[2] < start[2]


def test_the_wheel_zooms_with_control_and_otherwise_scrolls_the_page(tab: OpenTab) -> None:
    page = tab(route="#/lineage").page
    width = place(page)[2]
    graph(page).hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.wait_for_function(
        "width => Math.round(document.querySelector('[role=region] svg a').getBoundingClientRect().width) > width",
        arg=width,
    )
    page.keyboard.up("Control")
    width = place(page)[2]
    page.mouse.wheel(0, 300)
    page.wait_for_function("scrollY > 0")
    assert place(page)[2] == width


def test_dragging_and_arrow_keys_move_the_graph_and_a_drag_opens_no_image(tab: OpenTab) -> None:
    page = tab(route="#/lineage").page
    for _ in range(4):
        page.get_by_role("button", name="Zoom in").click()
    graph(page).focus()
    start = place(page)
    page.keyboard.press("ArrowRight")
    moved = place(page)
    assert moved[0] < start[0]
    page.keyboard.press("ArrowLeft")
    assert place(page) == start
    box = graph(page).bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 90, y, steps=5)
    page.mouse.up()
    assert place(page)[0] < start[0] - 50
    assert page.url.endswith("#/lineage")


def test_the_same_lineage_is_in_a_table(tab: OpenTab) -> None:
    page = tab(route="#/lineage").page
    row = (
        page.get_by_role("table", name="Lineage of images")
        .get_by_role("row")
        .filter(has=page.get_by_role("rowheader", name="base", exact=True))
    )
    for text in ("app", "worker", "bastion", "ci-runner", "eu-west-1", "ap-southeast-2"):
        expect(row).to_contain_text(text)
