"""boto3 clients of the embedded EC2, and helpers for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from ami_bakery.local import Control, LocalAws, LocalSettings

Client = Callable[..., Any]
UBUNTU = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240927"

_SESSION = boto3.Session()
"""Reads botocore's service models, which takes 0.3 s, once."""


@pytest.fixture
def control(local: LocalAws) -> Control:
    return Control(local.url)


@pytest.fixture
def environment(local: LocalAws) -> dict[str, str]:
    return local.environment({"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")})


def client_of(
    local: LocalAws,
    service: str = "ec2",
    region: str = "us-east-1",
    *,
    account: int = 0,
    key: str = "",
    secret: str = "",
) -> Any:
    """Returns a boto3 client without retries that uses the proxy and its certificate."""
    environment = local.environment({})
    credentials = LocalSettings().accounts[account]
    return _SESSION.client(  # type: ignore[call-overload]
        service,
        region_name=region,
        aws_access_key_id=key or credentials.access_key_id,
        aws_secret_access_key=secret or credentials.secret_access_key,
        verify=environment["AWS_CA_BUNDLE"],
        config=Config(proxies={"https": environment["HTTPS_PROXY"]}, retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def client(local: LocalAws) -> Iterator[Client]:
    made = []

    def make(service: str = "ec2", region: str = "us-east-1", **options: Any) -> Any:
        made.append(client_of(local, service, region, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def ec2(client: Client) -> Any:
    return client()


def base_image(ec2: Any) -> str:
    (image,) = ec2.describe_images(Filters=[{"Name": "name", "Values": [UBUNTU]}])["Images"]
    return str(image["ImageId"])


def launch(ec2: Any, **options: Any) -> dict[str, Any]:
    started = ec2.run_instances(
        ImageId=options.pop("ImageId", None) or base_image(ec2),
        MinCount=1,
        MaxCount=1,
        InstanceType="t3.small",
        **options,
    )
    instance_id = started["Instances"][0]["InstanceId"]
    instance: dict[str, Any] = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    return instance


def bake(ec2: Any, name: str, **options: Any) -> str:
    """Creates an AMI from a new instance; returns its id."""
    return str(ec2.create_image(InstanceId=launch(ec2)["InstanceId"], Name=name, **options)["ImageId"])


def image(ec2: Any, image_id: str) -> dict[str, Any]:
    (found,) = ec2.describe_images(ImageIds=[image_id])["Images"]
    return dict(found)


def tags(described: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}


def key_file(ec2: Any, folder: Path, name: str) -> Path:
    """Creates a key pair; returns the file of its private key."""
    path = folder / f"{name}.pem"
    path.touch(mode=0o600)
    path.write_text(ec2.create_key_pair(KeyName=name)["KeyMaterial"])
    return path


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
