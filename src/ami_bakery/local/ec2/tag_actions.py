"""EC2's actions on tags where moto is lax: all of a call's resources or none, key pairs, filters, pages, late news."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError, MissingParameterError
from moto.ec2.models import validate_resource_ids
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

from ami_bakery.local.ec2.image_actions import StrictResponse, check_tags
from ami_bakery.local.ec2.local_images import AnyOf, check_value_count, prepared

_FILTERS = frozenset({"key", "value", "resource-id", "resource-type"})


class TagActions(StrictResponse):
    """The actions, named as moto dispatches them."""

    def create_tags(self) -> ActionResult:
        """Nothing is tagged where one of the resources does not exist, or would have too many tags."""
        tags = {tag["Key"]: tag.get("Value", "") for tag in self._get_param("Tags", [])}
        if not tags:
            raise MissingParameterError("tagSet")
        check_tags(tags)
        there = self._checked_resources()
        for resource in there:
            check_tags({**self.ec2_backend.tags.get(resource, {}), **tags})
        self.error_on_dryrun()
        self._tags_change(there)
        self.ec2_backend.create_tags(there, tags)
        return ActionResult({})

    def delete_tags(self) -> ActionResult:
        self._tags_change(self._get_param("Resources", []))
        return super().delete_tags()

    def describe_tags(self) -> ActionResult:
        filters: Any = self._filters_from_querystring()
        for name in filters:
            if name not in _FILTERS and not name.startswith("tag:"):
                raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        check_value_count(filters)
        self.error_on_dryrun()
        wanted = prepared(filters)
        told = [
            {"ResourceId": resource, "ResourceType": _resource_type(resource), "Key": key, "Value": value}
            for resource, tags in sorted(self._told_tags().items())
            for key, value in sorted(tags.items())
            if all(_passes(resource, key, value, name, values) for name, values in wanted.items())
        ]
        listed, token = self.page(told, "DescribeTags")
        return ActionResult({"Tags": listed, "NextToken": token})

    def _told_tags(self) -> dict[str, Mapping[str, str]]:
        backend = self.ec2_backend
        told: dict[str, Mapping[str, str]] = {}
        for resource in {*backend.tags, *backend.key_pair_news.known()}:
            tags: Mapping[str, str] | None = backend.tags.get(resource)
            if image := backend.amis.get(resource):
                tags = image.seen_tags() if image.seen() else None
            elif resource.startswith("key-"):
                tags = backend.key_pair_news.told(resource, tags, self.behaviour.lag_seconds)
            if tags:
                told[resource] = tags
        return told

    def _checked_resources(self) -> list[str]:
        """The request's resources, less those that are only thought to be there. Raises where one is not there."""
        resources: list[str] = self._get_param("Resources", [])
        validate_resource_ids(resources)
        pairs = {pair.id for pair in self.ec2_backend.key_pairs.values()}
        images = self.visible_images(self.region)
        for resource in resources:
            if resource.startswith("key-"):
                now = self.ec2_backend.tags.get(resource, {}) if resource in pairs else None
                if self.ec2_backend.key_pair_news.told(resource, now, self.behaviour.lag_seconds) is None:
                    raise EC2ClientError("InvalidKeyPair.NotFound", f"The keyPair ID '{resource}' does not exist")
            elif resource.startswith("ami-"):
                if resource not in images:
                    raise InvalidAMIIdError(resource)
            else:
                self.ec2_backend.do_resources_exist([resource])
        return [resource for resource in resources if not resource.startswith("key-") or resource in pairs]

    def _tags_change(self, resources: list[str]) -> None:
        backend = self.ec2_backend
        for resource in resources:
            if image := backend.amis.get(resource):
                image.tags_change()
            elif resource.startswith("key-"):
                backend.key_pair_news.changes(resource, backend.tags.get(resource, {}), self.behaviour.lag_seconds)


def _resource_type(resource: str) -> str:
    return EC2_PREFIX_TO_RESOURCE.get(get_prefix(resource), "")


def _passes(resource: str, key: str, value: str, name: str, values: AnyOf) -> bool:
    """One filter; `tag:KEY` asks for both at once."""
    if name.startswith("tag:"):
        return key == name[4:] and values.matches(value)
    told = {"key": key, "value": value, "resource-id": resource, "resource-type": _resource_type(resource)}
    return values.matches(told[name])
