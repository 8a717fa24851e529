"""Another runner changes the channel, or the AMI, while a command waits or writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.local import FaultKind, InjectedFault
from tests.conftest import ec2_client
from tests.locking.bench import hold_lock, read_until
from tests.processes import wait_until
from tests.release.channels import (
    NAME,
    TWO_REGIONS,
    made,
    put_in_channel,
    ssm_client,
    tag_ami,
    value_in,
    values,
    write_app,
)

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.harness import Harness

WAITING = "another runner is changing this channel"


def prepared(harness: Harness, local: LocalAws) -> list[dict[str, str]]:
    """Makes three builds. All of them were in the channel, the last one still is."""
    write_app(harness, regions=TWO_REGIONS)
    harness.control.change(validation_seconds=0)
    builds = [made(local, number) for number in range(3)]
    put_in_channel(local, builds)
    return builds


def test_second_roll_back_at_the_same_time_does_not_restore_the_bad_ami(harness: Harness, local: LocalAws) -> None:
    builds = prepared(harness, local)
    lock = hold_lock(ec2_client(local), NAME)
    process = harness.start("rollback", "app", "--channel", "stable")
    read_until(process, WAITING)
    put_in_channel(local, [builds[1]])
    ec2_client(local).delete_key_pair(KeyPairId=lock)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (1, ""), stderr
    assert "another runner changed the channel while this one waited: in us-east-1, it has" in stderr
    assert "Then run again" in stderr
    assert values(local) == builds[1]


def test_revocation_does_not_roll_back_a_channel_that_another_runner_rolled_back(
    harness: Harness, local: LocalAws
) -> None:
    builds = prepared(harness, local)
    lock = hold_lock(ec2_client(local), NAME)
    process = harness.start("revoke", builds[2]["us-east-1"], "--reason", "bad", "--rollback-channels")
    read_until(process, WAITING)
    put_in_channel(local, [builds[1]])
    ec2_client(local).delete_key_pair(KeyPairId=lock)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "nothing to do: channel stable has" in stderr
    assert values(local) == builds[1]


def test_ami_that_another_runner_unfinished_or_removed_is_not_promoted(app: Harness, local: LocalAws) -> None:
    ami = app.run("bake").answer
    ec2 = ec2_client(local)
    digest = app.run("digest").answer
    for why in ("ami-bakery did not finish it (it has no tag ami_config_checksum)", "it does not exist any more"):
        lock = hold_lock(ec2_client(local), NAME)
        process = app.start("promote", "app", "--to", "stable")
        read_until(process, WAITING)
        if "finish" in why:
            ec2.delete_tags(Resources=[ami], Tags=[{"Key": "ami_config_checksum"}])
        else:
            ec2.deregister_image(ImageId=ami)
        ec2.delete_key_pair(KeyPairId=lock)
        stdout, stderr = process.communicate(timeout=120)
        assert (process.returncode, stdout) == (1, ""), stderr
        assert f"{ami} (us-east-1) cannot be promoted: {why}" in stderr
        assert value_in(local) == ""
        if "finish" in why:
            ec2.create_tags(Resources=[ami], Tags=[{"Key": "ami_config_checksum", "Value": digest}])


def test_ami_that_is_revoked_while_it_is_written_is_an_error(harness: Harness, local: LocalAws) -> None:
    builds = prepared(harness, local)
    new = made(local, 3)
    for command, ami in (
        (("promote", "app", "--ami", new["us-east-1"], "--to", "stable"), new),
        (("rollback", "app", "--channel", "stable"), builds[2]),
    ):
        harness.control.plan(InjectedFault(action="PutParameter", kind=FaultKind.DELAY, seconds=3))
        process = harness.start(*command)
        assert wait_until(lambda: bool(harness.control.triggered()))
        tag_ami(local, ami["us-east-1"], revoked="bad")
        stdout, stderr = process.communicate(timeout=120)
        harness.control.clear_faults()
        assert (process.returncode, stdout) == (1, ""), stderr
        assert f"{ami['us-east-1']} (us-east-1) was revoked while the channel was written: bad" in stderr
        assert "Roll back: ami-bakery rollback app --channel stable" in stderr
        assert ec2_client(local).describe_key_pairs()["KeyPairs"] == []


def test_roll_back_is_still_finished_after_a_promotion_that_was_refused(harness: Harness, local: LocalAws) -> None:
    builds = prepared(harness, local)
    refused = made(local, 3)
    tag_ami(local, refused["us-east-1"], revoked="bad")
    harness.control.plan(
        InjectedFault(action="PutParameter", region="eu-west-1", code="AccessDeniedException", times=0)
    )
    assert harness.run("rollback", "app", "--channel", "stable").status == 1
    harness.control.clear_faults()
    assert harness.run("promote", "app", "--ami", refused["us-east-1"], "--to", "stable").status == 1
    assert harness.run("rollback", "app", "--channel", "stable").status == 0
    assert values(local) == builds[1]


def test_roll_back_is_finished_although_its_lock_is_lost(harness: Harness, local: LocalAws) -> None:
    builds = prepared(harness, local)
    harness.control.plan(
        InjectedFault(action="PutParameter", region="eu-west-1", code="AccessDeniedException", times=0)
    )
    assert harness.run("rollback", "app", "--channel", "stable").status == 1
    harness.control.clear_faults()
    ec2_client(local).delete_key_pair(KeyName=f"ami-bakery-lock-{NAME}")
    assert harness.run("rollback", "app", "--channel", "stable").status == 0
    assert values(local) == builds[1]


def test_roll_back_goes_further_back_if_the_target_of_an_interrupted_one_is_revoked(
    harness: Harness, local: LocalAws
) -> None:
    builds = prepared(harness, local)
    harness.control.plan(
        InjectedFault(action="PutParameter", region="eu-west-1", code="AccessDeniedException", times=0)
    )
    assert harness.run("rollback", "app", "--channel", "stable").status == 1
    harness.control.clear_faults()
    tag_ami(local, builds[1]["us-east-1"], revoked="bad")
    run = harness.run("rollback", "app", "--channel", "stable")
    assert run.status == 0, run.stderr
    assert (
        f"cannot finish the interrupted roll-back to {builds[1]['us-east-1']} (us-east-1): it is revoked" in run.stderr
    )
    assert values(local) == builds[0]


def test_region_that_was_added_later_is_rolled_back_by_the_history_of_the_others(
    harness: Harness, local: LocalAws
) -> None:
    write_app(harness, regions=TWO_REGIONS)
    harness.control.change(validation_seconds=0)
    builds = [made(local, number) for number in range(2)]
    put_in_channel(local, builds, ("us-east-1",))
    assert harness.run("promote", "app", "--ami", builds[1]["us-east-1"], "--to", "stable").status == 0
    assert harness.run("rollback", "app", "--channel", "stable").status == 0
    assert values(local) == builds[0]


def test_revocation_keeps_a_newer_ami_that_only_one_region_has(harness: Harness, local: LocalAws) -> None:
    builds = prepared(harness, local)
    newer = made(local, 3)
    put_in_channel(local, [newer], ("us-east-1",))
    run = harness.run("revoke", builds[2]["us-east-1"], "--reason", "bad", "--rollback-channels")
    assert run.status == 0, run.stderr
    assert values(local) == newer


def test_runner_that_loses_its_lock_writes_no_other_region(harness: Harness, local: LocalAws) -> None:
    builds = prepared(harness, local)
    new = made(local, 3)
    harness.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "4"
    harness.control.plan(InjectedFault(action="PutParameter", kind=FaultKind.DELAY, seconds=4))
    process = harness.start("promote", "app", "--ami", new["us-east-1"], "--to", "stable")
    assert wait_until(lambda: bool(harness.control.triggered()))
    ec2 = ec2_client(local)
    ec2.delete_key_pair(KeyName=f"ami-bakery-lock-{NAME}")
    other = hold_lock(ec2, NAME)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 75, stderr
    assert "the channel's lock was lost: it does not exist any more: another runner has taken it over" in stderr
    assert "us-east-1 has the AMI already" in stderr
    assert values(local) == {"us-east-1": new["us-east-1"], "eu-west-1": builds[2]["eu-west-1"]}
    assert [pair["KeyPairId"] for pair in ec2.describe_key_pairs()["KeyPairs"]] == [other], "not deleted by the loser"


def test_blocked_roll_back_keeps_no_lock(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    harness.control.change(validation_seconds=0)
    builds = [made(local, number, ("us-east-1",)) for number in range(2)]
    put_in_channel(local, builds, ("us-east-1",))
    ssm_client(local).put_parameter(
        Name=NAME, Value=builds[0]["us-east-1"], Description="of another program", Overwrite=True
    )
    run = harness.run("rollback", "app", "--channel", "stable")
    assert run.status == 1
    assert "ami-bakery did not create the parameter" in run.stderr
    assert ec2_client(local).describe_key_pairs()["KeyPairs"] == []


def test_revocation_that_cannot_read_the_channels_to_roll_back_says_why_as_an_error(
    harness: Harness, local: LocalAws
) -> None:
    builds = prepared(harness, local)
    harness.control.plan(InjectedFault(action="GetParametersByPath", code="AccessDeniedException", times=0))
    run = harness.run("revoke", builds[2]["us-east-1"], "--reason", "bad", "--rollback-channels")
    assert run.status == 1
    assert "error: looking for channels that have a revoked AMI" in run.stderr
    assert "AccessDeniedException" in run.stderr
    harness.control.clear_faults()
    assert harness.run("revoke", builds[2]["us-east-1"], "--reason", "bad", "--rollback-channels").status == 0
