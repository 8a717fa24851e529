"""What uses AMIs, and their end, with boto3 and the embedded EC2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ami_bakery.adapters.aws.ami_usage import BotoAmiUsage
from ami_bakery.adapters.aws.ec2 import BotoEc2
from ami_bakery.adapters.aws.session import AwsSession
from ami_bakery.core.ec2.ami import AmiState
from ami_bakery.core.ec2.usage import AmiReference, SnapshotDeletion
from ami_bakery.errors import AwsError, DeniedError, NotFoundError
from ami_bakery.local import Control, InjectedFault, LocalAws
from tests.conftest import aws_client
from tests.local.conftest import bake, launch
from tests.local.test_auto_scaling import ZONE
from tests.local.test_launch_templates import add_version, template
from tests.local.test_policy import allow, policy

HOME, OTHER = "us-east-1", "444455556666"
ABSENT = "ami-0123456789abcdef0"


@pytest.fixture
def usage(session: AwsSession) -> BotoAmiUsage:
    return BotoAmiUsage(session)


@pytest.fixture
def control(local: LocalAws) -> Iterator[Control]:
    control = Control(local.url)
    yield control
    control.enforce(None)


@pytest.fixture
def scaling(local: LocalAws) -> Iterator[Any]:
    client = aws_client(local, "autoscaling")
    yield client
    client.close()


@pytest.fixture
def ssm(local: LocalAws) -> Iterator[Any]:
    client = aws_client(local, "ssm")
    yield client
    client.close()


def shown(found: Mapping[str, tuple[AmiReference, ...]]) -> dict[str, list[str]]:
    return {ami: sorted(map(str, references)) for ami, references in found.items()}


def test_references_are_read_for_any_number_of_amis(usage: BotoAmiUsage, ec2: Any, ssm: Any, control: Control) -> None:
    control.change(page_cap=5)
    amis = sorted(control.seed(HOME, {f"app-{number}": {} for number in range(12)}).values())
    running = launch(ec2, ImageId=amis[0])["InstanceId"]
    ended = launch(ec2, ImageId=amis[1])["InstanceId"]
    ec2.terminate_instances(InstanceIds=[ended])
    deep = template(ec2, amis[11])
    for _ in range(10):
        add_version(ec2, deep, amis[0])
    for name in ("/golden/app", "golden"):
        ssm.put_parameter(Name=name, Value=amis[2], Type="String", DataType="aws:ec2:image")
    control.clear_report()
    found = usage.references(HOME, [*amis, ABSENT])
    assert control.report().count("DescribeImageReferences") == 2
    used = {ami: references for ami, references in shown(found).items() if references}
    assert used == {
        amis[0]: [f"instance {running}", f"launch template {deep}"],
        amis[2]: ["SSM parameter /golden/app", "SSM parameter golden"],
        amis[11]: [f"launch template {deep}"],
    }
    assert found.keys() == {*amis, ABSENT}


def test_groups_and_launch_configurations_name_amis(
    usage: BotoAmiUsage, ec2: Any, ssm: Any, scaling: Any, control: Control
) -> None:
    control.change(page_cap=1)
    configured, default, latest, first, channel, override = (bake(ec2, f"app-{number}") for number in range(6))
    scaling.create_launch_configuration(LaunchConfigurationName="old", ImageId=configured, InstanceType="t3.small")
    made = template(ec2, default)
    add_version(ec2, made, latest)
    numbered = template(ec2, first, "numbered")
    add_version(ec2, numbered, latest)
    ssm.put_parameter(Name="/golden", Value=channel, Type="String", DataType="aws:ec2:image")
    dynamic = template(ec2, "resolve:ssm:/golden", "dynamic")
    mixed = {
        "LaunchTemplateSpecification": {"LaunchTemplateId": numbered, "Version": "1"},
        "Overrides": [
            {"InstanceType": "t3.small", "LaunchTemplateSpecification": {"LaunchTemplateName": "dynamic"}},
            {"InstanceType": "t3.large", "ImageId": override},
        ],
    }
    sources: dict[str, dict[str, Any]] = {
        "configured": {"LaunchConfigurationName": "old"},
        "default": {"LaunchTemplate": {"LaunchTemplateId": made}},
        "latest": {"LaunchTemplate": {"LaunchTemplateId": made, "Version": "$Latest"}},
        "mixed": {"MixedInstancesPolicy": {"LaunchTemplate": mixed}},
    }
    for name, source in sources.items():
        scaling.create_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, MaxSize=0, **ZONE, **source)
    expected = {
        configured: ["Auto Scaling group configured", "launch configuration old"],
        default: ["Auto Scaling group default"],
        latest: ["Auto Scaling group latest"],
        first: ["Auto Scaling group mixed"],
        channel: ["Auto Scaling group mixed"],
        override: ["Auto Scaling group mixed"],
    }
    assert shown(usage.auto_scaling_amis(HOME)) == expected
    versions = [
        (one.template, one.version, one.ami, one.aliases) for one in usage.template_versions(HOME, [dynamic, made])
    ]
    assert versions == [
        (dynamic, 1, channel, ("$Default", "$Latest")),
        (made, 1, default, ("$Default",)),
        (made, 2, latest, ("$Latest",)),
    ]
    ec2.delete_launch_template(LaunchTemplateId=made)
    ec2.modify_launch_template(LaunchTemplateId=numbered, DefaultVersion="2")
    ec2.delete_launch_template_versions(LaunchTemplateId=numbered, Versions=["1"])
    gone = {ami: expected[ami] for ami in (configured, channel, override)}
    assert shown(usage.auto_scaling_amis(HOME)) == gone, "these groups cannot launch instances"
    assert usage.template_versions(HOME, [made]) == ()
    ssm.delete_parameter(Name="/golden")
    with pytest.raises(AwsError):
        usage.auto_scaling_amis(HOME)


def test_instances_are_listed_with_their_amis(usage: BotoAmiUsage, ec2: Any, control: Control) -> None:
    control.change(page_cap=1)
    ami, gone = bake(ec2, "app"), bake(ec2, "gone")
    instances = [launch(ec2, ImageId=ami)["InstanceId"], launch(ec2, ImageId=gone)["InstanceId"]]
    ec2.stop_instances(InstanceIds=[instances[1]])
    ec2.terminate_instances(InstanceIds=[launch(ec2, ImageId=ami)["InstanceId"]])
    ec2.deregister_image(ImageId=gone)
    listed = {one.instance: one for one in usage.instance_amis(HOME) if one.instance in instances}
    app, old = (listed[instance] for instance in instances)
    assert (app.ami, app.state, app.ami_name, app.ami_state) == (ami, "running", "app", AmiState.AVAILABLE)
    assert (old.ami, old.state, old.ami_state) == (gone, "stopped", AmiState.DEREGISTERED)
    assert app.launched is not None
    assert abs(datetime.now(UTC) - app.launched) < timedelta(hours=1)
    control.enforce(policy(allow("ec2:DescribeInstances")))
    without = {one.instance: one for one in usage.instance_amis(HOME) if one.instance in instances}
    assert [(one.ami, one.state, one.ami_name) for one in without.values()] == [
        (ami, "running", ""),
        (gone, "stopped", ""),
    ]
    control.enforce(policy(allow("ec2:DescribeImages")))
    with pytest.raises(DeniedError, match="DescribeInstances"):
        usage.instance_amis(HOME)


def test_newest_complete_usage_report_counts(usage: BotoAmiUsage, ec2: Any, local: LocalAws, control: Control) -> None:
    control.change(report_seconds=1000, usage_lag_seconds=0)
    ami, unused = bake(ec2, "app"), bake(ec2, "unused")
    ec2.modify_image_attribute(ImageId=ami, LaunchPermission={"Add": [{"UserId": OTHER}]})
    other = aws_client(local, "ec2", account=1)
    launch(other, ImageId=ami)
    other.close()
    assert usage.usage_reports(HOME, [ami, unused]) == {}
    assert usage.request_usage_report(HOME, ami)
    assert not usage.request_usage_report(HOME, ami), "the first one is pending"
    assert usage.usage_reports(HOME, [ami])[ami].used_by is None
    control.change(report_seconds=0)
    assert usage.request_usage_report(HOME, unused)
    found = usage.usage_reports(HOME, [ami, unused])
    assert {one: report.used_by for one, report in found.items()} == {ami: (OTHER,), unused: ()}
    instances = [{"ResourceType": "ec2:Instance"}]
    ec2.create_image_usage_report(ImageId=ami, ResourceTypes=instances)
    assert usage.usage_reports(HOME, [ami])[ami] == found[ami], "the newer one covers instances only"
    control.change(report_outcome="error")
    assert usage.usage_reports(HOME, [ami]) == {}, "failed reports say nothing"


def test_ami_is_disabled_and_enabled_once(usage: BotoAmiUsage, session: AwsSession, ec2: Any) -> None:
    ami = bake(ec2, "app")
    ec2.modify_image_attribute(ImageId=ami, LaunchPermission={"Add": [{"UserId": OTHER}, {"Group": "all"}]})
    store = BotoEc2(session)
    assert store.permissions(HOME, ami) == {OTHER, "all"}
    for _ in range(2):
        usage.disable(HOME, ami)
    assert ec2.describe_images(ImageIds=[ami], IncludeDisabled=True)["Images"][0]["State"] == "disabled"
    for _ in range(2):
        usage.enable(HOME, ami)
    assert store.permissions(HOME, ami) == frozenset()
    store.grant(HOME, ami, [OTHER, "all"])
    assert store.permissions(HOME, ami) == {OTHER, "all"}
    for call in (usage.disable, usage.enable):
        with pytest.raises(NotFoundError):
            call(HOME, ABSENT)


def test_deregistration_deletes_snapshots_and_returns_each_result(
    usage: BotoAmiUsage, ec2: Any, control: Control
) -> None:
    ami, failing = bake(ec2, "app"), bake(ec2, "failing")
    (snapshot,), (kept,) = (
        [
            device["Ebs"]["SnapshotId"]
            for device in ec2.describe_images(ImageIds=[one])["Images"][0]["BlockDeviceMappings"]
        ]
        for one in (ami, failing)
    )
    assert usage.snapshot_sizes(HOME, [snapshot, "snap-0123456789abcdef0"]).keys() == {snapshot}
    usage.disable(HOME, ami)
    assert usage.deregister(HOME, ami) == (SnapshotDeletion(snapshot=snapshot, code="success"),)
    assert usage.snapshot_sizes(HOME, [snapshot]) == {}
    assert usage.deregister(HOME, ami) == (), "it does not exist any more"
    control.plan(InjectedFault(action="DeleteSnapshot"))
    (result,) = usage.deregister(HOME, failing)
    assert (result.snapshot, result.code, result.deleted) == (kept, "internal-error", False)


def test_deregistration_protection_is_known_and_refuses(
    usage: BotoAmiUsage, session: AwsSession, ec2: Any, control: Control
) -> None:
    ami, store = bake(ec2, "app"), BotoEc2(session)
    ec2.enable_image_deregistration_protection(ImageId=ami, WithCooldown=True)
    (protected,) = store.find_by_id(HOME, [ami])
    assert protected.protected == "its deregistration protection is enabled-with-cooldown"
    ec2.disable_image_deregistration_protection(ImageId=ami)
    (cooling,) = store.find_by_id(HOME, [ami])
    assert cooling.protected == ""
    with pytest.raises(AwsError) as caught:
        usage.deregister(HOME, ami)
    assert caught.value.code == "OperationNotPermitted"
    control.change(cooldown_seconds=0)
    assert [result.deleted for result in usage.deregister(HOME, ami)] == [True]


def test_last_launch_is_known_a_day_later(session: AwsSession, ec2: Any, control: Control) -> None:
    ami, store = bake(ec2, "app"), BotoEc2(session)
    launch(ec2, ImageId=ami)
    (unreported,) = store.find_by_id(HOME, [ami])
    control.change(usage_lag_seconds=0)
    (reported,) = store.find_by_id(HOME, [ami])
    assert unreported.last_launched is None
    assert reported.last_launched is not None


@pytest.mark.parametrize(
    ("call", "action"),
    [
        (lambda usage: usage.references(HOME, [ABSENT]), "ec2:DescribeImageReferences"),
        (lambda usage: usage.auto_scaling_amis(HOME), "autoscaling:DescribeAutoScalingGroups"),
        (lambda usage: usage.template_versions(HOME, ["lt-1"]), "ec2:DescribeLaunchTemplateVersions"),
        (lambda usage: usage.usage_reports(HOME, [ABSENT]), "ec2:DescribeImageUsageReports"),
        (lambda usage: usage.request_usage_report(HOME, ABSENT), "ec2:CreateImageUsageReport"),
        (lambda usage: usage.disable(HOME, ABSENT), "ec2:DisableImage"),
        (lambda usage: usage.enable(HOME, ABSENT), "ec2:EnableImage"),
        (lambda usage: usage.deregister(HOME, ABSENT), "ec2:DeregisterImage"),
        (lambda usage: usage.snapshot_sizes(HOME, ["snap-1"]), "ec2:DescribeSnapshots"),
    ],
)
def test_denial_names_the_action(usage: BotoAmiUsage, control: Control, call: Any, action: str) -> None:
    control.enforce(policy(allow("ec2:DescribeRegions")))
    with pytest.raises(DeniedError) as caught:
        call(usage)
    assert action in caught.value.todo
