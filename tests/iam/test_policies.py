"""The policies in docs/guides/iam: real runs need all of their actions, and no other."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client
from mypy_boto3_ec2.type_defs import TagSpecificationTypeDef, TagTypeDef

from ami_bakery.local import ApiCall, FaultKind, InjectedFault, LocalAws
from tests.documents import ROOT
from tests.harness import TOML, Harness, json_template, leftover_resources
from tests.histories.test_orphans import lock
from tests.processes import bake_until, provisioned, wait_until
from tests.quarantined import disable_ami, finish_ami
from tests.release.channels import made, promoted, value_in, write_app
from tests.terminal import Terminal

SSM = "/aws/service/canonical/ubuntu/server/{}/stable/current/amd64/hvm/ebs-gp2/ami-id"
EVERYTHING = f"""\
version = 1

[images.base]
template = "ami/app.json"
regions = ["us-east-1", "eu-west-1"]
share_with = ["444455556666"]
share_snapshots = true
from = {{ ssm = "{SSM.format("22.04")}" }}

[images.app]
template = "ami/app.json"
regions = ["us-east-1"]
from = "base"
"""
OTHER_BASE = f"""
[images.older]
template = "ami/app.json"
regions = ["us-east-1"]
from = {{ ssm = "{SSM.format("20.04")}" }}
"""
NOT_WALKED: dict[str, str] = {}
"""Actions in the policies that no run below calls, with the reason for each."""


def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "docs/guides/iam" / name).read_text())
    return document


def actions_of(policy: dict[str, Any]) -> set[str]:
    listed = (statement["Action"] for statement in policy["Statement"])
    return {action for actions in listed for action in ([actions] if isinstance(actions, str) else actions)}


def stocked(folder: Path, local: LocalAws) -> Harness:
    """One image `app`, and a fresh account."""
    harness = Harness(folder, local)
    harness.control.reset()
    harness.write("bakery.toml", TOML)
    harness.write("ami/app.json", json_template())
    harness.write("ami/setup.sh", "echo set up\n")
    return harness


def refused(calls: tuple[ApiCall, ...]) -> list[ApiCall]:
    return [call for call in calls if call.error in ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")]


Walk = Callable[[Harness, EC2Client], None]


def a_graph_in_two_regions_shared_and_copied(harness: Harness, ec2: EC2Client) -> None:
    """A source AMI by SSM, a child image, a copy, launch permissions; looked up again, listed, checked."""
    harness.write("bakery.toml", EVERYTHING)
    template = json_template(source_ami="{{user `source_ami`}}", communicator="ssh", ssh_username="ubuntu")
    del template["builders"][0]["source_ami_filter"]
    template["variables"]["source_ami"] = ""
    harness.write("ami/app.json", template)
    for command in ("check", "bake", "bake", "plan", "images"):
        assert harness.run(command).status == 0
    assert harness.packer_runs == 2
    harness.write("bakery.toml", EVERYTHING.replace("444455556666", "777788889999") + OTHER_BASE)
    assert harness.run("plan").status == 0


def the_drop_in_in_a_subnet(harness: Harness, ec2: EC2Client) -> None:
    harness.control.enforce(None)
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    harness.control.enforce(load("policy.json"))
    harness.control.clear_report()
    harness.write("ami/app.json", json_template(subnet_id="{{user `aws_subnet_id`}}"))
    given = {
        "PACKER_JSON_PATH": f"{harness.folder}/ami/app.json",
        "AMI_DEFINITION_DIRS": f"{harness.folder}/ami/",
        "AWS_SUBNET_ID": subnet,
    }
    assert harness.run(program="bake", environment=given).status == 0


def a_bake_whose_inputs_move_under_it(harness: Harness, ec2: EC2Client) -> None:
    """The template tags the AMI with the digest, which is then removed."""
    provisioned(harness, f"echo moved >> {harness.folder}/ami/setup.sh")
    run = harness.run("bake")
    assert run.status == 1
    assert "changed while Packer" in run.stderr


def a_bake_that_is_cancelled_while_its_ami_is_pending(harness: Harness, ec2: EC2Client) -> None:
    harness.control.change(pending_seconds=60)
    process = bake_until(harness, "Waiting for AMI to become ready")
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=300)
    assert "removed orphaned resources: AMI ami-" in rest


def a_bake_whose_packer_is_killed(harness: Harness, ec2: EC2Client) -> None:
    harness.control.plan(InjectedFault(action="TerminateInstances", kind=FaultKind.DELAY, seconds=600))
    provisioned(harness, "echo at work; sleep 60")
    process = bake_until(harness, "amazon-ebs: at work", "--kill-timeout", "1s")
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=300)
    assert "removed orphaned resources" in rest
    harness.control.clear_faults()
    assert wait_until(lambda: "TerminateInstances" in harness.calls()), "the answer to Packer's own comes late"


def what_a_dead_run_left_is_removed(harness: Harness, ec2: EC2Client) -> None:
    """One resource of each kind, with the lock that the run held."""
    harness.control.enforce(None)
    run = "20250101T120000Z-00000000"
    tags: list[TagTypeDef] = [{"Key": "ami-bakery:run", "Value": run}, {"Key": "ami-bakery:image", "Value": "app"}]
    base = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    specification: TagSpecificationTypeDef = {"ResourceType": "instance", "Tags": tags}
    launched = ec2.run_instances(ImageId=base, MinCount=1, MaxCount=1, TagSpecifications=[specification])["Instances"]
    ec2.create_image(
        InstanceId=launched[0]["InstanceId"],
        Name="unfinished",
        TagSpecifications=[{"ResourceType": "image", "Tags": tags}],
    )
    ec2.create_security_group(
        GroupName="packer_1", Description="x", TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}]
    )
    ec2.create_key_pair(KeyName="packer_1", TagSpecifications=[{"ResourceType": "key-pair", "Tags": tags}])
    specification = {"ResourceType": "volume", "Tags": tags}
    ec2.create_volume(AvailabilityZone="us-east-1a", Size=8, TagSpecifications=[specification])
    lock(ec2, run, minutes=-10)
    harness.control.clear_report()
    harness.control.enforce(load("policy.json"))
    answers: list[str] = []

    def yes(seen: str) -> str:
        if seen.count("[y/N]") == len(answers):
            return ""
        answers.append("y\r")
        return answers[-1]

    terminal = Terminal(harness, "images", "--orphans", "--clean")
    assert terminal.watch(yes) == 0, terminal.seen
    for kind in ("instance i-", "AMI ami-", "security group sg-", "key pair key-", "volume vol-", "lock key-"):
        assert f"removed: {kind}" in terminal.seen


def an_ami_that_prune_disabled(harness: Harness, ec2: EC2Client) -> None:
    """It is enabled, and shared as before."""
    digest = harness.run("digest").answer
    harness.control.enforce(None)
    disable_ami(ec2, finish_ami(ec2, digest), ["444455556666"])
    harness.control.clear_report()
    harness.control.enforce(load("policy.json"))
    assert harness.run("bake", "--json").images[0]["outcome"] == "enabled"


WALKS: tuple[Walk, ...] = (
    a_graph_in_two_regions_shared_and_copied,
    the_drop_in_in_a_subnet,
    a_bake_whose_inputs_move_under_it,
    a_bake_that_is_cancelled_while_its_ami_is_pending,
    a_bake_whose_packer_is_killed,
    what_a_dead_run_left_is_removed,
    an_ami_that_prune_disabled,
)


def test_bake_needs_the_whole_policy_and_nothing_more(
    local: LocalAws, ec2: EC2Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    policy = load("policy.json")
    called: set[str] = set()
    for walk in WALKS:
        harness = stocked(tmp_path_factory.mktemp("walk"), local)
        harness.control.enforce(policy)
        walk(harness, ec2)
        calls = harness.control.report().calls
        assert refused(calls) == [], walk.__name__
        called |= {f"{call.service}:{call.action}" for call in calls}
        harness.control.enforce(None)
        assert leftover_resources(ec2) == [], walk.__name__
    assert called - actions_of(policy) <= {"sts:GetCallerIdentity"}
    assert actions_of(policy) - called == set(NOT_WALKED)


def test_plan_and_list_commands_need_only_the_smaller_policy(app: Harness) -> None:
    app.write("bakery.toml", EVERYTHING)
    template = json_template(source_ami="{{user `source_ami`}}")
    del template["builders"][0]["source_ami_filter"]
    template["variables"]["source_ami"] = ""
    app.write("ami/app.json", template)
    called: set[str] = set()
    for baked in (False, True):
        if baked:
            app.run("bake")
            app.write("bakery.toml", EVERYTHING.replace("444455556666", "777788889999") + OTHER_BASE)
        app.control.clear_report()
        app.control.enforce(load("plan-policy.json"))
        for command in ("plan", "check", "images", "digest"):
            if baked or command != "digest":
                assert app.run(command).status == 0
        calls = app.control.report().calls
        assert refused(calls) == []
        called |= {f"{call.service}:{call.action}" for call in calls}
        app.control.enforce(None)
    assert called == actions_of(load("plan-policy.json"))


def test_policy_for_bake_includes_the_policy_for_plan() -> None:
    assert actions_of(load("plan-policy.json")) <= actions_of(load("policy.json"))


def test_channel_commands_need_the_whole_policy_for_channels_and_nothing_more(app: Harness, ec2: EC2Client) -> None:
    first = app.run("bake").answer
    app.write("ami/setup.sh", "echo changed\n")
    policy = load("channel-policy.json")
    app.control.enforce(policy)
    app.control.clear_report()
    assert app.run("promote", "app", "--to", "stable").status == 1
    calls = app.control.report().calls
    app.control.enforce(None)
    second = app.run("bake").answer
    # The lock of a runner that was killed.
    tags: list[TagTypeDef] = [{"Key": "ami-bakery:lock", "Value": "/ami-bakery/app/stable"}]
    name = "ami-bakery-lock-/ami-bakery/app/stable"
    ec2.create_key_pair(KeyName=name, TagSpecifications=[{"ResourceType": "key-pair", "Tags": tags}])
    app.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "4"
    app.control.enforce(policy)
    app.control.clear_report()
    for arguments in (
        ("promote", "app", "--ami", first, "--to", "stable"),
        ("promote", "app", "--to", "stable"),
        ("rollback", "app", "--channel", "stable"),
        ("revoke", first, "--reason", "bad", "--rollback-channels"),
        ("unrevoke", first),
        ("channels", "--history"),
        ("revoke", second, "--reason", "bad"),
        ("check",),
    ):
        run = app.run(*arguments)
        assert run.status == 0, run.stderr
        assert "cannot check" not in run.stderr
    calls += app.control.report().calls
    assert refused(calls) == []
    assert {f"{call.service}:{call.action}" for call in calls} - {"sts:GetCallerIdentity"} == actions_of(policy)


def statements_of(command: str) -> dict[str, Any]:
    """Returns the policy for channels with the statements that the guide lists for this command."""
    guide = (ROOT / "docs/guides/iam.md").read_text()
    rows = [line.split("|")[1:3] for line in guide.splitlines() if line.startswith("| `") and "`Look`" in line]
    (listed,) = [about for commands, about in rows if f"`{command}`" in commands]
    wanted = set(re.findall(r"`([A-Z]\w+)`", listed.partition(";")[0]))
    policy = load("channel-policy.json")
    statements = [statement for statement in policy["Statement"] if statement["Sid"] in wanted]
    assert {statement["Sid"] for statement in statements} == wanted
    return {**policy, "Statement": statements}


def test_each_channel_command_needs_only_its_statements(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    first, second = (made(local, number, ("us-east-1",))["us-east-1"] for number in range(2))
    promoted(harness, {"us-east-1": first})
    for arguments in (
        ("promote", "app", "--ami", second, "--to", "stable"),
        ("channels", "--history"),
        ("rollback", "app", "--channel", "stable"),
        ("revoke", second, "--reason", "bad"),
        ("unrevoke", second),
    ):
        harness.control.enforce(statements_of(arguments[0]))
        harness.control.clear_report()
        run = harness.run(*arguments)
        assert run.status == 0, run.stderr
        assert "warning" not in run.stderr
        assert refused(harness.control.report().calls) == []
    harness.control.enforce(None)
    assert value_in(local) == first
