"""What dead runs leave is found and removed; what is alive, finished or somebody else's is not touched."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.local import InjectedFault
from tests.harness import Kitchen, json_template, left_in, unlock
from tests.processes import bake_until, kill_everything_of, provisioned, wait_until
from tests.terminal import Terminal


def run_of(ec2: EC2Client) -> str:
    tags = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["ami-bakery:run"]}])["Tags"]
    (run,) = {tag["Value"] for tag in tags}
    return run


def lock(ec2: EC2Client, run: str, *, minutes: int, image: str = "app", **notes: str) -> str:
    """A lock as a runner leaves it that dies; it expires so many minutes from now."""
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
    """Which is the last thing that is made before Packer's provisioners begin."""
    marked = [{"Name": "key", "Values": ["ami-bakery:run"]}, {"Name": "resource-type", "Values": ["instance"]}]
    return ec2.describe_tags(Filters=marked)["Tags"] != []  # type: ignore[arg-type]


def forget_runs(ec2: EC2Client) -> None:
    """As if the run had died before anything could be marked."""
    tags = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["ami-bakery:*"]}])["Tags"]
    for tag in tags:
        ec2.delete_tags(Resources=[tag["ResourceId"]], Tags=[{"Key": tag["Key"]}])


@pytest.fixture
def dead(app: Kitchen, ec2: EC2Client) -> Kitchen:
    """A run that died with its machine while Packer was at work: instance, security group and key pair are left."""
    provisioned(app, "echo at work; sleep 60")
    process = bake_until(app, "amazon-ebs: at work")
    assert wait_until(lambda: instance_is_marked(ec2))
    kill_everything_of(app, process)
    unlock(ec2)
    assert len(left_in(ec2)) == 3
    return app


def kinds(app: Kitchen, *arguments: str) -> list[tuple[str, bool]]:
    orphans = app.run("images", "--orphans", "--json", *arguments).document["orphans"]
    return [(one["kind"], one["sure"]) for one in orphans]


def test_what_a_dead_run_left_is_shown_and_removed(dead: Kitchen, ec2: EC2Client) -> None:
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
    assert left_in(ec2) == []
    removed = [line.split()[1] for line in cleaned.stderr.splitlines() if line.startswith("removed: ")]
    assert removed == ["instance", "security", "key", "lock"], "in the order that EC2 allows"
    assert held in cleaned.stderr
    assert "no leftover resources" in dead.run("images", "--orphans").stderr


def test_what_belongs_to_a_living_lock_is_neither_shown_nor_touched(dead: Kitchen, ec2: EC2Client) -> None:
    lock(ec2, run_of(ec2), minutes=+1)
    assert kinds(dead) == []
    assert dead.run("images", "--orphans", "--clean", "--yes").status == 0
    assert len(left_in(ec2)) == 4


def test_what_may_be_alive_is_removed_only_when_a_person_says_so(dead: Kitchen, ec2: EC2Client) -> None:
    """There is no lock, and the run has begun a moment ago."""
    assert kinds(dead) == [("instance", False), ("security-group", False), ("key-pair", False)]
    run = dead.run("images", "--orphans", "--clean", "--yes")
    assert run.status == 0
    assert "kept, because they may be in use: instance i-" in run.stderr
    assert len(left_in(ec2)) == 3
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
        assert len(left_in(ec2)) == left


def test_nothing_is_removed_unasked(dead: Kitchen, ec2: EC2Client) -> None:
    lock(ec2, run_of(ec2), minutes=-10)
    run = dead.run("images", "--orphans", "--clean")
    assert (run.status, run.stdout) == (2, "")
    assert "no terminal to ask on" in run.stderr
    assert len(left_in(ec2)) == 4
    dead.environment["CI"] = "true"
    terminal = Terminal(dead, "images", "--orphans", "--clean")
    assert terminal.watch(lambda _: "y\r") == 2, "nobody sits before a terminal that a CI gives its jobs"
    assert len(left_in(ec2)) == 4
    assert dead.run("images", "--clean").status == 2
    assert dead.run("images", "--orphans", "--yes").status == 2


def test_without_tags_it_is_found_by_what_the_lock_notes(dead: Kitchen, ec2: EC2Client) -> None:
    """Killed between EC2's making something and our marking it."""
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
    assert left_in(ec2) == []


def test_without_the_right_to_list_key_pairs_they_are_found_by_name(dead: Kitchen, ec2: EC2Client) -> None:
    run = run_of(ec2)
    lock(ec2, run, minutes=-10)
    dead.control.plan(InjectedFault(action="DescribeKeyPairs", code="UnauthorizedOperation", times=0))
    assert dead.run("images", "--orphans", "--clean", "--yes").status == 0
    dead.control.clear_faults()
    assert left_in(ec2) == []


def test_a_refusal_is_told_and_the_rest_goes_on(dead: Kitchen, ec2: EC2Client) -> None:
    lock(ec2, run_of(ec2), minutes=-10)
    dead.control.plan(InjectedFault(action="TerminateInstances", code="UnauthorizedOperation", times=0))
    dead.control.plan(InjectedFault(action="DeleteSecurityGroup", code="UnauthorizedOperation", times=0))
    run = dead.run("images", "--orphans", "--clean", "--yes")
    assert run.status == 1
    assert "warning: not removed: instance i-" in run.stderr
    assert "Allow the action ec2:TerminateInstances" in run.stderr
    assert "removed: key pair key-" in run.stderr
    assert len(left_in(ec2)) == 3, "the lock tells of the rest, and stays"
    dead.control.clear_faults()
    assert dead.run("images", "--orphans", "--clean", "--yes").status == 0
    assert left_in(ec2) == []


def test_a_pending_ami_that_the_guards_packer_left_is_removed_with_its_snapshots(app: Kitchen, ec2: EC2Client) -> None:
    app.control.change(pending_seconds=60)
    process = bake_until(app, "Waiting for AMI to become ready")
    assert wait_until(lambda: "ami-bakery:run" in str(ec2.describe_images(Owners=["self"])))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=300)
    unlock(ec2)
    assert wait_until(lambda: left_in(ec2) == []), "Packer cleans up all but the AMI"
    lock(ec2, run_of(ec2), minutes=-10)
    assert kinds(app) == [("ami", True), ("lock", True)]
    run = app.run("images", "--orphans", "--clean", "--yes")
    assert run.status == 0, run.stderr
    assert "removed: snapshot snap-" in run.stderr
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_an_unfinished_ami_that_is_in_use_stays_and_a_finished_one_is_not_shown(app: Kitchen, ec2: EC2Client) -> None:
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


def test_of_other_images_there_is_word_and_no_more(dead: Kitchen, ec2: EC2Client) -> None:
    lock(ec2, run_of(ec2), minutes=-10)
    text = (dead.folder / "bakery.toml").read_text()
    dead.write("bakery.toml", text.replace("[images.app]", "[images.other]"))
    run = dead.run("images", "--orphans")
    assert run.stdout == ""
    assert "not shown: leftover resources of images that are not in bakery.toml: app" in run.stderr
    dead.write("bakery.toml", text + text.partition("\n\n")[2].replace("[images.app]", "[images.other]"))
    assert kinds(dead, "other") == []
    assert len(kinds(dead, "app")) == 4


def test_volumes_that_an_instance_would_leave_go_with_it(app: Kitchen, ec2: EC2Client) -> None:
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
