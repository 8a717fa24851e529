"""Verifies AWS Signature Version 4.

AWS General Reference, "Create a signed AWS API request". Query-string signatures are not checked.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=[^/]+/(?P<scope>[^,\s]+), *"
    r"SignedHeaders=(?P<headers>[^,\s]+), *Signature=(?P<sign>\w+)"
)


def is_signed_with(secret: str, *, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a request is signed with a secret. `headers` have lower-case names; `path` includes the query string."""
    found = _AUTHORIZATION.match(headers.get("authorization", ""))
    if found is None:
        return False
    scope, names = found["scope"], found["headers"].split(";")
    where, _, query = path.partition("?")
    pairs = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in parse_qsl(query, keep_blank_values=True))
    canonical = "\n".join(
        (
            method,
            quote(where, safe="/-_.~"),
            "&".join(f"{key}={value}" for key, value in pairs),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in names),
            "",
            found["headers"],
            headers.get("x-amz-content-sha256") or hashlib.sha256(body).hexdigest(),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{headers.get('x-amz-date', '')}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, to_sign.encode(), "sha256").hex(), found["sign"])
