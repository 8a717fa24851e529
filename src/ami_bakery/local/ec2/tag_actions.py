"""EC2's tag actions, stricter than moto: atomic calls, key pairs, filters, pages, replication lag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError, MissingParameterError
from moto.ec2.models import validate_resource_ids
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

from ami_bakery.local.ec2.image_actions import StrictResponse, check_tags
from ami_bakery.local.ec2.local_images import AnyOf, check_value_count, compiled_filters

_FILTERS = frozenset({"key", "value", "resource-id", "resource-type"})


class TagActions(StrictResponse):
    """The actions, named as moto dispatches them."""

    def create_tags(self) -> ActionResult:
        """Tags all resources, or none. It tags none if one of them does not exist or would have too many tags."""
        tags = {tag["Key"]: tag.get("Value", "") for tag in self._get_param("Tags", [])}
        if not tags:
            raise MissingParameterError("tagSet")
        check_tags(tags)
        there = self._checked_resources()
        for resource in there:
            check_tags({**self.ec2_backend.tags.get(resource, {}), **tags})
        self.error_on_dryrun()
        self._prepare_tag_change(there)
        self.ec2_backend.create_tags(there, tags)
        return ActionResult({})

    def delete_tags(self) -> ActionResult:
        self._prepare_tag_change(self._get_param("Resources", []))
        return super().delete_tags()

    def describe_tags(self) -> ActionResult:
        filters: Any = self._filters_from_querystring()
        for name in filters:
            if name not in _FILTERS and not name.startswith("tag:"):
                raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        check_value_count(filters)
        self.error_on_dryrun()
        wanted = compiled_filters(filters)
        shown = [
            {"ResourceId": resource, "ResourceType": _resource_type(resource), "Key": key, "Value": value}
            for resource, tags in sorted(self._visible_tags().items())
            for key, value in sorted(tags.items())
            if all(_passes(resource, key, value, name, values) for name, values in wanted.items())
        ]
        listed, token = self.page(shown, "DescribeTags")
        return ActionResult({"Tags": listed, "NextToken": token})

    def _visible_tags(self) -> dict[str, Mapping[str, str]]:
        backend = self.ec2_backend
        shown: dict[str, Mapping[str, str]] = {}
        for resource in {*backend.tags, *backend.key_pair_lag.known()}:
            tags: Mapping[str, str] | None = backend.tags.get(resource)
            if image := backend.amis.get(resource):
                tags = image.visible_tags() if image.is_visible() else None
            elif resource.startswith("key-"):
                tags = backend.key_pair_lag.visible_tags(resource, tags, self.behaviour.lag_seconds)
            if tags:
                shown[resource] = tags
        return shown

    def _checked_resources(self) -> list[str]:
        """Returns the existing resources of the request. Raises if one is not visible."""
        resources: list[str] = self._get_param("Resources", [])
        validate_resource_ids(resources)
        pairs = {pair.id for pair in self.ec2_backend.key_pairs.values()}
        images = self.visible_images(self.region)
        for resource in resources:
            if resource.startswith("key-"):
                now = self.ec2_backend.tags.get(resource, {}) if resource in pairs else None
                if self.ec2_backend.key_pair_lag.visible_tags(resource, now, self.behaviour.lag_seconds) is None:
                    raise EC2ClientError("InvalidKeyPair.NotFound", f"The keyPair ID '{resource}' does not exist")
            elif resource.startswith("ami-"):
                if resource not in images:
                    raise InvalidAMIIdError(resource)
            else:
                self.ec2_backend.do_resources_exist([resource])
        return [resource for resource in resources if not resource.startswith("key-") or resource in pairs]

    def _prepare_tag_change(self, resources: list[str]) -> None:
        backend = self.ec2_backend
        for resource in resources:
            if image := backend.amis.get(resource):
                image.prepare_tag_change()
            elif resource.startswith("key-"):
                backend.key_pair_lag.record_change(resource, backend.tags.get(resource, {}), self.behaviour.lag_seconds)


def _resource_type(resource: str) -> str:
    return EC2_PREFIX_TO_RESOURCE.get(get_prefix(resource), "")


def _passes(resource: str, key: str, value: str, name: str, values: AnyOf) -> bool:
    """Whether a tag passes one filter; `tag:KEY` tests key and value."""
    if name.startswith("tag:"):
        return key == name[4:] and values.matches(value)
    shown = {"key": key, "value": value, "resource-id": resource, "resource-type": _resource_type(resource)}
    return values.matches(shown[name])
