"""The real Packer builds unmodified templates in the embedded EC2."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ami_bakery.local import Control, InjectedFault

from .conftest import Client, bake, tags

pytestmark = pytest.mark.skipif(shutil.which("packer") is None, reason="Packer is not installed")
_TEMPLATES = Path(__file__).parent / "packer"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Returns a working directory for Packer, with the files that the templates upload."""
    (tmp_path / "upload/tree/sub").mkdir(parents=True)
    (tmp_path / "upload/app.conf").write_text("port = 80\n")
    (tmp_path / "upload/app.conf").chmod(0o640)
    (tmp_path / "upload/tree/sub/leaf").write_text("leaf\n")
    (tmp_path / "upload/tree/top").write_text("")
    (tmp_path / "upload/set-up.sh").write_text("#!/bin/sh\nexit 1\n")
    return tmp_path


def packer(template: str, project: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    arguments = ["-color=false", "-var", "config_checksum=abc", str(_TEMPLATES / template)]
    return subprocess.run(
        ["packer", "build", *arguments],
        cwd=project,
        env=environment | {"PACKER_CACHE_DIR": str(project / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def assert_nothing_left(ec2: Any) -> None:
    states = {one["State"]["Name"] for found in ec2.describe_instances()["Reservations"] for one in found["Instances"]}
    assert states <= {"terminated"}
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    assert [group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"]] == ["default"]


def test_legacy_json_template_builds(project: Path, environment: dict[str, str], ec2: Any, control: Control) -> None:
    done = packer("legacy.json", project, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = ec2.describe_images(Owners=["self"])["Images"]
    assert f"us-east-1: {made['ImageId']}" in done.stdout
    assert tags(made) == {"ami_config_checksum": "abc"}
    assert made["SourceImageId"] == "ami-9bc25ed5138ed75cf"
    assert_nothing_left(ec2)
    report = control.report()
    assert (report.count("RunInstances"), report.count("CreateImage")) == (1, 1)
    kept = {upload.path: upload for upload in report.uploads if not upload.path.startswith("/tmp/")}
    assert set(kept) == {"/opt/app/app.conf", "/srv/tree/sub/leaf", "/srv/tree/top"}
    assert kept["/opt/app/app.conf"].sha256 == hashlib.sha256(b"port = 80\n").hexdigest()
    assert kept["/opt/app/app.conf"].mode == "0640"
    script = hashlib.sha256(b"#!/bin/sh\nexit 1\n").hexdigest()
    assert script in {upload.sha256 for upload in report.uploads}
    assert any(command.command.startswith("chmod +x /tmp/script_") for command in report.commands)
    assert "[embedded EC2] recorded, not executed: chmod +x" in done.stdout


def test_hcl2_template_builds_in_two_regions(
    project: Path, environment: dict[str, str], ec2: Any, client: Client, control: Control
) -> None:
    control.change(pending_seconds=0.5)
    done = packer("modern.pkr.hcl", project, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    for region in ("us-east-1", "eu-west-1"):
        (made,) = client(region=region).describe_images(Owners=["self"])["Images"]
        assert f"{region}: {made['ImageId']}" in done.stdout
        assert made["State"] == "available"
        assert tags(made)["ami_config_checksum"] == "abc"
        assert [device["DeviceName"] for device in made["BlockDeviceMappings"]] == ["/dev/xvda", "/dev/sdb"]
    assert {upload.path for upload in control.report().uploads} == {"/opt/tree/sub/leaf", "/opt/tree/top"}
    assert_nothing_left(ec2)


def test_used_ami_name_stops_packer_before_the_build(
    project: Path, environment: dict[str, str], ec2: Any, control: Control
) -> None:
    taken = bake(ec2, "modern")
    control.clear_report()
    done = packer("modern.pkr.hcl", project, environment)
    assert done.returncode == 1
    assert taken in done.stdout + done.stderr
    assert control.report().count("RunInstances") == 0


def test_packer_shows_ec2s_message_for_a_missing_permission(
    project: Path, environment: dict[str, str], ec2: Any, control: Control
) -> None:
    control.plan(InjectedFault(action="RunInstances", code="UnauthorizedOperation", times=0))
    done = packer("legacy.json", project, environment)
    assert done.returncode == 1
    assert "not authorized to perform: ec2:RunInstances" in done.stdout + done.stderr
    assert_nothing_left(ec2)
