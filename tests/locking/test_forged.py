"""Locks and AMIs with impossible tags, and locks where accounts require tags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ami_bakery.core.ec2.ami import DIGEST_TAG, FORMAT_TAG, FROM_TAG, ORIGIN_TAG
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.lock.lock import ACQUIRED_TAG, CREATED_AMI_TAG, EXPIRES_TAG
from ami_bakery.core.orphan.orphan import NAME_TAG
from tests.conftest import ec2_client
from tests.harness import TOML, json_template
from tests.processes import kill_everything_of, provisioned, wait_until
from tests.seed import own_ami

from .bench import finished, hold_lock, locks, read_until, tags_of

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws
    from tests.harness import Harness

FAR = {EXPIRES_TAG: "2099-01-01T00:00:00Z"}


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def forge(ec2: EC2Client, digest: str, **tags: str) -> str:
    lock = hold_lock(ec2, digest)
    ec2.create_tags(Resources=[lock], Tags=[{"Key": key, "Value": value} for key, value in (FAR | tags).items()])
    return lock


def test_lock_with_an_impossible_expiry_is_taken_over_after_the_longest_lifetime(app: Harness, ec2: EC2Client) -> None:
    forge(ec2, app.run("digest").answer, **{ACQUIRED_TAG: ago(hours=25)})
    run = app.run("bake", "--no-wait")
    assert run.status == 0, run.stderr
    assert locks(ec2) == {}


@pytest.mark.parametrize("since", ["just now", "2098-12-31T00:00:00Z", "never", ""])
def test_lock_with_an_impossible_expiry_is_waited_for_before_that(app: Harness, ec2: EC2Client, since: str) -> None:
    since = ago(minutes=5) if since == "just now" else since
    lock = forge(ec2, app.run("digest").answer, **{ACQUIRED_TAG: since})
    assert app.run("bake", "--no-wait").status == 75
    assert list(locks(ec2).values()) == [lock]


def test_lock_with_an_impossible_expiry_is_listed_as_an_orphan_at_once(app: Harness, ec2: EC2Client) -> None:
    lock = forge(ec2, app.run("digest").answer)
    (orphan,) = app.run("images", "--orphans", "--json").document["orphans"]
    assert (orphan["id"], orphan["kind"], orphan["sure"]) == (lock, "lock", False)
    assert "which no run of ami-bakery can have written" in orphan["why"]
    run = app.run("images", "--orphans", "--clean", "--yes")
    assert "kept, because they may be in use" in run.stderr


def test_old_lock_is_removed_with_the_other_orphans(app: Harness, ec2: EC2Client) -> None:
    forge(ec2, app.run("digest").answer, **{ACQUIRED_TAG: ago(days=2)})
    run = app.run("images", "--orphans", "--clean", "--yes")
    assert run.status == 0
    assert locks(ec2) == {}, run.stdout + run.stderr


# Copies in the template's own regions.


@pytest.fixture
def abroad(local: LocalAws) -> EC2Client:
    return ec2_client(local, "eu-west-1")


def copying(app: Harness, *regions: str) -> None:
    app.write("ami/app.json", json_template(ami_name="app-1", ami_regions=["us-east-1", *regions]))


def test_copies_of_a_killed_build_in_the_templates_regions_are_orphans(
    app: Harness, ec2: EC2Client, abroad: EC2Client
) -> None:
    copying(app, "eu-west-1")
    copy = own_ami(abroad, "app-1")
    hold_lock(ec2, app.run("digest").answer, expired=True, **{NAME_TAG: "app-1"})
    orphans = app.run("images", "--orphans", "--json").document["orphans"]
    assert (copy, "eu-west-1") in {(one["id"], one["region"]) for one in orphans}


def test_take_over_tags_only_copies_of_the_dead_runs_ami(app: Harness, ec2: EC2Client, abroad: EC2Client) -> None:
    copying(app, "eu-west-1", "eu-central-1")
    copy = own_ami(abroad, "app-0")
    unrelated = own_ami(abroad, "app-2")
    hold_lock(ec2, app.run("digest").answer, expired=True, **{NAME_TAG: "app-0"})
    assert app.run("bake").status == 0
    # The dead run did not create the public AMI that a test's AMI is a copy of.
    assert RUN_TAG not in tags_of(abroad, copy)
    assert RUN_TAG not in tags_of(abroad, unrelated)


def test_copy_of_a_killed_build_is_tagged_and_listed(app: Harness, ec2: EC2Client, abroad: EC2Client) -> None:
    template = json_template(ami_name="app-{{timestamp}}", ami_regions=["eu-west-1"])
    post = [{"type": "shell-local", "inline": ["echo copied; sleep 60"]}]
    app.write("ami/app.json", template | {"post-processors": post})
    short = {"AMI_BAKERY_LOCK_TTL_SECONDS": "4"}
    process = app.start("bake", "-v", environment=short, own_group=True)
    read_until(process, "copied")
    kill_everything_of(app, process)
    (copy,) = abroad.describe_images(Owners=["self"])["Images"]
    (lock,) = locks(ec2).values()
    assert tags_of(ec2, lock)[CREATED_AMI_TAG] == copy["SourceImageId"]

    def listed() -> set[str]:
        return {one["id"] for one in app.run("images", "--orphans", "--json").document["orphans"]}

    assert wait_until(lambda: copy["ImageId"] in listed())
    second = app.start("bake", "-v", environment=short, own_group=True)
    read_until(second, "copied")
    kill_everything_of(app, second)
    assert tags_of(abroad, copy["ImageId"])[RUN_TAG]
    assert wait_until(lambda: copy["ImageId"] in listed())


# Tags on the lock.


def test_lock_is_created_with_the_configured_tags(app: Harness, ec2: EC2Client) -> None:
    """An organization may require them: without them the key pair must not be created."""
    app.write("bakery.toml", TOML + 'tags = { team = "web", "cost center" = "42" }\n')
    denied: Any = {
        "Effect": "Deny",
        "Action": "ec2:CreateKeyPair",
        "Resource": "arn:aws:ec2:*:*:key-pair/ami-bakery-lock-*",
        "Condition": {"Null": {"aws:RequestTag/team": "true"}},
    }
    allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    app.control.enforce({"Version": "2012-10-17", "Statement": [allowed, denied]})
    provisioned(app, "echo at work; sleep 4")
    process = app.start("bake", "-v")
    read_until(process, "amazon-ebs: at work")
    (lock,) = locks(ec2).values()
    assert {"team": "web", "cost center": "42"}.items() <= tags_of(ec2, lock).items()
    assert process.communicate() and process.returncode == 0
    app.write("bakery.toml", TOML)
    run = app.run("bake", "--force")
    app.control.enforce(None)
    assert (run.status, "ec2:CreateKeyPair" in run.stderr) == (1, True)


def test_forty_configured_tags_leave_room_on_the_lock(app: Harness, ec2: EC2Client) -> None:
    tags = ", ".join(f't{number:02} = "x"' for number in range(38))
    app.write("bakery.toml", TOML + f"tags = {{ {tags} }}\n")
    run = app.run("bake")
    assert run.status == 0, run.stderr
    assert app.run("bake").answer == run.answer
    assert app.packer_runs == 1


# AMIs that only look finished.


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({FORMAT_TAG: ""}, "it was never verified"),
        ({FROM_TAG: "ami-0123456789abcdef0"}, "its source AMI is ami-0123456789abcdef0 (ami-bakery:from)"),
        ({FROM_TAG: "ami-0123456789abcdef0 ami-0123456789abcdef1"}, "its source AMI is ami-0123456789abcdef0 ami-"),
        ({DIGEST_TAG: "", FORMAT_TAG: ""}, "no AMI found for this image"),
    ],
)
def test_ami_whose_tags_do_not_match_the_definition_is_ignored(
    app: Harness, ec2: EC2Client, tags: dict[str, str], why: str
) -> None:
    ami = app.run("bake").answer
    ec2.create_tags(Resources=[ami], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    assert why in app.run("plan").stdout
    run = app.run("bake")
    assert run.answer != ami
    assert app.packer_runs == 2
    assert app.run("bake").answer == run.answer


def test_ami_without_a_recorded_source_is_reused(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    ec2.delete_tags(Resources=[ami], Tags=[{"Key": FROM_TAG}, {"Key": ORIGIN_TAG}])
    assert app.run("bake").answer == ami
    assert finished(ec2, app.run("digest").answer) == [ami]
