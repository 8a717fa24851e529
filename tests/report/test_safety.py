"""The report's page runs nothing and requests nothing, whatever its data contains."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.report.conftest import OpenTab
from tests.report.documents import hostile_document

DOCUMENT = hostile_document()
NAMES = [image["image"] for image in DOCUMENT["images"]]


def is_hacked(page: Page) -> bool:
    return bool(page.evaluate("window.hacked !== undefined"))


def test_hostile_text_runs_nothing_in_any_view(tab: OpenTab) -> None:
    """The fixture also checks that the page requested nothing and that the console is empty."""
    page = tab("hostile").page
    for link in page.get_by_role("navigation").get_by_role("link").all():
        link.click()
        page.mouse.move(300, 300)
        assert not is_hacked(page)
    page.get_by_role("navigation").get_by_role("link", name="Overview").click()
    links = page.get_by_role("rowheader").get_by_role("link")
    assert links.count() == len(NAMES)
    for number in range(links.count()):
        name = links.nth(number).inner_text()
        links.nth(number).click()
        heading = page.get_by_role("main").get_by_role("heading", level=2)
        expect(heading).to_have_count(1)
        assert name.split("\n")[0] in heading.inner_text()
        page.evaluate("document.querySelectorAll('main :is(summary, button)').forEach(each => each.click())")
        assert not is_hacked(page)
        page.go_back()


def test_hostile_text_is_shown_as_text(tab: OpenTab) -> None:
    page = tab("hostile").page
    for name in NAMES:
        if name.isprintable():
            expect(page.get_by_role("rowheader").get_by_text(name, exact=True)).to_be_visible()
    assert page.evaluate("document.querySelectorAll('img, iframe, object, embed, base').length") == 0


def test_hostile_filters_match_and_run_nothing(tab: OpenTab) -> None:
    page = tab("hostile").page
    rows = page.get_by_role("table", name="Images", exact=True).get_by_role("rowheader")
    for label in ("State", "Region", "Channel", "Tag"):
        box = page.get_by_role("combobox", name=label)
        for option in box.get_by_role("option").all()[1:]:
            box.select_option(option.get_attribute("value"))
            assert rows.count() > 0
            assert not is_hacked(page)
        page.get_by_role("button", name="Clear").click()
    for text in (
        "<img src=x onerror=window.hacked=1>",
        "__proto__",
        "constructor",
        "javascript:window.hacked=1//",
        "\\",
    ):
        page.get_by_role("searchbox").fill(text)
        assert not is_hacked(page)


def test_only_links_to_web_pages_and_to_this_page_exist(tab: OpenTab) -> None:
    page = tab("hostile").page
    targets = page.evaluate("[...document.querySelectorAll('a')].map(each => each.getAttribute('href'))")
    assert targets
    assert {target for target in targets if not re.match("https?://|#", target)} == set()
    attributes = page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(each => each.getAttributeNames()).filter(name => /^on/.test(name))"
    )
    assert attributes == []


@pytest.mark.parametrize(
    "route", ["#/image/%3Cimg%20src=x%20onerror=window.hacked=1%3E", "#/?text=%3Cscript%3E&state=__proto__"]
)
def test_a_hostile_url_runs_nothing(tab: OpenTab, route: str) -> None:
    page = tab("hostile", route=route).page
    expect(page.get_by_role("main").get_by_role("heading", level=2)).to_have_count(1)
    assert not is_hacked(page)


def test_the_policy_blocks_scripts_styles_and_requests_that_are_not_of_the_page(tab: OpenTab) -> None:
    """Blocked ones print an error to the console, so this test checks the console itself."""
    opened = tab()
    page = opened.page
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    page.evaluate(
        """() => {
          const script = document.createElement('script');
          script.textContent = 'window.hacked = 1';
          document.body.append(script);
          document.body.insertAdjacentHTML('beforeend', '<p onclick="window.hacked = 1" style="color: red">x</p>');
          document.body.lastElementChild.click();
          const image = document.createElement('img');
          image.src = 'https://example.org/image.png';
          document.body.append(image);
        }"""
    )
    blocked = page.evaluate("fetch('https://example.org/').then(() => false, () => true)")
    assert blocked
    assert not is_hacked(page)
    assert page.locator("p").last.evaluate("each => getComputedStyle(each).color") != "rgb(255, 0, 0)"
    assert opened.messages
    assert all("Content Security Policy" in message for message in opened.messages)
    opened.messages.clear()
    opened.requests.clear()


def test_a_name_that_would_change_the_text_direction_does_not(tab: OpenTab) -> None:
    """U+202E reverses what follows, so that a name can look like another one."""
    text = tab("hostile").page.evaluate("document.body.innerText")
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)
