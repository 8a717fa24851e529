"""A test of an AMI that is interrupted."""

from __future__ import annotations

import signal

from mypy_boto3_ec2 import EC2Client

from tests.harness import TOML, Harness, json_template, leftover_resources
from tests.processes import bake_until


def test_interrupted_test_leaves_nothing_and_the_next_run_tests_the_same_ami(app: Harness, ec2: EC2Client) -> None:
    template = json_template(source_ami="{{user `source_ami`}}", ami_name="made-by-test-{{uuid}}", tags={})
    template["variables"]["source_ami"] = ""
    del template["builders"][0]["source_ami_filter"]
    app.write("bakery.toml", f'{TOML}test = "tests/app.json"\n')
    app.write(
        "tests/app.json", template | {"provisioners": [{"type": "shell-local", "inline": ["echo at work; sleep 60"]}]}
    )
    process = bake_until(app, "amazon-ebs: at work")
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 130, stderr
    assert leftover_resources(ec2, locks=False) == []
    (ami,) = [image["ImageId"] for image in ec2.describe_images(Owners=["self"])["Images"]]
    app.write("tests/app.json", template)
    assert app.run("bake").answer == ami
    assert app.packer_runs == 3
    assert leftover_resources(ec2) == []
