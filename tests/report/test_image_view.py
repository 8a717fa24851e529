"""The view of one image: definition, builds, what changed between any two, times and copying."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.report.conftest import OpenTab
from tests.report.documents import small_document
from tests.report.fleet import GENERATED

IMAGES = {image["image"]: image for image in small_document()["images"]}
APP = IMAGES["app"]


def difference(older: int, newer: int) -> dict[str, Any]:
    """Returns the subjects that differ between two builds, counted from the oldest, as the schema defines it."""
    builds = list(reversed(APP["builds"]))
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}
    for build in builds[older + 1 : newer + 1]:
        for item in build["changes"]["items"]:
            first.setdefault(item["subject"], item["before"])
            last[item["subject"]] = item["after"]
    return {subject: (first[subject], last[subject]) for subject in first if first[subject] != last[subject]}


def compare(page: Page, older: int, newer: int) -> list[str]:
    builds = list(reversed(APP["builds"]))
    page.get_by_role("combobox", name="Older build").select_option(builds[older]["id"])
    page.get_by_role("combobox", name="Newer build").select_option(builds[newer]["id"])
    status = page.get_by_role("main").get_by_role("status").filter(visible=True)
    return [text.strip() for text in status.get_by_role("rowheader").all_inner_texts()]


@pytest.mark.parametrize(("older", "newer"), [(0, 1), (0, 5), (1, 3), (0, 3), (2, 5), (4, 5)])
def test_any_two_builds_are_compared_without_what_changed_and_changed_back(
    tab: OpenTab, older: int, newer: int
) -> None:
    expected = difference(older, newer)
    assert expected
    page = tab(route="#/image/app").page
    assert sorted(compare(page, older, newer)) == sorted(expected)


def test_a_subject_that_changed_back_is_not_a_difference(tab: OpenTab) -> None:
    """`setup.sh` changed in the second build, and changed back in the fourth."""
    page = tab(route="#/image/app").page
    assert "images/app/setup.sh" in compare(page, 0, 1)
    assert "images/app/setup.sh" not in compare(page, 0, 3)


def test_the_history_shows_commit_changes_tests_and_revocation_of_each_build(tab: OpenTab) -> None:
    page = tab(route="#/image/app").page
    commits = small_document()["commits"]
    for build in APP["builds"]:
        entry = page.get_by_role("main").get_by_role("listitem").filter(has_text=build["id"]).first
        expect(entry).to_be_visible()
        if build["commit"]:
            expect(entry.get_by_role("link", name=build["commit"][:7])).to_have_attribute(
                "href", commits[build["commit"]]["url"]
            )
            expect(entry).to_contain_text(commits[build["commit"]]["subject"])
        for item in build["changes"]["items"] if build["changes"] else []:
            expect(entry).to_contain_text(item["subject"])
            expect(entry).to_contain_text(item["detail"])
        for note in build["changes"]["notes"] if build["changes"] else []:
            expect(entry).to_contain_text(note)
        if build["revoked"]:
            expect(entry).to_contain_text(build["revoked"])
    expect(page.get_by_role("main")).to_contain_text("uncommitted")


def test_the_definition_shows_inputs_variables_source_and_tools(tab: OpenTab) -> None:
    page = tab(route="#/image/app").page
    main = page.get_by_role("main")
    definition = APP["definition"]
    for text in (definition["template"], "BUILD_CHANNEL", "amazon-ebs.app", "amazon-ebs.debug", "1.11.2", "t3.small"):
        expect(main.get_by_text(text).filter(visible=True).first).to_be_visible()
    inputs = page.get_by_role("table", name="Inputs of app")
    for each in definition["inputs"]:
        expect(inputs.get_by_text(each["path"], exact=True)).to_be_visible()
    password = page.get_by_role("table", name="Variables").get_by_role("row").filter(has_text="db_password")
    expect(password).to_contain_text("sensitive")


def test_amis_show_uses_sharing_size_and_what_prune_would_do(tab: OpenTab) -> None:
    opened = tab(route="#/image/app")
    amis = opened.page.get_by_role("table", name="AMIs of app")
    for build in APP["builds"]:
        for ami in build["amis"]:
            row = amis.get_by_role("row").filter(has_text=ami["ami"]).first
            expect(row).to_be_visible()
            expect(row).to_contain_text(ami["name"])
    for text in ("app-prod-blue", "app-prod", "/terraform/app/ami", "app-2024"):
        expect(amis.get_by_text(text).first).to_be_visible()
    base = opened.open("#/image/base").get_by_role("table", name="AMIs of base")
    for account in ("123456789012", "o-a1b2c3d4e5"):
        expect(base.get_by_text(account)).to_be_visible()


def test_channels_show_their_problem_and_their_history(tab: OpenTab) -> None:
    opened = tab(route="#/image/app")
    channels = opened.page.get_by_role("table", name="Channels of app")
    for channel in APP["channels"]:
        in_region = opened.page.get_by_role("cell", name=channel["region"], exact=True)
        row = channels.get_by_role("row").filter(has_text=channel["channel"]).filter(has=in_region)
        expect(row).to_contain_text(channel["problem"] or "")
        expect(row).to_contain_text(channel["ami"] or "missing")
    channels.locator("summary").first.click()
    expect(channels.get_by_text("by ana")).to_be_visible()


def test_an_image_that_is_being_built_names_the_runner_and_links_its_job(tab: OpenTab) -> None:
    main = tab(route="#/image/worker").page.get_by_role("main")
    building = IMAGES["worker"]["building"]
    expect(main.get_by_text(building["by"])).to_be_visible()
    expect(main.locator(f'a[href="{building["job"]}"]')).to_be_visible()


def test_an_image_whose_plan_failed_shows_the_error(tab: OpenTab) -> None:
    error = tab(route="#/image/broken").page.get_by_text(IMAGES["broken"]["error"])
    expect(error.filter(visible=True)).to_have_count(1)


def test_an_image_without_builds_says_how_to_build_it(tab: OpenTab) -> None:
    expect(tab(route="#/image/windows").page.get_by_role("main")).to_contain_text("ami-bakery bake windows")


def test_ids_are_links_to_the_console_of_their_region(tab: OpenTab) -> None:
    page = tab(route="#/image/app").page
    ami = APP["builds"][0]["amis"][1]
    link = page.get_by_role("link", name=ami["ami"]).first
    href = link.get_attribute("href") or ""
    assert href.startswith("https://eu-west-1.console.aws.amazon.com/ec2/")
    assert ami["ami"] in href
    assert "noopener" in (link.get_attribute("rel") or "")


def test_ids_and_digests_can_be_copied(tab: OpenTab) -> None:
    page = tab(route="#/image/app").page
    ami = APP["builds"][0]["id"]
    page.get_by_role("button", name=f"Copy {ami}").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == ami
    page.get_by_role("button", name=f"Copy {APP['digest']}").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == APP["digest"]


def test_ids_can_be_copied_where_the_clipboard_is_not_allowed(tab: OpenTab) -> None:
    """A page that is published with HTTP, or in a frame, has no `navigator.clipboard`."""
    opened = tab()
    opened.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page = opened.open("#/image/app")
    page.evaluate("document.addEventListener('copy', () => { window.copied = String(getSelection()); })")
    ami = APP["builds"][0]["id"]
    page.get_by_role("button", name=f"Copy {ami}").first.click()
    assert page.evaluate("window.copied") == ami


def test_times_are_relative_with_the_exact_time_on_hover(tab: OpenTab) -> None:
    opened = tab(timezone_id="Asia/Tokyo")
    opened.page.clock.set_fixed_time(GENERATED)
    page = opened.open("#/image/base")
    time = page.get_by_role("main").locator('time[datetime="2026-02-26T04:42:00Z"]').filter(visible=True).first
    expect(time).to_contain_text("4 days ago")
    expect(time).to_have_attribute("title", "2026-02-26 04:42:00 UTC")
