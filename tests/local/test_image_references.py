"""Who uses an AMI in the embedded EC2: DescribeImageReferences and DescribeInstanceImageMetadata."""

from __future__ import annotations

from typing import Any

import pytest

from ami_bakery.local import Control

from .conftest import Client, bake, base_image, launch
from .test_images import refusal
from .test_launch_templates import add_version, template
from .test_policy import allow, policy

EVERYTHING = {"IncludeAllResourceTypes": True}


def option(kind: str, name: str, *values: str) -> dict[str, Any]:
    return {"ResourceType": kind, "ResourceTypeOptions": [{"OptionName": name, "OptionValues": list(values)}]}


def references(ec2: Any, *amis: str, **options: Any) -> list[tuple[str, str]]:
    """Returns the type and the last part of the ARN of each reference."""
    found = ec2.describe_image_references(ImageIds=list(amis), **(options or EVERYTHING))["ImageReferences"]
    return [(one["ResourceType"], one["Arn"].rpartition("/")[2]) for one in found]


def test_instances_templates_and_parameters_reference_an_ami(ec2: Any, client: Client) -> None:
    ami = bake(ec2, "app")
    instance, made = launch(ec2, ImageId=ami)["InstanceId"], template(ec2, ami)
    client("ssm").put_parameter(Name="/golden", Value=ami, Type="String", DataType="aws:ec2:image")
    found = ec2.describe_image_references(ImageIds=[ami], **EVERYTHING)["ImageReferences"]
    assert found == [
        {
            "ImageId": ami,
            "ResourceType": "ec2:Instance",
            "Arn": f"arn:aws:ec2:us-east-1:111122223333:instance/{instance}",
        },
        {
            "ImageId": ami,
            "ResourceType": "ec2:LaunchTemplate",
            "Arn": f"arn:aws:ec2:us-east-1:111122223333:launch-template/{made}",
        },
        {
            "ImageId": ami,
            "ResourceType": "ssm:Parameter",
            "Arn": "arn:aws:ssm:us-east-1:111122223333:parameter/golden",
        },
    ]


def test_unused_and_unknown_amis_have_no_references(ec2: Any) -> None:
    assert references(ec2, bake(ec2, "app"), "ami-0123456789abcdef0") == []


def test_deregistered_and_foreign_amis_have_references(ec2: Any, client: Client) -> None:
    ami = bake(ec2, "app")
    made = template(ec2, ami)
    public = launch(ec2)
    ec2.deregister_image(ImageId=ami)
    assert references(ec2, ami) == [("ec2:LaunchTemplate", made)]
    assert ("ec2:Instance", public["InstanceId"]) in references(ec2, base_image(ec2))
    assert references(client(account=1), ami) == []
    assert references(client(region="eu-west-1"), ami) == []


def test_ten_ids_are_accepted_and_eleven_refused(ec2: Any) -> None:
    ids = [f"ami-0123456789abcde{number:02}" for number in range(11)]
    assert references(ec2, *ids[:10]) == []
    assert refusal(ec2.describe_image_references, ImageIds=ids, **EVERYTHING)[0] == "InvalidParameterValue"
    assert refusal(ec2.describe_image_references, ImageIds=["i-1"], **EVERYTHING)[0] == "InvalidAMIID.Malformed"


def test_resource_types_must_be_named(ec2: Any) -> None:
    ami = bake(ec2, "app")
    assert refusal(ec2.describe_image_references, ImageIds=[ami])[0] == "MissingParameter"
    call = ec2.describe_image_references
    assert refusal(call, ImageIds=[ami], ResourceTypes=[{"ResourceType": "ec2:Fleet"}])[0] == "InvalidParameterValue"


def test_only_the_named_resource_types_are_searched(ec2: Any) -> None:
    ami = bake(ec2, "app")
    launch(ec2, ImageId=ami)
    made = template(ec2, ami)
    types = [{"ResourceType": "ec2:LaunchTemplate"}, {"ResourceType": "imagebuilder:ImageRecipe"}]
    assert references(ec2, ami, ResourceTypes=types) == [("ec2:LaunchTemplate", made)]


def test_ten_newest_versions_are_searched_by_default(ec2: Any) -> None:
    old, new = bake(ec2, "old"), bake(ec2, "new")
    made = template(ec2, old)
    for _ in range(9):
        add_version(ec2, made, new)
    assert references(ec2, old) == [("ec2:LaunchTemplate", made)]
    add_version(ec2, made, new)
    assert references(ec2, old) == []
    depth = [option("ec2:LaunchTemplate", "version-depth", "11")]
    assert references(ec2, old, ResourceTypes=depth) == [("ec2:LaunchTemplate", made)]
    assert references(ec2, old, ResourceTypes=depth, **EVERYTHING) == [("ec2:LaunchTemplate", made)]


@pytest.mark.parametrize("depth", ["0", "10001", "-1", "x"])
def test_version_depth_is_between_1_and_10000(ec2: Any, depth: str) -> None:
    types = [option("ec2:LaunchTemplate", "version-depth", depth)]
    call = {"ImageIds": [bake(ec2, "app")], "ResourceTypes": types}
    assert refusal(ec2.describe_image_references, **call)[0] == "InvalidParameterValue"


def test_terminated_instances_count_unless_states_are_named(ec2: Any) -> None:
    ami = bake(ec2, "app")
    instance = launch(ec2, ImageId=ami)["InstanceId"]
    ec2.terminate_instances(InstanceIds=[instance])
    assert references(ec2, ami) == [("ec2:Instance", instance)]
    live = [option("ec2:Instance", "state-name", "pending", "running", "stopping", "stopped")]
    assert references(ec2, ami, ResourceTypes=live) == []
    for types in ([option("ec2:Instance", "state-name", "dead")], [option("ssm:Parameter", "state-name", "running")]):
        code, _ = refusal(ec2.describe_image_references, ImageIds=[ami], ResourceTypes=types)
        assert code == "InvalidParameterValue"


def test_parameters_of_type_text_and_old_versions_do_not_count(ec2: Any, client: Client) -> None:
    old, new, ssm = bake(ec2, "old"), bake(ec2, "new"), client("ssm")
    ssm.put_parameter(Name="/text", Value=old, Type="String")
    call = {"Name": "/golden", "DataType": "aws:ec2:image"}
    ssm.put_parameter(Value=old, Type="String", **call)
    ssm.put_parameter(Value=new, Overwrite=True, **call)
    assert references(ec2, old, new) == [("ssm:Parameter", "golden")]
    assert references(ec2, old) == []


def test_template_with_a_parameter_references_no_ami(ec2: Any, client: Client) -> None:
    ami = bake(ec2, "app")
    client("ssm").put_parameter(Name="/golden", Value=ami, Type="String", DataType="aws:ec2:image")
    template(ec2, "resolve:ssm:/golden")
    assert references(ec2, ami) == [("ssm:Parameter", "golden")]


def test_references_have_pages_of_at_least_five(ec2: Any, control: Control) -> None:
    ami = bake(ec2, "app")
    for number in range(6):
        template(ec2, ami, f"app-{number}")
    first = ec2.describe_image_references(ImageIds=[ami], MaxResults=5, **EVERYTHING)
    rest = ec2.describe_image_references(ImageIds=[ami], MaxResults=5, NextToken=first["NextToken"], **EVERYTHING)
    assert (len(first["ImageReferences"]), len(rest["ImageReferences"]), "NextToken" in rest) == (5, 1, False)


def test_references_need_permission_to_describe_the_resources(ec2: Any, control: Control) -> None:
    ami = bake(ec2, "app")
    control.enforce(policy(allow("ec2:DescribeImageReferences")))
    try:
        instances = [{"ResourceType": "ec2:Instance"}]
        code, text = refusal(ec2.describe_image_references, ImageIds=[ami], ResourceTypes=instances)
        assert (code, "ec2:DescribeInstances" in text) == ("UnauthorizedOperation", True)
        control.enforce(policy(allow(["ec2:Describe*", "ssm:DescribeParameters", "ssm:GetParameters"])))
        code, text = refusal(ec2.describe_image_references, ImageIds=[ami], **EVERYTHING)
        assert (code, "imagebuilder:" in text) == ("UnauthorizedOperation", True)
        control.enforce(policy(allow(["ec2:Describe*", "ssm:*", "imagebuilder:*"])))
        assert ec2.describe_image_references(ImageIds=[ami], **EVERYTHING)["ImageReferences"] == []
    finally:
        control.enforce(None)


def metadata(ec2: Any, **options: Any) -> dict[str, dict[str, Any]]:
    found = ec2.describe_instance_image_metadata(**options)["InstanceImageMetadata"]
    return {one["InstanceId"]: one for one in found}


def test_instance_shows_its_ami_after_the_ami_is_deregistered(ec2: Any) -> None:
    ami = bake(ec2, "app")
    instance = launch(ec2, ImageId=ami)["InstanceId"]
    shown = metadata(ec2, InstanceIds=[instance])[instance]
    assert shown["State"]["Name"] == "running"
    known = shown["ImageMetadata"]
    assert (known["ImageId"], known["Name"], known["State"], known["IsPublic"]) == (ami, "app", "available", False)
    ec2.disable_image(ImageId=ami)
    assert metadata(ec2)[instance]["ImageMetadata"]["State"] == "disabled"
    ec2.deregister_image(ImageId=ami)
    known = metadata(ec2)[instance]["ImageMetadata"]
    assert (known["ImageId"], known["Name"], known["State"]) == (ami, "app", "deregistered")


def test_instance_shows_an_ami_that_is_no_longer_shared(ec2: Any, client: Client) -> None:
    other, ami = client(account=1), bake(ec2, "app")
    share = [{"UserId": "444455556666"}]
    ec2.modify_image_attribute(ImageId=ami, LaunchPermission={"Add": share})
    instance = launch(other, ImageId=ami)["InstanceId"]
    ec2.modify_image_attribute(ImageId=ami, LaunchPermission={"Remove": share})
    known = metadata(other)[instance]["ImageMetadata"]
    assert (known["ImageId"], known["OwnerId"]) == (ami, "111122223333")
    assert instance not in metadata(ec2)


def test_instances_are_filtered_by_state_and_tag(ec2: Any) -> None:
    specification = [{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "x"}]}]
    tagged = launch(ec2, TagSpecifications=specification)["InstanceId"]
    stopped = launch(ec2)["InstanceId"]
    ec2.stop_instances(InstanceIds=[stopped])
    assert stopped not in metadata(ec2, Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    assert list(metadata(ec2, Filters=[{"Name": "tag:team", "Values": ["x"]}])) == [tagged]
    missing = ["i-0123456789abcdef0"]
    assert refusal(ec2.describe_instance_image_metadata, InstanceIds=missing)[0] == "InvalidInstanceID.NotFound"
