"""Problems that fail a build at its end are found before it: names of disabled AMIs, and too many tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ec2_client
from tests.harness import TOML, json_template
from tests.seed import own_ami

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws
    from tests.harness import Harness

NAMED = "app-{{user `config_checksum`}}"


def test_disabled_ami_with_the_name_is_reported_before_packer(app: Harness, ec2: EC2Client) -> None:
    app.write("ami/app.json", json_template(ami_name="app-1"))
    ami = own_ami(ec2, "app-1")
    ec2.disable_image(ImageId=ami)
    run = app.run("bake")
    assert run.status == 1
    assert f"the disabled AMI {ami} has the name app-1 in us-east-1: a build would fail at its end" in run.stderr
    assert f"aws ec2 deregister-image --region us-east-1 --image-id {ami}" in run.stderr
    assert app.packer_runs == 0
    assert "an AMI named 'app-1' already exists in this account" in app.run("check").stdout
    ec2.deregister_image(ImageId=ami)
    assert app.run("bake").status == 0


def test_disabled_ami_of_the_same_definition_can_be_enabled(app: Harness, ec2: EC2Client) -> None:
    app.write("ami/app.json", json_template(ami_name=NAMED))
    ami = app.run("bake").answer
    ec2.disable_image(ImageId=ami)
    assert f"{ami} (us-east-1) has this digest but does not count: it is disabled" in app.run("plan").stdout
    run = app.run("bake")
    assert f"Enable it: aws ec2 enable-image --region us-east-1 --image-id {ami}" in run.stderr
    assert app.packer_runs == 1
    (listed,) = app.run("images", "--json").document["images"]
    assert (listed["ami"], listed["state"]) == (ami, "disabled")
    ec2.enable_image(ImageId=ami)
    assert app.run("bake").answer == ami


def test_disabled_ami_does_not_conflict_with_a_name_that_has_a_time(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    ec2.disable_image(ImageId=ami)
    assert app.run("bake").answer != ami


@pytest.mark.parametrize("disabled", [True, False])
def test_name_that_is_taken_in_a_template_region_is_reported_before_packer(
    app: Harness, local: LocalAws, disabled: bool
) -> None:
    abroad = ec2_client(local, "eu-west-1")
    ami = own_ami(abroad, "app-1")
    if disabled:
        abroad.disable_image(ImageId=ami)
    app.write("ami/app.json", json_template(ami_name="app-1", ami_regions=["eu-west-1"]))
    run = app.run("bake")
    assert run.status == 1
    assert f"AMI {ami} has the name app-1 in eu-west-1" in run.stderr
    assert app.packer_runs == 0


def tags(count: int, prefix: str) -> dict[str, str]:
    return {f"{prefix}-{number}": "x" for number in range(count)}


def toml(count: int) -> str:
    written = ", ".join(f'"c-{number}" = "x"' for number in range(count))
    return f"{TOML}tags = {{ {written} }}\n"


@pytest.mark.parametrize(
    ("template", "configured", "total"),
    [
        ({"tags": tags(44, "t")}, 0, 51),
        ({"tags": tags(20, "t")}, 24, 51),
        ({"tags": tags(20, "t"), "run_tags": tags(24, "r")}, 0, 51),
        ({"tags": tags(10, "t"), "ami_regions": ["eu-west-1"]}, 33, 51),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["bake", "plan", "check"])
def test_too_many_tags_in_total_are_reported_before_packer(
    app: Harness, command: str, template: dict[str, Any], configured: int, total: int
) -> None:
    app.write("ami/app.json", json_template(**template))
    app.write("bakery.toml", toml(configured) if configured else TOML)
    run = app.run(command)
    assert run.status == 1
    said = run.stdout + run.stderr
    assert f"would have {total} tags, and EC2 allows 50" in said
    assert f"Remove {total - 50} or more" in said
    assert app.packer_runs == 0


@pytest.mark.parametrize(
    ("template", "configured"),
    [
        ({"tags": tags(40, "t")}, 0),
        ({"tags": tags(20, "c")}, 30),
        ({"tags": tags(20, "t"), "run_tags": tags(30, "r"), "skip_ami_run_tags": True}, 0),
        ({"tags": {"ami_config_checksum": "{{user `config_checksum`}}", **tags(40, "t")}}, 0),
    ],
    ids=str,
)
def test_maximum_number_of_tags_is_no_finding(app: Harness, template: dict[str, Any], configured: int) -> None:
    app.write("ami/app.json", json_template(**template))
    app.write("bakery.toml", toml(configured) if configured else TOML)
    assert "too-many-tags" not in app.run("check").stdout


def test_hcl_tag_blocks_are_counted_too(app: Harness) -> None:
    blocks = "\n".join(f'  tag {{\n    key = "t-{number}"\n    value = "x"\n  }}' for number in range(44))
    app.write(
        "ami/app.pkr.hcl",
        f"""
source "amazon-ebs" "app" {{
  region = "us-east-1"
  instance_type = "t3.micro"
  source_ami_filter {{
    owners      = ["099720109477"]
    most_recent = true
    filters     = {{ name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }}
  }}
  communicator = "none"
  ami_name = "app-{{{{timestamp}}}}"
{blocks}
}}
build {{ sources = ["source.amazon-ebs.app"] }}
""",
    )
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    assert "would have 51 tags" in app.run("plan").stderr
