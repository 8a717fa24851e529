"""One of any number of runners bakes a digest. The others return its AMI. The program and Packer are real."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import DIGEST_TAG, IMAGE_TAG, ORIGIN_TAG
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.lock.lock import ACQUIRED_TAG, HOLDER_TAG, LOCK_TAG, lock_name
from ami_bakery.local.faults import FaultKind, InjectedFault
from tests.harness import TOML, json_template, key_pairs
from tests.processes import provisioned, wait_until

from .bench import JOB, WHO, all_at_once, ended, finished, hold_lock, locks, read_until, tags_of

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_ec2 import EC2Client

    from tests.harness import Harness

ROUNDS = int(os.environ.get("AMI_BAKERY_ROUNDS", "2"))
WAITERS = int(os.environ.get("AMI_BAKERY_WAITERS", "2"))
LONG = {"AMI_BAKERY_LOCK_TTL_SECONDS": "60"}
"""For a machine on which a process may be paused for a while."""


def until(path: Path) -> str:
    return f"while [ ! -e {path} ]; do sleep 0.1; done"


def test_one_of_two_runners_bakes_and_the_other_returns_its_ami(app: Harness, ec2: EC2Client) -> None:
    go = app.folder.parent / "go"
    provisioned(app, f"echo at work; {until(go)}")
    first = app.start("bake", "-v")
    read_until(first, "amazon-ebs: at work")
    (lock,) = locks(ec2).values()
    tags = tags_of(ec2, lock)
    assert tags[LOCK_TAG] == app.run("digest").answer
    assert tags[IMAGE_TAG] == "app"
    assert f"(pid {first.pid})" in tags[HOLDER_TAG]
    assert {RUN_TAG, ACQUIRED_TAG} <= set(tags)
    waiting = app.start("bake", "--json")
    read_until(waiting, f"app: waiting: it is being baked by {tags[HOLDER_TAG]} since ")
    go.touch()
    baked, second = ended(first), ended(waiting)
    (image,) = json.loads(second.stdout)["images"]
    assert (baked.stdout, image["outcome"]) == (image["amis"]["us-east-1"], "reused")
    assert app.packer_runs == 1
    assert locks(ec2) == {}


def test_sixteen_runners_run_packer_once_and_return_the_same_ami(app: Harness, ec2: EC2Client) -> None:
    app.environment |= LONG
    for number in range(ROUNDS):
        app.write("ami/setup.sh", f"echo round {number}\n")
        runs = all_at_once(app, 16)
        assert {run.status for run in runs} == {0}, [run.stderr for run in runs if run.status]
        (answer,) = {run.stdout for run in runs}
        assert finished(ec2, app.run("digest").answer) == [answer]
        assert app.packer_runs == number + 1
        assert locks(ec2) == {}


def test_sixteen_runners_build_once_and_test_once(app: Harness, ec2: EC2Client) -> None:
    app.environment |= LONG
    app.write("bakery.toml", f'{TOML}test = "tests/app.json"\n')
    template = json_template(source_ami="{{user `source_ami`}}", ami_name="made-by-test-{{uuid}}", tags={})
    template["variables"]["source_ami"] = ""
    del template["builders"][0]["source_ami_filter"]
    app.write("tests/app.json", template)
    runs = all_at_once(app, 16)
    assert {run.status for run in runs} == {0}, [run.stderr for run in runs if run.status]
    (answer,) = {run.stdout for run in runs}
    assert finished(ec2, app.run("digest").answer) == [answer]
    assert app.packer_runs == 2
    assert locks(ec2) == {}


def test_runners_that_wait_for_a_failing_test_do_not_repeat_it(app: Harness, ec2: EC2Client) -> None:
    app.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "30"
    template = json_template(source_ami="{{user `source_ami`}}", ami_name="made-by-test-{{uuid}}", tags={})
    template["variables"]["source_ami"] = ""
    del template["builders"][0]["source_ami_filter"]
    go = app.folder.parent / "go"
    provisioners = [{"type": "shell-local", "inline": [f"echo testing; {until(go)}; exit 1"]}]
    app.write("tests/app.json", template | {"provisioners": provisioners})
    for keys, runs in (("", 2), (', on_failure = "remove"', 3)):
        app.write("bakery.toml", f'{TOML}test = {{ template = "tests/app.json"{keys} }}\n')
        first = app.start("bake", "-v")
        read_until(first, "amazon-ebs: testing")
        waiting = [app.start("bake", "--json") for _ in range(WAITERS)]
        for process in waiting:
            read_until(process, "app: waiting: it is being baked by")
        go.touch()
        assert ended(first).status == 1
        for process in waiting:
            run = ended(process)
            assert (run.status, json.loads(run.stdout)["images"][0]["outcome"]) == (1, "failed")
            assert "it failed its test in the run of " in run.stderr
        assert app.packer_runs == runs
        assert locks(ec2) == {}
        go.unlink()


def test_drop_in_mode_bakes_once_too(drop_in: Harness) -> None:
    runs = all_at_once(drop_in, 3)
    assert {run.status for run in runs} == {0}, [run.stderr for run in runs]
    assert len({run.stdout for run in runs}) == 1
    assert drop_in.packer_runs == 1


def test_unchanged_image_needs_no_call_for_the_lock(app: Harness) -> None:
    app.run("bake")
    app.control.clear_report()
    assert app.run("bake").status == 0
    assert app.calls() == {"DescribeImages": 2}, "for the base, and for the digest"
    app.control.clear_report()
    assert app.run("plan").status == 0
    assert app.calls() == {"DescribeImages": 2}


def test_no_wait_fails_at_once_and_names_the_holder(app: Harness, ec2: EC2Client) -> None:
    hold_lock(ec2, app.run("digest").answer)
    run = app.run("bake", "--no-wait")
    assert (run.status, run.stdout) == (75, "")
    assert f"it is being baked by {WHO} since " in run.stderr
    assert JOB in run.stderr
    assert app.packer_runs == 0
    assert len(locks(ec2)) == 1, "the other lock remains"


def test_no_wait_does_not_wait_for_a_bake_without_a_lock(drop_in: Harness, ec2: EC2Client) -> None:
    """The original bakery does not lock: its AMI has the digest, and is pending."""
    base = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    tagged = [{"ResourceType": "image", "Tags": [{"Key": DIGEST_TAG, "Value": drop_in.run("digest").answer}]}]
    drop_in.control.change(pending_seconds=600)
    made = ec2.copy_image(Name="theirs", SourceImageId=base, SourceRegion="us-east-1", TagSpecifications=tagged)  # type: ignore[arg-type]
    run = drop_in.run("bake", "--no-wait")
    drop_in.control.change(pending_seconds=0)
    assert (run.status, run.stdout) == (75, "")
    assert f"another run is creating {made['ImageId']} of us-east-1" in run.stderr
    assert drop_in.packer_runs == 0


def test_no_wait_takes_over_an_expired_lock(app: Harness, ec2: EC2Client) -> None:
    hold_lock(ec2, app.run("digest").answer, expired=True)
    run = app.run("bake", "--no-wait")
    assert finished(ec2, app.run("digest").answer) == [run.answer]
    assert f"taking over the lock of {WHO}" in run.stderr


def test_missing_packer_leaves_no_lock(app: Harness, ec2: EC2Client) -> None:
    (app.folder.parent / "bin/packer").unlink()
    run = app.run("bake", environment={"PATH": str(app.folder.parent / "bin")})
    assert run.status == 1
    assert "no program 'packer' on PATH" in run.stderr
    assert locks(ec2) == {}


def test_wait_timeout_fails_after_the_timeout(app: Harness, ec2: EC2Client) -> None:
    hold_lock(ec2, app.run("digest").answer)
    began = time.monotonic()
    run = app.run("bake", "--wait-timeout", "3s", "--json")
    assert time.monotonic() - began >= 3
    assert run.status == 75
    assert f"app: waiting: it is being baked by {WHO}" in run.stderr
    (image,) = run.images
    assert image["outcome"] == "failed"
    assert WHO in image["error"]
    assert app.run("bake", "--wait-timeout", "0s").status == 75
    assert app.run("bake", "--wait-timeout", "3s", "--no-wait").status == 2
    assert app.run("bake", "--wait-timeout", "soon").status == 2


def test_plan_shows_the_holder(app: Harness, ec2: EC2Client) -> None:
    lock = hold_lock(ec2, app.run("digest").answer)
    app.control.clear_report()
    (plan,) = app.run("plan", "--json").images
    assert plan["action"] == "wait"
    assert (plan["reasons"][0]["kind"], plan["reasons"][0]["subject"]) == ("being-baked", WHO)
    assert JOB in plan["reasons"][0]["detail"]
    assert app.calls()["DescribeTags"] == 2
    (forced,) = app.run("plan", "--json", "--force").images
    assert forced["action"] == "bake"
    app.control.plan(InjectedFault(action="DescribeTags", code="UnauthorizedOperation", times=2))
    denied = app.run("plan")
    assert denied.status == 0
    assert denied.stdout.startswith("+ bake")
    assert denied.stderr.count("cannot check whether another runner is building an image") == 1
    ec2.delete_key_pair(KeyPairId=lock)
    hold_lock(ec2, app.run("digest").answer, expired=True)
    assert app.run("plan", "--json").images[0]["action"] == "bake"


def test_interrupted_bake_releases_the_lock(app: Harness, ec2: EC2Client) -> None:
    provisioned(app, "echo at work; sleep 60")
    process = app.start("bake", "-v")
    read_until(process, "amazon-ebs: at work")
    assert len(locks(ec2)) == 1
    process.send_signal(signal.SIGTERM)
    assert ended(process).status == 130
    assert key_pairs(ec2) == []


def test_interrupted_wait_leaves_the_lock_of_the_other_runner(app: Harness, ec2: EC2Client) -> None:
    hold_lock(ec2, app.run("digest").answer)
    process = app.start("bake")
    read_until(process, "waiting: it is being baked")
    process.send_signal(signal.SIGINT)
    assert ended(process).status == 130
    assert len(locks(ec2)) == 1


def test_failed_bake_releases_the_lock_and_the_next_runner_tries_itself(app: Harness, ec2: EC2Client) -> None:
    ran, go = app.folder.parent / "ran", app.folder.parent / "go"
    provisioned(app, f"echo at work; [ -e {ran} ] && exit 0; touch {ran}; {until(go)}; exit 1")
    first = app.start("bake", "-v")
    read_until(first, "amazon-ebs: at work")
    waiting = app.start("bake")
    read_until(waiting, "waiting: it is being baked by")
    go.touch()
    assert ended(first).status == 1
    second = ended(waiting)
    assert finished(ec2, app.run("digest").answer) == [second.stdout]
    assert "waiting for the last holder's changes to become visible" in second.stderr
    assert app.packer_runs == 2


def test_waiting_image_uses_no_build_slot(app: Harness, ec2: EC2Client) -> None:
    app.write("other/other.json", json_template())
    app.write("bakery.toml", TOML + '[images.other]\ntemplate = "other/other.json"\n')
    app.write("child/child.json", json_template())
    digest = app.run("digest", "app").answer
    hold_lock(ec2, digest)
    run = app.run("bake", "--jobs", "1", "--wait-timeout", "20s", "--json", environment=LONG)
    assert run.status == 75
    assert [(image["image"], image["outcome"]) for image in run.images] == [("app", "failed"), ("other", "baked")]


def test_child_of_an_image_that_another_runner_bakes_is_busy_too(app: Harness, ec2: EC2Client) -> None:
    child = json_template(source_ami="{{user `source_ami`}}")
    del child["builders"][0]["source_ami_filter"]
    child["variables"]["source_ami"] = ""
    app.write("child/child.json", child)
    app.write("bakery.toml", TOML + '[images.child]\ntemplate = "child/child.json"\nfrom = "app"\n')
    hold_lock(ec2, app.run("digest", "app").answer)
    run = app.run("bake", "--no-wait")
    assert run.status == 75
    assert "its base app is being baked by another runner" in run.stderr


def test_two_runners_make_one_copy(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    app.write("bakery.toml", TOML.replace('"us-east-1"', '"us-east-1", "eu-west-1"'))
    app.control.clear_report()
    runs = all_at_once(app, 3, "--json")
    assert {run.status for run in runs} == {0}, [run.stderr for run in runs]
    assert app.control.report().count("CopyImage") == 1
    assert len({run.stdout.count(ami) for run in runs}) == 1
    assert len({line for run in runs for line in run.stdout.splitlines() if "eu-west-1" in line}) == 1
    assert app.packer_runs == 1


def test_forced_bakes_run_one_after_the_other(app: Harness) -> None:
    folder = app.folder.parent
    provisioned(app, f"mkdir {folder}/at-work && sleep 1 && rmdir {folder}/at-work")
    runs = all_at_once(app, 2, "--force")
    assert {run.status for run in runs} == {0}, [run.stderr for run in runs]
    assert len({run.stdout for run in runs}) == 2
    assert app.packer_runs == 2


def test_definition_that_changes_while_a_runner_waits_is_baked_in_its_new_state(app: Harness, ec2: EC2Client) -> None:
    before = app.run("digest").answer
    lock = hold_lock(ec2, before)
    process = app.start("bake")
    read_until(process, "waiting: it is being baked")
    app.write("ami/setup.sh", "echo moved\n")
    after = app.run("digest").answer
    ec2.delete_key_pair(KeyPairId=lock)
    baked = ended(process)
    assert baked.status == 0, baked.stderr
    assert finished(ec2, after) == [baked.stdout]
    assert finished(ec2, before) == []
    assert locks(ec2) == {}


def test_lock_is_in_the_home_region_with_its_digest(app: Harness, ec2: EC2Client) -> None:
    provisioned(app, "echo at work; sleep 60")
    process = app.start("bake", "-v", "--region", "us-east-1", "--region", "eu-west-1")
    read_until(process, "amazon-ebs: at work")
    assert list(locks(ec2)) == [lock_name(app.run("digest").answer)]
    process.send_signal(signal.SIGTERM)
    ended(process)


def test_lock_shows_the_finished_ami_at_once(app: Harness, ec2: EC2Client) -> None:
    """While the holder copies, a waiting runner that needs no copies ends."""
    app.control.plan(InjectedFault(action="CopyImage", kind=FaultKind.DELAY, seconds=600))
    holder = app.start("bake", "--region", "us-east-1", "--region", "eu-west-1", environment=LONG)
    read_until(holder, "copying ami-")
    (lock,) = locks(ec2).values()
    tags = tags_of(ec2, lock)
    assert tags[DIGEST_TAG] == app.run("digest").answer
    assert tags[ORIGIN_TAG] == app.run("bake", environment=LONG).answer
    assert len(locks(ec2)) == 1, "the holder still has it"
    app.control.clear_faults()
    assert ended(holder).status == 0
    assert locks(ec2) == {}


def test_late_visibility_makes_no_second_ami(app: Harness, ec2: EC2Client) -> None:
    """EC2 shows changes two seconds late: the second look-up may be too early, but not the third."""
    app.environment |= LONG
    app.control.change(lag_seconds=2)
    runs = all_at_once(app, 2)
    runs.append(ended(app.start("bake")))
    assert {run.status for run in runs} == {0}, [run.stderr for run in runs]
    (answer,) = {run.stdout for run in runs}
    assert wait_until(lambda: finished(ec2, app.run("digest").answer) == [answer])
