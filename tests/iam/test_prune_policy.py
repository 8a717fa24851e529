"""The policy for `prune`: a real run needs all of its actions, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conftest import aws_client
from tests.faults.prune_steps import REPORTED
from tests.harness import TOML, Harness
from tests.iam.test_policies import actions_of, load, refused
from tests.iam.test_usage_policy import CALLED_BY_EC2
from tests.release.pruning import FRIEND, HOME, Stock

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws

WITHIN_DEREGISTER_IMAGE = frozenset({"ec2:DeleteSnapshot"})


def test_prune_needs_the_whole_policy_for_prune_and_nothing_more(app: Harness, local: LocalAws, ec2: EC2Client) -> None:
    """AMIs for each action, and the lock of a run that was killed."""
    policy = load("prune-policy.json")
    app.write("bakery.toml", TOML + "keep = { last = 1 }\n")
    stock = Stock(app, local)
    stock.build(1)
    back, over, old, shared, reported = (stock.build(days) for days in (40, 50, 60, 70, 80))
    stock.promote(back)
    ec2.create_launch_template(
        LaunchTemplateName="app", LaunchTemplateData={"ImageId": "resolve:ssm:/ami-bakery/app/stable"}
    )
    stock.quarantine(over, 20)
    stock.launch(old[HOME])
    aws_client(local, "autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="app",
        MinSize=0,
        MaxSize=0,
        LaunchTemplate={"LaunchTemplateName": "app", "Version": "$Latest"},
        VPCZoneIdentifier=ec2.describe_subnets()["Subnets"][0]["SubnetId"],
    )
    stock.quarantine(back, 3, FRIEND)
    for ami in (shared, reported):
        stock.share(ami[HOME])
    ec2.create_image_usage_report(ImageId=reported[HOME], ResourceTypes=REPORTED)
    digest = stock.tags(over[HOME])["ami_config_checksum"]
    tags = {"ami-bakery:lock": digest, "ami-bakery:prune": "true"}
    kind: Any = [{"ResourceType": "key-pair", "Tags": [{"Key": name, "Value": value} for name, value in tags.items()]}]
    ec2.create_key_pair(KeyName=f"ami-bakery-lock-{digest}", TagSpecifications=kind)
    app.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "4"
    app.control.enforce(policy)
    app.control.clear_report()
    run = app.run("prune", "--apply", "--limit-percent", "100")
    assert run.status == 0, run.stderr
    assert "cannot" not in run.stderr, run.stderr
    assert "could not" not in run.stderr, run.stderr
    calls = app.control.report().calls
    app.control.enforce(None)
    assert refused(calls) == []
    called = {f"{call.service}:{call.action}" for call in calls} - {"sts:GetCallerIdentity"}
    assert called | CALLED_BY_EC2 | WITHIN_DEREGISTER_IMAGE == actions_of(policy)
    states = stock.states([HOME])
    assert over[HOME] not in states
    assert (states[back[HOME]], states[reported[HOME]], states[old[HOME]]) == ("available", "disabled", "available")
