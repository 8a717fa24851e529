"""Responses of the embedded EC2, and errors in each protocol's format."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from xml.sax.saxutils import escape


class Protocol(StrEnum):
    """The error format of a service; clients cannot parse errors in another format."""

    EC2 = "ec2"
    QUERY = "query"
    JSON = "json"
    XML = "rest-xml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    """The error code for the report; empty for a success."""


def protocol_of(service: str, headers: Mapping[str, str]) -> Protocol:
    """Returns the protocol of a request; `headers` have lower-case names."""
    if service == "ec2":
        return Protocol.EC2
    content_type = headers.get("content-type", "")
    if "x-amz-target" in headers or "json" in content_type:
        return Protocol.JSON
    if content_type.startswith("application/x-www-form-urlencoded"):
        return Protocol.QUERY
    return Protocol.XML


def error(protocol: Protocol, code: str, message: str, status: int = 400) -> Response:
    """Returns an error in the format of the protocol."""
    request_id = str(uuid.uuid4())
    xml = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    match protocol:
        case Protocol.EC2:
            text = f"<Response><Errors><Error>{xml}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        case Protocol.QUERY:
            text = (
                f"<ErrorResponse><Error><Type>Sender</Type>{xml}</Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>"
            )
        case Protocol.XML:
            text = f"<Error>{xml}<RequestId>{request_id}</RequestId></Error>"
        case Protocol.JSON:
            headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": code}
            body = json.dumps({"__type": code, "message": message}).encode()
            return Response(status=status, body=body, headers=headers | {"x-amzn-RequestId": request_id}, error=code)
    return Response(
        status=status,
        body=f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(),
        headers={"Content-Type": "text/xml;charset=UTF-8", "x-amzn-RequestId": request_id},
        error=code,
    )
