"""Handles requests to the control URL: report, faults, settings, reset."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from ami_bakery.local.faults import InjectedFault
from ami_bakery.local.http.response import Response
from ami_bakery.local.http.service import SeedImages
from ami_bakery.local.iam_policy import Policy
from ami_bakery.local.recorder import as_document

if TYPE_CHECKING:
    from ami_bakery.local.http.service import Service


class BehaviourChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /settings`; omitted settings do not change."""

    pending_seconds: float | None = None
    validation_seconds: float | None = None
    page_cap: int | None = None
    lag_seconds: float | None = None
    image_outcome: str | None = None
    terminating_seconds: float | None = None
    cooldown_seconds: float | None = None
    usage_lag_seconds: float | None = None
    report_seconds: float | None = None
    report_outcome: str | None = None


class ControlHandler:
    """Handles control requests; `reset_instances` stops the SSH servers of instances."""

    def __init__(self, service: Service, reset_instances: Callable[[], None]) -> None:
        self._service = service
        self._reset_instances = reset_instances
        self._routes: dict[tuple[str, str], Callable[[bytes], object]] = {
            ("GET", "/report"): lambda _: as_document(service.recorder.report()),
            ("DELETE", "/report"): lambda _: service.recorder.clear(),
            ("POST", "/reset"): lambda _: self._reset(),
            ("GET", "/faults"): lambda _: {"struck": service.faults.triggered, "held": service.faults.held},
            ("POST", "/faults"): lambda body: service.faults.add(msgspec.json.decode(body, type=InjectedFault)),
            ("POST", "/faults/release"): lambda _: service.faults.release(),
            ("DELETE", "/faults"): lambda _: service.faults.clear(),
            ("POST", "/settings"): self._change,
            ("POST", "/images"): self._seed,
            ("PUT", "/policy"): self._enforce,
            ("DELETE", "/policy"): lambda _: setattr(service.behaviour, "policy", None),
        }

    def __call__(self, method: str, path: str, body: bytes) -> Response:
        route = self._routes.get((method, path))
        if route is None:
            known = ", ".join(f"{verb} {where}" for verb, where in self._routes)
            return _json(404, {"error": f"there is no {method} {path}; there is {known}"})
        try:
            return _json(200, route(body) or {})
        except (msgspec.MsgspecError, ValueError) as error:
            return _json(400, {"error": str(error)})

    def _reset(self) -> None:
        self._reset_instances()
        self._service.reset()

    def _enforce(self, body: bytes) -> None:
        self._service.behaviour.policy = Policy.parse(json.loads(body))

    def _seed(self, body: bytes) -> dict[str, list[str]]:
        return {"ids": self._service.seed(msgspec.json.decode(body, type=SeedImages))}

    def _change(self, body: bytes) -> None:
        change = msgspec.json.decode(body, type=BehaviourChange)
        if change.image_outcome not in (None, "available", "failed"):
            raise ValueError("image_outcome must be available or failed")
        if change.report_outcome not in (None, "available", "error"):
            raise ValueError("report_outcome must be available or error")
        if change.page_cap is not None and change.page_cap < 1:
            raise ValueError("page_cap must be at least 1")
        for name in change.__struct_fields__:
            if name.endswith("_seconds") and (getattr(change, name) or 0) < 0:
                raise ValueError(f"{name} must be at least 0")
        for name in change.__struct_fields__:
            if (value := getattr(change, name)) is not None:
                setattr(self._service.behaviour, name, value)


def _json(status: int, document: object) -> Response:
    body = json.dumps(document).encode() + b"\n"
    return Response(status=status, body=body, headers={"Content-Type": "application/json"})
