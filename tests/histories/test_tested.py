"""Histories of an image with a test. They state the number of Packer runs after each step."""

from __future__ import annotations

from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import DIGEST_TAG, FORMAT_TAG, TEST_FAILED_TAG, TESTED_TAG
from ami_bakery.local import LocalAws
from tests.conftest import ec2_client
from tests.harness import Harness, json_template, leftover_resources
from tests.processes import bake_until, kill_everything_of, wait_until

TOML = """\
version = 1

[images.app]
template = "ami/app.json"
inputs = ["ami"]
regions = ["us-east-1"]
test = { template = "tests/app.json" }
"""


def ami_test(command: str = "true", **builder: Any) -> dict[str, Any]:
    """Returns the template of a test that runs a local command."""
    return {
        "variables": {"source_ami": ""},
        "builders": [
            {
                "type": "amazon-ebs",
                "region": "us-east-1",
                "instance_type": "t3.micro",
                "source_ami": "{{user `source_ami`}}",
                "communicator": "none",
                "ami_name": "made-by-test-{{uuid}}",
                **builder,
            }
        ],
        "provisioners": [{"type": "shell-local", "inline": [command]}],
    }


def tags_of(ec2: EC2Client, ami: str) -> dict[str, str]:
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    return {tag["Key"]: tag["Value"] for tag in image.get("Tags", [])}


def own_amis(ec2: EC2Client) -> list[str]:
    return [image["ImageId"] for image in ec2.describe_images(Owners=["self"])["Images"]]


@pytest.fixture
def tested(app: Harness) -> Harness:
    app.write("bakery.toml", TOML)
    app.write("tests/app.json", ami_test())
    # After a failed test, the lock is kept for a time that is proportional to this.
    app.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "24"
    return app


def outcome(harness: Harness, *arguments: str) -> dict[str, Any]:
    run = harness.run(*(arguments or ("bake",)), "--json")
    (image,) = run.images
    assert run.status == (1 if image["outcome"] == "failed" else 0), run.stderr
    return image


def test_packer_tests_a_new_ami_and_a_changed_test_builds_nothing(tested: Harness, ec2: EC2Client) -> None:
    first = outcome(tested)
    assert (first["outcome"], tested.packer_runs) == ("baked", 2)
    ami = first["amis"]["us-east-1"]
    tags = tags_of(ec2, ami)
    assert tags[DIGEST_TAG] == first["digest"]
    assert len(tags[TESTED_TAG]) == 64
    assert own_amis(ec2) == [ami], "the AMI that the test makes is removed"
    assert leftover_resources(ec2) == []

    assert (outcome(tested)["outcome"], tested.packer_runs) == ("reused", 2)

    tested.write("tests/app.json", ami_test("echo changed"))
    (plan,) = tested.run("plan", "--json").images
    assert plan["action"] == "test"
    again = outcome(tested)
    assert (again["outcome"], again["amis"], tested.packer_runs) == ("tested", first["amis"], 3)
    assert tags_of(ec2, ami)[TESTED_TAG] != tags[TESTED_TAG]
    assert tags_of(ec2, ami).keys() == tags.keys()

    tested.write("tests/app.json", ami_test("exit 1"))
    failed = tested.run("bake", "--json")
    (image,) = failed.images
    assert (failed.status, image["outcome"], image["amis"], tested.packer_runs) == (1, "failed", {}, 4)
    assert f"testing {ami} of image app" in image["error"]
    assert f"{ami} of us-east-1 is kept without the digest" in failed.stderr
    marked = tags_of(ec2, ami)
    assert marked[TEST_FAILED_TAG] == first["digest"]
    assert DIGEST_TAG not in marked
    assert tested.run("plan", "--json").images[0]["action"] == "test"

    tested.write("tests/app.json", ami_test("echo fixed"))
    fixed = outcome(tested)
    assert (fixed["outcome"], fixed["amis"], tested.packer_runs) == ("tested", first["amis"], 5)
    assert tags_of(ec2, ami).keys() == tags.keys()
    assert (outcome(tested)["outcome"], tested.packer_runs) == ("reused", 5)

    tested.write("ami/setup.sh", "echo changed\n")
    changed = outcome(tested)
    assert (changed["outcome"], tested.packer_runs) == ("baked", 7)
    assert sorted(own_amis(ec2)) == sorted([ami, changed["amis"]["us-east-1"]])
    assert leftover_resources(ec2) == []


def test_command_test_builds_nothing(tested: Harness, ec2: EC2Client) -> None:
    missing = tested.run("test", "--json")
    assert (missing.status, missing.images[0]["outcome"], tested.packer_runs) == (1, "failed", 0)
    assert "it has no AMI of its current definition" in missing.stderr
    ami = tested.run("bake").answer
    assert tested.packer_runs == 2
    assert (outcome(tested, "test")["outcome"], tested.packer_runs) == ("reused", 2)
    assert (outcome(tested, "test", "app", "--force")["outcome"], tested.packer_runs) == ("tested", 3)
    tested.write("tests/app.json", ami_test("echo changed"))
    assert (tested.run("test", "app", "--id").answer, tested.packer_runs) == (ami, 4)
    tested.write("tests/app.json", ami_test("exit 3"))
    assert outcome(tested, "test", "--force")["outcome"] == "failed"
    assert outcome(tested, "test")["outcome"] == "failed"
    assert tested.packer_runs == 6
    misspelt = tested.run("test", "--no-test")
    assert misspelt.status == 2
    assert "usage: ami-bakery test" in misspelt.stderr
    assert own_amis(ec2) == [ami]


def with_keys(harness: Harness, keys: str, more: str = "") -> None:
    harness.write("bakery.toml", TOML.replace('app.json" }', f'app.json", {keys} }}') + more)


def test_new_ami_that_fails_is_kept_and_tested_again_in_place_of_a_build(tested: Harness, ec2: EC2Client) -> None:
    tested.write("tests/app.json", ami_test("exit 1"))
    failed = tested.run("bake")
    assert (failed.status, failed.stdout, tested.packer_runs) == (1, "", 2)
    (ami,) = own_amis(ec2)
    assert f"{ami} of us-east-1 is kept without the digest" in failed.stderr
    assert "Script exited with non-zero exit status: 1" in failed.stderr
    digest = tested.run("digest").answer
    tags = tags_of(ec2, ami)
    assert (tags[TEST_FAILED_TAG], tags.get(DIGEST_TAG, ""), TESTED_TAG in tags) == (digest, "", False)
    assert leftover_resources(ec2) == [], "the lock is released"

    assert (tested.run("bake").status, tested.packer_runs) == (1, 3)
    tested.write("tests/app.json", ami_test())
    assert outcome(tested)["amis"] == {"us-east-1": ami}
    assert tested.packer_runs == 4
    tags = tags_of(ec2, ami)
    assert (tags[DIGEST_TAG], tags[FORMAT_TAG], TEST_FAILED_TAG in tags) == (digest, "1", False)
    assert tested.run("bake").answer == ami
    assert tested.packer_runs == 4


def test_new_ami_that_fails_is_removed_if_that_is_configured(tested: Harness, ec2: EC2Client) -> None:
    with_keys(tested, 'on_failure = "remove"')
    tested.write("tests/app.json", ami_test("exit 1"))
    failed = tested.run("bake")
    assert (failed.status, tested.packer_runs, own_amis(ec2)) == (1, 2, [])
    assert "on_failure removes ami-" in failed.stderr
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    assert (tested.run("bake").status, tested.packer_runs) == (1, 4)


def test_kept_ami_is_removed_after_the_next_failure_but_a_finished_one_never(tested: Harness, ec2: EC2Client) -> None:
    tested.write("tests/app.json", ami_test("exit 1"))
    assert tested.run("bake").status == 1
    with_keys(tested, 'on_failure = "remove"')
    assert (tested.run("bake").status, tested.packer_runs, own_amis(ec2)) == (1, 3, [])

    tested.write("tests/app.json", ami_test())
    ami = tested.run("bake").answer
    tested.write("tests/app.json", ami_test("exit 1"))
    failed = tested.run("bake")
    assert (failed.status, tested.packer_runs, own_amis(ec2)) == (1, 6, [ami])
    assert f"{ami} of us-east-1 is kept without the digest" in failed.stderr
    assert (tested.run("bake").status, tested.packer_runs, own_amis(ec2)) == (1, 7, [ami])


def test_test_that_takes_too_long_is_stopped_and_cleaned_up(tested: Harness, ec2: EC2Client) -> None:
    with_keys(tested, 'timeout = "8s"')
    tested.write("tests/app.json", ami_test("sleep 600"))
    failed = tested.run("bake")
    assert (failed.status, tested.packer_runs) == (1, 2)
    assert "it took longer than the limit of 8 seconds (timeout), so Packer was stopped" in failed.stderr
    assert leftover_resources(ec2) == []
    assert len(own_amis(ec2)) == 1


def test_test_of_another_ami_is_a_failure(tested: Harness, ec2: EC2Client) -> None:
    """`check` finds this in most templates. Here, only Packer knows the source AMI."""
    public = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    tested.write("tests/app.json", ami_test(source_ami=f"{{{{strftime `{public}`}}}}"))
    failed = tested.run("bake")
    assert failed.status == 1
    (ami,) = own_amis(ec2)
    assert f"testing {ami} of image app" in failed.stderr
    assert f"in us-east-1, not from {ami}" in failed.stderr
    assert DIGEST_TAG not in tags_of(ec2, ami)
    tested.write("tests/app.json", ami_test())
    assert tested.run("bake").answer == ami


def test_ami_that_is_deregistered_during_its_test_is_not_returned(tested: Harness, ec2: EC2Client) -> None:
    for command, words in (("", "does not exist any more"), ("; exit 1", "was deregistered during its test")):
        tested.write("ami/setup.sh", f"echo {words}\n")
        ready, go = tested.folder.parent / "ready", tested.folder.parent / "go"
        tested.write("tests/app.json", ami_test(f"touch {ready}; while [ ! -e {go} ]; do sleep 0.1; done{command}"))
        process = tested.start("bake")
        assert wait_until(ready.exists)
        (ami,) = own_amis(ec2)
        ec2.deregister_image(ImageId=ami)
        go.touch()
        stdout, stderr = process.communicate(timeout=120)
        assert (process.returncode, stdout) == (1, ""), stderr
        assert words in stderr
        tested.write("tests/app.json", ami_test())
        runs = tested.packer_runs
        assert outcome(tested)["outcome"] == "baked"
        assert tested.packer_runs == runs + 2
        for other in own_amis(ec2):
            ec2.deregister_image(ImageId=other)
        ready.unlink()
        go.unlink()


def test_ami_that_is_revoked_during_its_test_is_no_answer(tested: Harness, ec2: EC2Client) -> None:
    ready, go = tested.folder.parent / "ready", tested.folder.parent / "go"
    tested.write("tests/app.json", ami_test(f"touch {ready}; while [ ! -e {go} ]; do sleep 0.1; done"))
    process = tested.start("bake")
    assert wait_until(ready.exists)
    (ami,) = own_amis(ec2)
    assert tested.run("revoke", ami, "--reason", "bad").status == 0
    go.touch()
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (1, ""), stderr
    assert f"{ami} (us-east-1) was revoked while it was built, tested or copied: bad" in stderr
    assert leftover_resources(ec2) == []
    again = outcome(tested)
    assert again["outcome"] == "baked"
    assert again["amis"]["us-east-1"] != ami


def test_child_is_built_only_from_a_parent_that_passed_its_test(tested: Harness, ec2: EC2Client) -> None:
    child = json_template(source_ami="{{user `source_ami`}}")
    child["variables"]["source_ami"] = ""
    del child["builders"][0]["source_ami_filter"]
    tested.write("child/child.json", child)
    tested.write("bakery.toml", TOML + '\n[images.child]\ntemplate = "child/child.json"\nfrom = "app"\n')
    tested.write("tests/app.json", ami_test("exit 1"))
    failed = tested.run("bake", "--json")
    assert (failed.status, tested.packer_runs) == (1, 2)
    assert [image["outcome"] for image in failed.images] == ["failed", "failed"]
    assert "its base app failed" in failed.stderr
    tested.write("tests/app.json", ami_test())
    both = tested.run("bake", "--json")
    assert [image["outcome"] for image in both.images] == ["tested", "baked"]
    assert tested.packer_runs == 4
    tested.write("tests/app.json", ami_test("exit 1"))
    again = tested.run("bake", "child", "--json")
    assert (again.status, tested.packer_runs) == (1, 5)


def test_copies_are_made_after_the_test_and_follow_its_result(tested: Harness, ec2: EC2Client, local: LocalAws) -> None:
    europe = ec2_client(local, "eu-west-1")
    tested.write("bakery.toml", TOML.replace('["us-east-1"]', '["us-east-1", "eu-west-1"]'))
    tested.write("tests/app.json", ami_test("exit 1"))
    assert tested.run("bake").status == 1
    assert own_amis(europe) == []
    tested.write("tests/app.json", ami_test())
    first = outcome(tested)
    assert (first["outcome"], list(first["amis"])) == ("tested", ["us-east-1", "eu-west-1"])
    home, copy = first["amis"].values()
    assert tags_of(europe, copy)[TESTED_TAG] == tags_of(ec2, home)[TESTED_TAG]
    before = tags_of(europe, copy)

    tested.write("tests/app.json", ami_test("exit 1"))
    assert tested.run("bake").status == 1
    assert DIGEST_TAG not in tags_of(ec2, home)
    assert DIGEST_TAG not in tags_of(europe, copy)

    tested.write("tests/app.json", ami_test("echo fixed"))
    again = outcome(tested)
    assert (again["outcome"], again["amis"]) == ("tested", first["amis"])
    assert own_amis(europe) == [copy], "no second copy is made"
    assert tags_of(europe, copy) == before | {TESTED_TAG: tags_of(ec2, home)[TESTED_TAG]}
    runs = tested.packer_runs
    assert (outcome(tested)["outcome"], tested.packer_runs) == ("reused", runs)


@pytest.mark.parametrize("command", ["echo at work; sleep 60", "echo at work; exit 1"])
def test_next_run_tests_the_ami_of_a_run_that_was_killed_in_its_test(
    tested: Harness, ec2: EC2Client, command: str
) -> None:
    tested.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "8"
    tested.write("tests/app.json", ami_test(command))
    process = bake_until(tested, "amazon-ebs: at work")
    kill_everything_of(tested, process)
    process.communicate(timeout=120)
    assert tested.packer_runs == 2
    tested.write("tests/app.json", ami_test())
    ami = outcome(tested)
    assert (ami["outcome"], tested.packer_runs) == ("tested", 3)
    assert own_amis(ec2) == list(ami["amis"].values())
