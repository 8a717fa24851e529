"""Auto Scaling groups and launch configurations of the embedded EC2, through real boto3."""

from __future__ import annotations

from typing import Any

import pytest

from ami_bakery.local import Control, InjectedFault

from .conftest import Client, bake, base_image
from .test_images import refusal
from .test_launch_templates import add_version, template

ZONE = {"AvailabilityZones": ["us-east-1a"]}


@pytest.fixture
def scaling(client: Client) -> Any:
    return client("autoscaling")


def group(scaling: Any, name: str = "app", **options: Any) -> dict[str, Any]:
    call = {"AutoScalingGroupName": name, "MinSize": 0, "MaxSize": 0} | ZONE | options
    scaling.create_auto_scaling_group(**call)
    return described(scaling, name)


def described(scaling: Any, name: str = "app") -> dict[str, Any]:
    (found,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return dict(found)


def configuration(scaling: Any, ami: str, name: str = "lc") -> None:
    scaling.create_launch_configuration(LaunchConfigurationName=name, ImageId=ami, InstanceType="t3.small")


def test_group_names_its_launch_template(scaling: Any, ec2: Any) -> None:
    made = template(ec2, bake(ec2, "app"))
    found = group(scaling, LaunchTemplate={"LaunchTemplateId": made, "Version": "$Latest"})
    assert found["LaunchTemplate"] == {
        "LaunchTemplateId": made,
        "LaunchTemplateName": "app",
        "Version": "$Latest",
    }
    assert "LaunchConfigurationName" not in found


def test_launch_configuration_names_its_ami(scaling: Any, ec2: Any) -> None:
    ami = bake(ec2, "app")
    configuration(scaling, ami)
    (found,) = scaling.describe_launch_configurations()["LaunchConfigurations"]
    assert (found["LaunchConfigurationName"], found["ImageId"]) == ("lc", ami)
    assert group(scaling, LaunchConfigurationName="lc")["LaunchConfigurationName"] == "lc"


def test_mixed_policy_keeps_the_templates_of_its_overrides(scaling: Any, ec2: Any) -> None:
    one, two = template(ec2, bake(ec2, "app-1"), "one"), template(ec2, bake(ec2, "app-2"), "two")
    launch = {
        "LaunchTemplateSpecification": {"LaunchTemplateId": one, "Version": "1"},
        "Overrides": [{"InstanceType": "t3.small", "LaunchTemplateSpecification": {"LaunchTemplateId": two}}],
    }
    group(scaling, LaunchTemplate={"LaunchTemplateId": one}, name="other")
    scaling.update_auto_scaling_group(AutoScalingGroupName="other", MixedInstancesPolicy={"LaunchTemplate": launch})
    assert "LaunchTemplate" not in described(scaling, "other")
    made = group(scaling, MixedInstancesPolicy={"LaunchTemplate": launch})
    assert "LaunchTemplate" not in made
    found = made["MixedInstancesPolicy"]["LaunchTemplate"]
    assert found["LaunchTemplateSpecification"]["LaunchTemplateId"] == one
    assert found["Overrides"][0]["LaunchTemplateSpecification"]["LaunchTemplateId"] == two


def test_ami_that_cannot_be_launched_is_refused(scaling: Any, ec2: Any, client: Client) -> None:
    absent = "ami-0123456789abcdef0"
    assert refusal(configuration, scaling=scaling, ami=absent) == (
        "ValidationError",
        f"AMI cannot be described: The image id '[{absent}]' does not exist",
    )
    foreign = bake(client(account=1), "foreign")
    made = template(ec2, foreign)
    assert refusal(group, scaling=scaling, LaunchTemplate={"LaunchTemplateId": made}) == (
        "ValidationError",
        f"You must use a valid fully-formed launch template. The image id '[{foreign}]' does not exist",
    )
    disabled = bake(ec2, "disabled")
    ec2.disable_image(ImageId=disabled)
    add_version(ec2, made, disabled)
    code, text = refusal(group, scaling=scaling, LaunchTemplate={"LaunchTemplateId": made, "Version": "2"})
    assert (code, "is currently disabled" in text) == ("ValidationError", True)


def test_override_can_name_an_ami_that_can_be_launched(scaling: Any, ec2: Any) -> None:
    made, other = template(ec2, bake(ec2, "app")), bake(ec2, "other")

    def policy(ami: str) -> dict[str, Any]:
        overrides = [{"InstanceType": "t3.small", "ImageId": ami}]
        return {"LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateId": made}, "Overrides": overrides}}

    absent = policy("ami-0123456789abcdef0")
    assert refusal(group, scaling=scaling, MixedInstancesPolicy=absent)[0] == "ValidationError"
    found = group(scaling, MixedInstancesPolicy=policy(other))["MixedInstancesPolicy"]["LaunchTemplate"]
    assert found["Overrides"][0]["ImageId"] == other


def test_unknown_templates_configurations_and_groups_are_refused(scaling: Any, ec2: Any) -> None:
    missing = {"LaunchTemplateId": "lt-0123456789abcdef0"}
    code, text = refusal(group, scaling=scaling, LaunchTemplate=missing)
    assert (code, "lt-0123456789abcdef0" in text) == ("ValidationError", True)
    made = template(ec2, bake(ec2, "app"))
    code, text = refusal(group, scaling=scaling, LaunchTemplate={"LaunchTemplateId": made, "Version": "7"})
    assert (code, "version 7" in text) == ("ValidationError", True)
    assert refusal(group, scaling=scaling, LaunchConfigurationName="x")[0] == "ValidationError"
    assert refusal(group, scaling=scaling)[0] == "ValidationError"
    assert refusal(scaling.update_auto_scaling_group, AutoScalingGroupName="x") == (
        "ValidationError",
        "AutoScalingGroup name not found - AutoScalingGroup 'x' not found",
    )


def test_names_are_unique(scaling: Any, ec2: Any) -> None:
    configuration(scaling, bake(ec2, "app"))
    assert refusal(configuration, scaling=scaling, ami=base_image(ec2))[0] == "AlreadyExists"
    group(scaling, LaunchConfigurationName="lc")
    assert refusal(group, scaling=scaling, LaunchConfigurationName="lc") == (
        "AlreadyExists",
        "AutoScalingGroup by this name already exists - A group with the name app already exists",
    )


def test_used_launch_configuration_is_not_deleted(scaling: Any, ec2: Any) -> None:
    configuration(scaling, bake(ec2, "app"))
    group(scaling, LaunchConfigurationName="lc")
    assert refusal(scaling.delete_launch_configuration, LaunchConfigurationName="lc") == (
        "ResourceInUse",
        "Cannot delete launch configuration lc because it is attached to AutoScalingGroup app",
    )
    scaling.delete_auto_scaling_group(AutoScalingGroupName="app")
    scaling.delete_launch_configuration(LaunchConfigurationName="lc")
    assert scaling.describe_launch_configurations()["LaunchConfigurations"] == []


def test_template_replaces_the_launch_configuration_of_a_group(scaling: Any, ec2: Any) -> None:
    ami = bake(ec2, "app")
    configuration(scaling, ami)
    group(scaling, LaunchConfigurationName="lc")
    made = template(ec2, ami)
    scaling.update_auto_scaling_group(AutoScalingGroupName="app", LaunchTemplate={"LaunchTemplateId": made})
    found = described(scaling)
    assert (found["LaunchTemplate"]["LaunchTemplateId"], "LaunchConfigurationName" in found) == (made, False)
    scaling.update_auto_scaling_group(AutoScalingGroupName="app", LaunchConfigurationName="lc")
    found = described(scaling)
    assert (found["LaunchConfigurationName"], "LaunchTemplate" in found) == ("lc", False)


def test_update_of_the_size_keeps_the_mixed_policy(scaling: Any, ec2: Any) -> None:
    one = template(ec2, bake(ec2, "app"), "one")
    launch = {"LaunchTemplateSpecification": {"LaunchTemplateId": one, "Version": "1"}}
    group(scaling, MixedInstancesPolicy={"LaunchTemplate": launch})
    scaling.update_auto_scaling_group(AutoScalingGroupName="app", MaxSize=3)
    found = described(scaling)
    assert (found["MaxSize"], "MixedInstancesPolicy" in found) == (3, True)


def test_sizes_are_checked(scaling: Any, ec2: Any) -> None:
    made = {"LaunchTemplateId": template(ec2, bake(ec2, "app"))}
    assert refusal(group, scaling=scaling, LaunchTemplate=made, MinSize=2, MaxSize=1) == (
        "ValidationError",
        "Max bound, 1, must be greater than or equal to min bound, 2",
    )
    assert refusal(group, scaling=scaling, LaunchTemplate=made, MaxSize=1, DesiredCapacity=2) == (
        "ValidationError",
        "Desired capacity:2 must be between the specified min size:0 and max size:1",
    )


def test_instances_of_a_group_are_instances_of_the_ami(scaling: Any, ec2: Any, client: Client) -> None:
    ami = bake(ec2, "app")
    client("ssm").put_parameter(Name="/golden", Value=ami, Type="String", DataType="aws:ec2:image")
    made = template(ec2, "resolve:ssm:/golden")
    found = group(scaling, LaunchTemplate={"LaunchTemplateId": made}, MaxSize=2, DesiredCapacity=2)
    ids = sorted(instance["InstanceId"] for instance in found["Instances"])
    references = ec2.describe_image_references(ImageIds=[ami], ResourceTypes=[{"ResourceType": "ec2:Instance"}])
    assert sorted(one["Arn"].rpartition("/")[2] for one in references["ImageReferences"]) == ids
    assert refusal(scaling.delete_auto_scaling_group, AutoScalingGroupName="app")[0] == "ResourceInUse"
    scaling.delete_auto_scaling_group(AutoScalingGroupName="app", ForceDelete=True)
    states = ec2.describe_instances(InstanceIds=ids)["Reservations"]
    assert {one["State"]["Name"] for found in states for one in found["Instances"]} == {"terminated"}


def test_group_does_not_grow_from_a_disabled_ami(scaling: Any, ec2: Any) -> None:
    ami = bake(ec2, "app")
    group(scaling, LaunchTemplate={"LaunchTemplateId": template(ec2, ami)}, MaxSize=1)
    ec2.disable_image(ImageId=ami)
    call = {"AutoScalingGroupName": "app", "DesiredCapacity": 1}
    assert refusal(scaling.set_desired_capacity, **call)[0] == "ValidationError"


def test_groups_have_pages_and_belong_to_account_and_region(
    scaling: Any, ec2: Any, client: Client, control: Control
) -> None:
    made = {"LaunchTemplateId": template(ec2, bake(ec2, "app"))}
    for number in range(3):
        group(scaling, f"app-{number}", LaunchTemplate=made)
    pages = scaling.get_paginator("describe_auto_scaling_groups").paginate(MaxRecords=2)
    assert [len(page["AutoScalingGroups"]) for page in pages] == [2, 1]
    control.change(page_cap=1)
    assert len(scaling.describe_auto_scaling_groups()["AutoScalingGroups"]) == 1
    assert refusal(scaling.describe_auto_scaling_groups, MaxRecords=101)[0] == "ValidationError"
    assert refusal(scaling.describe_auto_scaling_groups, NextToken="nonsense")[0] == "InvalidNextToken"
    for other in (client("autoscaling", "eu-west-1"), client("autoscaling", account=1)):
        assert other.describe_auto_scaling_groups()["AutoScalingGroups"] == []


def test_other_actions_and_members_are_refused_with_a_clear_error(scaling: Any, ec2: Any) -> None:
    made = {"LaunchTemplateId": template(ec2, bake(ec2, "app"))}
    group(scaling, LaunchTemplate=made)
    code, text = refusal(scaling.start_instance_refresh, AutoScalingGroupName="app")
    assert (code, "embedded EC2 does not support" in text) == ("UnsupportedOperation", True)
    code, text = refusal(group, scaling=scaling, name="other", LaunchTemplate=made, LoadBalancerNames=["lb"])
    assert (code, "LoadBalancerNames" in text) == ("UnsupportedOperation", True)


def test_throttled_call_fails(scaling: Any, control: Control) -> None:
    control.plan(InjectedFault(action="DescribeAutoScalingGroups", code="Throttling"))
    assert refusal(scaling.describe_auto_scaling_groups) == ("Throttling", "Rate exceeded")
