"""The page of a report: safe, complete, and the same for the same document."""

from __future__ import annotations

import base64
import copy
import functools
import hashlib
import itertools
import json
import re
from collections import Counter
from typing import Any

import pytest

from ami_bakery.render.report_page.page import render_page
from tests.render.html_tree import Element, elements_of
from tests.report.documents import DOCUMENTS, empty_document, hostile_document, small_document

NAMES = ("empty", "small", "hostile")


@functools.cache
def page_of(name: str) -> str:
    return render_page(DOCUMENTS[name]())


@functools.cache
def elements(name: str) -> list[Element]:
    return elements_of(page_of(name))


def of_tag(name: str, tag: str) -> list[Element]:
    return [element for element in elements(name) if element.tag == tag]


def view(name: str, path: str) -> str:
    (found,) = [element for element in of_tag(name, "section") if element.attributes.get("id") == path]
    return found.text


def shown(document: dict[str, Any], path: str = "/image/app") -> str:
    (found,) = [element for element in elements_of(render_page(document)) if element.attributes.get("id") == path]
    return found.text


def app_of(document: dict[str, Any]) -> dict[str, Any]:
    image: dict[str, Any] = next(image for image in document["images"] if image["image"] == "app")
    return image


@pytest.mark.parametrize("name", NAMES)
def test_the_policy_allows_exactly_the_inline_scripts_and_styles(name: str) -> None:
    (policy,) = [meta.attributes["content"] for meta in of_tag(name, "meta") if "http-equiv" in meta.attributes]
    assert policy is not None
    for directive, tag in (("script-src", "script"), ("style-src", "style")):
        inline = [element for element in of_tag(name, tag) if element.attributes.get("type") != "application/json"]
        hashes = {base64.b64encode(hashlib.sha256("".join(each.texts).encode()).digest()).decode() for each in inline}
        (allowed,) = re.findall(rf"{directive} ([^;]*)", policy)
        assert set(allowed.split()) == {f"'sha256-{each}'" for each in hashes}
    for directive in ("default-src 'none'", "base-uri 'none'", "form-action 'none'"):
        assert directive in policy.split("; ")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_the_page_requests_anything(name: str) -> None:
    for element in elements(name):
        assert "src" not in element.attributes
        assert "style" not in element.attributes
        assert not [attribute for attribute in element.attributes if attribute.startswith("on")]
        if element.tag == "link":
            assert (element.attributes["href"] or "").startswith("data:image/svg+xml,")
        if element.tag == "a":
            assert re.match(r"(https?://[^\s]+|#[^\s]*)$", element.attributes["href"] or ""), element.attributes
            if not (element.attributes["href"] or "").startswith("#"):
                assert element.attributes["rel"] == "noopener noreferrer"


def test_hostile_text_adds_no_element_that_plain_text_does_not_have() -> None:
    """The counts of elements are equal, except for links, whose URLs are hostile."""
    plain, hostile = (Counter(element.tag for element in elements(name)) for name in ("small", "hostile"))
    changed = {"a", "span", "code", "div", "dt", "dd"}
    assert {tag: count for tag, count in plain.items() if tag not in changed} == {
        tag: count for tag, count in hostile.items() if tag not in changed
    }
    names = (
        {attribute for element in elements(name) for attribute in element.attributes} for name in ("small", "hostile")
    )
    assert len({frozenset(each) for each in names}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_text_has_no_control_and_no_direction_characters(name: str) -> None:
    page = re.sub("\u2068([^<]*)\u2069", r"\1", page_of(name))  # each text of the graph is isolated
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", page) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_embedded_data_is_the_document(name: str) -> None:
    (data,) = [each for each in of_tag(name, "script") if each.attributes.get("id") == "report-data"]
    text = "".join(data.texts)
    assert json.loads(text) == DOCUMENTS[name]()
    assert not set(text) & set("<>&\u2028\u2029")


@pytest.mark.parametrize("name", NAMES)
def test_the_same_document_gives_the_same_page_and_is_not_changed(name: str) -> None:
    document = DOCUMENTS[name]()
    before = copy.deepcopy(document)
    assert render_page(document) == page_of(name)
    assert document == before


def test_the_page_without_data_is_small() -> None:
    assert len(page_of("empty").encode()) < 60_000


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_unique_and_links_inside_the_page_lead_to_one(name: str) -> None:
    ids = [element.attributes["id"] for element in elements(name) if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    targets = {(a.attributes["href"] or "")[1:].partition("?")[0] for a in of_tag(name, "a")} - {""}
    assert {target for target in targets if not target.startswith("ttp")} <= set(ids)


@pytest.mark.parametrize("name", NAMES)
def test_headings_are_in_order_below_one_title(name: str) -> None:
    levels = [int(element.tag[1]) for element in elements(name) if re.fullmatch(r"h[1-6]", element.tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize("name", NAMES)
def test_tables_have_captions_and_header_scopes_and_controls_have_labels(name: str) -> None:
    captions = [element for element in of_tag(name, "caption") if element.text]
    assert len(captions) == len(of_tag(name, "table"))
    assert all("scope" in each.attributes for each in of_tag(name, "th"))
    for control in ("input", "select"):
        assert all(each.parent and each.parent.tag == "label" for each in of_tag(name, control))


def test_each_image_has_a_row_and_a_section() -> None:
    images = [image["image"] for image in small_document()["images"]]
    rows = [each for each in of_tag("small", "tr") if "data-text" in each.attributes]
    assert len(rows) == len(images)
    for image, row in zip(images, rows, strict=True):
        assert row.text.startswith(image)
        assert view("small", f"/image/{image}").startswith("Overview " + image)


TEXTS_OF_AN_IMAGE = {
    "state": "Behind",
    "what the state means": "Its definition changed since its newest AMI was built",
    "command": "ami-bakery bake app",
    "reason": "images/app/setup.sh: changed since commit 1f2e3d4",
    "tag": "team=payments",
    "keep": "the newest 3 builds, and builds younger than 30 days",
    "variable": "instance_type t3.small",
    "variable without a value": "db_password not shown",
    "variable file": "images/app/prod.pkrvars.hcl",
    "environment": "BUILD_CHANNEL",
    "only": "amazon-ebs.app",
    "except": "amazon-ebs.debug",
    "salt": "Salt 2",
    "test": "images/app/test.pkr.hcl",
    "tool": "packer 1.11.2",
    "input": "images/app/setup.sh File, executable",
    "link": "images/app/current Symbolic link",
    "commit": "app: raise the limit of open files",
    "dirty": "with uncommitted changes in its inputs",
    "change": "instance_type changed from t3.small to t3.medium",
    "note": "the build before has no commit, so its files are not known",
    "revoked": "Revoked: CVE-2026-0001",
    "tested": "test: passed an older test",
    "in use": "in use",
    "behind": "2 builds, 18 days behind the newest",
    "quarantine": "in quarantine since",
    "launch template": "app-prod",
    "versions": "versions 6, 7 $Default $Latest",
    "unknown versions": "versions unknown",
    "group": "Auto Scaling groups app-prod-blue",
    "configuration": "Launch configurations app-2024",
    "other": "SSM parameter /terraform/app/ami",
    "unknown uses": "Unknown instances launch templates",
    "stopped instance": "(stopped)",
    "size": "8.0 GiB",
    "cost": "$0.40",
    "prune": "channel: prod",
    "copy": "copy of ami-",
    "channel": "prod eu-west-1 has another build",
    "missing channel": "missing",
    "history": "2 older versions",
    "author": "by ana",
    "parameter": "/ami-bakery/app/prod",
    "finding": "the provisioner reads files/motd, which does not exist. Add the file, or correct the path.",
    "line": "images/app/app.pkr.hcl:41",
}


@pytest.mark.parametrize("what", TEXTS_OF_AN_IMAGE)
def test_the_section_of_an_image_shows(what: str) -> None:
    assert TEXTS_OF_AN_IMAGE[what] in view("small", "/image/app")


TEXTS_OF_VIEWS = {
    "who builds": ("/image/worker", "gitlab job 48213 (ci-runner-7) is building it. It acquired the lock"),
    "error of a plan": ("/image/broken", "Error: images/broken/broken.pkr.hcl:3"),
    "unknown definition": ("/image/broken", "The definition could not be read"),
    "shared with": ("/image/base", "123456789012 o-a1b2c3d4e5"),
    "not built": ("/image/windows", "This image has no AMI."),
    "not checked": ("/image/broken", "This image was not checked."),
    "prune frees": ("/prune", "frees at most 8.0 GiB, $0.40 a month"),
    "upper bounds": ("/prune", "upper bounds at $0.05 per GiB and month"),
    "prune waits": ("/prune", "Wait in quarantine"),
    "orphan": ("/orphans", "its run ended without deleting it"),
    "uncertain orphan": ("/orphans", "It may still be in use."),
    "findings": ("/findings", "a local command may read files"),
    "images without findings": ("/findings", "Not checked: database, broken."),
    "source AMI": ("/lineage", "ubuntu-jammy-22.04-amd64-server-20260218"),
}


@pytest.mark.parametrize("what", TEXTS_OF_VIEWS)
def test_a_view_shows(what: str) -> None:
    path, text = TEXTS_OF_VIEWS[what]
    assert text in view("small", path)


def test_the_head_shows_where_the_report_comes_from() -> None:
    (header,) = of_tag("small", "header")
    for text in (
        "Account 210987654321",
        "us-east-1 · eu-west-1",
        "2026-",
        "with uncommitted changes",
        "ami-bakery 3.0.0",
    ):
        assert text in header.text
    links = [a.attributes["href"] for a in of_tag("small", "a") if a.within(**{"class": "top"})]
    repository = small_document()["repository"]
    assert links == [repository["commit_url"], repository["url"], small_document()["job"]]


def test_what_could_not_be_read_is_a_notice_on_every_view() -> None:
    (notice,) = [each for each in of_tag("small", "div") if each.attributes.get("role") == "note"]
    assert all(sentence in notice.text for sentence in small_document()["unknown"])
    assert notice.parent is not None
    assert notice.parent.tag == "main"


def test_an_empty_report_says_what_to_run() -> None:
    assert "ami-bakery init" in view("empty", "/")
    assert "ami-bakery images --orphans" in view("empty", "/orphans")
    assert "ami-bakery prune" in view("empty", "/prune")
    assert "ami-bakery check" in view("empty", "/findings")


@pytest.mark.parametrize("part", ["orphans", "prune"])
def test_a_part_that_could_not_be_read_is_not_shown_as_empty(part: str) -> None:
    assert "could not be read" in shown(small_document() | {part: None}, f"/{part}")


def test_what_an_image_whose_plan_failed_does_not_have_is_unknown() -> None:
    broken = view("small", "/image/broken")
    for text in ("AMIs of the current definition unknown", "Built from unknown", "Build of unknown date"):
        assert text in broken


def test_changes_that_are_not_known_are_unknown_except_those_of_the_oldest_build() -> None:
    document = small_document()
    builds = app_of(document)["builds"]
    for build in builds:
        build["changes"] = None
    assert shown(document).count("What changed since the build before is unknown.") == len(builds) - 1


def test_a_report_without_checks_does_not_say_that_there_are_no_findings() -> None:
    document = small_document()
    for image in document["images"]:
        image["findings"] = None
    assert "No findings" not in shown(document, "/findings")


def test_builds_that_were_not_found_after_a_failed_plan_are_unknown() -> None:
    document = small_document()
    app_of(document).update(builds=[], error="looking for AMIs in us-east-1: denied", state="unknown")
    text = shown(document)
    assert "Builds unknown" in text
    assert "This image has no AMI" not in text


def test_unknown_channels_are_not_shown_as_none() -> None:
    document = small_document()
    app = app_of(document)
    app["channels"] = None
    for build in app["builds"]:
        build["channels"] = None
    assert "Channels could not be read." in shown(document)


def test_a_filter_offers_every_value_that_images_have() -> None:
    options = [each.attributes["value"] for each in of_tag("small", "option")]
    for value in ("failing-test", "eu-west-1", "staging", "tier=web"):
        assert value in options


def test_links_to_unsafe_urls_are_text() -> None:
    document = hostile_document()
    urls = {document["job"], document["repository"]["url"]} | {each["url"] for each in document["commits"].values()}
    links = {a.attributes["href"] for a in of_tag("hostile", "a")}
    assert {url for url in urls & links if not url.startswith("https://")} == set()


def test_a_document_of_one_image_links_to_no_image_that_it_lacks() -> None:
    document = empty_document() | {"images": [app_of(small_document())]}
    ids = {element.attributes.get("id") for element in elements_of(render_page(document))}
    assert "/image/base" not in ids
    assert "#/image/base" not in render_page(document)
