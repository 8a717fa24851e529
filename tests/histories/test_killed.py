"""If ami-bakery is killed, Packer stops, cleans up, and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

import pytest
from mypy_boto3_ec2 import EC2Client

from tests.harness import TOML, Harness, leftover_resources
from tests.processes import bake_until, processes_with, provisioned, wait_until


@pytest.mark.parametrize("options", [(), ("--audit",)], ids=["", "audited"])
@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["the process", "its group"])
def test_packer_cleans_up_after_ami_bakery_was_killed(
    app: Harness, ec2: EC2Client, kill: Callable[[int, int], None], options: tuple[str, ...]
) -> None:
    provisioned(app, "echo at work; sleep 60")
    process = bake_until(app, "amazon-ebs: at work", *options)
    assert len(leftover_resources(ec2, locks=False)) == 3, "an instance, a key pair, a security group"
    kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=300)
    assert wait_until(lambda: leftover_resources(ec2, locks=False) == []), leftover_resources(ec2, locks=False)
    assert wait_until(lambda: processes_with(str(app.folder)) == [])
    # The watchdog removes the trace after Packer and its children have ended.
    assert wait_until(lambda: list((app.folder.parent / "tmp").glob("*.strace")) == [])


def test_packer_that_prints_after_the_kill_still_cleans_up(app: Harness, ec2: EC2Client) -> None:
    """Otherwise its first write would kill it (SIGPIPE). On a full pipe, it would block for ever."""
    provisioned(app, "trap 'seq 1 100000; exit 1' TERM; echo at work; seq 1 20000; sleep 60 & wait")
    process = bake_until(app, "amazon-ebs: at work")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=300)
    assert wait_until(lambda: leftover_resources(ec2, locks=False) == []), leftover_resources(ec2, locks=False)


STUBBORN_PACKER = """\
#!/bin/sh
[ "$1" = version ] && echo Packer v1.6.6 && exit
trap '' TERM
echo at work
while :; do sleep 0.1; done
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["by the watchdog", "by ami-bakery"])
def test_packer_that_does_not_stop_is_killed_after_the_kill_timeout(app: Harness, number: int) -> None:
    packer = app.program("stubborn-packer", STUBBORN_PACKER)
    process = bake_until(app, "at work", "--kill-timeout", "1s", "--packer", str(packer))
    assert processes_with(str(packer)) != []
    os.kill(process.pid, number)
    _, rest = process.communicate(timeout=300)
    assert wait_until(lambda: processes_with(str(packer)) == [])
    if number == signal.SIGTERM:
        assert process.returncode == 130
        assert "app: Packer did not finish its cleanup within 1 s; killing it" in rest


def with_a_secret(app: Harness, command: str) -> None:
    provisioned(app, command)
    template = json.loads((app.folder / "ami/app.json").read_text())
    template["variables"]["password"] = ""
    template["sensitive-variables"] = ["password"]
    app.write("ami/app.json", template)
    app.write("bakery.toml", TOML + 'vars = { password = "a-secret" }\n')


def test_file_of_sensitive_variables_is_removed_if_ami_bakery_is_killed(app: Harness) -> None:
    with_a_secret(app, "echo at work; sleep 60")
    process = bake_until(app, "amazon-ebs: at work")
    (private,) = (app.folder.parent / "tmp").glob("ami-bakery-*.json")
    assert "a-secret" in private.read_text()
    assert private.stat().st_mode & 0o777 == 0o600
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=300)
    assert wait_until(lambda: not private.exists())


def test_watchdog_ends_with_the_bake(app: Harness) -> None:
    with_a_secret(app, "echo at work; sleep 1")
    process = bake_until(app, "amazon-ebs: at work")
    (private,) = (app.folder.parent / "tmp").glob("ami-bakery-*.json")
    watchdogs = [pid for pid in processes_with(str(private)) if pid in processes_with("watchdog_main.py")]
    assert len(watchdogs) == 1
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert processes_with(str(private)) == []
