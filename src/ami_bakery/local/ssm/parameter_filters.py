"""Filters of DescribeParameters and GetParametersByPath, with AWS's rules and messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from moto.ssm.exceptions import InvalidFilterKey, InvalidFilterOption, InvalidFilterValue

from ami_bakery.local.ssm.parameter_names import check_path

if TYPE_CHECKING:
    from ami_bakery.local.ssm.parameter_store import StoredParameter

_DESCRIBE_KEYS = ("Path", "Name", "Type", "KeyId", "Tier", "DataType")
_BY_PATH_KEYS = ("Type", "KeyId", "Label")
_ENUMS = {
    "Type": ("String", "StringList", "SecureString"),
    "Tier": ("Standard", "Advanced", "Intelligent-Tiering"),
}


def check_describe_filters(filters: Iterable[Mapping[str, Any]]) -> None:
    _check(filters, _DESCRIBE_KEYS, allow_tags=True)


def check_by_path_filters(filters: Iterable[Mapping[str, Any]]) -> None:
    _check(filters, _BY_PATH_KEYS, allow_tags=False)


def _check(filters: Iterable[Mapping[str, Any]], keys: tuple[str, ...], *, allow_tags: bool) -> None:
    seen = set()
    for one in filters:
        key = one["Key"]
        if key not in keys and not (allow_tags and key.startswith("tag:")):
            raise InvalidFilterKey(
                f"The following filter key is not valid: {key}. Valid filter keys include: [{', '.join(keys)}]."
            )
        if key in seen:
            raise InvalidFilterKey(
                f"The following filter is duplicated in the request: {key}. "
                "A request can contain only one occurrence of a specific filter."
            )
        seen.add(key)
        _check_option(key, _option(one))
        _check_values(key, one.get("Values"))


def _check_option(key: str, option: str) -> None:
    valid = {"Path": ("Recursive", "OneLevel"), "Name": ("BeginsWith", "Equals", "Contains"), "Label": ("Equals",)}
    options = valid.get(key, ("BeginsWith", "Equals"))
    if option not in options:
        raise InvalidFilterOption(
            f"The following filter option is not valid: {option}. Valid options include: [{', '.join(options)}]."
        )


def _check_values(key: str, values: list[str] | None) -> None:
    if not values and not key.startswith("tag:"):
        raise InvalidFilterValue(f"The following filter values are missing : null for filter key {key}.")
    for value in values or ():
        if key in _ENUMS and value not in _ENUMS[key]:
            raise InvalidFilterValue(
                f"The following filter value is not valid: {value}. Valid values include: [{', '.join(_ENUMS[key])}]."
            )
        if key == "Path":
            check_path(value)


def _option(one: Mapping[str, Any]) -> str:
    default = "OneLevel" if one["Key"] == "Path" else "Equals"
    option: str = one.get("Option") or default
    return option


def parameter_passes(parameter: StoredParameter, filters: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a parameter passes every filter."""
    return all(_passes(parameter, one["Key"], _option(one), one.get("Values") or ()) for one in filters)


def _passes(parameter: StoredParameter, key: str, option: str, values: Iterable[str]) -> bool:
    latest = parameter.latest
    if key == "Path":
        return any(is_below(latest.name, check_path(value), recursive=option == "Recursive") for value in values)
    if key.startswith("tag:"):
        tag = parameter.tags.get(key[4:])
        return tag is not None and (not values or _compares(option, tag, values))
    if key == "Label":
        return any(label in values for label in parameter.labels)
    shown = {"Name": latest.name, "Type": latest.kind, "Tier": latest.tier, "DataType": latest.data_type}
    if key == "Name":
        bare = tuple(value if option == "Contains" else value.lstrip("/") for value in values)
        return _compares(option, latest.name if option == "Contains" else latest.name.lstrip("/"), bare)
    return _compares(option, shown.get(key, latest.key_id or ""), values)


def _compares(option: str, text: str, values: Iterable[str]) -> bool:
    match option:
        case "BeginsWith":
            return any(text.startswith(value) for value in values)
        case "Contains":
            return any(value in text for value in values)
        case _:
            return text in values


def is_below(name: str, path: str, *, recursive: bool) -> bool:
    """Whether a parameter is below a path; directly, unless `recursive`."""
    full = f"/{name.lstrip('/')}"
    return full.startswith(path) and (recursive or "/" not in full.removeprefix(path))
