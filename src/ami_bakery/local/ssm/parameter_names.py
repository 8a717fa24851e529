"""Rules for names of SSM parameters, paths and labels.

Systems Manager User Guide, "Understanding parameter name requirements and constraints" and "Working with parameter
labels"; API reference, PutParameter. Texts marked as a guess are not documented.
"""

from __future__ import annotations

import re

from moto.ssm.exceptions import SSMException

_MAX_ARN_LENGTH = 1011
_MAX_LEVELS = 15
_NAME = re.compile(r"[A-Za-z0-9_.\-/]+")
_LABEL = re.compile(r"[A-Za-z_.\-][A-Za-z0-9_.\-]{0,99}")
_RESERVED = ("aws", "ssm")
_ARN = re.compile(r"arn:[^:]+:ssm:(?P<region>[^:]*):(?P<account>\d*):parameter(?P<name>/.+)")

_SHORT_RULE = 'Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).'
_LONG_RULE = (
    'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of '
    "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 "
    "symbols .-_"
)
_PATH_RULE = (
    "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "
    '"/". It can\'t be prefixed with "aws" or "ssm" (case-insensitive). It must use only letters, numbers, or the '
    "following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All sub-paths, if "
    'specified, must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_.'
)


def unique_name(name: str) -> str:
    """Returns one form for both names of a parameter, `/x` and `x`."""
    bare = name.removeprefix("/")
    return name if "/" in bare else bare


def check_new_name(name: str, arn_prefix: str) -> str:
    """Returns the name without surrounding spaces. Raises if a parameter cannot have it."""
    name = name.strip(" ")
    is_path = name.count("/") > 1
    first = name.lstrip("/").lower()
    if first.startswith("aws") and name.startswith("/") and is_path:
        raise SSMException("AccessDeniedException", f"No access to reserved parameter name: {name}.")
    if first.startswith(_RESERVED):
        raise SSMException("ValidationException", _LONG_RULE if is_path else _SHORT_RULE)
    if not _NAME.fullmatch(name) or "//" in name or name.endswith("/"):
        raise SSMException("ValidationException", _LONG_RULE)
    if "/" in name and not name.startswith("/"):
        raise SSMException("ValidationException", "Parameter name must be a fully qualified name.")
    if len(arn_prefix + name.lstrip("/")) > _MAX_ARN_LENGTH:
        text = f"The length of the parameter's ARN exceeds {_MAX_ARN_LENGTH} characters."  # a guess
        raise SSMException("ValidationException", text)
    check_depth(name)
    return name


def check_depth(name: str) -> None:
    if name.count("/") > _MAX_LEVELS:
        raise SSMException(
            "HierarchyLevelLimitExceededException",
            f"A hierarchy can have a maximum of {_MAX_LEVELS} levels. For more information, see Requirements and "
            "constraints for parameter names in the Amazon Web Services Systems Manager User Guide.",
        )


def check_path(path: str) -> str:
    """Returns the path, which ends with a slash. Raises if it is not a hierarchy."""
    path = path.strip(" ")
    if not path.startswith("/") or "//" in path or not _NAME.fullmatch(path):
        raise SSMException("ValidationException", _PATH_RULE)
    return path if path.endswith("/") else f"{path}/"


def split_selector(name: str, region: str, account: str) -> tuple[str, str]:
    """Returns the name and the selector of `NAME`, `NAME:SELECTOR` or an ARN.

    The selector is a version or a label. Raises if the ARN is of another account or region, whose parameters are not
    shared here.
    """
    name = name.strip(" ")
    found = _ARN.fullmatch(name)
    if found:
        if found["region"] != region or found["account"] not in (account, ""):
            raise SSMException("ParameterNotFound", "")
        path, _, selector = found["name"].partition(":")
        return path, selector
    if " " in name or name.startswith("arn:"):
        raise SSMException("ValidationException", _LONG_RULE)
    bare, _, selector = name.partition(":")
    return bare, selector


def is_valid_label(label: str) -> bool:
    return bool(_LABEL.fullmatch(label)) and not label.lower().startswith(_RESERVED)
