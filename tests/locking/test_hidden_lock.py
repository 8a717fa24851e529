"""Reports foreign key pairs only when certain, with the id to delete. A foreign key pair is not a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ami_bakery.bake.hidden_lock import HiddenLock
from ami_bakery.core.lock.lock import Timing, lock_name
from ami_bakery.local.faults import FaultKind, InjectedFault
from tests.processes import wait_until

from .bench import ended, hold_lock, locks, read_until

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from tests.harness import Harness

TIMING = Timing(lifetime_seconds=180)
SHORT = {"AMI_BAKERY_LOCK_TTL_SECONDS": "2"}


def reported(*looks: tuple[str, float]) -> bool:
    """Whether the last look-up reports a foreign key pair with the name."""
    hidden, overdue = HiddenLock(TIMING), False
    for what, now in looks:
        if what == "refused":
            hidden.refused(now)
        elif what == "shown":
            hidden.end()
        else:
            overdue = hidden.is_overdue(now)
    return overdue


def steadily(until: float, start: float = 0) -> list[tuple[str, float]]:
    """Refused, with no lock visible, every ten seconds."""
    return [look for now in range(int(start), int(until), 10) for look in (("refused", now), ("hidden", now + 1))]


@pytest.mark.parametrize(
    ("looks", "overdue"),
    [
        (steadily(200), False),
        (steadily(220), True),
        ([("refused", 0), ("hidden", 500)], False),
        ([("refused", 0), ("hidden", 500), ("refused", 501), ("hidden", 502)], False),
        ([*steadily(100), ("refused", 500), ("hidden", 501)], False),
        ([*steadily(100), *steadily(400, 300)], False),
        ([*steadily(100), *steadily(520, 300)], True),
        ([*steadily(200), ("shown", 200), *steadily(300, 210)], False),
        ([("hidden", 0), ("hidden", 1000)], False),
    ],
    ids=str,
)
def test_only_refusals_over_a_whole_lifetime_without_a_pause_count(
    looks: list[tuple[str, float]], overdue: bool
) -> None:
    assert reported(*looks) is overdue


def test_key_pair_that_is_not_a_lock_is_reported_by_its_id(app: Harness, ec2: EC2Client) -> None:
    name = lock_name(app.run("digest").answer)
    key = ec2.create_key_pair(KeyName=name)["KeyPairId"]
    run = app.run("bake", environment=SHORT)
    assert run.status == 1
    assert "it was not created by ami-bakery" in run.stderr
    assert f"aws ec2 delete-key-pair --region us-east-1 --key-pair-id {key}" in run.stderr
    assert "--key-name " not in run.stderr
    assert app.packer_runs == 0


def test_without_permission_to_list_key_pairs_the_message_says_how_to_find_the_id(app: Harness, ec2: EC2Client) -> None:
    name = lock_name(app.run("digest").answer)
    ec2.create_key_pair(KeyName=name)
    app.control.plan(
        InjectedFault(action="DescribeKeyPairs", code="UnauthorizedOperation", times=0, agent="ami-bakery")
    )
    run = app.run("bake", environment=SHORT)
    assert run.status == 1
    assert f"aws ec2 describe-key-pairs --region us-east-1 --key-names {name}" in run.stderr
    assert "delete-key-pair --region us-east-1 --key-pair-id ID" in run.stderr


def test_lock_that_is_missing_only_in_the_list_of_tags_is_waited_for(app: Harness, ec2: EC2Client) -> None:
    digest = app.run("digest").answer
    app.control.change(lag_seconds=600)
    hold_lock(ec2, digest)
    process = app.start("bake", environment=SHORT)
    read_until(process, "waiting: it is being baked by build-7 (pid 42)")
    process.terminate()
    assert ended(process).status == 130


@pytest.mark.parametrize("seconds", [4, 6])
def test_runner_that_was_paused_does_not_advise_to_delete_a_live_lock(
    app: Harness, ec2: EC2Client, seconds: int
) -> None:
    """The first holder is gone when the slow runner reads the lock; the second one has started when it tries again."""
    digest = app.run("digest").answer
    first = hold_lock(ec2, digest)
    app.control.plan(InjectedFault(action="DescribeTags", kind=FaultKind.HANG, seconds=seconds, agent="ami-bakery"))
    slow = app.start("bake", environment=SHORT)
    assert wait_until(lambda: app.calls().get("CreateKeyPair", 0) == 3)  # once directly, then by botocore
    app.control.plan(InjectedFault(action="DescribeImages", kind=FaultKind.DELAY, seconds=4, agent="ami-bakery"))
    ec2.delete_key_pair(KeyPairId=first)
    assert wait_until(lambda: app.calls().get("DescribeTags", 0) >= 2)
    second = hold_lock(ec2, digest)
    read_until(slow, "waiting: it is being baked by build-7 (pid 42)")
    assert list(locks(ec2).values()) == [second]
    ec2.delete_key_pair(KeyPairId=second)
    run = ended(slow)
    assert run.status == 0, run.stderr
    assert "delete-key-pair" not in run.stderr
