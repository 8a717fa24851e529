"""Channels of the embedded EC2, as other programs see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ami_bakery.core.channel.parameter import channel_description
from ami_bakery.local import Control
from tests.conftest import aws_client, ec2_client
from tests.harness import json_template

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.harness import Harness, Run

NAME = "/ami-bakery/app/stable"
TWO_REGIONS = ("us-east-1", "eu-west-1")


def write_app(harness: Harness, *, regions: tuple[str, ...] = ("us-east-1",), more: str = "", text: str = "1") -> None:
    """Configures the image `app`. Another `text` is another definition."""
    listed = ", ".join(f'"{region}"' for region in regions)
    head = 'version = 1\n\n[images.app]\ntemplate = "ami/app.json"\ninputs = ["ami"]\n'
    harness.write("bakery.toml", f"{head}regions = [{listed}]\n{more}")
    harness.write("ami/app.json", json_template())
    harness.write("ami/setup.sh", f"echo {text}\n")


def baked(harness: Harness, text: str) -> dict[str, str]:
    """Changes the definition and bakes. Returns the AMIs by region."""
    harness.write("ami/setup.sh", f"echo {text}\n")
    run = harness.run("bake", "--json")
    assert run.status == 0, run.stderr
    amis: dict[str, str] = run.images[0]["amis"]
    return amis


def ssm_client(local: LocalAws, region: str = "us-east-1") -> Any:
    return aws_client(local, "ssm", region)


def value_in(local: LocalAws, region: str = "us-east-1", name: str = NAME) -> str:
    """Returns the value of a channel; empty if there is no parameter."""
    ssm = ssm_client(local, region)
    try:
        return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        return ""


def values(local: LocalAws, regions: tuple[str, ...] = TWO_REGIONS, name: str = NAME) -> dict[str, str]:
    return {region: value_in(local, region, name) for region in regions}


def made(local: LocalAws, number: int, regions: tuple[str, ...] = TWO_REGIONS, **tags: str) -> dict[str, str]:
    """Adds the AMIs of one finished build of `app`. Returns them by region. A higher number is a newer build."""
    control = Control(local.url)
    amis = {region: f"ami-{number + 1:08x}{index:09x}" for index, region in enumerate(regions)}
    wanted = {
        "ami_config_checksum": f"{number:064x}",
        "ami-bakery:format": "1",
        "ami-bakery:image": "app",
        "ami-bakery:origin": amis[regions[0]],
        **tags,
    }
    created = f"2026-06-01T12:00:{number:02}Z"
    for region, ami in amis.items():
        control.add_image(region, {"name": f"app-{number}", "id": ami, "tags": wanted, "created": created})
    return amis


def put_in_channel(local: LocalAws, builds: list[dict[str, str]], regions: tuple[str, ...] = TWO_REGIONS) -> None:
    """Writes the builds to the channel, one after another, without our program but with its description."""
    for region in regions:
        ssm = ssm_client(local, region)
        for build in builds:
            exists = value_in(local, region)
            first: dict[str, Any] = {} if exists else {"Type": "String", "DataType": "aws:ec2:image"}
            description = channel_description("app", "stable")
            ssm.put_parameter(Name=NAME, Value=build[region], Description=description, Overwrite=bool(exists), **first)


def promoted(harness: Harness, amis: dict[str, str], channel: str = "stable") -> None:
    run = harness.run("promote", "app", "--ami", next(iter(amis.values())), "--to", channel)
    assert run.status == 0, run.stderr


def rolled_back(harness: Harness, *more: str) -> Run:
    return harness.run("rollback", "app", "--channel", "stable", *more)


def tag_ami(local: LocalAws, ami: str, region: str = "us-east-1", **tags: str) -> None:
    listed: list[Any] = [{"Key": f"ami-bakery:{key}", "Value": value} for key, value in tags.items()]
    ec2_client(local, region).create_tags(Resources=[ami], Tags=listed)
