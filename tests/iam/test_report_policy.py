"""The policy for `report`: a real run needs all of its actions, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.faults.prune_steps import REPORTED
from tests.iam.test_policies import actions_of, load, refused
from tests.iam.test_usage_policy import CALLED_BY_EC2
from tests.release.pruning import HOME
from tests.report.fleets import RUN_TAGS, RichFleet

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws
    from tests.harness import Harness


def test_report_needs_its_whole_policy_and_nothing_more(harness: Harness, local: LocalAws, ec2: EC2Client) -> None:
    """An account with orphans of each kind, a usage report, and a launch template that names a channel."""
    fleet = RichFleet(harness, local)
    tags: Any = [{"Key": name, "Value": value} for name, value in RUN_TAGS.items()]
    zone = ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    orphans = [
        fleet.stock.launch(fleet.parent),
        ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"],
        ec2.create_security_group(GroupName="packer_1", Description="packer")["GroupId"],
    ]
    ec2.create_tags(Resources=orphans, Tags=tags)
    ec2.create_launch_template(
        LaunchTemplateName="channel", LaunchTemplateData={"ImageId": "resolve:ssm:/ami-bakery/app/stable"}
    )
    fleet.stock.share(fleet.unused[HOME])
    ec2.create_image_usage_report(ImageId=fleet.unused[HOME], ResourceTypes=REPORTED)
    policy = load("report-policy.json")
    harness.control.enforce(policy)
    harness.control.clear_report()
    run = harness.run("report", "--json")
    assert run.status == 0, run.stderr
    calls = harness.control.report().calls
    harness.control.enforce(None)
    assert refused(calls) == []
    assert run.document["unknown"] == []
    assert {each["id"] for each in run.document["orphans"]} >= set(orphans)
    called = {f"{call.service}:{call.action}" for call in calls} - {"sts:GetCallerIdentity"}
    assert called | CALLED_BY_EC2 == actions_of(policy)
