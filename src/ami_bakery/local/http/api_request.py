"""Parses API requests: endpoint, action, protocol and parameters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from ami_bakery.local.http import endpoint
from ami_bakery.local.http.response import Protocol, protocol_of

if TYPE_CHECKING:
    from ami_bakery.local.http.endpoint import Endpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiRequest:
    """A request to an AWS API. `headers` have lower-case names; `path` includes the query string."""

    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedRequest:
    """A parsed request; `generation` is the number of resets before it arrived."""

    endpoint: Endpoint
    action: str
    protocol: Protocol
    parameters: Mapping[str, str]
    generation: int


def parse_request(request: ApiRequest, generation: int) -> ParsedRequest:
    target = request.headers.get("x-amz-target", "")
    text = request.body.decode("utf-8", "replace") if request.method == "POST" else request.path.partition("?")[2]
    action = target.rpartition(".")[2] or (parse_qs(text).get("Action") or [""])[0]
    where = endpoint.parse_host(request.host)
    return ParsedRequest(
        endpoint=where,
        action=action or f"{request.method} {request.path.partition('?')[0]}",
        protocol=protocol_of(where.service, request.headers),
        parameters=_parameters(text) if not target else _json_parameters(text),
        generation=generation,
    )


def _parameters(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


def _json_parameters(text: str) -> dict[str, str]:
    """Converts parameters of JSON to the query protocol: ``Names.1``, ``Tags.1.Key``."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return dict(_flat(document, ""))


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    members: Iterable[tuple[object, Any]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value, 1)
    else:
        yield path, str(value)
    for name, member in members:
        yield from _flat(member, f"{path}.{name}" if path else str(name))
