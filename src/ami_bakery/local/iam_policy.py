"""Evaluates an IAM policy for calls to the embedded EC2."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ami_bakery.errors import UsageError

_ALWAYS_ALLOWED = frozenset({"sts:GetCallerIdentity"})


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRequest:
    """A call to authorize.

    action     with its service: ``ec2:CreateTags``
    resources  ARNs
    tags       tags of the request
    via        the service that calls for the user (`aws:CalledVia`); empty for the user's own calls
    """

    action: str
    resources: tuple[str, ...]
    region: str
    tags: Mapping[str, str] = field(default_factory=dict)
    via: str = ""


TagsOf = Callable[[str], Mapping[str, str]]
"""Returns the tags of an existing resource, by its ARN."""


@dataclass(frozen=True, slots=True)
class _TagConditions:
    """Conditions on the tags of a request or a resource.

    values   the allowed values of tags that must exist, by name
    present  names of tags that must exist
    absent   names of tags that must not exist
    """

    values: Mapping[str, frozenset[str]]
    present: frozenset[str]
    absent: frozenset[str]

    def hold(self, tags: Mapping[str, str]) -> bool:
        return (
            all(tags.get(name) in values for name, values in self.values.items())
            and self.present <= set(tags)
            and self.absent.isdisjoint(tags)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Statement:
    allows: bool
    actions: tuple[re.Pattern[str], ...]
    resources: tuple[re.Pattern[str], ...]
    regions: frozenset[str] | None
    services: frozenset[str] | None
    """The services that must call for the user."""
    request_tags: _TagConditions
    resource_tags: _TagConditions

    def applies_to(self, request: PolicyRequest, resource: str, tags_of: TagsOf) -> bool:
        return (
            any(pattern.fullmatch(request.action) for pattern in self.actions)
            and any(pattern.fullmatch(resource) for pattern in self.resources)
            and (self.regions is None or request.region in self.regions)
            and (self.services is None or request.via in self.services)
            and self.request_tags.hold(request.tags)
            and self.resource_tags.hold(tags_of(resource))
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """Allows a call that at least one statement allows and none denies."""

    statements: tuple[_Statement, ...]

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Policy:
        """Parses a policy document. Raises ValueError for elements that are not supported."""
        if set(document) - {"Version", "Id", "Statement"} or document.get("Version") != "2012-10-17":
            raise ValueError('a policy needs "Version": "2012-10-17" and "Statement"')
        return cls(tuple(_statement(statement) for statement in _listed(document.get("Statement", ()))))

    def refused(self, request: PolicyRequest, tags_of: TagsOf) -> str | None:
        """Returns the first resource on which the call is not allowed; None if it is allowed."""
        if request.action in _ALWAYS_ALLOWED:
            return None
        for resource in request.resources:
            concerned = [statement for statement in self.statements if statement.applies_to(request, resource, tags_of)]
            if not concerned or not all(statement.allows for statement in concerned):
                return resource
        return None


def read_policy(path: str) -> str:
    """Reads the JSON of a policy file. Raises `UsageError` if it is not a policy, or not supported."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        Policy.parse(json.loads(text))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        wrong = (error.strerror if isinstance(error, OSError) else "") or str(error)
        todo = 'Name a file with an IAM policy: {"Version": "2012-10-17", "Statement": [...]}.'
        raise UsageError(f"reading the policy {path}", wrong, todo) from None
    return text


def _statement(statement: Mapping[str, Any]) -> _Statement:
    unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown:
        raise ValueError(f"the embedded EC2 does not support {', '.join(sorted(unknown))} in a policy")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise ValueError('the "Effect" of a statement must be Allow or Deny')
    conditions = _Conditions.of(statement.get("Condition", {}))
    return _Statement(
        allows=statement["Effect"] == "Allow",
        actions=tuple(_pattern(action, re.IGNORECASE) for action in _listed(statement["Action"])),
        resources=tuple(_pattern(resource) for resource in _listed(statement["Resource"])),
        regions=conditions.regions,
        services=conditions.services,
        request_tags=conditions.tags(_REQUEST_TAG),
        resource_tags=conditions.tags(_RESOURCE_TAG),
    )


_REQUEST_TAG, _RESOURCE_TAG = "aws:RequestTag/", "aws:ResourceTag/"
_SUPPORTED = (
    "the embedded EC2 supports these conditions: StringEquals of aws:RequestedRegion, "
    f"{_REQUEST_TAG}... or {_RESOURCE_TAG}..., Null of {_REQUEST_TAG}... or {_RESOURCE_TAG}..., and "
    "ForAnyValue:StringEquals of aws:CalledVia"
)


@dataclass(slots=True)
class _Conditions:
    """The conditions of a statement. Tags are (prefix, name)."""

    regions: frozenset[str] | None = None
    services: frozenset[str] | None = None
    values: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    present: dict[tuple[str, str], bool] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> _Conditions:
        found = cls()
        for operator, keys in document.items():
            for key, value in keys.items():
                found._add(operator, key, value)
        return found

    def _add(self, operator: str, key: str, value: Any) -> None:
        # EC2 has its own name for the condition on tags of resources.
        prefix, slash, name = key.replace("ec2:ResourceTag/", _RESOURCE_TAG).partition("/")
        tag = (prefix + slash, name)
        is_tag = tag[0] in (_REQUEST_TAG, _RESOURCE_TAG)
        if operator == "StringEquals" and key == "aws:RequestedRegion":
            self.regions = frozenset(_listed(value))
        elif operator == "ForAnyValue:StringEquals" and key == "aws:CalledVia":
            self.services = frozenset(_listed(value))
        elif operator == "StringEquals" and is_tag:
            self.values[tag] = frozenset(_listed(value))
        elif operator == "Null" and is_tag and value in ("true", "false", True, False):
            self.present[tag] = value in ("false", False)
        else:
            raise ValueError(f"{_SUPPORTED}; not {operator} of {key}")

    def tags(self, prefix: str) -> _TagConditions:
        """Returns the conditions on the request's or the resource's tags."""
        wanted = {name: present for (of, name), present in self.present.items() if of == prefix}
        return _TagConditions(
            {name: values for (of, name), values in self.values.items() if of == prefix},
            frozenset(name for name, present in wanted.items() if present),
            frozenset(name for name, present in wanted.items() if not present),
        )


def _pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """Compiles a pattern: `*` matches any characters, `?` one."""
    if "${" in text:
        raise ValueError(f"the embedded EC2 does not support policy variables: {text}")
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), flags)


def _listed(value: Any) -> Iterable[Any]:
    return (value,) if isinstance(value, str | Mapping) else value
