"""SSM's actions on parameters, stricter than moto."""

from __future__ import annotations

import base64
import datetime
import re
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ssm.exceptions import InvalidResourceId, ParameterAlreadyExists, SSMException
from moto.ssm.responses import SimpleSystemManagerResponse

from ami_bakery.local.ec2.paging import ForeignTokenError, cut_page
from ami_bakery.local.http.input_constraints import CheckedResponse
from ami_bakery.local.ssm import parameter_filters
from ami_bakery.local.ssm.parameter_names import check_new_name, check_path, is_valid_label, split_selector
from ami_bakery.local.ssm.parameter_store import IMAGE_TYPE, ParameterVersion

if TYPE_CHECKING:
    from ami_bakery.local.ec2.moto_state import MotoState
    from ami_bakery.local.local_settings import Behaviour
    from ami_bakery.local.ssm.parameter_store import LocalParameters, StoredParameter

_MAX_TAGS = 50
_LIMITS = {"Standard": 4096, "Advanced": 8192}
"""The maximum size of a value in bytes, by tier."""
_UNMODELLED_TYPES = frozenset(
    {
        "aws:account:id",
        "aws:region",
        "aws:ssm:integration",
        "binary",
        "boolean",
        "email",
        "float",
        "hostname",
        "integer",
        "ipv4-address",
        "ipv6-address",
        "json",
        "jsonc",
        "url",
    }
)
_SECURE_DEFAULT_KEY = "alias/aws/ssm"


class ParameterActions(CheckedResponse, SimpleSystemManagerResponse):
    """The actions, named as moto dispatches them; moto has SSM's other actions."""

    state: MotoState
    behaviour: Behaviour
    caller: str
    """The caller's ARN."""
    may_describe_images: bool
    """Whether the caller may call DescribeImages, which validates AMI ids."""

    def violation(self, text: str) -> SSMException:
        return _invalid(text)

    @property
    def store(self) -> LocalParameters:
        return self.state.parameters(self.current_account, self.region)

    def put_parameter(self) -> ActionResult:
        name = check_new_name(self._get_param("Name"), self._arn(""))
        existing = self.store.own(name)
        overwrite, tags = bool(self._get_param("Overwrite")), _tags(self._get_param("Tags"))
        if overwrite and tags:
            raise _invalid(
                "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please "
                "remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or "
                "RemoveTagsFromResource."
            )
        if existing is not None and not overwrite:
            raise ParameterAlreadyExists
        if self._get_param("Policies"):
            raise NotImplementedError("parameter policies")
        written = self._new_version(name, existing.latest if existing else None)
        put = self.store.put(
            written,
            tags,
            validation_seconds=self.behaviour.validation_seconds,
            permitted=self.may_describe_images,
        )
        return ActionResult({"Version": put.version, "Tier": put.tier})

    def _new_version(self, name: str, existing: ParameterVersion | None) -> ParameterVersion:
        kind = self._kind(existing)
        pattern = self._get_param("AllowedPattern") or (existing.allowed_pattern if existing else None)
        value = _checked_value(self._get_param("Value"), pattern)
        description = self._get_param("Description")
        key_id = self._get_param("KeyId") or (existing.key_id if existing else None)
        if kind != "SecureString" and self._get_param("KeyId"):
            raise _invalid("KeyId is required for SecureString type parameter only.")
        return ParameterVersion(
            name=name,
            kind=kind,
            value=value,
            data_type=self._data_type(existing, kind),
            tier=_tier(self._get_param("Tier"), existing.tier if existing else None, len(value.encode())),
            modified=datetime.datetime.now(datetime.UTC),
            user=self.caller,
            description=description if description is not None or existing is None else existing.description,
            allowed_pattern=pattern,
            key_id=key_id or _SECURE_DEFAULT_KEY if kind == "SecureString" else None,
        )

    def _kind(self, existing: ParameterVersion | None) -> str:
        kind: str | None = self._get_param("Type")
        if existing is None:
            if kind is None:
                raise _invalid("A parameter type is required when you create a parameter.")
            return kind
        if kind not in (None, existing.kind):
            raise SSMException(
                "HierarchyTypeMismatchException",
                "Parameter Store doesn't support changing a parameter type in a hierarchy. For example, you can't "
                "change a parameter from a String type to a SecureString type. You must create a new, unique "
                "parameter.",
            )
        return existing.kind

    def _data_type(self, existing: ParameterVersion | None, kind: str) -> str:
        """Returns the data type. The texts of the two last errors are guesses."""
        wanted: str = self._get_param("DataType") or (existing.data_type if existing else "text")
        if wanted in _UNMODELLED_TYPES:
            raise NotImplementedError(f"data type {wanted}")
        if wanted not in ("text", IMAGE_TYPE):
            raise _invalid(f"The following data type is not supported: {wanted} (Data type names are all lowercase.)")
        if existing is not None and wanted != existing.data_type:
            raise _invalid(f"The data type of a parameter can't be changed from {existing.data_type} to {wanted}.")
        if wanted == IMAGE_TYPE and kind != "String":
            raise _invalid(f"The data type {IMAGE_TYPE} is supported only for parameters of type String.")
        return wanted

    def get_parameter(self) -> ActionResult:
        found = self._find(self._get_param("Name"))
        if found is None:
            raise _not_found()
        return ActionResult({"Parameter": self._shown(*found)})

    def get_parameters(self) -> ActionResult:
        shown, missing = {}, []
        for name in dict.fromkeys(self._get_param("Names")):
            try:
                found = self._find(name)
            except SSMException as error:
                if error.code not in ("ParameterNotFound", "ParameterVersionNotFound"):
                    raise
                found = None
            if found is None:
                missing.append(name)
            else:
                shown[name] = self._shown(*found)
        listed = [one for _, one in sorted(shown.items())]
        return ActionResult({"Parameters": listed, "InvalidParameters": missing})

    def get_parameters_by_path(self) -> ActionResult:
        path = check_path(self._get_param("Path"))
        filters = self._get_param("ParameterFilters") or []
        parameter_filters.check_by_path_filters(filters)
        recursive = bool(self._get_param("Recursive"))
        found = [
            self._shown(parameter, parameter.latest, "")
            for parameter in self.store.all(public=path.startswith("/aws/"))
            if parameter_filters.is_below(parameter.latest.name, path, recursive=recursive)
            and parameter_filters.parameter_passes(parameter, filters)
        ]
        return self._page(found, default=10)

    def get_parameter_history(self) -> ActionResult:
        name, _ = split_selector(self._get_param("Name"), self.region, self.current_account)
        parameter = self.store.get(name)
        if parameter is None:
            raise _not_found()
        shown = [
            self._described(one) | {"Value": self._value(one), "Labels": parameter.labels_of(one.version)}
            for one in parameter.versions
        ]
        return self._page(shown, default=50)

    def describe_parameters(self) -> ActionResult:
        filters = self._get_param("ParameterFilters") or []
        old_filters = self._get_param("Filters") or []
        if self._get_param("Shared"):
            raise NotImplementedError("shared parameters")
        if filters and old_filters:
            raise _invalid("You can use either Filters or ParameterFilters in a single request.")
        parameter_filters.check_describe_filters([*filters, *old_filters])
        found = [
            self._described(parameter.latest)
            for parameter in self.store.all()
            if parameter_filters.parameter_passes(parameter, [*filters, *old_filters])
        ]
        return self._page(found, default=50)

    def delete_parameter(self) -> ActionResult:
        if not self.store.delete(self._get_param("Name").strip(" ")):
            raise _not_found()
        return EmptyResult()

    def delete_parameters(self) -> ActionResult:
        names = list(dict.fromkeys(self._get_param("Names")))
        deleted = [name for name in names if self.store.delete(name.strip(" "))]
        return ActionResult(
            {"DeletedParameters": deleted, "InvalidParameters": [name for name in names if name not in deleted]}
        )

    def label_parameter_version(self) -> ActionResult:
        parameter = self._own_parameter()
        number = self._get_param("ParameterVersion")
        version = parameter.latest if number is None else parameter.version(int(number))
        labels = list(dict.fromkeys(self._get_param("Labels")))
        parameter.label(version.version, [label for label in labels if is_valid_label(label)])
        invalid = [label for label in labels if not is_valid_label(label)]
        return ActionResult({"InvalidLabels": invalid, "ParameterVersion": version.version})

    def unlabel_parameter_version(self) -> ActionResult:
        parameter = self._own_parameter()
        version = parameter.version(int(self._get_param("ParameterVersion")))
        labels = list(dict.fromkeys(self._get_param("Labels")))
        removed = [label for label in labels if parameter.labels.get(label) == version.version]
        for label in removed:
            del parameter.labels[label]
        invalid = [label for label in labels if label not in removed]
        return ActionResult({"RemovedLabels": removed, "InvalidLabels": invalid})

    def add_tags_to_resource(self) -> ActionResult:
        if self._get_param("ResourceType") != "Parameter":
            return super().add_tags_to_resource()
        tagged = self._tagged()
        tags = tagged.tags | _tags(self._get_param("Tags"))
        _check_tag_count(tags)
        tagged.tags = tags
        return EmptyResult()

    def remove_tags_from_resource(self) -> ActionResult:
        if self._get_param("ResourceType") != "Parameter":
            return super().remove_tags_from_resource()
        tagged = self._tagged()
        for key in self._get_param("TagKeys"):
            tagged.tags.pop(key, None)
        return EmptyResult()

    def list_tags_for_resource(self) -> ActionResult:
        if self._get_param("ResourceType") != "Parameter":
            return super().list_tags_for_resource()
        return ActionResult({"TagList": [{"Key": key, "Value": value} for key, value in self._tagged().tags.items()]})

    def _tagged(self) -> StoredParameter:
        found = self.store.own(self._get_param("ResourceId"))
        if found is None:
            raise InvalidResourceId
        return found

    def _own_parameter(self) -> StoredParameter:
        found = self.store.own(self._get_param("Name").strip(" "))
        if found is None:
            raise _not_found()
        return found

    def _find(self, name: str) -> tuple[StoredParameter, ParameterVersion, str] | None:
        """Returns a parameter, its requested version, and the selector; or None."""
        bare, selector = split_selector(name, self.region, self.current_account)
        parameter = self.store.get(bare)
        return (parameter, parameter.selected(selector), selector) if parameter else None

    def _shown(self, parameter: StoredParameter, version: ParameterVersion, selector: str) -> dict[str, Any]:
        return {
            "Name": version.name,
            "Type": version.kind,
            "Value": self._value(version),
            "Version": version.version,
            "Selector": f":{selector}" if selector else None,
            "LastModifiedDate": version.modified,
            "ARN": self._arn(parameter.latest.name),
            "DataType": version.data_type,
        }

    def _value(self, version: ParameterVersion) -> str:
        if version.kind != "SecureString" or self._get_param("WithDecryption"):
            return version.value
        return base64.b64encode(f"{version.key_id}:{version.value}".encode()).decode()

    def _described(self, version: ParameterVersion) -> dict[str, Any]:
        return {
            "Name": version.name,
            "ARN": self._arn(version.name),
            "Type": version.kind,
            "KeyId": version.key_id,
            "LastModifiedDate": version.modified,
            "LastModifiedUser": version.user,
            "Description": version.description,
            "AllowedPattern": version.allowed_pattern,
            "Version": version.version,
            "Tier": version.tier,
            "Policies": [],
            "DataType": version.data_type,
        }

    def _arn(self, name: str) -> str:
        account = "" if name.startswith("/aws/") else self.current_account
        return f"arn:{self.partition}:ssm:{self.region}:{account}:parameter/{name.lstrip('/')}"

    def _page(self, items: list[dict[str, Any]], *, default: int) -> ActionResult:
        size = min(int(self._get_param("MaxResults") or default), self.behaviour.page_cap)
        try:
            listed, token = cut_page(items, action=self._get_action(), size=size, token=self._get_param("NextToken"))
        except ForeignTokenError:
            raise SSMException("InvalidNextToken", "The specified token isn't valid.") from None
        return ActionResult({"Parameters": listed, "NextToken": token})


def _invalid(text: str) -> SSMException:
    return SSMException("ValidationException", text)


def _not_found() -> SSMException:
    """Returns SSM's error, which has no message."""
    return SSMException("ParameterNotFound", "")


def _checked_value(value: str, pattern: str | None) -> str:
    if not value:
        raise _invalid(
            "1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member must have length "
            "greater than or equal to 1."
        )
    if "{{" in value and "}}" in value:
        raise _invalid('Parameter value can\'t nest another parameter. Do not use "{{}}" in the value.')
    if pattern:
        try:
            compiled = re.compile(pattern)
        except re.error:
            text = f"The following regular expression is not valid: {pattern}"
            raise SSMException("InvalidAllowedPatternException", text) from None
        if not compiled.search(value):
            text = f"Parameter value, cannot be validated against allowedPattern: {pattern}"
            raise SSMException("ParameterPatternMismatchException", text)
    return value


def _tier(wanted: str | None, existing: str | None, size: int) -> str:
    """Returns the tier of a value; Intelligent-Tiering chooses the cheapest. Raises if it is too large."""
    if existing == "Advanced" and wanted == "Standard":
        raise _invalid(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
            "advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced "
            "parameter and recreate it as a standard parameter."
        )
    tier = wanted or existing or "Standard"
    if tier == "Intelligent-Tiering":
        tier = "Advanced" if existing == "Advanced" or size > _LIMITS["Standard"] else "Standard"
    if size > _LIMITS[tier]:
        advice = (
            " To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. For more "
            "information, see https://docs.aws.amazon.com/systems-manager/latest/userguide/"
            "parameter-store-advanced-parameters.html"
        )
        raise _invalid(
            f"{tier} tier parameters support a maximum parameter value of {_LIMITS[tier]} characters."
            + (advice if tier == "Standard" else "")
        )
    return tier


def _tags(tags: list[dict[str, str]] | None) -> dict[str, str]:
    found = {tag["Key"]: tag["Value"] for tag in tags or ()}
    if any(key.lower().startswith("aws:") for key in found):
        raise _invalid("Tag keys starting with 'aws:' are reserved for internal use.")  # a guess
    _check_tag_count(found)
    return found


def _check_tag_count(tags: dict[str, str]) -> None:
    if len(tags) > _MAX_TAGS:
        raise SSMException("TooManyTagsError", f"A parameter can have a maximum of {_MAX_TAGS} tags.")
