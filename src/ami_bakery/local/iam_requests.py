"""Finds the permissions that a call to the embedded EC2 needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ami_bakery.local.iam_policy import PolicyRequest

_RESOURCES: dict[str, tuple[tuple[str, ...], ...]] = {
    "AuthorizeSecurityGroupIngress": (("security-group", "GroupId"),),
    "CopyImage": (("image",), ("snapshot",)),
    "CreateImage": (("image",), ("instance", "InstanceId"), ("snapshot",)),
    "CreateImageUsageReport": (("image", "ImageId"), ("image-usage-report",)),
    "CreateKeyPair": (("key-pair", "KeyName"),),
    "CreateSecurityGroup": (("security-group",), ("vpc", "VpcId")),
    "CreateTags": (("", "ResourceId"),),
    "CreateLaunchTemplate": (("launch-template",),),
    "CreateLaunchTemplateVersion": (("launch-template", "LaunchTemplateId", "LaunchTemplateName"),),
    "DeleteLaunchTemplate": (("launch-template", "LaunchTemplateId", "LaunchTemplateName"),),
    "DeleteLaunchTemplateVersions": (("launch-template", "LaunchTemplateId", "LaunchTemplateName"),),
    "ModifyLaunchTemplate": (("launch-template", "LaunchTemplateId", "LaunchTemplateName"),),
    "DeleteImageUsageReport": (("image-usage-report", "ReportId"),),
    "DeleteKeyPair": (("key-pair", "KeyName", "KeyPairId"),),
    "DeleteSecurityGroup": (("security-group", "GroupId"),),
    "DeleteSnapshot": (("snapshot", "SnapshotId"),),
    "DeleteTags": (("", "ResourceId"),),
    "DeleteVolume": (("volume", "VolumeId"),),
    "DeregisterImage": (("image", "ImageId"),),
    "DisableImage": (("image", "ImageId"),),
    "DisableImageDeprecation": (("image", "ImageId"),),
    "DisableImageDeregistrationProtection": (("image", "ImageId"),),
    "EnableImage": (("image", "ImageId"),),
    "EnableImageDeprecation": (("image", "ImageId"),),
    "EnableImageDeregistrationProtection": (("image", "ImageId"),),
    "DescribeImageAttribute": (("image", "ImageId"),),
    "DescribeSnapshotAttribute": (("snapshot", "SnapshotId"),),
    "ModifyImageAttribute": (("image", "ImageId"),),
    "ModifyInstanceAttribute": (("instance", "InstanceId"),),
    "ModifySnapshotAttribute": (("snapshot", "SnapshotId"),),
    "RunInstances": (
        ("image", "ImageId"),
        ("instance",),
        ("key-pair", "KeyName"),
        ("launch-template", "LaunchTemplateId", "LaunchTemplateName"),
        ("network-interface",),
        ("security-group", "SecurityGroupId"),
        ("subnet", "SubnetId"),
        ("volume",),
    ),
    "StopInstances": (("instance", "InstanceId"),),
    "TerminateInstances": (("instance", "InstanceId"),),
}
"""By EC2 action: the resource types that it is authorized on, each with the parameters that may name the resource.
A type without parameters is created by the call. Other actions have the resource `*`. A test compares this table with
AWS's reference."""
_OPTIONAL = frozenset(
    {("RunInstances", "key-pair"), ("RunInstances", "launch-template"), ("CreateSecurityGroup", "vpc")}
)
"""Authorized only if the call names a resource."""
_TYPES = {
    "ami": "image",
    "eni": "network-interface",
    "i": "instance",
    "key": "key-pair",
    "lt": "launch-template",
    "sg": "security-group",
    "snap": "snapshot",
    "vol": "volume",
}
"""Resource types by the prefix of an id."""
_OF_NO_ACCOUNT = frozenset({"image", "snapshot"})
_ON_PARAMETERS = {
    "AddTagsToResource": "ResourceId",
    "DeleteParameter": "Name",
    "DeleteParameters": "Names",
    "GetParameter": "Name",
    "GetParameterHistory": "Name",
    "GetParameters": "Names",
    "GetParametersByPath": "Path",
    "LabelParameterVersion": "Name",
    "ListTagsForResource": "ResourceId",
    "PutParameter": "Name",
    "RemoveTagsFromResource": "ResourceId",
    "UnlabelParameterVersion": "Name",
}
"""By SSM action: the member that names the parameters that it is authorized on. Other actions have the resource `*`.
A test compares this table with AWS's reference."""
_ON_GROUPS = {
    "CreateAutoScalingGroup": ("autoScalingGroup", "AutoScalingGroupName"),
    "CreateLaunchConfiguration": ("launchConfiguration", "LaunchConfigurationName"),
    "CreateOrUpdateTags": ("autoScalingGroup", "Tags.member.1.ResourceId"),
    "DeleteAutoScalingGroup": ("autoScalingGroup", "AutoScalingGroupName"),
    "DeleteLaunchConfiguration": ("launchConfiguration", "LaunchConfigurationName"),
    "DeleteTags": ("autoScalingGroup", "Tags.member.1.ResourceId"),
    "SetDesiredCapacity": ("autoScalingGroup", "AutoScalingGroupName"),
    "UpdateAutoScalingGroup": ("autoScalingGroup", "AutoScalingGroupName"),
}
"""By Auto Scaling action: the resource type that it is authorized on, and the parameter that names the resource. Other
actions have the resource `*`. A test compares this table with AWS's reference."""
RESOLVE = "resolve:ssm:"
"""The prefix of a parameter's name in place of an AMI id."""


def calls(
    service: str,
    action: str,
    parameters: Mapping[str, str],
    *,
    region: str,
    account: str,
    names: Mapping[str, str],
) -> Iterator[PolicyRequest]:
    """Yields the permissions that one API call needs.

    parameters  in the form of EC2's protocol, ``ResourceId.1``; of SSM, ``Name`` or ``Names.1``
    names       the names that policies use, by the values that requests may have: of key pairs by id, of AMIs by
                ``resolve:ssm:NAME``
    """
    arn = RequestArns(region, account)
    if service == "ssm":
        yield from _ssm_calls(action, parameters, arn)
        return
    if service == "autoscaling":
        kind, member = _ON_GROUPS.get(action, ("", ""))
        group = arn.scaling(kind, parameters.get(member, "*")) if kind else "*"
        tags = _request_tags(parameters)
        yield PolicyRequest(action=f"autoscaling:{action}", resources=(group,), region=region, tags=tags)
        return
    if service == "ec2" and action in _RESOURCES:
        resources = tuple(_resources(action, parameters, arn, names))
    else:
        resources = ("*",)
    tags = _request_tags(parameters)
    yield PolicyRequest(action=f"{service}:{action}", resources=resources, region=region, tags=tags)
    for name, value in parameters.items():
        if service == "ec2" and re.fullmatch(r"TagSpecification\.\d+\.ResourceType", name):
            yield PolicyRequest(action="ec2:CreateTags", resources=(arn.of(value, "*"),), region=region, tags=tags)
        if service == "ec2" and action == "DescribeImageReferences":
            yield from _reference_calls(name, value, region)
        if name.rpartition(".")[2] == "ImageId" and value.startswith(RESOLVE) and action == "RunInstances":
            parameter = arn.parameter(value.removeprefix(RESOLVE))
            yield PolicyRequest(action="ssm:GetParameters", resources=(parameter,), region=region)


_REFERENCE_CALLS = {
    "ec2:Instance": ("ec2:DescribeInstances",),
    "ec2:LaunchTemplate": ("ec2:DescribeLaunchTemplates", "ec2:DescribeLaunchTemplateVersions"),
    "ssm:Parameter": ("ssm:DescribeParameters", "ssm:GetParameters"),
    "imagebuilder:ImageRecipe": ("imagebuilder:ListImageRecipes",),
    "imagebuilder:ContainerRecipe": ("imagebuilder:ListContainerRecipes", "imagebuilder:GetContainerRecipe"),
}
"""The permissions that DescribeImageReferences needs for each resource type (EC2 User Guide, "Identify your resources
referencing specified AMIs")."""
_IMAGES_SERVICE = "ec2-images.amazonaws.com"
"""The service that calls them for the user: the value of `aws:CalledVia`."""


def _reference_calls(name: str, value: str, region: str) -> Iterator[PolicyRequest]:
    """Yields the permissions for one parameter of DescribeImageReferences. The parameter names resource types."""
    kinds: Iterable[str] = ()
    if name == "IncludeAllResourceTypes" and value == "true":
        kinds = _REFERENCE_CALLS
    elif name.endswith(".ResourceType"):
        kinds = (value,)
    for action in (action for kind in kinds for action in _REFERENCE_CALLS.get(kind, ())):
        yield PolicyRequest(action=action, resources=("*",), region=region, via=_IMAGES_SERVICE)


def _ssm_calls(action: str, parameters: Mapping[str, str], arn: RequestArns) -> Iterator[PolicyRequest]:
    """Yields the permissions of an SSM call, for each parameter or path."""
    tags = _request_tags(parameters)
    if action in _ON_PARAMETERS:
        member = _ON_PARAMETERS[action]
        resources = tuple(
            arn.parameter(value) for name, value in parameters.items() if name.partition(".")[0] == member
        )
    else:
        resources = ("*",)
    yield PolicyRequest(action=f"ssm:{action}", resources=resources, region=arn.region, tags=tags)
    if action == "PutParameter" and tags:
        yield PolicyRequest(action="ssm:AddTagsToResource", resources=resources, region=arn.region, tags=tags)


def _request_tags(parameters: Mapping[str, str]) -> dict[str, str]:
    """Returns all tags of a call, without regard to the resource type."""
    named = {name: value for name, value in parameters.items() if re.search(r"(^|\.)Tags?(\.member)?\.\d+\.Key$", name)}
    return {value: parameters.get(f"{name.removesuffix('Key')}Value", "") for name, value in named.items()}


def refusal_text(account: str, action: str, resource: str) -> str:
    """Returns EC2's message, without the encoded part after it."""
    return (
        f"You are not authorized to perform this operation. User: arn:aws:iam::{account}:user/embedded is not "
        f"authorized to perform: {action} on resource: {resource} because no identity-based policy allows the {action} "
        "action"
    )


def _resources(action: str, parameters: Mapping[str, str], arn: RequestArns, names: Mapping[str, str]) -> Iterator[str]:
    for kind, *wanted in _RESOURCES[action]:
        named = [value for name, value in parameters.items() if _parameter(name) in wanted]
        if not named and (action, kind) not in _OPTIONAL:
            named = ["*"]
        for value in named:
            yield arn.of(kind or _type_of(value), names.get(value, value))


def _parameter(name: str) -> str:
    """Returns the name without indices: ``NetworkInterface.1.SecurityGroupId.1`` is ``SecurityGroupId``."""
    return re.sub(r"^(NetworkInterface\.\d+|LaunchTemplate)\.", "", name).partition(".")[0]


def _type_of(resource: str) -> str:
    kind = _TYPES.get(resource.partition("-")[0])
    if kind is None:
        raise ValueError(f"the embedded EC2 does not know the resource type of {resource}")
    return kind


@dataclass(frozen=True, slots=True)
class RequestArns:
    """Makes the ARNs of resources that a call names."""

    region: str
    account: str

    def of(self, kind: str, name: str) -> str:
        account = "" if kind in _OF_NO_ACCOUNT else self.account
        return f"arn:aws:ec2:{self.region}:{account}:{kind}/{name}"

    def scaling(self, kind: str, name: str) -> str:
        """Returns the ARN of a group or launch configuration; the UUID in it is not known before it is created."""
        return f"arn:aws:autoscaling:{self.region}:{self.account}:{kind}:*:{kind}Name/{name}"

    def parameter(self, name: str) -> str:
        """Returns the ARN of a parameter or path without its selector; AWS's public parameters have no account."""
        if name.startswith("arn:"):
            return ":".join(name.split(":")[:6])
        name = name.partition(":")[0]
        account = "" if name.startswith("/aws/service/") else self.account
        return f"arn:aws:ssm:{self.region}:{account}:parameter/{name.lstrip('/')}"
