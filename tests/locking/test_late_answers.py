"""EC2 responds late, or credentials expire during a bake: never two concurrent builds, and no endless wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ami_bakery.local.faults import FaultKind, InjectedFault
from tests.processes import provisioned, wait_until

from .bench import all_at_once, ended, finished, locks, read_until

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_ec2 import EC2Client

    from tests.harness import Harness

SHORT = {"AMI_BAKERY_LOCK_TTL_SECONDS": "12"}


@pytest.fixture
def at_once(app: Harness) -> Path:
    """Returns a file that exists if two builds ran concurrently; builds take some seconds and register in `builds`."""
    folder = app.folder.parent
    provisioned(app, f"echo one >> {folder}/builds; flock -n {folder}/guard sleep 10 || touch {folder}/at-once")
    return folder / "at-once"


def test_holder_whose_lock_expired_before_the_response_builds_nothing(
    app: Harness, ec2: EC2Client, at_once: Path
) -> None:
    """The response to the lock's creation comes after another runner's take-over."""
    app.control.plan(InjectedFault(action="CreateKeyPair", kind=FaultKind.DELAY, seconds=18))
    first = app.start("bake", environment=SHORT)
    assert wait_until(lambda: bool(locks(ec2)))
    second = app.start("bake", environment=SHORT)
    runs = [ended(first), ended(second)]
    assert {run.status for run in runs} == {0}, [run.stderr for run in runs]
    assert not at_once.exists(), [run.stderr for run in runs]
    (answer,) = {run.stdout for run in runs}
    assert finished(ec2, app.run("digest").answer) == [answer]
    assert app.packer_runs == 1


@pytest.mark.parametrize("seconds", [3, 45])
def test_expired_credentials_of_sixteen_runners_never_lead_to_two_concurrent_builds(
    app: Harness, ec2: EC2Client, at_once: Path, seconds: float
) -> None:
    """All callers' credentials expire while the first one builds; then they work again."""
    processes = [app.start("bake", environment=SHORT) for _ in range(16)]
    assert wait_until((app.folder.parent / "builds").exists)
    app.control.plan(InjectedFault(action="*", code="RequestExpired", times=0))
    time.sleep(seconds)
    app.control.clear_faults()
    runs = [ended(process, 600) for process in processes]
    assert not at_once.exists(), [run.stderr for run in runs]
    assert {run.status for run in runs} <= {0, 1}
    answer = app.run("bake", environment=SHORT, timeout=300).answer
    assert {run.stdout for run in runs if run.status == 0} <= {answer}, [run.stderr for run in runs]
    assert finished(ec2, app.run("digest").answer) == [answer]
    assert locks(ec2) == {}


def test_runners_with_late_responses_build_once(app: Harness, ec2: EC2Client, at_once: Path) -> None:
    app.control.plan(InjectedFault(action="*", kind=FaultKind.DELAY, seconds=1.5, times=0, agent="ami-bakery"))
    runs = all_at_once(app, 6, environment={"AMI_BAKERY_LOCK_TTL_SECONDS": "30"})
    app.control.clear_faults()
    assert {run.status for run in runs} == {0}, [run.stderr for run in runs]
    assert not at_once.exists(), [run.stderr for run in runs]
    (answer,) = {run.stdout for run in runs}
    assert finished(ec2, app.run("digest").answer) == [answer]
    assert app.packer_runs == 1


def test_ami_whose_checks_lost_their_credentials_is_reported_and_never_adopted(app: Harness, ec2: EC2Client) -> None:
    """Only the process that ran Packer knows the result of these checks.

    The checks are that the inputs were unchanged and that every provisioner succeeded.
    """
    process = app.start("bake", "-v", environment=SHORT)
    read_until(process, "Waiting for AMI to become ready")
    app.control.plan(InjectedFault(action="*", code="RequestExpired", times=0, agent="ami-bakery"))
    failed = ended(process)
    app.control.clear_faults()
    (orphan,) = [image["ImageId"] for image in ec2.describe_images(Owners=["self"])["Images"]]
    assert failed.status == 1
    # Which message names it depends on whether the lock expires before or after the verification.
    own = [line for line in failed.stderr.splitlines() if not line.startswith("app: |")]
    assert any(orphan in line for line in own), failed.stderr[-3000:]
    answer = app.run("bake", environment=SHORT, timeout=300).answer
    assert answer != orphan
    assert finished(ec2, app.run("digest").answer) == [answer]
    assert orphan in app.run("images", "--orphans", environment=SHORT).stdout
