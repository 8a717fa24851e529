"""A run is one bake of one image; its unique id contains the start time."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

RUN_TAG = "ami-bakery:run"
"""On every resource that a run creates in EC2, from the earliest possible moment."""
KEY_PAIR_TAG = "ami-bakery:key-pair"
"""On a run's instance and security group: the name of its key pair, which cannot be tagged by name."""

_FORM = "%Y%m%dT%H%M%SZ"


def run_id(began: datetime, token: str) -> str:
    """``20260131T120000Z-3f9a1c2b``. `token` distinguishes runs of the same second."""
    return f"{began.astimezone(UTC).strftime(_FORM)}-{token}"


def run_began(run: str) -> datetime | None:
    """Returns the start time of a run; None if ami-bakery did not create the id."""
    with contextlib.suppress(ValueError):
        return datetime.strptime(run.partition("-")[0], _FORM).replace(tzinfo=UTC)
    return None
