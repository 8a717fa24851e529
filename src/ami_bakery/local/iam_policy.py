"""An IAM policy as the embedded EC2 enforces it: whether a call may be made on the resources that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ami_bakery.errors import UsageError

_RESOURCES: dict[str, tuple[tuple[str, ...], ...]] = {
    "AuthorizeSecurityGroupIngress": (("security-group", "GroupId"),),
    "CopyImage": (("image",), ("snapshot",)),
    "CreateImage": (("image",), ("instance", "InstanceId"), ("snapshot",)),
    "CreateKeyPair": (("key-pair", "KeyName"),),
    "CreateSecurityGroup": (("security-group",), ("vpc", "VpcId")),
    "CreateTags": (("", "ResourceId"),),
    "DeleteKeyPair": (("key-pair", "KeyName", "KeyPairId"),),
    "DeleteSecurityGroup": (("security-group", "GroupId"),),
    "DeleteSnapshot": (("snapshot", "SnapshotId"),),
    "DeleteTags": (("", "ResourceId"),),
    "DeleteVolume": (("volume", "VolumeId"),),
    "DeregisterImage": (("image", "ImageId"),),
    "DescribeImageAttribute": (("image", "ImageId"),),
    "DescribeSnapshotAttribute": (("snapshot", "SnapshotId"),),
    "ModifyImageAttribute": (("image", "ImageId"),),
    "ModifyInstanceAttribute": (("instance", "InstanceId"),),
    "ModifySnapshotAttribute": (("snapshot", "SnapshotId"),),
    "RunInstances": (
        ("image", "ImageId"),
        ("instance",),
        ("key-pair", "KeyName"),
        ("network-interface",),
        ("security-group", "SecurityGroupId"),
        ("subnet", "SubnetId"),
        ("volume",),
    ),
    "StopInstances": (("instance", "InstanceId"),),
    "TerminateInstances": (("instance", "InstanceId"),),
}
"""The types of resources that an action of EC2 is authorized on, each with the parameters that may name it; one without
is still to be made. Of any other action the resource is `*`. A test compares this with AWS's own reference."""
_OPTIONAL = frozenset({("RunInstances", "key-pair"), ("CreateSecurityGroup", "vpc")})
"""Authorized only where the call names one."""
_TYPES = {
    "ami": "image",
    "eni": "network-interface",
    "i": "instance",
    "key": "key-pair",
    "sg": "security-group",
    "snap": "snapshot",
    "vol": "volume",
}
"""What the beginning of an id says."""
_OF_NO_ACCOUNT = frozenset({"image", "snapshot"})
_ALWAYS_ALLOWED = frozenset({"sts:GetCallerIdentity"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A call: `action` with its service, ``ec2:CreateTags``, the resources that it is to be made on, and the tags that
    it gives them."""

    action: str
    resources: tuple[str, ...]
    region: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Statement:
    allows: bool
    actions: tuple[re.Pattern[str], ...]
    resources: tuple[re.Pattern[str], ...]
    regions: frozenset[str] | None
    tags: Mapping[str, frozenset[str]]
    """The values that a tag of the request must have one of, by the tag's name."""
    without: frozenset[str]
    """Tags that the request must not have."""

    def concerns(self, asked: Asked, resource: str) -> bool:
        return (
            any(pattern.fullmatch(asked.action) for pattern in self.actions)
            and any(pattern.fullmatch(resource) for pattern in self.resources)
            and (self.regions is None or asked.region in self.regions)
            and all(asked.tags.get(name) in values for name, values in self.tags.items())
            and self.without.isdisjoint(asked.tags)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed by one statement at least and denied by none may be done."""

    statements: tuple[_Statement, ...]

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Policy:
        """Raises ValueError for what is not modelled, rather than allow or refuse too much."""
        if set(document) - {"Version", "Id", "Statement"} or document.get("Version") != "2012-10-17":
            raise ValueError('a policy has "Version": "2012-10-17" and "Statement"')
        return cls(tuple(_statement(statement) for statement in _listed(document.get("Statement", ()))))

    def refused(self, asked: Asked) -> str | None:
        """The first resource on which the call may not be made; None where there is none."""
        if asked.action in _ALWAYS_ALLOWED:
            return None
        for resource in asked.resources:
            concerned = [statement for statement in self.statements if statement.concerns(asked, resource)]
            if not concerned or not all(statement.allows for statement in concerned):
                return resource
        return None


def read_policy(path: str) -> str:
    """The JSON of a policy in a file. Raises `UsageError` where it is none, or holds something that is not modelled."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        Policy.parse(json.loads(text))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        wrong = (error.strerror if isinstance(error, OSError) else "") or str(error)
        todo = 'Name a file with an IAM policy: {"Version": "2012-10-17", "Statement": [...]}.'
        raise UsageError(f"reading the policy {path}", wrong, todo) from None
    return text


def calls(
    service: str,
    action: str,
    parameters: Mapping[str, str],
    *,
    region: str,
    account: str,
    key_names: Mapping[str, str],
) -> Iterator[Asked]:
    """What one API call asks for: itself, and `ec2:CreateTags` on what it makes where it gives that tags.

    parameters  as EC2's protocol has them, ``ResourceId.1``; of SSM, ``Name`` or ``Names.1``
    key_names   of the key pairs that there are, by id: a policy knows them by name
    """
    arn = _Arns(region, account)
    if service == "ssm":
        names = [value for name, value in parameters.items() if name.partition(".")[0] in ("Name", "Names")]
        resources = tuple(arn.parameter(name) for name in names)
    elif service == "ec2" and action in _RESOURCES:
        resources = tuple(_resources(action, parameters, arn, key_names))
    else:
        resources = ("*",)
    tags = _request_tags(parameters)
    yield Asked(action=f"{service}:{action}", resources=resources, region=region, tags=tags)
    for name, value in parameters.items():
        if service == "ec2" and re.fullmatch(r"TagSpecification\.\d+\.ResourceType", name):
            yield Asked(action="ec2:CreateTags", resources=(arn.of(value, "*"),), region=region, tags=tags)


def _request_tags(parameters: Mapping[str, str]) -> dict[str, str]:
    """All of one call: those of a kind of resource are not told apart."""
    named = {name: value for name, value in parameters.items() if re.search(r"(^|\.)Tag\.\d+\.Key$", name)}
    return {value: parameters.get(f"{name.removesuffix('Key')}Value", "") for name, value in named.items()}


def refusal_text(account: str, action: str, resource: str) -> str:
    """As EC2 words it, without the encoded message behind it."""
    return (
        f"You are not authorized to perform this operation. User: arn:aws:iam::{account}:user/embedded is not "
        f"authorized to perform: {action} on resource: {resource} because no identity-based policy allows the {action} "
        "action"
    )


def _resources(action: str, parameters: Mapping[str, str], arn: _Arns, key_names: Mapping[str, str]) -> Iterator[str]:
    for kind, *wanted in _RESOURCES[action]:
        named = [value for name, value in parameters.items() if _parameter(name) in wanted]
        if not named and (action, kind) not in _OPTIONAL:
            named = ["*"]
        for value in named:
            yield arn.of(kind or _type_of(value), key_names.get(value, value))


def _parameter(name: str) -> str:
    """``SecurityGroupId.1`` is one of SecurityGroupId, and so is ``NetworkInterface.1.SecurityGroupId.1``."""
    return re.sub(r"^NetworkInterface\.\d+\.", "", name).partition(".")[0]


def _type_of(resource: str) -> str:
    kind = _TYPES.get(resource.partition("-")[0])
    if kind is None:
        raise ValueError(f"the embedded EC2 does not know what {resource} is")
    return kind


@dataclass(frozen=True, slots=True)
class _Arns:
    region: str
    account: str

    def of(self, kind: str, name: str) -> str:
        account = "" if kind in _OF_NO_ACCOUNT else self.account
        return f"arn:aws:ec2:{self.region}:{account}:{kind}/{name}"

    def parameter(self, name: str) -> str:
        """AWS's own parameters are of no account."""
        account = "" if name.startswith("/aws/service/") else self.account
        return f"arn:aws:ssm:{self.region}:{account}:parameter/{name.lstrip('/')}"


def _statement(statement: Mapping[str, Any]) -> _Statement:
    unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown:
        raise ValueError(f"the embedded EC2 does not model {', '.join(sorted(unknown))} in a policy")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise ValueError('the "Effect" of a statement is Allow or Deny')
    conditions = _Conditions.of(statement.get("Condition", {}))
    return _Statement(
        allows=statement["Effect"] == "Allow",
        actions=tuple(_pattern(action, re.IGNORECASE) for action in _listed(statement["Action"])),
        resources=tuple(_pattern(resource) for resource in _listed(statement["Resource"])),
        regions=conditions.regions,
        tags=conditions.tags,
        without=frozenset(conditions.without),
    )


_REQUEST_TAG = "aws:RequestTag/"


@dataclass(slots=True)
class _Conditions:
    """StringEquals of aws:RequestedRegion or of a request's tag, and Null "true" of a request's tag."""

    regions: frozenset[str] | None = None
    tags: dict[str, frozenset[str]] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> _Conditions:
        found = cls()
        for operator, keys in document.items():
            for key, value in keys.items():
                found._add(operator, key, value)
        return found

    def _add(self, operator: str, key: str, value: Any) -> None:
        tag = key.removeprefix(_REQUEST_TAG)
        if operator == "StringEquals" and key == "aws:RequestedRegion":
            self.regions = frozenset(_listed(value))
        elif operator == "StringEquals" and tag != key:
            self.tags[tag] = frozenset(_listed(value))
        elif operator == "Null" and tag != key and value in ("true", True):
            self.without.append(tag)
        else:
            raise ValueError(
                "the embedded EC2 models these conditions: StringEquals of aws:RequestedRegion or "
                f'{_REQUEST_TAG}..., and Null "true" of {_REQUEST_TAG}...; not {operator} of {key}'
            )


def _pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """`*` stands for any characters, `?` for one."""
    if "${" in text:
        raise ValueError(f"the embedded EC2 does not model policy variables: {text}")
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), flags)


def _listed(value: Any) -> Iterable[Any]:
    return (value,) if isinstance(value, str | Mapping) else value
