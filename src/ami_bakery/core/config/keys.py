"""The keys that an image may have in `bakery.toml`, and how the value of each is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

from ami_bakery.core.config.model import BaseFilter, BaseId, BaseImage, BaseParameter, BaseSource, KmsKeys
from ami_bakery.core.ec2.image import DIGEST_TAG, OUR_TAGS
from ami_bakery.core.text.suggestions import nearest, nearest_always
from ami_bakery.values import Frozen


class InvalidValue(Exception):
    """What is wrong with one value: `path` is relative to the value."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


IMAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")
AMI_ID = re.compile(r"ami-[0-9a-f]{8}(?:[0-9a-f]{9})?")
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_ACCOUNT = re.compile(r"\d{12}")
_ORGANIZATION = re.compile(r"arn:aws[a-z-]*:organizations::\d{12}:(organization|ou)/\S+")
_KMS_KEY = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}|alias/[\w/-]+"
    r"|arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):\d{12}:(key|alias)/[\w/-]+"
)
_DURATION = re.compile(r"(\d+)([mhdw])")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
TAGS_AT_MOST = 40
"""EC2 takes 50 on a resource; the others are for the bakery and the template."""
_TAG_NAME_LENGTH, _TAG_VALUE_LENGTH = 127, 255
"""EC2's limits (API reference, Tag), in characters."""
DIGEST_PARTS = ("packer-version", "plugin-versions", "environment", "selection")


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"a string is wanted, not {type_name(value)}")
    if "\0" in value:
        raise InvalidValue("no program can be given a NUL character")
    return value


def _matching(pattern: re.Pattern[str], wanted: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        text = _string(value)
        if not pattern.fullmatch(text):
            raise InvalidValue(f"{wanted} is wanted, not {text!r}")
        return text

    return parse


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue(f"true or false is wanted, not {type_name(value)}")
    return value


def _path(value: Any) -> str:
    text = _string(value)
    if not text:
        raise InvalidValue("a path is wanted, not an empty string")
    return text


def _list_of(parse: Callable[[Any], str]) -> Callable[[Any], tuple[str, ...]]:
    def parse_list(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise InvalidValue(f"a list is wanted, not {type_name(value)}")
        items = []
        for index, item in enumerate(value):
            try:
                items.append(parse(item))
            except InvalidValue as wrong:
                raise InvalidValue(wrong.message, index, *wrong.path) from None
        return tuple(items)

    return parse_list


def _distinct(parse: Callable[[Any], tuple[str, ...]]) -> Callable[[Any], tuple[str, ...]]:
    return lambda value: tuple(dict.fromkeys(parse(value)))


def _non_empty(parse: Callable[[Any], tuple[str, ...]]) -> Callable[[Any], tuple[str, ...]]:
    def parse_list(value: Any) -> tuple[str, ...]:
        items = parse(value)
        if not items:
            raise InvalidValue("at least one entry is wanted")
        return items

    return parse_list


def _one_of(known: Iterable[str]) -> Callable[[Any], str]:
    choices = tuple(known)

    def parse(value: Any) -> str:
        text = _string(value)
        if text not in choices:
            raise InvalidValue(f"{text!r} is not one of {', '.join(choices)}{nearest(text, choices)}")
        return text

    return parse


def _ignore_pattern(value: Any) -> str:
    import pathspec

    text = _string(value)
    try:
        pathspec.GitIgnoreSpec.from_lines([text])
    except ValueError as error:
        raise InvalidValue(f"not a gitignore pattern: {error}") from None
    return text


def is_account(target: str) -> bool:
    """Whether one of `share_with` is an account: not an organization, nor an OU."""
    return bool(_ACCOUNT.fullmatch(target))


def _share_target(value: Any) -> str:
    text = _string(value)
    if not (_ACCOUNT.fullmatch(text) or _ORGANIZATION.fullmatch(text)):
        raise InvalidValue(f"an account (12 digits) or the ARN of an organization or an OU is wanted, not {text!r}")
    return text


parse_region = _matching(_REGION, "a region such as us-east-1")


def _kms_keys(value: Any) -> KmsKeys:
    if isinstance(value, str):
        return KmsKeys(everywhere=_kms_key(value))
    if not isinstance(value, dict):
        raise InvalidValue(f"a KMS key, or a table of one for each region, is wanted, not {type_name(value)}")
    pairs = []
    for name in value:
        try:
            region = parse_region(name)
        except InvalidValue as wrong:
            raise InvalidValue(wrong.message, name) from None
        pairs.append((region, _within(name, _kms_key, value)))
    return KmsKeys(by_region=tuple(sorted(pairs)))


def _kms_key(value: Any) -> str:
    text = _string(value)
    if not _KMS_KEY.fullmatch(text):
        raise InvalidValue(f"the id, alias (alias/...) or ARN of a KMS key is wanted, not {text!r}")
    return text


def region_of_key(key: str) -> str:
    """The region that the ARN of a KMS key names; empty where the key is written in another way."""
    match = _KMS_KEY.fullmatch(key)
    return (match["region"] or "") if match else ""


def _duration(value: Any) -> timedelta:
    match = _DURATION.fullmatch(_string(value))
    if not match or int(match[1]) == 0 or len(match[1]) > 6:
        raise InvalidValue(f"a time such as 12h, 30d or 8w is wanted, not {value!r}")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def packer_value(value: Any) -> str:
    """A TOML value as Packer takes it after `-var name=`: text as it is, the rest as JSON, which HCL2 reads."""
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value, ensure_ascii=False)


def _variables(value: Any) -> tuple[tuple[str, str], ...]:
    table = _table(value)
    pairs = []
    for name, item in table.items():
        if not _VARIABLE.fullmatch(name):
            raise InvalidValue("not a name that a Packer variable can have", name)
        if name == "config_checksum":
            raise InvalidValue("the bakery gives the digest to the template in this variable", name)
        if not _is_plain(item):
            raise InvalidValue(f"a string, number, boolean, list or table is wanted, not {type_name(item)}", name)
        if "\0" in packer_value(item):
            raise InvalidValue("no program can be given a NUL character", name)
        pairs.append((name, packer_value(item)))
    return tuple(sorted(pairs))


def _tags(value: Any) -> tuple[tuple[str, str], ...]:
    table = _table(value)
    for name in table:
        if not 0 < len(name) <= _TAG_NAME_LENGTH or "\0" in name:
            raise InvalidValue(f"a tag's name has 1 to {_TAG_NAME_LENGTH} characters", name)
        if name.lower().startswith("aws:"):
            raise InvalidValue("names that begin with aws: are AWS's own", name)
        if name.lower().startswith(OUR_TAGS) or name == DIGEST_TAG:
            raise InvalidValue("the bakery itself writes this tag", name)
        if len(_within(name, _string, table)) > _TAG_VALUE_LENGTH:
            raise InvalidValue(f"a tag's value has at most {_TAG_VALUE_LENGTH} characters", name)
    if len(table) > TAGS_AT_MOST:
        raise InvalidValue(too_many_tags(len(table)))
    return tuple(sorted(table.items()))


def too_many_tags(count: int) -> str:
    return f"at most {TAGS_AT_MOST} tags are wanted, not {count}"


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(_is_plain(item) for item in value.values())
    return isinstance(value, str | int | float | bool)


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidValue(f"a table is wanted, not {type_name(value)}")
    return value


def _base(value: Any) -> BaseSource:
    if isinstance(value, str):
        if value.startswith("ami-") and AMI_ID.fullmatch(value):
            return BaseId(ami=value)
        if not IMAGE_NAME.fullmatch(value):
            raise InvalidValue(f"an AMI id, the name of another image, or a table is wanted, not {value!r}")
        return BaseImage(image=value)
    if not isinstance(value, dict):
        raise InvalidValue(
            "an AMI id, the name of another image, { owners, filters } or { ssm } is wanted, "
            f"not {type_name(value)}"
        )
    known = ("filters", "owners", "ssm")
    for key in value:
        if key not in known:
            raise InvalidValue(f"unknown key{nearest_always(key, known)}", key)
    if "ssm" in value:
        if len(value) > 1:
            raise InvalidValue("ssm stands alone: an AMI is found by a parameter or by filters, not by both")
        return BaseParameter(
            parameter=_within("ssm", _matching(re.compile(r"/?[\w./:-]+"), "the name of a parameter"), value)
        )
    if "owners" not in value:
        raise InvalidValue(
            "owners is missing: without it, a filter finds anybody's AMI, an attacker's of the same name too"
        )
    if "filters" not in value:
        raise InvalidValue("filters is missing")
    owners = _within("owners", _non_empty(_list_of(_string)), value)
    return BaseFilter(owners=owners, filters=_within("filters", _filters, value))


def _filters(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    table = _table(value)
    if not table:
        raise InvalidValue("at least one filter is wanted")
    pairs = []
    for name, item in table.items():
        if isinstance(item, bool):
            item = str(item).lower()
        pairs.append(
            (name, _within(name, _non_empty(_list_of(_string)), {name: item if isinstance(item, list) else [item]}))
        )
    return tuple(sorted(pairs))


_Parsed: TypeAlias = Any


def _within(key: str, parse: Callable[[Any], _Parsed], table: Mapping[str, Any]) -> _Parsed:
    try:
        return parse(table[key])
    except InvalidValue as wrong:
        raise InvalidValue(wrong.message, key, *wrong.path) from None


class Key(Frozen):
    """One key that an image may have: the field it becomes, how it is read, and what the documentation says of it."""

    name: str
    field: str
    parse: Callable[[Any], Any]
    type: str
    about: str


KEYS: tuple[Key, ...] = (
    Key(
        name="template",
        field="template",
        parse=_path,
        type="path",
        about="The Packer template: a file (`.json`, `.pkr.hcl`, `.pkr.json`), or a folder of HCL2 files. Required.",
    ),
    Key(
        name="inputs",
        field="inputs",
        parse=_list_of(_path),
        type="list of paths",
        about="Files, folders and globs that the image is made of. Default: the template's folder. "
        "`[]`: only what the template reads.",
    ),
    Key(
        name="workdir",
        field="workdir",
        parse=_path,
        type="path",
        about="The folder that Packer runs in. Left out: the template's folder.",
    ),
    Key(
        name="only",
        field="only",
        parse=_list_of(_string),
        type="list of strings",
        about="Packer's `-only`: the builds that take part.",
    ),
    Key(
        name="except",
        field="except_",
        parse=_list_of(_string),
        type="list of strings",
        about="Packer's `-except`: the builds that do not take part.",
    ),
    Key(
        name="ignore",
        field="ignore",
        parse=_list_of(_ignore_pattern),
        type="list of gitignore patterns",
        about="What to leave out of input folders and of the words of local commands, on top of the built-in patterns.",
    ),
    Key(
        name="from",
        field="base",
        parse=_base,
        type="AMI id, image name, or table",
        about="What the image starts from: an AMI id, another image, `{ owners, filters }`, or `{ ssm }`.",
    ),
    Key(
        name="from_variable",
        field="from_variable",
        parse=_matching(_VARIABLE, "the name of a Packer variable"),
        type="string",
        about="The Packer variable that gets the id of the base. Left out: `source_ami`.",
    ),
    Key(
        name="vars",
        field="variables",
        parse=_variables,
        type="table",
        about="Packer variables. A table in `[defaults]` and one in the image are merged, name by name.",
    ),
    Key(
        name="var_files",
        field="var_files",
        parse=_list_of(_path),
        type="list of paths",
        about="Packer's `-var-file`, in order.",
    ),
    Key(
        name="env",
        field="environment",
        parse=_list_of(_matching(_ENVIRONMENT, "the name of an environment variable")),
        type="list of strings",
        about="Environment variables that the image depends on: each value, or that it is not set, is in the digest.",
    ),
    Key(
        name="regions",
        field="regions",
        parse=_distinct(_non_empty(_list_of(parse_region))),
        type="list of regions",
        about="Baked in the first, copied to the others. Left out: AWS_DEFAULT_REGION, AWS_REGION or the profile's.",
    ),
    Key(
        name="kms_key",
        field="kms_keys",
        parse=_kms_keys,
        type="KMS key, or table of them by region",
        about="What copies in other regions are encrypted with: a key's id, alias or ARN. Left out: as the source is. "
        "With one region it encrypts nothing.",
    ),
    Key(
        name="share_with",
        field="share_with",
        parse=_distinct(_list_of(_share_target)),
        type="list of accounts",
        about="Exactly the accounts, organizations and OUs that may launch the AMI. Left out: as the template has it.",
    ),
    Key(
        name="share_snapshots",
        field="share_snapshots",
        parse=_boolean,
        type="boolean",
        about="Let the accounts of `share_with` use the AMI's snapshots, too, so that they can copy it.",
    ),
    Key(
        name="tags",
        field="tags",
        parse=_tags,
        type="table of strings",
        about="Tags for the AMIs and the lock; images are selected by them. Not in the digest. Merged as `vars` are.",
    ),
    Key(
        name="enabled",
        field="enabled",
        parse=_boolean,
        type="boolean",
        about="`false` switches the image off: no command takes it, and nothing may be made from it. Left out: `true`.",
    ),
    Key(
        name="owners",
        field="owners",
        parse=_non_empty(_list_of(_matching(re.compile(r"self|\d{12}"), "`self` or an account (12 digits)"))),
        type="list of accounts",
        about="Whose AMIs count when a digest is looked up: `self`, or this account's number. Left out: `self`.",
    ),
    Key(
        name="max_age",
        field="max_age",
        parse=_duration,
        type="time such as `30d`",
        about="Bake again when the newest AMI is older, though nothing changed. Units: m, h, d, w.",
    ),
    Key(
        name="salt",
        field="salt",
        parse=_string,
        type="string",
        about="Goes into the digest as it is: change it to disown every AMI baked so far.",
    ),
    Key(
        name="digest_exclude",
        field="digest_exclude",
        parse=_list_of(_one_of(DIGEST_PARTS)),
        type="list of strings",
        about=f"Parts to leave out of the digest, by name: {', '.join(f'`{part}`' for part in DIGEST_PARTS)}.",
    ),
)


def type_name(value: Any) -> str:
    match value:
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return f"a {type(value).__name__}"
