"""Interrupted bakes: wait for Packer's cleanup, remove orphaned resources, and name those that remain."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.local import FaultKind, InjectedFault, LocalAws
from tests.conftest import ec2_client
from tests.harness import Harness, json_template, key_pairs, leftover_resources
from tests.processes import bake_until, children_of, provisioned, wait_until
from tests.terminal import Terminal

AT_WORK = "amazon-ebs: at work"
SLOW = InjectedFault(action="TerminateInstances", kind=FaultKind.DELAY, seconds=600)
"""Packer's cleanup lasts until the test clears the faults."""


@pytest.fixture(autouse=True)
def as_users_do(app: Harness) -> None:
    """Without warnings enabled, the program exits immediately; otherwise Python waits for threads."""
    del app.environment["PYTHONWARNINGS"]


def at_work(app: Harness, *arguments: str) -> subprocess.Popen[str]:
    provisioned(app, "echo at work; sleep 60")
    return bake_until(app, AT_WORK, *arguments)


def images_left(ec2: EC2Client) -> list[str]:
    snapshots = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    images = ec2.describe_images(Owners=["self"])["Images"]
    return [*(one["ImageId"] for one in images), *(one["SnapshotId"] for one in snapshots)]


class Typist:
    """Presses Ctrl-C when Packer is running, and again when Packer is stopping; then answers the prompt.

    `then` is called once, after the last of these.
    """

    def __init__(self, answer: str, then: Callable[[], None] = lambda: None) -> None:
        self.then = then
        self.plan: list[tuple[str, str]] = [
            (AT_WORK, "\x03"),
            ("waiting for Packer's cleanup", "\x03"),
            ("Exit now? [y/N]", answer),
        ]

    def __call__(self, seen: str) -> str:
        if self.plan and self.plan[0][0] in seen:
            typed = self.plan.pop(0)[1]
            if not self.plan:
                self.then()
            return typed
        return ""


def test_first_ctrl_c_waits_for_packers_cleanup(app: Harness, ec2: EC2Client) -> None:
    provisioned(app, "echo at work; sleep 60")
    terminal = Terminal(app, "bake", "-v")
    typist = Typist("")
    del typist.plan[1:]
    assert terminal.watch(typist) == 130
    assert "app: Packer has cleaned up: nothing of this run remains in EC2" in terminal.seen
    assert "Interrupted by SIGINT" in terminal.seen
    assert leftover_resources(ec2) == []


@pytest.mark.parametrize("answer", ["n\r", "\r"])
def test_second_ctrl_c_prompts_and_no_keeps_waiting(app: Harness, ec2: EC2Client, answer: str) -> None:
    app.control.plan(SLOW)
    provisioned(app, "echo at work; sleep 60")
    terminal = Terminal(app, "bake", "-v")
    typist = Typist(answer, app.control.clear_faults)
    assert terminal.watch(typist) == 130
    assert typist.plan == []
    assert "app: Packer is still cleaning up (key pair packer_" in terminal.seen
    assert "Packer has cleaned up" in terminal.seen
    assert leftover_resources(ec2) == []


def test_leaving_during_cleanup_hands_packer_to_the_watchdog(app: Harness, ec2: EC2Client) -> None:
    app.control.plan(SLOW)
    provisioned(app, "echo at work; sleep 60")
    terminal = Terminal(app, "bake", "-v")
    typist = Typist("y\r")
    assert terminal.watch(typist) == 130
    assert typist.plan == []
    assert leftover_resources(ec2) != []
    assert "Packer has cleaned up" not in terminal.seen
    app.control.clear_faults()
    assert wait_until(lambda: leftover_resources(ec2, locks=False) == []), leftover_resources(ec2, locks=False)


def test_unanswered_prompt_ends_when_packer_exits(app: Harness, ec2: EC2Client) -> None:
    app.control.plan(SLOW)
    provisioned(app, "echo at work; sleep 60")
    terminal = Terminal(app, "bake", "-v")
    typist = Typist("", app.control.clear_faults)
    assert terminal.watch(typist) == 130
    assert typist.plan == []
    assert leftover_resources(ec2) == []


def test_closed_terminal_interrupts_and_waits_for_packer(app: Harness, ec2: EC2Client) -> None:
    app.control.plan(SLOW)
    provisioned(app, "echo at work; while :; do echo and it talks on; done")
    terminal = Terminal(app, "bake", "-v")
    status = []

    def close(seen: str) -> str:
        if AT_WORK in seen:
            os.close(terminal.descriptor)
            assert wait_until(lambda: app.control.triggered() == 1)
            app.control.clear_faults()
            status.append(terminal.end())
            raise ConnectionResetError
        return ""

    with pytest.raises(ConnectionResetError):
        terminal.watch(close)
    assert status == [130]
    assert leftover_resources(ec2) == []


def test_second_signal_without_a_terminal_keeps_waiting(app: Harness, ec2: EC2Client) -> None:
    app.control.plan(SLOW)
    process = at_work(app)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "stopping: waiting for Packer's cleanup" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGTERM)
    assert any("interrupted again: still waiting" in line for line in iter(process.stderr.readline, ""))
    app.control.clear_faults()
    process.communicate(timeout=300)
    assert process.returncode == 130
    assert leftover_resources(ec2) == []


def test_pending_ami_of_an_interrupted_packer_is_removed(app: Harness, ec2: EC2Client) -> None:
    """Packer deregisters an AMI only after it has seen it available."""
    app.control.change(pending_seconds=60)
    process = bake_until(app, "Waiting for AMI to become ready")
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=300)
    assert process.returncode == 130, rest
    assert "app: removed orphaned resources: AMI ami-" in rest
    assert images_left(ec2) == []
    assert leftover_resources(ec2) == []


def test_resources_of_a_killed_packer_are_removed(app: Harness, ec2: EC2Client) -> None:
    app.control.plan(InjectedFault(action="TerminateInstances", kind=FaultKind.DELAY, seconds=600))
    process = at_work(app, "--kill-timeout", "1s")
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=300)
    assert process.returncode == 130, rest
    assert "killing it" in rest
    removed = next(line for line in rest.splitlines() if "removed orphaned resources" in line)
    assert "security group sg-" in removed
    assert "key pair " in removed
    assert leftover_resources(ec2) == []


def test_unremovable_resource_is_named_with_the_command_to_remove_it(app: Harness, ec2: EC2Client) -> None:
    app.control.plan(InjectedFault(action="DeleteKeyPair", code="UnauthorizedOperation", times=0))
    process = at_work(app)
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=300)
    assert process.returncode == 130
    (pair,) = [name for name in key_pairs(ec2) if name.startswith("packer_")]
    assert (
        f"warning: app: key pair {pair} of us-east-1 could not be removed: EC2 answered UnauthorizedOperation" in rest
    )
    assert "`ami-bakery images app --orphans --clean` removes orphaned resources" in rest


def test_resources_kept_by_on_error_abort_are_named(app: Harness, ec2: EC2Client) -> None:
    provisioned(app, "exit 3")
    run = app.run("bake", "--", "-on-error=abort")
    assert run.status == 1
    assert "remains in EC2 (-on-error=abort): instance i-" in run.stderr
    assert len(leftover_resources(ec2, locks=False)) == 3


def test_ami_of_another_owner_with_the_same_name_is_kept(app: Harness, ec2: EC2Client) -> None:
    """Someone else uses the name between Packer's check and its CreateImage call."""
    app.write("ami/app.json", json_template(ami_name="one-name"))
    app.control.plan(InjectedFault(action="CreateImage", code="InvalidAMIName.Duplicate", message="AMI name is in use"))
    base = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    process = bake_until(app, "Creating temporary keypair")
    taken = ec2.copy_image(Name="one-name", SourceImageId=base, SourceRegion="us-east-1")["ImageId"]
    _, rest = process.communicate(timeout=300)
    assert process.returncode == 1, rest
    assert [one["ImageId"] for one in ec2.describe_images(Owners=["self"])["Images"]] == [taken]
    assert leftover_resources(ec2) == []


def test_started_copies_are_removed_with_the_ami(app: Harness, ec2: EC2Client, local: LocalAws) -> None:
    """Packer does not remove copies if interrupted while waiting for them."""
    elsewhere = ec2_client(local, "us-west-2")
    slow = FaultKind.DELAY
    app.control.plan(
        InjectedFault(action="DescribeImages", region="us-west-2", agent="aws-sdk-go", kind=slow, seconds=600, times=0)
    )
    app.write("ami/app.json", json_template(ami_regions=["us-west-2"]))
    process = bake_until(app, "Copying to: us-west-2")
    assert wait_until(lambda: images_left(elsewhere) != [])
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    assert images_left(ec2) == images_left(elsewhere) == [], rest
    assert re.search(r"removed orphaned resources: .*AMI ami-\w+ of us-west-2", rest)


def test_killed_bakery_in_debug_mode_gets_packers_cleanup(app: Harness, ec2: EC2Client) -> None:
    terminal = Terminal(app, "bake", "--", "-debug", under_a_shell=True)

    def press_enter_until_the_instance(seen: str) -> str:
        if "Instance ID: i-" in seen:
            (bakery,) = children_of(terminal.pid)
            os.kill(bakery, signal.SIGKILL)
            raise ConnectionResetError
        return "\r" if seen.rstrip().endswith("Press enter to continue.") else ""

    with pytest.raises(ConnectionResetError):
        terminal.watch(press_enter_until_the_instance)
    assert wait_until(lambda: leftover_resources(ec2, locks=False) == []), leftover_resources(ec2, locks=False)
    assert terminal.hang_up() == -signal.SIGHUP


def test_signal_in_debug_mode_does_not_wait_for_a_key_press(app: Harness, ec2: EC2Client) -> None:
    terminal = Terminal(app, "bake", "--", "-debug")
    signaled: list[int] = []

    def press_enter_until_the_instance(seen: str) -> str:
        if "Instance ID: i-" in seen and not signaled:
            signaled.append(terminal.pid)
            os.kill(terminal.pid, signal.SIGTERM)
        return "\r" if seen.rstrip().endswith("Press enter to continue.") and not signaled else ""

    assert terminal.watch(press_enter_until_the_instance) == 130
    assert signaled
    assert leftover_resources(ec2) == []
