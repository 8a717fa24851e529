"""Expired locks are taken over, and lost locks are detected. Dead runs' AMIs are adopted or removed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ami_bakery.core.ec2.ami import ABANDONED_TAG, DIGEST_TAG, FORMAT_TAG, REVOKED_TAG
from ami_bakery.core.ec2.run import KEY_PAIR_TAG, RUN_TAG
from ami_bakery.core.lock.lock import CREATED_AMI_TAG, EXPIRES_TAG, VERIFIED_TAG
from ami_bakery.core.orphan.orphan import GROUP_TAG
from ami_bakery.local.faults import FaultKind, InjectedFault
from tests.harness import key_pairs
from tests.processes import provisioned, wait_until

from .bench import WHO, all_at_once, ended, finished, hold_lock, locks, read_until, tags_of

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from tests.harness import Harness

LONG = {"AMI_BAKERY_LOCK_TTL_SECONDS": "60"}


def test_expired_lock_is_taken_over_by_one_of_several_runners(app: Harness, ec2: EC2Client) -> None:
    digest = app.run("digest").answer
    hold_lock(ec2, digest, expired=True)
    runs = all_at_once(app, 4, environment=LONG)
    assert {run.status for run in runs} == {0}, [run.stderr for run in runs]
    assert finished(ec2, digest) == [runs[0].stdout]
    assert len({run.stdout for run in runs}) == 1
    assert any(f"app: taking over the lock of {WHO} since " in run.stderr for run in runs)
    assert app.packer_runs == 1
    assert locks(ec2) == {}


def test_lock_of_a_killed_runner_expires_and_the_next_one_bakes(app: Harness, ec2: EC2Client) -> None:
    ran = app.folder.parent / "ran"
    provisioned(app, f"echo at work; [ -e {ran} ] && exit 0; touch {ran}; sleep 60")
    process = app.start("bake", "-v", environment={"AMI_BAKERY_LOCK_TTL_SECONDS": "4"})
    read_until(process, "amazon-ebs: at work")
    process.kill()
    process.communicate()
    run = app.run("bake", environment=LONG)
    assert finished(ec2, app.run("digest").answer) == [run.answer]
    assert app.packer_runs == 2
    assert locks(ec2) == {}


def test_lock_lives_as_long_as_its_holder_renews_it(app: Harness, ec2: EC2Client) -> None:
    folder = app.folder.parent
    provisioned(app, f"echo at work; while [ ! -e {folder}/go ]; do sleep 0.1; done")
    process = app.start("bake", "-v", environment={"AMI_BAKERY_LOCK_TTL_SECONDS": "30"})
    read_until(process, "amazon-ebs: at work")
    (lock,) = locks(ec2).values()
    first = tags_of(ec2, lock)[EXPIRES_TAG]
    assert wait_until(lambda: tags_of(ec2, lock)[EXPIRES_TAG] > first)
    assert app.run("bake", "--no-wait").status == 75
    (folder / "go").touch()
    assert ended(process).status == 0
    assert app.packer_runs == 1


def test_holder_that_lost_its_lock_stops_packer_and_tags_nothing(app: Harness, ec2: EC2Client) -> None:
    provisioned(app, "echo at work; sleep 60")
    process = app.start("bake", "-v", "--no-wait", environment={"AMI_BAKERY_LOCK_TTL_SECONDS": "4"})
    read_until(process, "amazon-ebs: at work")
    digest = app.run("digest").answer
    (lock,) = locks(ec2).values()
    ec2.delete_key_pair(KeyPairId=lock)
    hold_lock(ec2, digest)
    lost = ended(process)
    assert (lost.status, lost.stdout) == (75, "")
    assert "warning: app: lost the lock: it does not exist any more" in lost.stderr
    assert f"it is being baked by {WHO}" in lost.stderr
    assert finished(ec2, digest) == []
    assert len(locks(ec2)) == 1, "the other lock remains"


def test_holder_that_lost_its_lock_returns_the_other_runners_ami(app: Harness, ec2: EC2Client) -> None:
    ran = app.folder.parent / "ran"
    provisioned(app, f"echo at work; [ -e {ran} ] && exit 0; touch {ran}; sleep 60")
    slow = app.start("bake", "-v", environment={"AMI_BAKERY_LOCK_TTL_SECONDS": "4"})
    read_until(slow, "amazon-ebs: at work")
    slow.send_signal(signal.SIGSTOP)
    winner = app.run("bake", environment=LONG)
    slow.send_signal(signal.SIGCONT)
    lost = ended(slow)
    assert (lost.status, lost.stdout) == (0, winner.answer), lost.stderr
    assert finished(ec2, app.run("digest").answer) == [winner.answer]


def test_lock_that_is_gone_when_packer_ends_is_detected_before_tagging(app: Harness, ec2: EC2Client) -> None:
    """Packer's last command acts like a runner on another machine."""
    folder = app.folder.parent
    provisioned(app, f"echo at work; while [ ! -e {folder}/go ]; do sleep 0.1; done")
    process = app.start("bake", "-v", "--no-wait", environment=LONG)
    read_until(process, "amazon-ebs: at work")
    digest = app.run("digest").answer
    (lock,) = locks(ec2).values()
    ec2.delete_key_pair(KeyPairId=lock)
    hold_lock(ec2, digest)
    (folder / "go").touch()
    lost = ended(process)
    assert lost.status == 75, lost.stderr
    assert finished(ec2, digest) == []


def test_lock_that_is_lost_during_copies_does_not_undo_the_finished_ami(app: Harness, ec2: EC2Client) -> None:
    app.control.plan(InjectedFault(action="CopyImage", kind=FaultKind.DELAY, seconds=6))
    regions = ("--region", "us-east-1", "--region", "eu-west-1")
    process = app.start("bake", "--json", *regions, environment={"AMI_BAKERY_LOCK_TTL_SECONDS": "8"})
    read_until(process, "copying ami-")
    (lock,) = locks(ec2).values()
    ec2.delete_key_pair(KeyPairId=lock)
    run = ended(process)
    assert run.status == 0, run.stderr
    assert "lost the lock: it does not exist any more" in run.stderr
    assert "The AMI is finished anyway" in run.stderr
    assert "nothing will be tagged" not in run.stderr


def test_lock_that_cannot_be_renewed_before_it_expires_is_lost(app: Harness, ec2: EC2Client) -> None:
    provisioned(app, "echo at work; sleep 60")
    process = app.start("bake", "-v", "--no-wait", environment={"AMI_BAKERY_LOCK_TTL_SECONDS": "4"})
    read_until(process, "amazon-ebs: at work")
    app.control.plan(InjectedFault(action="CreateTags", code="Unavailable", times=0, agent="ami-bakery"))
    said = read_until(process, "lost the lock")
    assert "it could not be renewed before it expired (Unavailable)" in said
    app.control.clear_faults()
    process.send_signal(signal.SIGTERM)
    ended(process)
    assert finished(ec2, app.run("digest").answer) == []


def test_own_lock_is_recognized_after_a_lost_response(app: Harness, ec2: EC2Client) -> None:
    app.control.plan(InjectedFault(action="CreateKeyPair", kind=FaultKind.DROP_AFTER, agent="ami-bakery"))
    run = app.run("bake")
    assert finished(ec2, app.run("digest").answer) == [run.answer]
    assert "it is being baked by" not in run.stderr
    assert locks(ec2) == {}


@pytest.mark.parametrize("action", ["CreateKeyPair", "DescribeTags", "CreateTags", "DeleteKeyPair"])
@pytest.mark.parametrize("kind", [FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER, FaultKind.ERROR])
def test_single_failed_call_for_the_lock_does_no_harm(
    app: Harness, ec2: EC2Client, action: str, kind: FaultKind
) -> None:
    if action == "DescribeTags":
        hold_lock(ec2, app.run("digest").answer, expired=True)
    app.control.plan(InjectedFault(action=action, kind=kind, code="Unavailable", agent="ami-bakery"))
    run = app.run("bake")
    assert finished(ec2, app.run("digest").answer) == [run.answer], run.stderr
    assert app.packer_runs == 1
    assert locks(ec2) == {}


def test_missing_permission_is_named(app: Harness) -> None:
    app.control.plan(InjectedFault(action="CreateKeyPair", code="UnauthorizedOperation", times=0, agent="ami-bakery"))
    run = app.run("bake")
    assert run.status == 1
    assert "Allow the action ec2:CreateKeyPair for these credentials" in run.stderr
    assert app.packer_runs == 0


@pytest.mark.parametrize("action", ["CreateKeyPair", "DescribeTags"])
def test_drop_in_mode_bakes_without_the_permission_to_lock(drop_in: Harness, ec2: EC2Client, action: str) -> None:
    if action == "DescribeTags":
        hold_lock(ec2, drop_in.run("digest").answer, image="default")
    drop_in.control.plan(InjectedFault(action=action, code="UnauthorizedOperation", times=0, agent="ami-bakery"))
    run = drop_in.run(program="bake")
    assert run.answer.startswith("ami-")
    assert "warning: default is baked without a lock" in run.stderr
    assert drop_in.packer_runs == 1


def test_lock_that_may_not_be_deleted_expires(app: Harness, ec2: EC2Client) -> None:
    app.control.plan(InjectedFault(action="DeleteKeyPair", code="UnauthorizedOperation", times=0, agent="ami-bakery"))
    run = app.run("bake")
    assert run.status == 0
    assert "warning: app: could not release the lock" in run.stderr
    assert len(locks(ec2)) == 1
    assert app.run("bake").answer == run.answer


def test_invalid_lifetime_is_refused(app: Harness) -> None:
    run = app.run("bake", environment={"AMI_BAKERY_LOCK_TTL_SECONDS": "3m"})
    assert run.status == 2
    assert "AMI_BAKERY_LOCK_TTL_SECONDS" in run.stderr


def test_private_key_is_never_shown_or_stored(app: Harness, ec2: EC2Client) -> None:
    logs = {"AMI_BAKERY_LOCK_TTL_SECONDS": "4", "PACKER_LOG": "0"}
    app.control.plan(InjectedFault(action="CreateKeyPair", kind=FaultKind.DROP_AFTER, agent="ami-bakery"))
    said = [app.run("bake", "-v", environment=logs)]
    app.control.plan(InjectedFault(action="CreateTags", code="UnauthorizedOperation", times=0, agent="ami-bakery"))
    said.append(app.run("bake", "-v", "--force", environment=logs))
    assert [run.status for run in said] == [0, 1]
    files = [path.read_text(errors="replace") for path in app.folder.parent.rglob("*") if path.is_file()]
    for text in (*files, *(run.stdout + run.stderr for run in said)):
        assert "PRIVATE KEY" not in text


def test_resources_that_only_an_expired_lock_records_are_tagged_before_it_is_deleted(
    app: Harness, ec2: EC2Client
) -> None:
    pair = ec2.create_key_pair(KeyName="packer_of-the-dead")["KeyPairId"]
    group = ec2.create_security_group(GroupName="packer_of-the-dead-too", Description="for a test")["GroupId"]
    records = {KEY_PAIR_TAG: "packer_of-the-dead", GROUP_TAG: "packer_of-the-dead-too"}
    hold_lock(ec2, app.run("digest").answer, expired=True, **records)
    assert app.run("bake").status == 0
    assert tags_of(ec2, pair)[RUN_TAG] == tags_of(ec2, group)[RUN_TAG] == "20260131T120000Z-0a"
    orphans = app.run("images", "--orphans", "--json").document["orphans"]
    assert [one["kind"] for one in orphans] == ["security-group", "key-pair"]


def test_key_pair_that_cannot_be_tagged_is_deleted_with_its_lock(app: Harness, ec2: EC2Client) -> None:
    """The permission to list key pairs is not in Packer's documented policy."""
    ec2.create_key_pair(KeyName="packer_of-the-dead")
    hold_lock(ec2, app.run("digest").answer, expired=True, **{KEY_PAIR_TAG: "packer_of-the-dead"})
    app.control.plan(
        InjectedFault(action="DescribeKeyPairs", code="UnauthorizedOperation", times=0, agent="ami-bakery")
    )
    assert app.run("bake").status == 0
    assert key_pairs(ec2) == []


# AMIs of a dead holder.


def test_verified_ami_of_a_dead_holder_is_adopted(app: Harness, ec2: EC2Client, left: str) -> None:
    digest = app.run("digest").answer
    hold_lock(ec2, digest, expired=True, **{VERIFIED_TAG: f"us-east-1:{left}"})
    run = app.run("bake", "--json")
    (image,) = run.images
    assert (image["outcome"], image["amis"]) == ("reused", {"us-east-1": left})
    assert f"{left} was baked and verified by {WHO}" in run.stderr
    assert "which ended before it could tag it" in run.stderr
    assert finished(ec2, digest) == [left]
    assert app.packer_runs == 1
    assert locks(ec2) == {}


def test_unverified_ami_is_removed_if_its_name_conflicts_and_never_adopted(
    app: Harness, ec2: EC2Client, left: str
) -> None:
    digest = app.run("digest").answer
    snapshots = {snapshot["SnapshotId"] for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    hold_lock(ec2, digest, expired=True, **{CREATED_AMI_TAG: left})
    run = app.run("bake")
    assert run.answer != left
    assert f"app: removed AMI {left} of us-east-1, an unfinished AMI of another run" in run.stderr
    assert finished(ec2, digest) == [run.answer]
    now = {snapshot["SnapshotId"] for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert not snapshots & now
    assert app.packer_runs == 2


def test_unverified_ami_with_the_digest_of_packer_is_removed_if_its_name_conflicts(
    app: Harness, ec2: EC2Client, left: str
) -> None:
    digest = app.run("digest").answer
    ec2.create_tags(Resources=[left], Tags=[{"Key": DIGEST_TAG, "Value": digest}])
    run = app.run("bake")
    assert run.answer != left
    assert f"removed AMI {left}" in run.stderr


def test_unverified_ami_without_a_name_conflict_is_kept(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    digest = app.run("digest").answer
    ec2.delete_tags(Resources=[ami], Tags=[{"Key": FORMAT_TAG}])
    hold_lock(ec2, digest, expired=True, **{CREATED_AMI_TAG: ami})
    assert app.run("bake").answer != ami
    assert ec2.describe_images(ImageIds=[ami])["Images"]


def test_ami_that_is_not_proven_to_be_ours_is_kept_and_packer_names_it(app: Harness, ec2: EC2Client, left: str) -> None:
    run = app.run("bake")
    assert run.status == 1
    assert left in run.stderr
    assert ec2.describe_images(ImageIds=[left])["Images"]
    assert locks(ec2) == {}


def with_another_base(ec2: EC2Client, _left: str) -> str:
    others = ec2.describe_images(Owners=["099720109477"])["Images"]
    focal = next(image["ImageId"] for image in others if "focal" in image["Name"])
    copy = ec2.copy_image(Name="another-base", SourceImageId=focal, SourceRegion="us-east-1")
    return copy["ImageId"]


def given_up(ec2: EC2Client, left: str) -> str:
    ec2.create_tags(Resources=[left], Tags=[{"Key": ABANDONED_TAG, "Value": "1"}])
    return left


def revoked(ec2: EC2Client, left: str) -> str:
    ec2.create_tags(Resources=[left], Tags=[{"Key": REVOKED_TAG, "Value": "leaked a key"}])
    return left


def of_another_digest(ec2: EC2Client, left: str) -> str:
    ec2.create_tags(Resources=[left], Tags=[{"Key": DIGEST_TAG, "Value": "0" * 64}])
    return left


def deleted(ec2: EC2Client, left: str) -> str:
    ec2.deregister_image(ImageId=left)
    return left


@pytest.mark.parametrize("spoilt", [with_another_base, given_up, revoked, of_another_digest, deleted])
def test_ami_that_does_not_match_the_digest_is_not_adopted(
    app: Harness, ec2: EC2Client, left: str, spoilt: Any
) -> None:
    digest = app.run("digest").answer
    ami = spoilt(ec2, left)
    ec2.create_tags(Resources=[left], Tags=[{"Key": DIGEST_TAG, "Value": digest}]) if spoilt is with_another_base else 0
    hold_lock(ec2, digest, expired=True, **{VERIFIED_TAG: f"us-east-1:{ami}"})
    run = app.run("bake")
    assert run.answer not in (ami, left)
    assert finished(ec2, digest) == [run.answer]
    assert app.packer_runs == 2


def _held_after(app: Harness, reached: Callable[[], object]) -> bool:
    """Returns whether a call is blocked after which `reached` holds; any other blocked call continues."""
    if app.control.held() == 0:
        return False
    if reached():
        return True
    app.control.release()
    return False


def test_runner_killed_between_verifying_and_tagging_loses_no_work(app: Harness, ec2: EC2Client) -> None:
    """CreateTags responses are delayed. So the runner can be killed while it waits for one."""
    short = {"AMI_BAKERY_LOCK_TTL_SECONDS": "20"}
    app.control.plan(InjectedFault(action="CreateTags", kind=FaultKind.DELAY, seconds=600, times=0, agent="ami-bakery"))
    process = app.start("bake", environment=short)

    def records() -> str:
        return next((tags_of(ec2, lock).get(VERIFIED_TAG, "") for lock in locks(ec2).values()), "")

    assert wait_until(lambda: _held_after(app, records))
    verified = records()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    app.control.clear_faults()
    digest = app.run("digest").answer
    assert finished(ec2, digest) == []
    ami = app.run("bake", environment=short).answer
    assert verified == f"us-east-1:{ami}"
    assert finished(ec2, digest) == [ami]
    assert app.packer_runs == 1


def test_runner_that_may_not_tag_passes_its_verified_ami_on_to_the_next(app: Harness, ec2: EC2Client) -> None:
    """The lock remains, expired, for its records: no runner has to wait."""
    app.control.plan(InjectedFault(action="CreateTags", kind=FaultKind.DELAY, seconds=600, times=0, agent="ami-bakery"))
    process = app.start("bake", environment=LONG)

    def records() -> bool:
        return any(VERIFIED_TAG in tags_of(ec2, lock) for lock in locks(ec2).values())

    assert wait_until(lambda: _held_after(app, records))
    app.control.clear_faults()
    app.control.plan(InjectedFault(action="CreateTags", code="UnauthorizedOperation", times=2, agent="ami-bakery"))
    failed = ended(process)
    assert failed.status == 1, failed.stderr
    assert "remains, verified but without the digest: the next run adopts it" in failed.stderr
    assert len(locks(ec2)) == 1
    run = app.run("bake", "--no-wait", environment=LONG)
    assert finished(ec2, app.run("digest").answer) == [run.answer]
    assert app.packer_runs == 1
    assert key_pairs(ec2) == []
