"""Shared fixtures: one embedded EC2 per process, reset before each test, and a test harness."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import settings
from mypy_boto3_ec2 import EC2Client
from xdist.scheduler import LoadScopeScheduling

from ami_bakery.local import Control, LocalAws, LocalSettings
from tests.documents import ROOT
from tests.harness import TOML, Harness, json_template
from tests.signals import use_default_signals

# Here, not in a hook, because each pytest-xdist worker imports this file.
use_default_signals()
# Tests must pass on a loaded machine.
settings.register_profile("loaded", deadline=None)
settings.load_profile("loaded")


_SESSION = boto3.Session()
"""Reads botocore's service models, which takes 0.3 s, once."""


class _DockerInOneProcess(LoadScopeScheduling):
    """Distributes tests to pytest-xdist's workers one by one; tests/docker to one worker, which runs the engine."""

    def _split_scope(self, nodeid: str) -> str:
        return "docker" if nodeid.startswith("tests/docker/") else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _DockerInOneProcess(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests that need current Packer, so that they can run after it is built (scripts/run-tests)."""
    for item in items:
        if "current_packer" in getattr(item, "fixturenames", ()):
            item.add_marker("current_packer")


@pytest.fixture(scope="session")
def _local() -> Iterator[LocalAws]:
    with LocalAws(LocalSettings(pending_seconds=0, validation_seconds=0)) as local:
        yield local


@pytest.fixture
def local(_local: LocalAws) -> LocalAws:
    Control(_local.url).reset()
    return _local


@pytest.fixture
def harness(tmp_path: Path, local: LocalAws) -> Iterator[Harness]:
    """An empty folder, with the Packer on PATH or in AMI_BAKERY_TEST_PACKER (make test-current-packer)."""
    packer = os.environ.get("AMI_BAKERY_TEST_PACKER")
    created = Harness(tmp_path, local, Path(packer) if packer else None)
    yield created
    created.close()


@pytest.fixture(scope="session")
def current_packer() -> Path:
    """The folder of current Packer and its amazon plugin, built by scripts/current-packer."""
    done = subprocess.run([ROOT / "scripts/current-packer", "--built"], capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture
def app(harness: Harness) -> Harness:
    """A bakery.toml with one image `app`: a JSON template and a script."""
    harness.write("bakery.toml", TOML)
    harness.write("ami/app.json", json_template())
    harness.write("ami/setup.sh", "echo set up\n")
    return harness


@pytest.fixture
def drop_in(harness: Harness) -> Harness:
    """Drop-in mode: the environment variables, and a folder with configuration code."""
    harness.write("ami/packer/ami.json", json_template())
    harness.write("ami/setup.sh", "echo set up\n")
    harness.environment |= {
        "PACKER_JSON_PATH": f"{harness.folder}/ami/packer/ami.json",
        "AMI_DEFINITION_DIRS": f"{harness.folder}/ami/",
        "AWS_SUBNET_ID": "",
    }
    return harness


@pytest.fixture
def ec2(local: LocalAws) -> EC2Client:
    return ec2_client(local)


def ec2_client(local: LocalAws, region: str = "us-east-1", *, account: int = 0) -> EC2Client:
    client: EC2Client = aws_client(local, "ec2", region, account=account)
    return client


def aws_client(local: LocalAws, service: str, region: str = "us-east-1", *, account: int = 0) -> Any:
    """A client of the embedded EC2 with the account's credentials, without retries."""
    environment = local.environment({})
    return _client(service, region, environment["AWS_CA_BUNDLE"], environment["HTTPS_PROXY"], account)


@lru_cache(maxsize=64)
def _client(service: str, region: str, certificates: str, proxy: str, account: int) -> Any:
    """Returns a shared client: creating one takes longer than most calls. A closed client opens new connections.

    certificates  the path of the certificate of one embedded EC2
    """
    credentials = LocalSettings().accounts[account]
    return _SESSION.client(  # type: ignore[call-overload]
        service,
        region_name=region,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        verify=certificates,
        config=Config(proxies={"https": proxy}, retries={"total_max_attempts": 1}),
    )
