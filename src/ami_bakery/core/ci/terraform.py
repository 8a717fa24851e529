"""What Terraform's `external` data source asks: a JSON object of strings."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from ami_bakery.core.config.keys import InvalidValue, parse_region, type_name
from ami_bakery.core.text.suggestions import nearest
from ami_bakery.errors import UsageError
from ami_bakery.values import Frozen

_DOING = "reading Terraform's query"
_KEYS = ("image", "region", "action", "config")
_EXAMPLE = 'Write, for example: query = { image = "app", region = "us-east-1" }.'


class QueryAction(StrEnum):
    FIND = "find"
    """Answer with the AMI that is there; fail where there is none."""
    BAKE = "bake"


class Query(Frozen):
    """What stands in the data source's `query`. None is what it leaves out."""

    image: str | None = None
    region: str | None = None
    action: QueryAction = QueryAction.FIND
    config: str | None = None


def parse_query(text: str) -> Query:
    """https://registry.terraform.io/providers/hashicorp/external: a JSON object, all of whose values are strings.

    Raises `UsageError`. A value that is not there cannot be an empty string: Terraform leaves out what is `null`.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _wrong(f"standard input is not JSON: {error}") from None
    except RecursionError:
        raise _wrong("standard input is nested too deeply") from None
    if not isinstance(document, dict):
        raise _wrong(f"an object is wanted, not {_kind(document)}")
    for key, value in document.items():
        if key not in _KEYS:
            raise _wrong(f"there is no key {key!r}{nearest(key, _KEYS)}; the keys are {', '.join(_KEYS)}")
        if not isinstance(value, str):
            raise _wrong(f"{key}: a string is wanted, not {_kind(value)}")
        if not value:
            raise _wrong(f"{key} is empty: where there is none, leave the key out or make it null")
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


def _wrong(what: str) -> UsageError:
    return UsageError(_DOING, what, _EXAMPLE)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return "an object" if isinstance(value, dict) else type_name(value)
