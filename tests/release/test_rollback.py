"""`rollback`: the previous different AMI that exists and is not revoked, in every region."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from ami_bakery.local import InjectedFault
from tests.conftest import ec2_client
from tests.processes import wait_until
from tests.release.channels import (
    NAME,
    TWO_REGIONS,
    made,
    promoted,
    rolled_back,
    ssm_client,
    tag_ami,
    value_in,
    values,
    write_app,
)

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.harness import Harness


def test_previous_ami_in_every_region(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    first, second = made(local, 1), made(local, 2)
    promoted(harness, first)
    promoted(harness, second)
    run = rolled_back(harness)
    assert run.answer == "\n".join(f"app\t{region}\t{ami}" for region, ami in first.items())
    assert values(local) == first
    assert f"{second['us-east-1']} -> {first['us-east-1']} (us-east-1, version 3)" in run.stderr
    assert ec2_client(local).describe_key_pairs()["KeyPairs"] == []


def test_same_ami_in_the_version_before_is_not_previous(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    first, second = made(local, 1), made(local, 2)
    promoted(harness, first)
    promoted(harness, second)
    harness.control.change(validation_seconds=0)
    ssm_client(local).put_parameter(Name=NAME, Value=second["us-east-1"], Overwrite=True)
    assert rolled_back(harness).answer == first["us-east-1"]


def test_revoked_and_missing_amis_are_skipped_and_named(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    amis = [made(local, number)["us-east-1"] for number in range(4)]
    for ami in amis:
        promoted(harness, {"us-east-1": ami})
    tag_ami(local, amis[2], revoked="bad kernel")
    ec2_client(local).deregister_image(ImageId=amis[1])
    run = rolled_back(harness)
    assert run.answer == amis[0]
    assert f"not restored: {amis[2]} (us-east-1, version 3): it is revoked: bad kernel" in run.stderr
    assert f"not restored: {amis[1]} (us-east-1, version 2): it does not exist any more" in run.stderr


def test_revoked_copy_revokes_the_build(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    builds = [made(local, number) for number in range(3)]
    for build in builds:
        promoted(harness, build)
    tag_ami(local, builds[1]["eu-west-1"], "eu-west-1", revoked="bad")
    assert rolled_back(harness).status == 0
    assert values(local) == builds[0]


def test_nothing_to_go_back_to_is_an_error(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    promoted(harness, made(local, 1))
    run = rolled_back(harness)
    assert run.status == 1
    assert f"{NAME} in us-east-1 has no earlier AMI that can be restored" in run.stderr


def test_missing_channel_is_an_error(harness: Harness) -> None:
    write_app(harness)
    run = rolled_back(harness)
    assert run.status == 1
    assert f"{NAME} does not exist in us-east-1" in run.stderr


def test_to_an_ami_or_a_version(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    builds = [made(local, number) for number in range(3)]
    for build in builds:
        promoted(harness, build)
    assert rolled_back(harness, "--to", "1").status == 0
    assert values(local) == builds[0]
    assert rolled_back(harness, "--to", builds[1]["eu-west-1"]).status == 0
    assert values(local) == builds[1]
    again = rolled_back(harness, "--to", builds[1]["us-east-1"])
    assert again.status == 0
    assert "nothing to do" in again.stderr
    assert "has no version 99; it has 1 to 5" in rolled_back(harness, "--to", "99").stderr
    never = made(local, 9)
    assert "was never in" in rolled_back(harness, "--to", never["us-east-1"]).stderr
    assert rolled_back(harness, "--to", "0").status == 2


def test_revoked_ami_is_not_restored_by_name(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    first, second = made(local, 1), made(local, 2)
    promoted(harness, first)
    promoted(harness, second)
    tag_ami(local, first["us-east-1"], revoked="bad")
    run = rolled_back(harness, "--to", first["us-east-1"])
    assert run.status == 1
    assert "cannot be restored: it is revoked: bad" in run.stderr


def test_after_a_promotion_that_failed_in_a_region(harness: Harness, local: LocalAws) -> None:
    """The region that was written last has the AMI to go back from."""
    write_app(harness, regions=TWO_REGIONS)
    builds = [made(local, number) for number in range(3)]
    promoted(harness, builds[0])
    promoted(harness, builds[1])
    for region in TWO_REGIONS:
        harness.control.plan(InjectedFault(action="PutParameter", region=region, code="AccessDeniedException", times=0))
        time.sleep(1)
        assert harness.run("promote", "app", "--ami", builds[2]["us-east-1"], "--to", "stable").status == 1
        harness.control.clear_faults()
        assert rolled_back(harness).status == 0
        assert values(local) == builds[1]


def test_failed_roll_back_is_finished_by_the_next(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    builds = [made(local, number) for number in range(3)]
    for build in builds:
        promoted(harness, build)
    harness.control.plan(
        InjectedFault(action="PutParameter", region="eu-west-1", code="AccessDeniedException", times=0)
    )
    assert rolled_back(harness).status == 1
    harness.control.clear_faults()
    assert values(local) == {"us-east-1": builds[1]["us-east-1"], "eu-west-1": builds[2]["eu-west-1"]}
    run = rolled_back(harness)
    assert run.status == 0
    assert "finishing the interrupted roll-back" in run.stderr
    assert values(local) == builds[1]


def test_killed_roll_back_is_finished_by_the_next(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    harness.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "4"
    builds = [made(local, number) for number in range(3)]
    for build in builds:
        promoted(harness, build)
    harness.control.change(validation_seconds=600)
    process = harness.start("rollback", "app", "--channel", "stable", "--timeout", "20s")
    assert wait_until(lambda: harness.calls().get("PutParameter", 0) >= 8)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    harness.control.change(validation_seconds=0)
    assert wait_until(lambda: values(local) == builds[1])
    run = rolled_back(harness)
    assert run.status == 0, run.stderr
    assert "taking over the lock" in run.stderr
    assert values(local) == builds[1]
    assert value_in(local) == builds[1]["us-east-1"]


def test_broken_template_does_not_prevent_a_roll_back(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    first, second = made(local, 1), made(local, 2)
    promoted(harness, first)
    promoted(harness, second)
    harness.write("ami/app.json", "{ broken")
    run = rolled_back(harness)
    assert run.answer == first["us-east-1"]
    assert "cannot read its template" in run.stderr
    assert "only us-east-1 is used: " in run.stderr
    assert "Fix the template, then check the other regions: ami-bakery channels app" in run.stderr
