"""Permissions and tags of AMIs: as configured, changed only by the difference, and never a reason to build."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import SHARED_TAG
from ami_bakery.local import InjectedFault, LocalAws
from tests.conftest import ec2_client
from tests.harness import Harness, json_template
from tests.histories.test_regions import configure, only, snapshot_of, tags_of

HOME, ABROAD = "us-east-1", "eu-west-1"
OTHER, THIRD, FOURTH = "444455556666", "777788889999", "123456789012"


@pytest.fixture
def others(local: LocalAws) -> Iterator[EC2Client]:
    """EC2 as the second account sees it."""
    with closing(ec2_client(local, account=1)) as client:
        yield client


def launchers(ec2: EC2Client, ami: str) -> set[str]:
    found = ec2.describe_image_attribute(ImageId=ami, Attribute="launchPermission")["LaunchPermissions"]
    return {str(value) for permission in found for value in permission.values()}


def share(*accounts: str, snapshots: bool = False) -> str:
    listed = ", ".join(f'"{account}"' for account in accounts)
    return f"share_with = [{listed}]\n" + ("share_snapshots = true\n" if snapshots else "")


def can_launch(client: EC2Client, ami: str) -> bool:
    try:
        client.run_instances(ImageId=ami, MinCount=1, MaxCount=1, InstanceType="t3.micro")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidAMIID.NotFound"
        return False
    return True


def changes(harness: Harness) -> dict[str, int]:
    """Returns the calls that change an AMI, or read its permissions. Only calls since the last time count."""
    calls = {action: count for action, count in harness.calls().items() if "Attribute" in action or "Tags" in action}
    harness.control.clear_report()
    return calls


def test_second_account_can_launch_only_what_is_shared_with_it(
    app: Harness, others: EC2Client, local: LocalAws
) -> None:
    configure(app, HOME, ABROAD)
    amis = only(app.run("bake", "--json").images)["amis"]
    with closing(ec2_client(local, ABROAD, account=1)) as abroad:
        for shared in (False, True, False):
            configure(app, HOME, ABROAD, more=share(OTHER) if shared else "")
            assert only(app.run("bake", "--json").images)["amis"] == amis
            for client, region in ((others, HOME), (abroad, ABROAD)):
                seen = client.describe_images(ExecutableUsers=["self"], Owners=["111122223333"])["Images"]
                assert [(image["ImageId"], image.get("Tags")) for image in seen] == [(amis[region], None)] * shared
                assert can_launch(client, amis[region]) is shared
    assert app.packer_runs == 1


def test_only_the_difference_is_changed(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    changes(app)
    configure(app, HOME, more=share(OTHER))
    assert app.run("bake").answer == ami
    assert changes(app) == {"DescribeImageAttribute": 1, "CreateTags": 1, "ModifyImageAttribute": 1}
    assert app.run("bake").answer == ami
    assert changes(app) == {"DescribeImageAttribute": 1}

    configure(app, HOME, more=share(OTHER, THIRD))
    (plan,) = app.run("plan", "--json", "--steps").images
    assert (plan["action"], plan["steps"]) == (
        "reuse",
        [
            {"step": "tag", "region": HOME, "ami": ami, "tags": {SHARED_TAG: f"launch {OTHER} {THIRD}"}},
            {"step": "grant", "region": HOME, "ami": ami, "targets": [THIRD]},
        ],
    )
    assert app.run("plan", "--detailed-exitcode").status == 2
    assert f"> share {ami} ({HOME}) with {THIRD}" in app.run("plan").stdout
    changes(app)
    assert app.run("bake").answer == ami
    assert changes(app) == {"DescribeImageAttribute": 1, "CreateTags": 1, "ModifyImageAttribute": 1}
    assert launchers(ec2, ami) == {OTHER, THIRD}

    configure(app, HOME, more=share(THIRD))
    assert app.run("bake").answer == ami
    asked = {"DescribeImageAttribute": 2, "CreateTags": 1, "ModifyImageAttribute": 1}
    assert changes(app) == asked, "one of the questions was ours"
    assert launchers(ec2, ami) == {THIRD}
    assert app.run("plan", "--detailed-exitcode").status == 0
    assert app.packer_runs == 1


def test_permissions_of_an_image_that_is_not_shared_are_not_read(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    ec2.modify_image_attribute(ImageId=ami, LaunchPermission={"Add": [{"UserId": THIRD}]})
    app.control.clear_report()
    for command in ("plan", "bake"):
        assert app.run(command).status == 0
    assert changes(app) == {}
    assert launchers(ec2, ami) == {THIRD}, "what a person granted is left alone"


def test_shares_are_revoked_if_the_key_is_removed(app: Harness, ec2: EC2Client) -> None:
    configure(app, HOME, more=share(OTHER, THIRD))
    ami = app.run("bake").answer
    assert (launchers(ec2, ami), tags_of(ec2, ami)[SHARED_TAG]) == ({OTHER, THIRD}, f"launch {OTHER} {THIRD}")
    configure(app, HOME)
    (plan,) = app.run("plan", "--json", "--steps").images
    assert [step["step"] for step in plan["steps"]] == ["revoke", "tag"]
    assert app.run("bake").answer == ami
    assert launchers(ec2, ami) == set()
    assert SHARED_TAG not in tags_of(ec2, ami)
    changes(app)
    assert app.run("bake").answer == ami
    assert changes(app) == {}


def test_tag_that_may_not_be_removed_is_emptied(app: Harness, ec2: EC2Client) -> None:
    configure(app, HOME, more=share(OTHER))
    ami = app.run("bake").answer
    configure(app, HOME)
    app.control.plan(InjectedFault(action="DeleteTags", code="UnauthorizedOperation", times=0))
    assert app.run("bake").answer == ami
    assert tags_of(ec2, ami)[SHARED_TAG] == ""
    changes(app)
    assert app.run("plan", "--detailed-exitcode").status == 0
    assert changes(app) == {}


def test_run_that_ended_before_it_shared_is_completed_by_the_next(app: Harness, ec2: EC2Client) -> None:
    configure(app, HOME, more=share(OTHER))
    app.control.plan(InjectedFault(action="ModifyImageAttribute", code="UnauthorizedOperation"))
    run = app.run("bake", "--json")
    assert (run.status, only(run.images)["outcome"]) == (1, "failed")
    assert "ec2:ModifyImageAttribute" in only(run.images)["error"]
    ami = app.run("bake").answer
    assert (launchers(ec2, ami), app.packer_runs) == ({OTHER}, 1)


def test_public_ami_stays_public_with_a_warning(app: Harness, ec2: EC2Client) -> None:
    configure(app, HOME, more=share(OTHER))
    ami = app.run("bake").answer
    ec2.modify_image_attribute(ImageId=ami, LaunchPermission={"Add": [{"Group": "all"}]})
    for command in ("plan", "bake"):
        assert f"{ami} in {HOME} is public" in app.run(command).stderr
    assert launchers(ec2, ami) == {OTHER, "all"}


def test_snapshots_are_shared_on_request_and_revoked(app: Harness, ec2: EC2Client, others: EC2Client) -> None:
    configure(app, HOME, more=share(OTHER, snapshots=True))
    ami = app.run("bake").answer
    snapshot = snapshot_of(ec2, ami)["SnapshotId"]
    assert others.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    assert tags_of(ec2, ami)[SHARED_TAG] == f"launch snapshots {OTHER}"
    assert app.run("plan", "--detailed-exitcode").status == 0
    configure(app, HOME, more=share(OTHER))
    (plan,) = app.run("plan", "--json", "--steps").images
    assert plan["steps"][0] == {"step": "revoke", "region": HOME, "ami": ami, "snapshot": snapshot, "targets": [OTHER]}
    assert app.run("bake").answer == ami
    with pytest.raises(ClientError, match=r"InvalidSnapshot\.NotFound"):
        others.describe_snapshots(SnapshotIds=[snapshot])
    assert (launchers(ec2, ami), tags_of(ec2, ami)[SHARED_TAG]) == ({OTHER}, f"launch {OTHER}")


def test_ami_with_the_default_key_cannot_be_shared_and_the_message_says_so(app: Harness, ec2: EC2Client) -> None:
    app.write("ami/app.json", json_template(encrypt_boot=True))
    ami = app.run("bake").answer
    assert str(snapshot_of(ec2, ami)["KmsKeyId"]).endswith("alias/aws/ebs")
    configure(app, HOME, more=share(OTHER))
    run = app.run("bake")
    assert run.status == 1
    assert "To share encrypted AMIs, use a customer managed KMS key" in run.stderr


def test_tags_are_written_on_the_ami_and_its_snapshots_and_repaired(app: Harness, ec2: EC2Client) -> None:
    configure(app, HOME, more='tags = { team = "web", cost = "7" }\n')
    ami = app.run("bake").answer
    assert tags_of(ec2, ami).items() >= {"team": "web", "cost": "7"}.items()
    digest = app.run("digest").answer
    configure(app, HOME, more='tags = { team = "ops" }\n')
    (plan,) = app.run("plan", "--json", "--steps").images
    assert (plan["action"], plan["steps"]) == (
        "reuse",
        [{"step": "tag", "region": HOME, "ami": ami, "tags": {"team": "ops"}}],
    )
    run = app.run("bake", "--json")
    assert only(run.images)["outcome"] == "reused"
    assert f"app: tag {ami} ({HOME}): team = ops" in run.stderr
    assert tags_of(ec2, ami).items() >= {"team": "ops", "cost": "7"}.items(), "one that is named no more is left"
    on_snapshot: Any = snapshot_of(ec2, ami)["Tags"]
    assert {"Key": "team", "Value": "ops"} in on_snapshot
    assert (app.run("digest").answer, app.packer_runs) == (digest, 1)
    assert app.run("plan", "--detailed-exitcode").status == 0


def test_plan_of_a_bake_has_all_of_its_steps(app: Harness) -> None:
    configure(app, HOME, ABROAD, more=share(OTHER) + 'tags = { team = "web" }\n')
    (plan,) = app.run("plan", "--json", "--steps").images
    assert plan["steps"] == [
        {"step": "bake", "region": HOME},
        {"step": "copy", "region": ABROAD, "ami": None, "from": HOME, "kms_key": None},
        {"step": "grant", "region": HOME, "ami": None, "targets": [OTHER]},
        {"step": "grant", "region": ABROAD, "ami": None, "targets": [OTHER]},
    ]
    text = app.run("plan").stdout
    assert f"> copy it to {ABROAD}\n" in text
    assert f"> share with {OTHER} in {HOME}, {ABROAD}\n" in text
    app.run("bake")
    assert app.calls()["ModifyImageAttribute"] == 2
    (plan,) = app.run("plan", "--json", "--steps").images
    assert plan["steps"] == []


def set_up(harness: Harness, *regions: str, salt: str = "", more: str = "") -> None:
    configure(harness, *regions, more=(f'salt = "{salt}"\n' if salt else "") + more)


@pytest.fixture
def abroad(local: LocalAws) -> Iterator[EC2Client]:
    with closing(ec2_client(local, ABROAD)) as client:
        yield client


def test_shares_of_older_amis_are_revoked_too_and_never_granted_again(app: Harness, ec2: EC2Client) -> None:
    set_up(app, HOME, more=share(OTHER, THIRD))
    oldest = app.run("bake").answer
    set_up(app, HOME, salt="2", more=share(OTHER, THIRD))
    forced = app.run("bake").answer
    time.sleep(1.1)
    current = app.run("bake", "--force").answer
    assert [launchers(ec2, ami) for ami in (oldest, forced, current)] == [{OTHER, THIRD}] * 3

    set_up(app, HOME, salt="2", more=share(OTHER, FOURTH))
    (plan,) = app.run("plan", "--json", "--steps").images
    assert plan["action"] == "reuse"
    steps = [(step["step"], step["ami"]) for step in plan["steps"]]
    assert sorted(steps[:4]) == sorted((step, ami) for ami in (oldest, forced) for step in ("revoke", "tag"))
    assert steps[4:] == [(step, current) for step in ("tag", "grant", "revoke", "tag")]
    assert app.run("bake").answer == current
    assert [launchers(ec2, ami) for ami in (oldest, forced, current)] == [{OTHER}, {OTHER}, {OTHER, FOURTH}]
    app.control.clear_report()
    assert app.run("plan", "--detailed-exitcode").status == 0
    asked = app.calls()
    assert asked["DescribeImageAttribute"] == 1, "the marks of the older ones tell"
    assert "DescribeRegions" not in asked

    set_up(app, HOME, salt="2")
    assert app.run("bake").answer == current
    assert [launchers(ec2, ami) for ami in (oldest, forced, current)] == [set(), set(), set()]
    app.control.clear_report()
    assert app.run("plan", "--detailed-exitcode").status == 0
    assert app.calls() == {"DescribeImages": 2}


def test_shares_are_revoked_before_the_next_bake(app: Harness, ec2: EC2Client) -> None:
    set_up(app, HOME, more=share(OTHER))
    before = app.run("bake").answer
    set_up(app, HOME, salt="2")
    (plan,) = app.run("plan", "--json", "--steps").images
    assert [(step["step"], step.get("ami")) for step in plan["steps"]] == [
        ("revoke", before),
        ("tag", before),
        ("bake", None),
    ]
    app.control.plan(InjectedFault(action="ModifyImageAttribute", code="UnauthorizedOperation"))
    assert app.run("bake").status == 1
    assert app.packer_runs == 1, "the new AMI would have no mark to come back by"
    now = app.run("bake").answer
    assert (launchers(ec2, before), launchers(ec2, now), app.packer_runs) == (set(), set(), 2)


def test_shares_in_a_region_that_is_not_configured_any_more_are_revoked_too(
    app: Harness, ec2: EC2Client, abroad: EC2Client
) -> None:
    set_up(app, HOME, ABROAD, more=share(OTHER, THIRD, snapshots=True))
    amis = only(app.run("bake", "--json").images)["amis"]
    set_up(app, HOME, more=share(OTHER, THIRD, snapshots=True))
    app.control.clear_report()
    assert app.run("plan", "--detailed-exitcode").status == 0
    assert {call.region for call in app.control.report().calls} == {HOME}
    set_up(app, HOME, more=share(OTHER, snapshots=True))
    app.control.plan(InjectedFault(action="DescribeImages", region="eu-west-3", code="UnauthorizedOperation", times=0))
    run = app.run("plan")
    assert f"> stop sharing {amis[ABROAD]} ({ABROAD}) with {THIRD}\n" in run.answer
    assert "cannot check whether AMIs are still shared in eu-west-3" in run.stderr
    for refused in ("ModifyImageAttribute", "ModifySnapshotAttribute"):
        app.control.plan(InjectedFault(action=refused, region=ABROAD, code="UnauthorizedOperation"))
        assert app.run("bake").status == 1
        assert THIRD in launchers(ec2, amis[HOME]), "what is here comes last: it brings the next run back"
    assert app.run("bake").answer == amis[HOME]
    assert launchers(abroad, amis[ABROAD]) == launchers(ec2, amis[HOME]) == {OTHER}
    left = abroad.describe_snapshot_attribute(
        SnapshotId=snapshot_of(abroad, amis[ABROAD])["SnapshotId"], Attribute="createVolumePermission"
    )
    assert left["CreateVolumePermissions"] == [{"UserId": OTHER}]
    assert (app.run("plan", "--detailed-exitcode").status, app.packer_runs) == (0, 1)


def test_without_the_permission_to_list_regions_the_unseen_is_reported(app: Harness) -> None:
    set_up(app, HOME, more=share(OTHER))
    ami = app.run("bake").answer
    set_up(app, HOME)
    app.control.plan(InjectedFault(action="DescribeRegions", code="UnauthorizedOperation", times=0))
    run = app.run("bake")
    assert run.answer == ami
    assert "cannot check whether AMIs are still shared in regions that are not in `regions`" in run.stderr


def test_list_too_long_for_a_tag_is_revoked_anyway(app: Harness, ec2: EC2Client) -> None:
    accounts = [f"{number:012}" for number in range(1, 31)]
    set_up(app, HOME, more=share(*accounts))
    before = app.run("bake").answer
    set_up(app, HOME, salt="2", more=share(*accounts))
    ami = app.run("bake").answer
    assert re.fullmatch(r"launch #[0-9a-f]{16}", tags_of(ec2, ami)[SHARED_TAG])
    changes(app)
    assert app.run("plan", "--detailed-exitcode").status == 0
    assert changes(app) == {"DescribeImageAttribute": 1}
    set_up(app, HOME, salt="2", more=share(*accounts[1:]))
    assert app.run("bake").answer == ami
    assert launchers(ec2, before) == launchers(ec2, ami) == set(accounts[1:])
    changes(app)
    assert app.run("plan", "--detailed-exitcode").status == 0
    assert changes(app) == {"DescribeImageAttribute": 1}


def test_snapshots_are_shared_with_500_accounts_in_one_call(app: Harness, ec2: EC2Client) -> None:
    accounts = [f"{number:012}" for number in range(1, 502)]
    set_up(app, HOME, more=share(*accounts, snapshots=True))
    ami = app.run("bake").answer
    assert app.calls()["ModifySnapshotAttribute"] == 2
    snapshot = snapshot_of(ec2, ami)["SnapshotId"]
    granted = ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    assert len(granted["CreateVolumePermissions"]) == 501
    assert app.run("plan", "--detailed-exitcode").status == 0


def test_own_account_needs_no_permission(app: Harness, ec2: EC2Client) -> None:
    set_up(app, HOME, more=share("111122223333", OTHER, snapshots=True))
    ami = app.run("bake").answer
    assert launchers(ec2, ami) == {OTHER}
    assert app.run("plan", "--detailed-exitcode").status == 0


def test_plan_that_may_not_read_permissions_says_so(app: Harness) -> None:
    set_up(app, HOME, more=share(OTHER))
    ami = app.run("bake").answer
    set_up(app, HOME, more=share(THIRD))
    app.control.plan(InjectedFault(action="DescribeImageAttribute", code="UnauthorizedOperation", times=0))
    run = app.run("plan", "--json")
    (plan,) = run.images
    assert (run.status, plan["action"], plan["amis"]) == (0, "reuse", {HOME: ami})
    assert "cannot read the permissions of AMIs, so the plan does not show what to grant or revoke" in run.stderr
    assert "UnauthorizedOperation" in run.stderr
    assert app.run("bake").status == 1


def test_tags_are_written_on_an_ami_and_its_snapshots_together(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    set_up(app, HOME, more='tags = { team = "ops" }\n')
    changes(app)
    app.control.plan(InjectedFault(action="CreateTags", code="UnauthorizedOperation", times=2))
    assert app.run("bake").status == 1
    assert app.run("bake").answer == ami
    assert changes(app) == {"CreateTags": 3}, "two of them refused: plainly, and through botocore"
    on_snapshot: Any = snapshot_of(ec2, ami)["Tags"]
    assert {"Key": "team", "Value": "ops"} in on_snapshot


def test_refused_tags_of_snapshots_are_repaired(app: Harness, ec2: EC2Client) -> None:
    app.write("ami/app.json", json_template(tags={}))
    set_up(app, HOME, more='tags = { team = "web" }\n')
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    no_snapshots = {"Effect": "Deny", "Action": "ec2:CreateTags", "Resource": "arn:aws:ec2:*::snapshot/*"}
    app.control.enforce({"Version": "2012-10-17", "Statement": [everything, no_snapshots]})
    run = app.run("bake")
    assert (run.status, "tagging snap-" in run.stderr) == (1, True), run.stderr
    app.control.enforce(None)
    ami = app.run("bake").answer
    assert app.packer_runs == 1, "the next run takes up what is verified"
    on_snapshot: Any = snapshot_of(ec2, ami)["Tags"]
    assert {"Key": "team", "Value": "web"} in on_snapshot
