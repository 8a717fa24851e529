"""What Terraform may ask, and how it is told what is wrong with a query."""

from __future__ import annotations

import pytest

from ami_bakery.core.ci.terraform import Query, QueryAction, parse_query
from ami_bakery.errors import UsageError


def test_an_empty_query_leaves_everything_out() -> None:
    assert parse_query("{}") == Query(image=None, region=None, action=QueryAction.FIND, config=None)


def test_every_key_is_read() -> None:
    text = '{"image": "app", "region": "eu-west-1", "action": "bake", "config": "../bakery.toml"}'
    assert parse_query(text) == Query(image="app", region="eu-west-1", action=QueryAction.BAKE, config="../bakery.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ('{"image": "app"', "is not JSON"),
        ("[" * 100_000, "is nested too deeply"),
        ('["app"]', "an object is wanted, not a list"),
        ("null", "an object is wanted, not null"),
        ('{"image": 1}', "image: a string is wanted, not a number"),
        ('{"image": null}', "image: a string is wanted, not null"),
        ('{"region": ["us-east-1"]}', "region: a string is wanted, not a list"),
        ('{"image": {"name": "app"}}', "image: a string is wanted, not an object"),
        ('{"imgae": "app"}', "there is no key 'imgae'; did you mean 'image'?"),
        ('{"image": ""}', "image is empty"),
        ('{"region": "Virginia"}', "region: "),
        ('{"action": "fnd"}', "action: 'fnd' is not one of find, bake; did you mean 'find'?"),
    ],
)
def test_a_query_that_is_not_of_the_form_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_query(text)
    assert words in refused.value.wrong
    assert refused.value.doing == "reading Terraform's query"
