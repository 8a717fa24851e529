"""An unfinished AMI with the next build's name is removed. It blocks no bake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import DIGEST_TAG, FORMAT_TAG
from ami_bakery.core.lock.lock import CREATED_AMI_TAG
from ami_bakery.local.faults import FaultKind, InjectedFault
from tests.conftest import ec2_client
from tests.harness import json_template
from tests.processes import kill_everything_of, wait_until

from .bench import ended, finished, hold_lock, locks, read_until, tags_of

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws
    from tests.harness import Harness

SHORT = {"AMI_BAKERY_LOCK_TTL_SECONDS": "12"}
LONG = {"AMI_BAKERY_LOCK_TTL_SECONDS": "60"}


def own(ec2: EC2Client) -> list[str]:
    return [image["ImageId"] for image in ec2.describe_images(Owners=["self"])["Images"]]


NAMED = "app-{{user `config_checksum`}}"


def test_unfinished_ami_of_a_failed_run_does_not_block_the_next_bake(app: Harness, ec2: EC2Client) -> None:
    """Packer gets no response to CreateImage and fails: its AMI has the name of every build of this digest."""
    app.write("ami/app.json", json_template(ami_name=NAMED, max_retries=1))
    app.control.plan(InjectedFault(action="CreateImage", kind=FaultKind.DROP_AFTER, agent="aws-sdk-go"))
    failed = app.run("bake")
    (left,) = own(ec2)
    assert failed.status == 1
    assert f"remains in EC2: AMI {left} of us-east-1" in failed.stderr
    run = app.run("bake", environment=SHORT)
    assert finished(ec2, app.run("digest").answer) == [run.answer] != [left], run.stderr
    assert f"removed AMI {left} of us-east-1, an unfinished AMI of another run" in run.stderr


def test_unfinished_copy_in_a_template_region_does_not_block_the_next_bake(
    app: Harness, local: LocalAws, ec2: EC2Client
) -> None:
    """The bake would fail at its end: Packer checks the name only in the home region."""
    app.write("ami/app.json", json_template(ami_name=NAMED, ami_regions=["us-east-1", "eu-west-1"]))
    amis = app.run("bake", "--json").images[0]["amis"]
    ec2.deregister_image(ImageId=amis["us-east-1"])
    ec2_client(local, "eu-west-1").delete_tags(
        Resources=[amis["eu-west-1"]], Tags=[{"Key": FORMAT_TAG}, {"Key": DIGEST_TAG}]
    )
    run = app.run("bake", "--json", environment=SHORT)
    assert run.images[0]["outcome"] == "baked", run.stderr
    assert f"removed AMI {amis['eu-west-1']} of eu-west-1" in run.stderr


def test_unfinished_ami_that_a_killed_run_did_not_record_does_not_block_the_next_bake(
    app: Harness, ec2: EC2Client
) -> None:
    app.write("ami/app.json", json_template(ami_name=NAMED))
    app.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "8"
    app.control.plan(InjectedFault(action="CreateImage", kind=FaultKind.DELAY, seconds=600, agent="aws-sdk-go"))
    process = app.start("bake", own_group=True)
    assert wait_until(lambda: bool(own(ec2)))
    kill_everything_of(app, process)
    app.control.clear_faults()
    assert all(CREATED_AMI_TAG not in tags_of(ec2, lock) for lock in locks(ec2).values())
    (left,) = own(ec2)
    run = app.run("bake")
    assert finished(ec2, app.run("digest").answer) == [run.answer] != [left], run.stderr
    assert f"removed AMI {left} of us-east-1" in run.stderr


def test_removed_ami_is_not_reported_as_remaining(app: Harness, ec2: EC2Client, left: str) -> None:
    hold_lock(ec2, app.run("digest").answer, expired=True, **{CREATED_AMI_TAG: left})
    app.control.plan(InjectedFault(action="RunInstances", code="UnauthorizedOperation", agent="aws-sdk-go"))
    run = app.run("bake")
    assert run.status == 1
    assert f"removed AMI {left}" in run.stderr
    assert f"{left} of us-east-1 remains" not in run.stderr


def test_ami_that_seems_unfinished_for_a_moment_is_not_removed(app: Harness, ec2: EC2Client, left: str) -> None:
    """A finished AMI may be visible late: the settling time passes before anything is removed."""
    ec2.create_tags(Resources=[left], Tags=[{"Key": DIGEST_TAG, "Value": app.run("digest").answer}])
    process = app.start("bake", environment=LONG)
    read_until(process, "waiting for the last holder's changes to become visible")
    ec2.create_tags(Resources=[left], Tags=[{"Key": FORMAT_TAG, "Value": "1"}])
    run = ended(process)
    assert (run.status, run.stdout) == (0, left), run.stderr
    assert app.packer_runs == 1
