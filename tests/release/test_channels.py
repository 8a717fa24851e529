"""`channels`: what each region has, since when, by whom, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conftest import ec2_client
from tests.release.channels import NAME, TWO_REGIONS, made, promoted, ssm_client, tag_ami, write_app

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.harness import Harness


def test_lists_ami_age_digest_builds_behind_and_writer(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    first = made(local, 1)
    made(local, 2)
    promoted(harness, first)
    promoted(harness, first, "beta")
    rows = harness.run("channels", "--json").document["channels"]
    assert [(row["channel"], row["region"]) for row in rows] == [
        (channel, region) for channel in ("beta", "stable") for region in TWO_REGIONS
    ]
    row = rows[2]
    assert (row["image"], row["ami"], row["digest"], row["behind"]) == ("app", first["us-east-1"], f"{1:064x}", 1)
    assert (row["version"], row["differs"], row["problem"]) == (1, False, None)
    assert row["since"] and row["by"].startswith("arn:aws:")
    table = harness.run("channels")
    assert table.stdout.split("\n")[0].split()[:4] == ["IMAGE", "CHANNEL", "REGION", "AMI"]
    assert len(table.answer.split("\n")) == 5


def test_history_has_all_versions_newest_first(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    first, second = made(local, 1), made(local, 2)
    promoted(harness, first)
    promoted(harness, second)
    (row,) = harness.run("channels", "app", "--history", "--json").document["channels"]
    assert [(each["version"], each["ami"]) for each in row["history"]] == [
        (2, second["us-east-1"]),
        (1, first["us-east-1"]),
    ]
    assert second["us-east-1"] in harness.run("channels", "--history").answer.split("\n")[1]


def test_regions_that_differ_are_marked(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    first, second = made(local, 1), made(local, 2)
    promoted(harness, first)
    harness.control.change(validation_seconds=0)
    ssm_client(local).put_parameter(Name=NAME, Value=second["us-east-1"], Overwrite=True)
    run = harness.run("channels", "--json")
    assert [(row["region"], row["differs"]) for row in run.document["channels"]] == [
        ("us-east-1", False),
        ("eu-west-1", True),
    ]
    assert "app: channel stable differs in eu-west-1" in run.stderr


def test_missing_region_is_marked(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    promoted(harness, made(local, 1))
    write_app(harness, regions=TWO_REGIONS)
    rows = harness.run("channels", "--json").document["channels"]
    assert [row["problem"] for row in rows] == [None, "missing in this region"]
    assert rows[1]["ami"] is None


def test_regions_are_not_said_to_differ_if_an_ami_is_unknown(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    first = made(local, 1)
    promoted(harness, first)
    ec2_client(local, "eu-west-1").disable_image(ImageId=first["eu-west-1"])
    ec2_client(local, "us-east-1").deregister_image(ImageId=first["us-east-1"])
    run = harness.run("channels", "--json")
    rows = run.document["channels"]
    assert [row["differs"] for row in rows] == [False, False]
    assert all(row["problem"] for row in rows)
    assert "differs" not in run.stderr


def test_revoked_and_missing_amis_are_marked(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    first, second = made(local, 1), made(local, 2)
    promoted(harness, first)
    promoted(harness, second, "beta")
    tag_ami(local, first["us-east-1"], revoked="bad kernel")
    ec2_client(local).deregister_image(ImageId=second["us-east-1"])
    run = harness.run("channels", "--json")
    assert [row["problem"] for row in run.document["channels"]] == [
        "its AMI does not exist, or is disabled",
        "revoked: bad kernel",
    ]
    assert f"{first['us-east-1']} is revoked: bad kernel" in run.stderr


def test_value_of_another_parameter_is_not_shown(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    ssm_client(local).put_parameter(Name="/ami-bakery/app/password", Value="hunter2" * 500, Type="String")
    run = harness.run("channels", "--history", "--json")
    assert "hunter2" not in run.stdout
    assert run.document["channels"][0]["problem"] == "not a channel: String, text"
    assert "hunter2" not in harness.run("channels").answer


def test_no_channels(harness: Harness) -> None:
    write_app(harness)
    run = harness.run("channels")
    assert (run.status, run.stdout) == (0, "")
    assert "no channels found for these images" in run.stderr
