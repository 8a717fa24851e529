"""A session of boto3 with the embedded EC2."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ami_bakery.adapters.aws.session import AwsSession
from ami_bakery.local import LocalAws


@pytest.fixture
def session(local: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsSession]:
    environment = local.environment({"HOME": "/nobody"})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    session = AwsSession(environment)
    yield session
    for client in session._clients.values():
        client.close()
    session.close()
