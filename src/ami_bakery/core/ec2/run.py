"""A run: one bake of one image, by an id that is like no other and tells when it began."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

RUN_TAG = "ami-bakery:run"
"""On all that a run makes in EC2, from as soon as it is there."""
KEY_PAIR_TAG = "ami-bakery:key-pair"
"""On a run's instance and security group: the name of its key pair, which itself cannot be tagged by name."""

_FORM = "%Y%m%dT%H%M%SZ"


def run_id(began: datetime, token: str) -> str:
    """``20260131T120000Z-3f9a1c2b``. `token` makes runs of one second differ."""
    return f"{began.astimezone(UTC).strftime(_FORM)}-{token}"


def run_began(run: str) -> datetime | None:
    """None where it is no id of ours."""
    with contextlib.suppress(ValueError):
        return datetime.strptime(run.partition("-")[0], _FORM).replace(tzinfo=UTC)
    return None
