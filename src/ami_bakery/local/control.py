"""Client of the control URL, for tests: reads the report, injects faults, changes settings."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from ami_bakery.local.recorder import Report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ami_bakery.local.faults import InjectedFault


class Control:
    """Controls a running embedded EC2. `url` is its AMI_BAKERY_LOCAL_URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port

    def report(self) -> Report:
        return msgspec.json.decode(self._request("GET", "/report"), type=Report)

    def clear_report(self) -> None:
        self._request("DELETE", "/report")

    def reset(self) -> None:
        """Restores the initial state: no instances, public AMIs only, no faults, an empty report."""
        self._request("POST", "/reset")

    def plan(self, fault: InjectedFault) -> None:
        """Lets future calls fail, after those of earlier faults."""
        self._request("POST", "/faults", msgspec.json.encode(fault))

    def triggered(self) -> int:
        """Returns the number of calls that triggered a fault since `clear_faults`. Hanging calls count too."""
        triggered: int = json.loads(self._request("GET", "/faults"))["struck"]
        return triggered

    def held(self) -> int:
        """Returns the number of calls that hang or are delayed now. Delayed calls are executed already."""
        held: int = json.loads(self._request("GET", "/faults"))["held"]
        return held

    def release(self) -> None:
        """Lets hanging and delayed calls continue; keeps the faults."""
        self._request("POST", "/faults/release")

    def clear_faults(self) -> None:
        """Removes all faults; lets hanging and delayed calls continue."""
        self._request("DELETE", "/faults")

    def change(
        self,
        *,
        pending_seconds: float | None = None,
        validation_seconds: float | None = None,
        page_cap: int | None = None,
        lag_seconds: float | None = None,
        image_outcome: str | None = None,
        terminating_seconds: float | None = None,
        cooldown_seconds: float | None = None,
        usage_lag_seconds: float | None = None,
        report_seconds: float | None = None,
        report_outcome: str | None = None,
    ) -> None:
        """Changes settings; omitted ones do not change.

        pending_seconds      how long new AMIs are `pending`; a lower value also ends the wait of existing ones
        validation_seconds   how long SSM validates an AMI id before the parameter has it; a lower value also ends
                             the wait of existing ones
        page_cap             the maximum number of items of a page, even if MaxResults is higher
        lag_seconds          how long new AMIs and changed tags are invisible; a lower value shows existing ones
        image_outcome        the state after `pending`, also of existing AMIs: `available` or `failed`
        terminating_seconds  how long an instance is `shutting-down`, and uses its security groups
        cooldown_seconds     how long an AMI cannot be deregistered after its protection was disabled
        usage_lag_seconds    how long LastLaunchedTime and image usage reports do not show a launch
        report_seconds       how long image usage reports are `pending`; a lower value also ends the wait of
                             existing ones
        report_outcome       the state of a report after `pending`: `available` or `error`
        """
        change = {
            "pending_seconds": pending_seconds,
            "validation_seconds": validation_seconds,
            "page_cap": page_cap,
            "lag_seconds": lag_seconds,
            "image_outcome": image_outcome,
            "terminating_seconds": terminating_seconds,
            "cooldown_seconds": cooldown_seconds,
            "usage_lag_seconds": usage_lag_seconds,
            "report_seconds": report_seconds,
            "report_outcome": report_outcome,
        }
        self._request("POST", "/settings", json.dumps(change).encode())

    def seed(self, region: str, images: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """Adds available AMIs of the first account, given as tags by name; returns their ids by name.

        Thousands take seconds. Raises ValueError, and adds none, if a name is in use.
        """
        asked = {"region": region, "images": [{"name": name, "tags": dict(tags)} for name, tags in images.items()]}
        made = json.loads(self._request("POST", "/images", json.dumps(asked).encode()))["ids"]
        return dict(zip(images, made, strict=True))

    def add_image(self, region: str, image: Mapping[str, str | Mapping[str, str]]) -> str:
        """Adds an available AMI, with the members of `SeedImage`; returns its id. Raises ValueError."""
        asked = {"region": region, "images": [dict(image)]}
        made: list[str] = json.loads(self._request("POST", "/images", json.dumps(asked).encode()))["ids"]
        return made[0]

    def enforce(self, policy: Mapping[str, Any] | None) -> None:
        """Sets the IAM policy of the first account; None allows everything.

        Raises ValueError for a policy that is not supported.
        """
        if policy is None:
            self._request("DELETE", "/policy")
        else:
            self._request("PUT", "/policy", json.dumps(policy).encode())

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Sends a request. Raises ValueError with the server's message if it fails."""
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
