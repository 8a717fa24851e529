"""Checks the documents that the report's tests use: they validate, and have every state."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.documents import ROOT
from tests.report.documents import DOCUMENTS, hostile_document, large_document, small_document
from tests.report.hostile import PAYLOADS

SCHEMA = json.loads((ROOT / "docs/reference/report.schema.json").read_text())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_validates(name: str) -> None:
    document = large_document(images=20, builds=4) if name == "large" else DOCUMENTS[name]()
    errors = Draft202012Validator(SCHEMA).iter_errors(document)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


def test_the_small_document_has_every_state_of_images_and_builds() -> None:
    images = small_document()["images"]
    assert {image["state"] for image in images} == set(SCHEMA["$defs"]["state"]["enum"])
    states = {build["state"] for image in images for build in image["builds"]}
    assert states == set(SCHEMA["$defs"]["build"]["properties"]["state"]["enum"])


def test_the_small_document_has_every_action_and_every_decision_of_prune() -> None:
    images = small_document()["images"]
    assert {image["action"] for image in images} == set(SCHEMA["$defs"]["image"]["properties"]["action"]["enum"])
    decisions = {
        ami["prune"]["action"] for image in images for build in image["builds"] for ami in build["amis"] if ami["prune"]
    }
    assert decisions == set(SCHEMA["$defs"]["prune"]["properties"]["action"]["enum"])


def test_references_in_every_document_lead_to_something() -> None:
    for document in (small_document(), large_document(images=30, builds=3), hostile_document()):
        names = {image["image"] for image in document["images"]}
        nodes = {node["id"] for node in document["lineage"]["nodes"]}
        edges = document["lineage"]["edges"]
        assert {end for edge in edges for end in (edge["origin"], edge["target"])} <= nodes
        for image in document["images"]:
            builds = {build["id"] for build in image["builds"]}
            commits = {build["commit"] for build in image["builds"]} - {None}
            assert {*image["children"], *filter(None, [image["parent"]])} <= names
            assert {channel["build"] for channel in image["channels"]} - {None} <= builds
            assert commits <= document["commits"].keys()


def test_states_of_changes_compose() -> None:
    """The state after one build is the state before the next change of the same subject."""
    for image in large_document(images=10)["images"] + small_document()["images"]:
        states: dict[tuple[str, str], Any] = {}
        for build in reversed(image["builds"]):
            for item in build["changes"]["items"] if build["changes"] else []:
                subject = (item["part"], item["subject"])
                assert states.get(subject, item["before"]) == item["before"]
                states[subject] = item["after"]


def test_the_large_document_has_the_size_of_the_benchmark_and_is_the_same_each_time() -> None:
    document = large_document()
    assert [len(image["builds"]) for image in document["images"]] == [20] * 200
    assert document == large_document()


def test_the_hostile_document_has_every_payload() -> None:
    text = json.dumps(hostile_document(), ensure_ascii=False)
    fragments = {max(payload.format("\0").split("\0"), key=len) for payload in PAYLOADS}
    assert {fragment for fragment in fragments if json.dumps(fragment, ensure_ascii=False)[1:-1] not in text} == set()


def test_hostile_names_are_long_and_those_that_every_object_of_javascript_has() -> None:
    names = [image["image"] for image in hostile_document()["images"]]
    assert {"__proto__", "constructor"} <= set(names)
    assert max(map(len, names)) > 230
