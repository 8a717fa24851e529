"""Locks live longer here than the embedded EC2 says: on a busy machine a process may stand still for a while."""

from __future__ import annotations

import pytest

from tests.kitchen import Kitchen


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest) -> None:
    if "kitchen" in request.fixturenames:
        kitchen: Kitchen = request.getfixturevalue("kitchen")
        kitchen.environment["AMI_BAKERY_LOCK_SECONDS"] = "60"
