"""Verifies AWS Signature Version 4, with botocore's signer. Query-string signatures are not checked."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

if TYPE_CHECKING:
    from botocore.compat import HTTPHeaders

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=[^/,\s]+/[^/,\s]+/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request, *"
    r"SignedHeaders=(?P<headers>[^,\s]+), *Signature=(?P<signature>\w+)"
)


class _Signer(SigV4Auth):
    """Signs all headers of a request. botocore's clients omit some, such as `User-Agent`; other clients sign them."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers


def is_signed_with(secret: str, *, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a request is signed with a secret. `headers` have lower-case names; `path` includes the query string."""
    found = _AUTHORIZATION.match(headers.get("authorization", ""))
    if found is None:
        return False
    signed = {name: headers.get(name, "") for name in found["headers"].split(";")}
    request = AWSRequest(method=method, url=f"https://{headers.get('host', '')}{path}", headers=signed, data=body)
    request.context["timestamp"] = headers.get("x-amz-date", "")
    signer = _Signer(Credentials("", secret), found["service"], found["region"])
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return hmac.compare_digest(expected, found["signature"])
