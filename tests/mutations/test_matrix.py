"""Runs the mutation matrix for JSON and HCL2, and on the drop-in's checksum; compares the documented table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.local import LocalAws
from tests.conftest import aws_client
from tests.harness import Harness
from tests.mutations.cases import BEFORE, MOVE, STAY, Case
from tests.mutations.repository import plant
from tests.mutations.table import documented

ALL = MOVE | STAY


@pytest.fixture
def world(harness: Harness, local: LocalAws, ec2: EC2Client) -> Iterator[tuple[Harness, EC2Client, object, object]]:
    """An account with a golden image, and an SSM parameter that holds an id."""
    (base, *_) = ec2.describe_images(Owners=["099720109477"])["Images"]
    ec2.copy_image(Name="golden-1", SourceImageId=base["ImageId"], SourceRegion="us-east-1")
    ssm, sts = aws_client(local, "ssm"), aws_client(local, "sts")
    ssm.put_parameter(Name="/golden/ami", Value="ami-00000000000000001", Type="String")
    yield harness, ec2, ssm, sts
    ssm.close()
    sts.close()


def case_of(form: str, world: tuple[Harness, EC2Client, object, object], folder: Path) -> Case:
    harness, ec2, ssm, sts = world
    plant(folder, form)
    return Case(form=form, harness=harness, folder=folder, ec2=ec2, ssm=ssm, sts=sts)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["json", "hcl"])
@pytest.mark.parametrize("name", ALL)
def test_digest_changes_exactly_if_it_must(
    name: str, form: str, world: tuple[Harness, EC2Client, object, object], tmp_path: Path
) -> None:
    case = case_of(form, world, tmp_path / "checkout")
    if name in BEFORE:
        BEFORE[name](case)
    before = case.digest()
    ALL[name](case)
    assert (case.digest() != before) == (name in MOVE)


@pytest.mark.parametrize("name", [name for name in ALL if name not in BEFORE])
def test_drop_in_checksum_changes_as_documented(
    name: str, world: tuple[Harness, EC2Client, object, object], tmp_path: Path
) -> None:
    case = case_of("json", world, tmp_path / "checkout")
    before = case.drop_in_checksum()
    ALL[name](case)
    case.arguments = []
    assert (case.drop_in_checksum() != before) == documented()[name].drop_in_moves


def test_documented_table_has_every_case() -> None:
    rows = documented()
    assert list(rows) == list(ALL)
    assert all(rows[name].must_move == (name in MOVE) for name in ALL)
