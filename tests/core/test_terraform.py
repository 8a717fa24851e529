"""Terraform's query: accepted keys, and the error for each invalid query."""

from __future__ import annotations

import pytest

from ami_bakery.core.ci.terraform import Query, QueryAction, parse_query
from ami_bakery.errors import UsageError


def test_empty_query_has_defaults() -> None:
    assert parse_query("{}") == Query(image=None, region=None, action=QueryAction.FIND, config=None)


def test_every_key_is_parsed() -> None:
    text = '{"image": "app", "region": "eu-west-1", "action": "bake", "config": "../bakery.toml"}'
    assert parse_query(text) == Query(image="app", region="eu-west-1", action=QueryAction.BAKE, config="../bakery.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ('{"image": "app"', "is not JSON"),
        ("[" * 100_000, "is nested too deeply"),
        ('["app"]', "expected an object, got a list"),
        ("null", "expected an object, got null"),
        ('{"image": 1}', "image: expected a string, got a number"),
        ('{"image": null}', "image: expected a string, got null"),
        ('{"region": ["us-east-1"]}', "region: expected a string, got a list"),
        ('{"image": {"name": "app"}}', "image: expected a string, got an object"),
        ('{"imgae": "app"}', "there is no key 'imgae'; did you mean 'image'?"),
        ('{"image": ""}', "image is empty"),
        ('{"region": "Virginia"}', "region: "),
        ('{"action": "fnd"}', "action: 'fnd' is not one of find, bake; did you mean 'find'?"),
    ],
)
def test_invalid_query_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_query(text)
    assert words in refused.value.wrong
    assert refused.value.doing == "reading Terraform's query"
