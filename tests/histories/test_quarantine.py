"""An AMI that prune disabled is enabled again and shared as before. It is not built."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ami_bakery.core.ec2.ami import FROM_TAG
from ami_bakery.local import InjectedFault
from tests.harness import TOML, json_template
from tests.locking.bench import ended, hold_lock, locks, read_until, tags_of
from tests.quarantined import FRIEND, finish_build, quarantine, state_of

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws
    from tests.harness import Harness

HOME, FAR = "us-east-1", "eu-west-1"
DENIED = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ec2:EnableImage", "Resource": "*"},
    ],
}


@pytest.fixture(autouse=True)
def _short_settling(request: pytest.FixtureRequest) -> None:
    harness: Harness = request.getfixturevalue("harness")
    harness.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "12"


def test_ami_in_quarantine_is_enabled_in_all_regions_and_shared_as_before(app: Harness, local: LocalAws) -> None:
    app.write("bakery.toml", TOML.replace('["us-east-1"]', f'["{HOME}", "{FAR}"]'))
    amis = finish_build(local, app.run("digest").answer, (HOME, FAR))
    quarantine(local, amis, [FRIEND])
    (planned,) = app.run("plan", "--json").images
    assert (planned["action"], planned["amis"]) == ("enable", amis)
    assert [reason["kind"] for reason in planned["reasons"]] == ["quarantined", "quarantined"]
    shown = app.run("plan", "--detailed-exitcode")
    assert (shown.status, f"share it with {FRIEND} as before" in shown.stdout) == (2, True)

    query = app.run("terraform-external", stdin=json.dumps({"image": "app"}))
    assert (query.status, "it has not been enabled yet (enable)" in query.stderr) == (1, True)
    promoted = app.run("promote", "app", "--to", "stable")
    assert (promoted.status, "Enable it first: ami-bakery bake app" in promoted.stderr) == (1, True)

    run = app.run("bake", "--json")
    (baked,) = run.images
    assert (baked["outcome"], baked["amis"], app.packer_runs) == ("enabled", amis, 0), run.stderr
    assert f"app: enable: {amis[HOME]} (us-east-1" in run.stderr
    for region, ami in amis.items():
        assert state_of(local, region, ami) == ("available", [FRIEND], set())
    (again,) = app.run("plan", "--json").images
    assert (again["action"], app.run("bake", "--json").images[0]["outcome"]) == ("reuse", "reused")


def test_only_the_copy_in_quarantine_is_enabled(app: Harness, local: LocalAws) -> None:
    app.write("bakery.toml", TOML.replace('["us-east-1"]', f'["{HOME}", "{FAR}"]'))
    amis = finish_build(local, app.run("digest").answer, (HOME, FAR))
    quarantine(local, {FAR: amis[FAR]})
    app.control.clear_report()
    (baked,) = app.run("bake", "--json").images
    assert (baked["outcome"], baked["amis"]) == ("enabled", amis)
    assert (app.calls()["EnableImage"], app.calls().get("CopyImage", 0)) == (1, 0)


def test_interrupted_enabling_is_finished_by_the_next_run(app: Harness, local: LocalAws, ec2: EC2Client) -> None:
    amis = finish_build(local, app.run("digest").answer)
    quarantine(local, amis, [FRIEND])
    ec2.enable_image(ImageId=amis[HOME])
    app.control.clear_report()
    (planned,) = app.run("plan", "--json").images
    assert [reason["kind"] for reason in planned["reasons"]] == ["quarantine-not-ended"]
    run = app.run("bake", "--json")
    assert (run.images[0]["outcome"], run.images[0]["amis"]) == ("enabled", amis), run.stderr
    assert state_of(local, HOME, amis[HOME]) == ("available", [FRIEND], set())
    assert "EnableImage" not in app.calls(), "it is available"


def test_ami_disabled_by_somebody_else_is_built_again(app: Harness, local: LocalAws, ec2: EC2Client) -> None:
    amis = finish_build(local, app.run("digest").answer)
    ec2.disable_image(ImageId=amis[HOME])
    run = app.run("bake", "--json")
    assert (run.images[0]["outcome"], app.packer_runs) == ("baked", 1)
    assert (
        f"{amis[HOME]} (us-east-1) has this digest but does not count: it is disabled, but not by prune" in run.stderr
    )
    assert state_of(local, HOME, amis[HOME])[0] == "disabled"


def test_missing_permission_to_enable_is_an_error_and_no_build(app: Harness, local: LocalAws, ec2: EC2Client) -> None:
    amis = finish_build(local, app.run("digest").answer)
    quarantine(local, amis, [FRIEND])
    app.control.enforce(DENIED)
    denied = app.run("bake")
    app.control.enforce(None)
    assert (denied.status, denied.stdout, app.packer_runs, locks(ec2)) == (1, "", 0, {})
    assert "ec2:EnableImage" in denied.stderr
    assert "The image is not built again" in denied.stderr
    assert app.run("bake").answer == amis[HOME]


def test_permission_of_a_closed_account_is_reported_and_the_others_are_restored(app: Harness, local: LocalAws) -> None:
    amis = finish_build(local, app.run("digest").answer)
    quarantine(local, amis, [FRIEND, "999999999999"])
    app.control.plan(InjectedFault(action="ModifyImageAttribute", code="InvalidAMIAttributeItemValue", times=2))
    run = app.run("bake", "--json")
    assert run.images[0]["outcome"] == "enabled", run.stderr
    assert f"{amis[HOME]} (us-east-1) is not shared with {FRIEND} as before its quarantine" in run.stderr
    assert state_of(local, HOME, amis[HOME]) == ("available", ["999999999999"], set())


def test_ami_deregistered_while_the_bake_waits_for_prune_is_built(
    app: Harness, local: LocalAws, ec2: EC2Client
) -> None:
    digest = app.run("digest").answer
    amis = finish_build(local, digest)
    quarantine(local, amis)
    lock = hold_lock(ec2, digest)
    process = app.start("bake", "--json")
    read_until(process, "waiting: it is being baked by")
    ec2.deregister_image(ImageId=amis[HOME])
    ec2.delete_key_pair(KeyPairId=lock)
    run = ended(process)
    (baked,) = json.loads(run.stdout)["images"]
    assert (baked["outcome"], app.packer_runs) == ("baked", 1), run.stderr
    assert baked["amis"][HOME] != amis[HOME]


def test_ami_enabled_by_another_runner_is_reused(app: Harness, local: LocalAws, ec2: EC2Client) -> None:
    digest = app.run("digest").answer
    amis = finish_build(local, digest)
    quarantine(local, amis)
    lock = hold_lock(ec2, digest)
    process = app.start("bake", "--json")
    read_until(process, "waiting: it is being baked by")
    ec2.enable_image(ImageId=amis[HOME])
    ec2.delete_tags(Resources=[amis[HOME]], Tags=[{"Key": name} for name in state_of(local, HOME, amis[HOME])[2]])
    ec2.delete_key_pair(KeyPairId=lock)
    (baked,) = json.loads(ended(process).stdout)["images"]
    assert (baked["outcome"], baked["amis"], app.packer_runs) == ("reused", amis, 0)


def test_untested_ami_is_enabled_and_tested_and_a_parent_is_enabled_before_its_child(
    app: Harness, local: LocalAws, ec2: EC2Client
) -> None:
    parent = app.run("bake", "app").answer
    of_child = json_template(source_ami="{{user `source_ami`}}")
    of_child["variables"] |= {"source_ami": ""}
    del of_child["builders"][0]["source_ami_filter"]
    app.write("child/child.json", of_child)
    app.write("test/test.json", of_child)
    app.write(
        "bakery.toml",
        f'{TOML}test = "test/test.json"\n\n[images.child]\ntemplate = "child/child.json"\nfrom = "app"\n'
        f'regions = ["{HOME}"]\n',
    )
    quarantine(local, {HOME: parent})
    planned = {image["image"]: image for image in app.run("plan", "--json").images}
    assert (planned["app"]["action"], planned["child"]["action"]) == ("enable", "bake")
    assert [reason["kind"] for reason in planned["app"]["reasons"]] == ["quarantined", "untested"]
    run = app.run("bake", "--json")
    outcomes = {image["image"]: (image["outcome"], image["amis"]) for image in run.images}
    assert outcomes["app"] == ("tested", {HOME: parent}), run.stderr
    assert outcomes["child"][0] == "baked"
    assert app.packer_runs == 3, "the parent, its test, and the child"
    assert tags_of(ec2, outcomes["child"][1][HOME])[FROM_TAG] == parent


def test_name_of_an_ami_in_quarantine_is_explained_before_a_build(app: Harness, local: LocalAws) -> None:
    app.write("ami/app.json", json_template(ami_name="app"))
    other = finish_build(local, "b" * 64)
    quarantine(local, other)
    run = app.run("bake")
    assert (run.status, app.packer_runs) == (1, 0)
    assert f"the disabled AMI {other[HOME]}, which prune disabled, has the name app in us-east-1" in run.stderr
    assert "ami-bakery prune app --apply --quarantine 0" in run.stderr
