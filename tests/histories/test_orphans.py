"""Orphaned resources are found and removed; live, finished and foreign resources are not."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.local import InjectedFault
from tests.harness import Harness, json_template, leftover_resources, unlock
from tests.processes import bake_until, kill_everything_of, provisioned, wait_until
from tests.terminal import Terminal


def run_of(ec2: EC2Client) -> str:
    tags = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["ami-bakery:run"]}])["Tags"]
    (run,) = {tag["Value"] for tag in tags}
    return run


def lock(ec2: EC2Client, run: str, *, minutes: int, image: str = "app", **notes: str) -> str:
    """Creates the lock of a dead runner. It expires in `minutes` from now."""
    expires = datetime.now(UTC) + timedelta(minutes=minutes)
    tags = {
        "ami-bakery:lock": "d" * 64,
        "ami-bakery:run": run,
        "ami-bakery:image": image,
        "ami-bakery:expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        **{f"ami-bakery:{name.replace('_', '-')}": value for name, value in notes.items()},
    }
    specification = {"ResourceType": "key-pair", "Tags": [{"Key": key, "Value": tags[key]} for key in tags]}
    pair = ec2.create_key_pair(KeyName=f"ami-bakery-lock-{run}", TagSpecifications=[specification])  # type: ignore[list-item]
    return pair["KeyPairId"]


def instance_is_marked(ec2: EC2Client) -> bool:
    """Whether the instance is tagged. This is the last step before Packer's provisioners."""
    marked = [{"Name": "key", "Values": ["ami-bakery:run"]}, {"Name": "resource-type", "Values": ["instance"]}]
    return ec2.describe_tags(Filters=marked)["Tags"] != []  # type: ignore[arg-type]


def forget_runs(ec2: EC2Client) -> None:
    """Removes the run tags, as if the run had died before tagging."""
    tags = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["ami-bakery:*"]}])["Tags"]
    for tag in tags:
        ec2.delete_tags(Resources=[tag["ResourceId"]], Tags=[{"Key": tag["Key"]}])


@pytest.fixture
def dead(app: Harness, ec2: EC2Client) -> Harness:
    """A run that died with its machine while Packer was running: instance, security group and key pair remain."""
    provisioned(app, "echo at work; sleep 60")
    process = bake_until(app, "amazon-ebs: at work")
    assert wait_until(lambda: instance_is_marked(ec2))
    kill_everything_of(app, process)
    unlock(ec2)
    assert len(leftover_resources(ec2)) == 3
    return app


def kinds(app: Harness, *arguments: str) -> list[tuple[str, bool]]:
    orphans = app.run("images", "--orphans", "--json", *arguments).document["orphans"]
    return [(one["kind"], one["sure"]) for one in orphans]


def test_resources_of_a_dead_run_are_listed_and_removed(dead: Harness, ec2: EC2Client) -> None:
    run = run_of(ec2)
    held = lock(ec2, run, minutes=-10)
    expected = [("instance", True), ("security-group", True), ("key-pair", True), ("lock", True)]
    dead.control.clear_report()
    assert kinds(dead) == expected
    assert dead.calls()["DescribeTags"] == 1
    table = dead.run("images", "--orphans").answer
    assert table.splitlines()[0].split() == ["KIND", "ID", "REGION", "IMAGE", "RUN", "AGE", "WHY"]
    assert "the lock of its run has expired" in table
    dead.control.change(terminating_seconds=3)
    cleaned = dead.run("images", "--orphans", "--clean", "--yes")
    assert cleaned.status == 0, cleaned.stderr
    assert leftover_resources(ec2) == []
    removed = [line.split()[1] for line in cleaned.stderr.splitlines() if line.startswith("removed: ")]
    assert removed == ["instance", "security", "key", "lock"], "in the order that EC2 allows"
    assert held in cleaned.stderr
    assert "no orphaned resources" in dead.run("images", "--orphans").stderr


def test_resources_of_a_live_lock_are_neither_listed_nor_removed(dead: Harness, ec2: EC2Client) -> None:
    lock(ec2, run_of(ec2), minutes=+1)
    assert kinds(dead) == []
    assert dead.run("images", "--orphans", "--clean", "--yes").status == 0
    assert len(leftover_resources(ec2)) == 4


def test_resources_that_may_be_in_use_are_removed_only_after_confirmation(dead: Harness, ec2: EC2Client) -> None:
    """There is no lock, and the run has just started."""
    assert kinds(dead) == [("instance", False), ("security-group", False), ("key-pair", False)]
    run = dead.run("images", "--orphans", "--clean", "--yes")
    assert run.status == 0
    assert "kept, because they may be in use: instance i-" in run.stderr
    assert len(leftover_resources(ec2)) == 3
    for answer, left in (("n\r", 3), ("y\r", 0)):
        terminal = Terminal(dead, "images", "--orphans", "--clean")
        typed: list[str] = []

        def reply(seen: str, answer: str = answer, typed: list[str] = typed) -> str:
            if "[y/N]" in seen and not typed:
                typed.append(answer)
                return answer
            return ""

        assert terminal.watch(reply) == 0, terminal.seen
        assert "Also remove resources that may be in use" in terminal.seen
        assert len(leftover_resources(ec2)) == left


def test_nothing_is_removed_without_confirmation(dead: Harness, ec2: EC2Client) -> None:
    lock(ec2, run_of(ec2), minutes=-10)
    run = dead.run("images", "--orphans", "--clean")
    assert (run.status, run.stdout) == (2, "")
    assert "no terminal to ask on" in run.stderr
    assert len(leftover_resources(ec2)) == 4
    dead.environment["CI"] = "true"
    terminal = Terminal(dead, "images", "--orphans", "--clean")
    assert terminal.watch(lambda _: "y\r") == 2, "nobody sits before a terminal that a CI gives its jobs"
    assert len(leftover_resources(ec2)) == 4
    assert dead.run("images", "--clean").status == 2
    assert dead.run("images", "--orphans", "--yes").status == 2


def test_untagged_resources_are_found_by_the_records_of_the_lock(dead: Harness, ec2: EC2Client) -> None:
    """The run was killed between a resource's creation and its tagging."""
    run = run_of(ec2)
    (pair,) = (one["KeyName"] for one in ec2.describe_key_pairs()["KeyPairs"])
    (group,) = (
        one["GroupName"] for one in ec2.describe_security_groups()["SecurityGroups"] if one["GroupName"] != "default"
    )
    forget_runs(ec2)
    assert kinds(dead) == []
    lock(ec2, run, minutes=-10, key_pair=pair, security_group=group)
    assert [kind for kind, sure in kinds(dead) if sure] == ["instance", "security-group", "key-pair", "lock"]
    assert dead.run("images", "--orphans", "--clean", "--yes").status == 0
    assert leftover_resources(ec2) == []


def test_key_pairs_are_found_by_name_without_the_permission_to_list_them(dead: Harness, ec2: EC2Client) -> None:
    run = run_of(ec2)
    lock(ec2, run, minutes=-10)
    dead.control.plan(InjectedFault(action="DescribeKeyPairs", code="UnauthorizedOperation", times=0))
    assert dead.run("images", "--orphans", "--clean", "--yes").status == 0
    dead.control.clear_faults()
    assert leftover_resources(ec2) == []


def test_refusal_is_reported_and_the_other_resources_are_removed(dead: Harness, ec2: EC2Client) -> None:
    lock(ec2, run_of(ec2), minutes=-10)
    dead.control.plan(InjectedFault(action="TerminateInstances", code="UnauthorizedOperation", times=0))
    dead.control.plan(InjectedFault(action="DeleteSecurityGroup", code="UnauthorizedOperation", times=0))
    run = dead.run("images", "--orphans", "--clean", "--yes")
    assert run.status == 1
    assert "warning: not removed: instance i-" in run.stderr
    assert "Allow the action ec2:TerminateInstances" in run.stderr
    assert "removed: key pair key-" in run.stderr
    assert len(leftover_resources(ec2)) == 3, "the lock tells of the rest, and stays"
    dead.control.clear_faults()
    assert dead.run("images", "--orphans", "--clean", "--yes").status == 0
    assert leftover_resources(ec2) == []


def test_pending_ami_of_the_watchdogs_packer_is_removed_with_its_snapshots(app: Harness, ec2: EC2Client) -> None:
    app.control.change(pending_seconds=60)
    process = bake_until(app, "Waiting for AMI to become ready")
    assert wait_until(lambda: "ami-bakery:run" in str(ec2.describe_images(Owners=["self"])))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=300)
    unlock(ec2)
    assert wait_until(lambda: leftover_resources(ec2) == []), "Packer cleans up all but the AMI"
    lock(ec2, run_of(ec2), minutes=-10)
    assert kinds(app) == [("ami", True), ("lock", True)]
    run = app.run("images", "--orphans", "--clean", "--yes")
    assert run.status == 0, run.stderr
    assert "removed: snapshot snap-" in run.stderr
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_unfinished_ami_in_use_is_kept_and_a_finished_one_is_not_listed(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    lock(ec2, run_of(ec2), minutes=-10)
    assert kinds(app) == [("lock", True)]
    ec2.delete_tags(Resources=[ami], Tags=[{"Key": "ami-bakery:format"}])
    ec2.run_instances(ImageId=ami, MinCount=1, MaxCount=1, InstanceType="t3.micro")
    run = app.run("images", "--orphans", "--clean", "--yes")
    assert run.status == 1
    assert f"not removed: AMI {ami} in us-east-1: i-" in run.stderr
    assert "was started from it" in run.stderr
    assert [image["ImageId"] for image in ec2.describe_images(Owners=["self"])["Images"]] == [ami]


def test_resources_of_other_images_are_only_mentioned(dead: Harness, ec2: EC2Client) -> None:
    lock(ec2, run_of(ec2), minutes=-10)
    text = (dead.folder / "bakery.toml").read_text()
    dead.write("bakery.toml", text.replace("[images.app]", "[images.other]"))
    run = dead.run("images", "--orphans")
    assert run.stdout == ""
    assert "not shown: orphaned resources of images that are not in bakery.toml: app" in run.stderr
    dead.write("bakery.toml", text + text.partition("\n\n")[2].replace("[images.app]", "[images.other]"))
    assert kinds(dead, "other") == []
    assert len(kinds(dead, "app")) == 4


def test_volumes_that_an_instance_would_leave_are_removed_with_it(app: Harness, ec2: EC2Client) -> None:
    volume = {"device_name": "/dev/sdf", "volume_size": 1, "delete_on_termination": False}
    template = json_template(launch_block_device_mappings=[volume])
    app.write(
        "ami/app.json", template | {"provisioners": [{"type": "shell-local", "inline": ["echo at work; sleep 60"]}]}
    )
    process = bake_until(app, "amazon-ebs: at work")
    assert wait_until(lambda: instance_is_marked(ec2))
    kill_everything_of(app, process)
    unlock(ec2)
    assert ec2.describe_volumes()["Volumes"] != []
    lock(ec2, run_of(ec2), minutes=-10)
    run = app.run("images", "--orphans", "--clean", "--yes")
    assert run.status == 0, run.stderr
    assert "removed: volume vol-" in run.stderr
    assert [one["VolumeId"] for one in ec2.describe_volumes()["Volumes"] if one["State"] != "deleted"] == []
