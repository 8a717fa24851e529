"""Launch templates of the embedded EC2, through real boto3: versions, defaults, aliases of AMIs, instances."""

from __future__ import annotations

from typing import Any

from ami_bakery.local import Control

from .conftest import Client, bake, base_image, tags
from .test_images import refusal


def template(ec2: Any, ami: str, name: str = "app", **options: Any) -> str:
    data = {"ImageId": ami, "InstanceType": "t3.small"}
    made = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data, **options)
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def add_version(ec2: Any, template_id: str, ami: str, **options: Any) -> int:
    call = {"LaunchTemplateId": template_id, "LaunchTemplateData": {"ImageId": ami}} | options
    version: int = ec2.create_launch_template_version(**call)["LaunchTemplateVersion"]["VersionNumber"]
    return version


def versions(ec2: Any, template_id: str, **options: Any) -> dict[int, str]:
    found = ec2.describe_launch_template_versions(LaunchTemplateId=template_id, **options)["LaunchTemplateVersions"]
    return {one["VersionNumber"]: one["LaunchTemplateData"].get("ImageId", "") for one in found}


def started(ec2: Any, **options: Any) -> str:
    made = ec2.run_instances(MinCount=1, MaxCount=1, **options)["Instances"][0]["InstanceId"]
    return str(ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]["ImageId"])


def test_template_has_numbered_versions_and_a_default(ec2: Any) -> None:
    first, second = bake(ec2, "app-1"), bake(ec2, "app-2")
    made = template(ec2, first, VersionDescription="one")
    assert add_version(ec2, made, second) == 2
    (described,) = ec2.describe_launch_templates(LaunchTemplateIds=[made])["LaunchTemplates"]
    assert (described["DefaultVersionNumber"], described["LatestVersionNumber"]) == (1, 2)
    assert versions(ec2, made) == {2: second, 1: first}
    assert versions(ec2, made, Versions=["$Latest"]) == {2: second}
    assert versions(ec2, made, Versions=["$Default", "1"]) == {1: first}
    assert versions(ec2, made, MinVersion="2") == {2: second}
    ec2.modify_launch_template(LaunchTemplateId=made, DefaultVersion="2")
    assert versions(ec2, made, Versions=["$Default"]) == {2: second}


def test_version_inherits_from_its_source_version(ec2: Any) -> None:
    first, second = bake(ec2, "app-1"), bake(ec2, "app-2")
    made = template(ec2, first)
    add_version(ec2, made, second, SourceVersion="1")
    add_version(ec2, made, second)
    found = ec2.describe_launch_template_versions(LaunchTemplateId=made)["LaunchTemplateVersions"]
    assert [one["LaunchTemplateData"].get("InstanceType") for one in found] == [None, "t3.small", "t3.small"]


def test_deleted_versions_keep_their_numbers_and_the_default_stays(ec2: Any) -> None:
    ami = bake(ec2, "app")
    made = template(ec2, ami)
    add_version(ec2, made, ami)
    answer = ec2.delete_launch_template_versions(LaunchTemplateId=made, Versions=["1", "2", "7"])
    deleted = [one["VersionNumber"] for one in answer["SuccessfullyDeletedLaunchTemplateVersions"]]
    kept = answer["UnsuccessfullyDeletedLaunchTemplateVersions"]
    assert (deleted, [(one["VersionNumber"], one["ResponseError"]["Code"]) for one in kept]) == (
        [2],
        [(1, "unexpectedError"), (7, "launchTemplateVersionDoesNotExist")],
    )
    call = ec2.delete_launch_template_versions
    assert refusal(call, LaunchTemplateId=made, Versions=["$Latest"])[0] == "InvalidParameterValue"
    assert refusal(versions, ec2=ec2, template_id=made, MinVersion="x")[0] == "InvalidParameterValue"
    assert add_version(ec2, made, ami) == 3
    assert sorted(versions(ec2, made)) == [1, 3]
    assert refusal(versions, ec2=ec2, template_id=made, Versions=["2"])[0] == "InvalidLaunchTemplateId.VersionNotFound"


def test_names_are_unique_and_well_formed(ec2: Any) -> None:
    ami = bake(ec2, "app")
    template(ec2, ami)
    assert refusal(template, ec2=ec2, ami=ami) == (
        "InvalidLaunchTemplateName.AlreadyExistsException",
        "Launch template name already in use.",
    )
    assert refusal(template, ec2=ec2, ami=ami, name="a b c")[0] == "InvalidLaunchTemplateName.MalformedException"
    call = ec2.describe_launch_templates
    assert refusal(call, LaunchTemplateNames=["absent"])[0] == "InvalidLaunchTemplateName.NotFoundException"
    assert refusal(call, LaunchTemplateIds=["lt-0123456789abcdef0"])[0] == "InvalidLaunchTemplateId.NotFound"


def test_accounts_and_regions_have_their_own_templates(ec2: Any, client: Client) -> None:
    template(ec2, bake(ec2, "app"))
    assert client(region="eu-west-1").describe_launch_templates()["LaunchTemplates"] == []
    assert client(account=1).describe_launch_templates()["LaunchTemplates"] == []


def test_repeated_client_token_creates_one_template_and_one_version(ec2: Any) -> None:
    ami = bake(ec2, "app")
    made, again = (template(ec2, ami, ClientToken="once") for _ in range(2))
    assert made == again
    assert [add_version(ec2, made, ami, ClientToken="again") for _ in range(2)] == [2, 2]


def test_templates_have_tags_filters_and_pages(ec2: Any, control: Control) -> None:
    ami = bake(ec2, "app")
    specification = [{"ResourceType": "launch-template", "Tags": [{"Key": "team", "Value": "x"}]}]
    made = template(ec2, ami, "one", TagSpecifications=specification)
    template(ec2, ami, "two")
    filters = [{"Name": "tag:team", "Values": ["x"]}]
    (found,) = ec2.describe_launch_templates(Filters=filters)["LaunchTemplates"]
    assert (found["LaunchTemplateId"], tags(found)) == (made, {"team": "x"})
    control.change(page_cap=1)
    pages = list(ec2.get_paginator("describe_launch_templates").paginate())
    assert [one["LaunchTemplateName"] for page in pages for one in page["LaunchTemplates"]] == ["one", "two"]


def test_versions_of_all_templates_are_filtered_by_ami(ec2: Any) -> None:
    first, second = bake(ec2, "app-1"), bake(ec2, "app-2")
    one = template(ec2, first, "one")
    template(ec2, second, "two")
    filters = [{"Name": "image-id", "Values": [first]}]
    found = ec2.describe_launch_template_versions(Versions=["$Latest"], Filters=filters)["LaunchTemplateVersions"]
    assert [version["LaunchTemplateId"] for version in found] == [one]
    assert refusal(ec2.describe_launch_template_versions)[0] == "InvalidParameterValue"


def test_instance_starts_from_a_template_and_the_request_overrides_it(ec2: Any) -> None:
    first, second = bake(ec2, "app-1"), bake(ec2, "app-2")
    made = template(ec2, first)
    add_version(ec2, made, second)
    assert started(ec2, LaunchTemplate={"LaunchTemplateId": made}) == first
    assert started(ec2, LaunchTemplate={"LaunchTemplateName": "app", "Version": "$Latest"}) == second
    assert started(ec2, LaunchTemplate={"LaunchTemplateId": made}, ImageId=base_image(ec2)) == base_image(ec2)
    assert refusal(ec2.run_instances, MinCount=1, MaxCount=1)[0] == "MissingParameter"


def test_template_of_a_disabled_ami_exists_and_does_not_launch(ec2: Any) -> None:
    ami = bake(ec2, "app")
    ec2.disable_image(ImageId=ami)
    made = template(ec2, ami)
    code, _ = refusal(started, ec2=ec2, LaunchTemplate={"LaunchTemplateId": made})
    assert code == "InvalidAMIID.Unavailable"


def test_template_resolves_a_parameter_when_it_is_used(ec2: Any, client: Client) -> None:
    first, second = bake(ec2, "app-1"), bake(ec2, "app-2")
    ssm = client("ssm")
    call = {"Name": "/golden", "DataType": "aws:ec2:image"}
    ssm.put_parameter(Value=first, Type="String", **call)
    made = template(ec2, "resolve:ssm:/golden")
    assert versions(ec2, made) == {1: "resolve:ssm:/golden"}
    assert versions(ec2, made, ResolveAlias=True) == {1: first}
    ssm.put_parameter(Value=second, Overwrite=True, **call)
    assert started(ec2, LaunchTemplate={"LaunchTemplateId": made}) == second
