"""Parses the query of Terraform's `external` data source: a JSON object of strings."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from ami_bakery.core.config.keys import parse_region
from ami_bakery.core.config.value_parsers import InvalidValue, type_name
from ami_bakery.core.text.suggestions import nearest
from ami_bakery.errors import UsageError
from ami_bakery.values import Frozen

_DOING = "reading Terraform's query"
_KEYS = ("image", "region", "action", "config")
_EXAMPLE = 'Write, for example: query = { image = "app", region = "us-east-1" }.'


class QueryAction(StrEnum):
    FIND = "find"
    """Return the existing AMI; fail if there is none."""
    BAKE = "bake"


class Query(Frozen):
    """The data source's `query`. None: the key is missing."""

    image: str | None = None
    region: str | None = None
    action: QueryAction = QueryAction.FIND
    config: str | None = None


def parse_query(text: str) -> Query:
    """Parses a JSON object whose values are all strings. Raises `UsageError`.

    An empty string is an error: Terraform leaves out values that are `null`.
    Source: https://registry.terraform.io/providers/hashicorp/external
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _wrong(f"standard input is not JSON: {error}") from None
    except RecursionError:
        raise _wrong("standard input is nested too deeply") from None
    if not isinstance(document, dict):
        raise _wrong(f"expected an object, got {_kind(document)}")
    for key, value in document.items():
        if key not in _KEYS:
            raise _wrong(f"there is no key {key!r}{nearest(key, _KEYS)}; the keys are {', '.join(_KEYS)}")
        if not isinstance(value, str):
            raise _wrong(f"{key}: expected a string, got {_kind(value)}")
        if not value:
            raise _wrong(f"{key} is empty: to use the default, omit the key or set it to null")
    return Query(
        image=document.get("image"),
        region=_region(document.get("region")),
        action=_action(document.get("action", QueryAction.FIND.value)),
        config=document.get("config"),
    )


def _region(text: str | None) -> str | None:
    try:
        return text if text is None else parse_region(text)
    except InvalidValue as wrong:
        raise _wrong(f"region: {wrong.message}") from None


def _action(text: str) -> QueryAction:
    actions = [action.value for action in QueryAction]
    if text not in actions:
        raise _wrong(f"action: {text!r} is not one of {', '.join(actions)}{nearest(text, actions)}")
    return QueryAction(text)


def _wrong(wrong: str) -> UsageError:
    return UsageError(_DOING, wrong, _EXAMPLE)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return "an object" if isinstance(value, dict) else type_name(value)
