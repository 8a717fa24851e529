"""One image in several regions: parallel copies, each with its key; failures are reported, and repaired by the next
run.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import DIGEST_TAG, IMAGE_TAG, KMS_KEY_TAG
from ami_bakery.local import FaultKind, InjectedFault, LocalAws
from tests.conftest import ec2_client
from tests.harness import TOML, Harness, json_template

HOME, FIRST, SECOND = "us-east-1", "eu-west-1", "ap-south-1"
KEY = "alias/ami"


def configure(harness: Harness, *regions: str, more: str = "") -> None:
    listed = ", ".join(f'"{region}"' for region in regions)
    harness.write("bakery.toml", TOML.replace('["us-east-1"]', f"[{listed}]") + more)


@pytest.fixture
def abroad(local: LocalAws) -> Iterator[EC2Client]:
    """EC2 in the first region of copies."""
    with closing(ec2_client(local, FIRST)) as client:
        yield client


def only(answer: list[dict[str, Any]]) -> dict[str, Any]:
    (item,) = answer
    return item


def tags_of(client: EC2Client, ami: str) -> dict[str, str]:
    (image,) = client.describe_images(ImageIds=[ami])["Images"]
    return {tag["Key"]: tag["Value"] for tag in image.get("Tags", [])}


def snapshot_of(client: EC2Client, ami: str) -> Any:
    (image,) = client.describe_images(ImageIds=[ami])["Images"]
    snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    return client.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]


def test_all_copies_are_started_before_any_is_waited_for(app: Harness) -> None:
    configure(app, HOME, FIRST, SECOND)
    app.control.plan(InjectedFault(action="CopyImage", kind=FaultKind.DELAY, seconds=0.5, region=FIRST))
    app.control.change(pending_seconds=1)
    run = app.run("bake", "--json")
    assert list(only(run.images)["amis"]) == [HOME, FIRST, SECOND]
    calls = [(call.action, call.region) for call in app.control.report().calls if call.region != HOME]
    begun = [index for index, (action, _) in enumerate(calls) if action == "CopyImage"]
    waited = [index for index, (action, _) in enumerate(calls[begun[0] :], begun[0]) if action == "DescribeImages"]
    assert len(begun) == 2
    assert max(begun) < min(waited)
    assert f"copying {only(run.images)['amis'][HOME]} to {FIRST}, {SECOND}" in run.stderr


def test_failed_region_does_not_lose_the_others(app: Harness) -> None:
    configure(app, HOME, FIRST, SECOND, "us-west-2")
    for region in (SECOND, "us-west-2"):
        app.control.plan(InjectedFault(action="CopyImage", code="UnauthorizedOperation", region=region))
    run = app.run("bake", "--json")
    failed = only(run.images)
    assert (run.status, failed["outcome"], list(failed["amis"])) == (1, "failed", [HOME, FIRST])
    assert all(
        f"in {region}: EC2 answered UnauthorizedOperation" in failed["error"] for region in (SECOND, "us-west-2")
    )
    repaired = only(app.run("bake", "--json").images)
    assert (repaired["outcome"], len(repaired["amis"])) == ("copied", 4)
    assert repaired["amis"].items() >= failed["amis"].items()
    assert (app.packer_runs, app.calls()["CopyImage"]) == (1, 5), "three, two of them refused, and two more"


def test_failed_image_prints_no_id(app: Harness) -> None:
    configure(app, HOME, FIRST)
    app.control.plan(InjectedFault(action="CopyImage", code="UnauthorizedOperation", times=0))
    run = app.run("bake")
    assert (run.status, run.stdout) == (1, "")
    assert "ami-" in run.stderr.partition("OUTCOME")[2], "the table has what is finished"


def test_copy_that_a_killed_run_started_is_taken_over(app: Harness) -> None:
    configure(app, HOME)
    assert app.run("bake").status == 0
    configure(app, HOME, FIRST)
    app.control.change(pending_seconds=600)
    short = {"AMI_BAKERY_LOCK_TTL_SECONDS": "3"}
    process = app.start("bake", environment=short)
    while app.calls().get("CopyImage", 0) == 0:
        assert process.poll() is None, "it ended before it copied"
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    second = app.start("bake", "--json", environment=short)
    assert second.stderr is not None
    assert any("eu-west-1" in line for line in iter(second.stderr.readline, ""))
    app.control.change(pending_seconds=0)
    answer, rest = second.communicate(timeout=300)
    outcome = only(json.loads(answer)["images"])
    assert (outcome["outcome"], list(outcome["amis"])) == ("copied", [HOME, FIRST]), rest
    assert app.calls()["CopyImage"] == 1


def test_copy_is_created_with_its_tags(app: Harness, abroad: EC2Client) -> None:
    configure(app, HOME, FIRST, more='tags = { team = "web" }\n')
    run = app.run("bake", "--json")
    copy = only(run.images)["amis"][FIRST]
    tags = tags_of(abroad, copy)
    assert (tags[IMAGE_TAG], tags["team"], tags[DIGEST_TAG]) == ("app", "web", only(run.images)["digest"])
    on_snapshot = {tag["Key"]: tag["Value"] for tag in snapshot_of(abroad, copy)["Tags"]}
    assert on_snapshot == {DIGEST_TAG: tags[DIGEST_TAG], IMAGE_TAG: "app", "team": "web"}
    assert not [call for call in app.control.report().calls if call.action == "CreateTags" and call.region == FIRST]


def test_copy_is_encrypted_with_the_key_of_its_region(app: Harness, abroad: EC2Client, local: LocalAws) -> None:
    configure(app, HOME, FIRST, SECOND, more=f'kms_key = {{ {FIRST} = "{KEY}" }}\n')
    outcome = only(app.run("bake", "--json").images)
    snapshot = snapshot_of(abroad, outcome["amis"][FIRST])
    assert (snapshot["Encrypted"], snapshot["KmsKeyId"]) == (True, KEY)
    assert tags_of(abroad, outcome["amis"][FIRST])[KMS_KEY_TAG] == KEY
    with closing(ec2_client(local, SECOND)) as other:
        assert not snapshot_of(other, outcome["amis"][SECOND])["Encrypted"]
        assert KMS_KEY_TAG not in tags_of(other, outcome["amis"][SECOND])


def test_other_key_needs_another_copy_and_no_build(app: Harness, abroad: EC2Client) -> None:
    digest = app.run("digest").answer
    seen: list[str] = []
    for key in ("", KEY, "alias/other", "alias/third"):
        configure(app, HOME, FIRST, more=f'kms_key = "{key}"\n' if key else "")
        if key:
            (plan,) = app.run("plan", "--json", "--steps").images
            assert (plan["action"], [reason["kind"] for reason in plan["reasons"]]) == ("copy", ["key-changed"])
            assert plan["steps"] == [
                {"step": "copy", "region": FIRST, "ami": plan["amis"][HOME], "from": HOME, "kms_key": key}
            ]
        copy = only(app.run("bake", "--json").images)["amis"][FIRST]
        assert copy not in seen
        assert snapshot_of(abroad, copy).get("KmsKeyId", "") == key
        assert app.run("plan", "--detailed-exitcode").status == 0
        seen.append(copy)
    configure(app, HOME, FIRST, more=f'kms_key = "{KEY}"\n')
    assert only(app.run("bake", "--json").images)["amis"][FIRST] == seen[1], "the copy with this key is there still"
    assert (app.run("digest").answer, app.packer_runs, app.calls()["CopyImage"]) == (digest, 1, 4)


def test_no_key_is_used_in_the_home_region(app: Harness) -> None:
    configure(app, HOME, FIRST, more=f'kms_key = {{ {FIRST} = "{KEY}" }}\n')
    run = app.run("plan", "--region", FIRST)
    assert run.status == 1
    assert f"it is built in {FIRST}, and kms_key, which is only for copies, has a key for that region" in run.stderr
    assert f"Remove --region {FIRST}" in run.stderr
    assert app.run("plan", "--region", HOME).status == 0


def test_template_regions_are_respected(app: Harness, abroad: EC2Client, local: LocalAws) -> None:
    """AMIs in Packer's `ami_regions` are verified, tagged, reconciled and listed. They are not copied again."""
    app.write("ami/app.json", json_template(ami_regions=[FIRST, SECOND]))
    configure(app, HOME, FIRST)
    (plan,) = app.run("plan", "--json", "--steps").images
    assert [(step["step"], step["region"]) for step in plan["steps"]] == [
        ("bake", HOME),
        ("bake", FIRST),
        ("bake", SECOND),
    ]
    outcome = only(app.run("bake", "--json").images)
    assert list(outcome["amis"]) == [HOME, FIRST, SECOND]
    assert app.calls()["CopyImage"] == 2, "Packer's own"
    assert tags_of(abroad, outcome["amis"][FIRST])[DIGEST_TAG] == outcome["digest"]
    configure(app, HOME, FIRST, SECOND)
    assert only(app.run("bake", "--json").images)["amis"] == outcome["amis"]
    listed = {item["region"]: item["ami"] for item in app.run("images", "--json").images}
    assert listed == outcome["amis"]


def test_ami_in_a_template_region_that_is_not_configured_is_reconciled_too(
    app: Harness, ec2: EC2Client, abroad: EC2Client
) -> None:
    app.write("ami/app.json", json_template(ami_regions=[FIRST]))
    configure(app, HOME, more='share_with = ["444455556666"]\ntags = { team = "web" }\n')
    amis = only(app.run("bake", "--json").images)["amis"]
    assert list(amis) == [HOME, FIRST]
    assert tags_of(abroad, amis[FIRST])["team"] == "web"
    asked = abroad.describe_image_attribute(ImageId=amis[FIRST], Attribute="launchPermission")
    assert asked["LaunchPermissions"] == [{"UserId": "444455556666"}]
    app.control.clear_report()
    assert {item["region"]: item["ami"] for item in app.run("images", "--json").images} == amis
    assert app.calls() == {"DescribeImages": 3}, "the AMIs of both regions, and the base"
    assert app.run("plan", "--detailed-exitcode").status == 0
    abroad.deregister_image(ImageId=amis[FIRST])
    repaired = only(app.run("bake", "--json").images)
    assert (repaired["outcome"], list(repaired["amis"]), app.packer_runs) == ("copied", [HOME, FIRST], 1)


@pytest.mark.parametrize("keys", [f'"{KEY}"', f'{{ {FIRST} = "{KEY}" }}'])
def test_key_for_a_region_that_the_template_builds_in_is_refused(app: Harness, keys: str) -> None:
    app.write("ami/app.json", json_template(ami_regions=[FIRST]))
    configure(app, HOME, FIRST, more=f"kms_key = {keys}\n")
    said = f"kms_key has a key for copies in {FIRST}, but amazon-ebs already creates AMIs there"
    for command in ("plan", "bake"):
        run = app.run(command)
        assert (run.status, app.packer_runs) == (1, 0)
        assert said in run.stderr
        assert "(bakery.toml:7)" in run.stderr
    run = app.run("check")
    assert (run.status, said in run.stdout) == (1, True)


def test_region_that_packer_announced_but_did_not_create_gets_no_digest(app: Harness, ec2: EC2Client) -> None:
    app.write("ami/app.json", json_template(ami_regions=[FIRST]))
    configure(app, HOME, FIRST)
    # The real Packer; its line about the second region is lost.
    itself = app.folder.parent / "bin" / "packer-itself"
    (app.folder.parent / "bin" / "packer").rename(itself)
    lost, comma = f"{FIRST}:ami-[0-9a-f]*", "%!(PACKER_COMMA)"
    app.program("packer", f"#!/bin/sh\n{itself} \"$@\" | sed 's/{comma}{lost}//; s/{lost}{comma}//'\n")
    run = app.run("bake")
    assert run.status == 1
    assert f"the template's ami_regions has {FIRST}, but Packer created ami-" in run.stderr
    (image,) = ec2.describe_images(Owners=["self"])["Images"]
    assert DIGEST_TAG not in tags_of(ec2, image["ImageId"])


def test_failed_copy_is_removed_and_failed_copies_do_not_accumulate(app: Harness, abroad: EC2Client) -> None:
    """EC2 accepts a request with an unusable key, and the copy fails."""
    missing = f"arn:aws:kms:{FIRST}:999999999999:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    configure(app, HOME, FIRST, more=f'kms_key = "{missing}"\n')
    for attempt in (1, 2):
        run = app.run("bake", "--json")
        failed = only(run.images)
        assert (run.status, list(failed["amis"])) == (1, [HOME])
        assert "its state is failed: Copy image failed with an internal error." in failed["error"]
        assert f"Check that the key {missing} exists" in failed["error"]
        assert abroad.describe_images(Owners=["self"])["Images"] == []
        assert abroad.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
        assert (app.packer_runs, app.calls()["CopyImage"]) == (1, attempt)
    configure(app, HOME, FIRST, more=f'kms_key = "{KEY}"\n')
    assert only(app.run("bake", "--json").images)["outcome"] == "copied"
