"""The control URL's client side, for tests: what was called, what was uploaded, and what shall fail next."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from ami_bakery.local.report import Report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ami_bakery.local.faults import InjectedFault


class Control:
    """Speaks to a running embedded EC2. `url` is its AMI_BAKERY_LOCAL_URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port

    def report(self) -> Report:
        return msgspec.json.decode(self._request("GET", "/report"), type=Report)

    def clear_report(self) -> None:
        self._request("DELETE", "/report")

    def reset(self) -> None:
        """Everything as at the start: no instances, only the public AMIs, no faults, an empty report."""
        self._request("POST", "/reset")

    def plan(self, fault: InjectedFault) -> None:
        """Let coming calls fail, after those that earlier faults were planned for."""
        self._request("POST", "/faults", msgspec.json.encode(fault))

    def struck(self) -> int:
        """How many calls have met a fault since the last `clear_faults`, those that still hang included."""
        struck: int = json.loads(self._request("GET", "/faults"))["struck"]
        return struck

    def held(self) -> int:
        """How many calls hang or are late at this moment; what a late one does is done."""
        held: int = json.loads(self._request("GET", "/faults"))["held"]
        return held

    def release(self) -> None:
        """What hangs or is late goes on; the faults planned stay."""
        self._request("POST", "/faults/release")

    def clear_faults(self) -> None:
        """No more faults; what hangs or is late goes on."""
        self._request("DELETE", "/faults")

    def change(
        self,
        *,
        pending_seconds: float | None = None,
        page_cap: int | None = None,
        lag_seconds: float | None = None,
        image_outcome: str | None = None,
        terminating_seconds: float | None = None,
    ) -> None:
        """What is left out stays as it is.

        pending_seconds  how long an AMI made from now on is `pending`; a small number releases those that are
        page_cap         no page is longer, whatever MaxResults says
        lag_seconds      how long a change from now on is not seen: a new AMI, changed tags; a small number shows it
        image_outcome    the state after `pending`, also of AMIs made before: `available` or `failed`
        terminating_seconds  how long an instance is `shutting-down`, and holds its security groups
        """
        change = {
            "pending_seconds": pending_seconds,
            "page_cap": page_cap,
            "lag_seconds": lag_seconds,
            "image_outcome": image_outcome,
            "terminating_seconds": terminating_seconds,
        }
        self._request("POST", "/settings", json.dumps(change).encode())

    def stock(self, region: str, images: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """Put AMIs of the first account in place, available at once: their tags by name. Gives their ids by name.

        Thousands are a matter of seconds. Raises ValueError, and makes none, where a name is taken.
        """
        asked = {"region": region, "images": [{"name": name, "tags": dict(tags)} for name, tags in images.items()]}
        made = json.loads(self._request("POST", "/images", json.dumps(asked).encode()))["ids"]
        return dict(zip(images, made, strict=True))

    def enforce(self, policy: Mapping[str, Any] | None) -> None:
        """Let the first account do what this IAM policy allows; None: everything. Raises ValueError for a policy with
        something in it that is not modelled."""
        if policy is None:
            self._request("DELETE", "/policy")
        else:
            self._request("PUT", "/policy", json.dumps(policy).encode())

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Raises ValueError, with the server's words, where it refuses."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ValueError(f"{method} {path}: {content.decode()}")
        return content
