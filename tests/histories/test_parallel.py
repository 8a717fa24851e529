"""Several images at once: in parallel if they are independent, otherwise in order, and stopped together."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from tests.harness import Harness, json_template

HEAD = 'version = 1\n[defaults]\nregions = ["us-east-1"]\n'


def image(harness: Harness, name: str, *inline: str, base: str | None = None) -> str:
    """Returns an image's table. The image's build runs these local commands."""
    template: dict[str, Any] = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": [*inline, "true"]}]
    if base is not None:
        del template["builders"][0]["source_ami_filter"]
        template["builders"][0]["source_ami"] = "{{user `source_ami`}}"
        template["variables"]["source_ami"] = ""
    harness.write(f"{name}/{name}.json", template)
    made_from = f'from = "{base}"\n' if base else ""
    return f'[images.{name}]\ntemplate = "{name}/{name}.json"\n{made_from}'


def meeting(harness: Harness, own: str, other: str) -> str:
    """Returns commands that announce themselves and wait for the other: two such builds must run in parallel."""
    folder = harness.folder.parent
    wait = f"for i in $(seq 6000); do [ -e {folder}/{other} ] && exit 0; sleep 0.1; done; exit 1"
    return f"touch {folder}/{own}; {wait}"


def test_independent_images_bake_in_parallel(harness: Harness) -> None:
    tables = [image(harness, one, meeting(harness, one, other)) for one, other in (("a", "b"), ("b", "a"))]
    harness.write("bakery.toml", HEAD + "".join(tables))
    run = harness.run("bake", "--json")
    assert run.status == 0, run.stderr
    assert [(item["image"], item["outcome"]) for item in run.images] == [("a", "baked"), ("b", "baked")]


def test_diamond_bakes_in_order_and_a_failure_stops_its_dependents(harness: Harness) -> None:
    harness.write(
        "bakery.toml",
        HEAD
        + image(harness, "leaf", base="broken")
        + image(harness, "broken", "exit 3", base="root")
        + image(harness, "root")
        + image(harness, "sound", base="root"),
    )
    run = harness.run("bake", "--json")
    outcomes = {item["image"]: item for item in run.images}
    assert run.status == 1
    assert {name: item["outcome"] for name, item in outcomes.items()} == {
        "leaf": "failed",
        "broken": "failed",
        "root": "baked",
        "sound": "baked",
    }
    assert "its base broken failed" in outcomes["leaf"]["error"]
    assert harness.packer_runs == 3


def test_with_one_job_images_bake_one_after_the_other(harness: Harness) -> None:
    folder = harness.folder.parent
    alone = f"mkdir {folder}/at-work && sleep 0.3 && rmdir {folder}/at-work"
    harness.write("bakery.toml", HEAD + "".join(image(harness, name, alone) for name in "abc"))
    run = harness.run("bake", "--jobs", "1")
    assert run.status == 0, run.stderr
    assert len(run.stdout.splitlines()) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_reaches_every_packer(harness: Harness, ec2: EC2Client, number: int) -> None:
    harness.write("bakery.toml", HEAD + "".join(image(harness, name, "echo at work; sleep 60") for name in "ab"))
    process = harness.start("bake", "-v")
    assert process.stderr is not None
    seen = 0
    while seen < 2:
        line = process.stderr.readline()
        assert line, "it ended before both were at work"
        seen += line.rstrip().endswith("amazon-ebs: at work")
    process.send_signal(number)
    out, rest = process.communicate(timeout=300)
    assert (process.returncode, out) == (130, ""), rest
    instances = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    assert {instance["State"]["Name"] for instance in instances} == {"terminated"}
    assert len(instances) == 2
    assert ec2.describe_key_pairs()["KeyPairs"] == []


def test_with_fail_fast_the_first_failure_stops_everything(harness: Harness, ec2: EC2Client) -> None:
    at_work = harness.folder.parent / "at-work"
    fail_late = f"for i in $(seq 200); do [ -e {at_work} ] && exit 3; sleep 0.1; done"
    harness.write(
        "bakery.toml",
        HEAD
        + image(harness, "broken", fail_late)
        + image(harness, "long", f"touch {at_work}; sleep 60")
        + image(harness, "waiting")
        + image(harness, "leaf", base="long"),
    )
    run = harness.run("bake", "--fail-fast", "--jobs", "2", "--json")
    errors = {item["image"]: item["error"] for item in run.images}
    assert (run.status, harness.packer_runs) == (1, 2)
    assert {item["outcome"] for item in run.images} == {"failed"}
    assert "Packer exited with" in errors["broken"]
    for name in ("long", "waiting", "leaf"):
        assert "it was stopped because broken failed" in errors[name]
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    instances = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    assert {instance["State"]["Name"] for instance in instances} == {"terminated"}


def test_with_fail_fast_nothing_starts_if_an_image_cannot_be_defined(harness: Harness) -> None:
    harness.write("bakery.toml", HEAD + image(harness, "sound") + '[images.broken]\ntemplate = "absent.json"\n')
    run = harness.run("bake", "--fail-fast", "--json")
    errors = {item["image"]: item["error"] for item in run.images}
    assert (run.status, harness.packer_runs) == (1, 0)
    assert "it was stopped because broken failed" in errors["sound"]
    assert "absent.json" in errors["broken"]


def test_interruption_ends_the_wait_for_a_copy(harness: Harness) -> None:
    harness.write("bakery.toml", HEAD.replace('"]', '", "eu-west-1"]') + image(harness, "a"))
    assert harness.run("bake", "--region", "us-east-1").status == 0
    harness.control.change(pending_seconds=600)
    process = harness.start("bake")
    assert process.stderr is not None
    while "copying ami-" not in (line := process.stderr.readline()):
        assert line, "it ended before it waited"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    assert process.returncode == 130, "it did not wait for the copy"
