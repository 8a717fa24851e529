"""Locks live longer here than by default in the embedded EC2. A process may be paused on a busy machine."""

from __future__ import annotations

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import FROM_TAG
from tests.harness import Harness, json_template

from .bench import tags_of, unfinish


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest) -> None:
    if "harness" in request.fixturenames:
        harness: Harness = request.getfixturevalue("harness")
        harness.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "60"


@pytest.fixture
def left(app: Harness, ec2: EC2Client) -> str:
    """Returns an AMI as Packer creates it. It has the definition's name, but no digest."""
    app.write("ami/app.json", json_template(ami_name="app-{{user `config_checksum`}}"))
    ami = app.run("bake").answer
    base = tags_of(ec2, ami)[FROM_TAG]
    unfinish(ec2, ami)
    assert base
    assert app.packer_runs == 1
    return ami
