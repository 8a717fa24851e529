"""A command of `ami-bakery local` reaches SSM and Auto Scaling of the embedded EC2, not configured endpoints."""

from __future__ import annotations

import json
import sys

from tests.harness import Harness

PROGRAM = """
import boto3, json
ssm, scaling = boto3.client("ssm"), boto3.client("autoscaling")
ssm.put_parameter(Name="/a", Value="x", Type="String")
found = ssm.get_parameter(Name="/a")["Parameter"]["Value"]
print(json.dumps([found, scaling.describe_auto_scaling_groups()["AutoScalingGroups"]]))
"""


def test_sdks_of_a_command_use_the_embedded_services(app: Harness) -> None:
    elsewhere = {"AWS_ENDPOINT_URL_SSM": "http://127.0.0.1:9", "AWS_ENDPOINT_URL_AUTO_SCALING": "http://127.0.0.1:9"}
    run = app.run("local", "--", sys.executable, "-c", PROGRAM, environment=elsewhere)
    assert run.status == 0, run.stderr
    assert json.loads(run.stdout) == ["x", []]
