"""An image's keys in `bakery.toml`, and how each value is parsed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ami_bakery.core.config.model import BaseFilter, BaseId, BaseImage, BaseParameter, BaseSource, ImageTest, KmsKeys
from ami_bakery.core.config.value_parsers import (
    InvalidValue,
    distinct_values,
    duration_of,
    is_plain,
    matching,
    non_empty,
    one_of,
    parse_boolean,
    parse_list_of,
    parse_path,
    parse_string,
    parse_table,
    parse_within,
    type_name,
)
from ami_bakery.core.ec2.ami import DIGEST_TAG, OUR_TAGS
from ami_bakery.core.text.suggestions import nearest_always
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.audit.mode import AuditMode
    from ami_bakery.core.config.model import RetentionPolicy

IMAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")
AMI_ID = re.compile(r"ami-[0-9a-f]{8}(?:[0-9a-f]{9})?")
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_ACCOUNT = re.compile(r"\d{12}")
_ORGANIZATION = re.compile(r"arn:aws[a-z-]*:organizations::\d{12}:(organization|ou)/\S+")
_KMS_KEY = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}|alias/[\w/-]+"
    r"|arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):\d{12}:(key|alias)/[\w/-]+"
)
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TAGS_AT_MOST = 40
"""EC2 allows 50 tags on a resource; the others are for the bakery and the template."""
_TAG_NAME_LENGTH, _TAG_VALUE_LENGTH = 127, 255
"""EC2's limits (API reference, Tag), in characters."""
DIGEST_PARTS = ("packer-version", "plugin-versions", "environment", "selection")


def _audit(value: Any) -> AuditMode:
    from ami_bakery.core.audit.mode import AuditMode

    return AuditMode(one_of(("warn", "strict"))(value))


def _ignore_pattern(value: Any) -> str:
    import pathspec

    text = parse_string(value)
    try:
        pathspec.GitIgnoreSpec.from_lines([text])
    except ValueError as error:
        raise InvalidValue(f"invalid gitignore pattern: {error}") from None
    return text


def is_account(target: str) -> bool:
    """Whether a `share_with` entry is an account, not an organization or OU."""
    return bool(_ACCOUNT.fullmatch(target))


def _share_target(value: Any) -> str:
    text = parse_string(value)
    if not (_ACCOUNT.fullmatch(text) or _ORGANIZATION.fullmatch(text)):
        raise InvalidValue(f"expected an account (12 digits) or the ARN of an organization or OU, got {text!r}")
    return text


parse_region = matching(_REGION, "a region such as us-east-1")


def _kms_keys(value: Any) -> KmsKeys:
    if isinstance(value, str):
        return KmsKeys(everywhere=_kms_key(value))
    if not isinstance(value, dict):
        raise InvalidValue(f"expected a KMS key, or a table with a key for each region, got {type_name(value)}")
    pairs = []
    for name in value:
        try:
            region = parse_region(name)
        except InvalidValue as wrong:
            raise InvalidValue(wrong.message, name) from None
        pairs.append((region, parse_within(name, _kms_key, value)))
    return KmsKeys(by_region=tuple(sorted(pairs)))


def _kms_key(value: Any) -> str:
    text = parse_string(value)
    if not _KMS_KEY.fullmatch(text):
        raise InvalidValue(f"expected the id, alias (alias/...) or ARN of a KMS key, got {text!r}")
    return text


def region_of_key(key: str) -> str:
    """The region in a KMS key's ARN; empty if the key is an id or alias."""
    match = _KMS_KEY.fullmatch(key)
    return (match["region"] or "") if match else ""


def packer_value(value: Any) -> str:
    """Returns a TOML value as text for `-var name=`: a string unchanged, anything else as JSON, which HCL2 parses."""
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value, ensure_ascii=False)


def _variables(value: Any) -> tuple[tuple[str, str], ...]:
    table = parse_table(value)
    pairs = []
    for name, item in table.items():
        if not VARIABLE_NAME.fullmatch(name):
            raise InvalidValue("not a valid name of a Packer variable", name)
        if name == "config_checksum":
            raise InvalidValue("reserved: ami-bakery sets this variable to the digest", name)
        if not is_plain(item):
            raise InvalidValue(f"expected a string, number, boolean, list or table, got {type_name(item)}", name)
        if "\0" in packer_value(item):
            raise InvalidValue("a program's argument cannot contain a NUL character", name)
        pairs.append((name, packer_value(item)))
    return tuple(sorted(pairs))


def _tags(value: Any) -> tuple[tuple[str, str], ...]:
    table = parse_table(value)
    for name in table:
        if not 0 < len(name) <= _TAG_NAME_LENGTH or "\0" in name:
            raise InvalidValue(f"a tag's name has 1 to {_TAG_NAME_LENGTH} characters", name)
        if name.lower().startswith("aws:"):
            raise InvalidValue("names that begin with aws: are reserved for AWS", name)
        if name.lower().startswith(OUR_TAGS) or name == DIGEST_TAG:
            raise InvalidValue("reserved: ami-bakery writes this tag itself", name)
        if len(parse_within(name, parse_string, table)) > _TAG_VALUE_LENGTH:
            raise InvalidValue(f"a tag's value has at most {_TAG_VALUE_LENGTH} characters", name)
    if len(table) > TAGS_AT_MOST:
        raise InvalidValue(too_many_tags(len(table)))
    return tuple(sorted(table.items()))


def too_many_tags(count: int) -> str:
    return f"expected at most {TAGS_AT_MOST} tags, got {count}"


def _base(value: Any) -> BaseSource:
    if isinstance(value, str):
        if value.startswith("ami-") and AMI_ID.fullmatch(value):
            return BaseId(ami=value)
        if not IMAGE_NAME.fullmatch(value):
            raise InvalidValue(f"expected an AMI id, the name of another image, or a table, got {value!r}")
        return BaseImage(image=value)
    if not isinstance(value, dict):
        raise InvalidValue(
            f"expected an AMI id, the name of another image, {{ owners, filters }} or {{ ssm }}, got {type_name(value)}"
        )
    known = ("filters", "owners", "ssm")
    for key in value:
        if key not in known:
            raise InvalidValue(f"unknown key{nearest_always(key, known)}", key)
    if "ssm" in value:
        if len(value) > 1:
            raise InvalidValue("ssm cannot be combined with owners or filters")
        return BaseParameter(
            parameter=parse_within("ssm", matching(re.compile(r"/?[\w./:-]+"), "the name of a parameter"), value)
        )
    if "owners" not in value:
        raise InvalidValue("missing owners: without owners, anyone's AMI can match the filters")
    if "filters" not in value:
        raise InvalidValue("missing filters")
    owners = parse_within("owners", non_empty(parse_list_of(parse_string)), value)
    return BaseFilter(owners=owners, filters=parse_within("filters", _filters, value))


def _filters(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    table = parse_table(value)
    if not table:
        raise InvalidValue("expected at least one filter")
    pairs = []
    for name, item in table.items():
        if isinstance(item, bool):
            item = str(item).lower()
        one = {name: item if isinstance(item, list) else [item]}
        pairs.append((name, parse_within(name, non_empty(parse_list_of(parse_string)), one)))
    return tuple(sorted(pairs))


def _test(value: Any) -> ImageTest:
    from ami_bakery.core.config.ami_test import parse_test

    return parse_test(value)


def _keep(value: Any) -> RetentionPolicy:
    from ami_bakery.core.config.keep_key import parse_keep

    return parse_keep(value)


class Key(Frozen):
    """A key of an image: its field in `ImageConfig`, its parser, and its documentation."""

    name: str
    field: str
    parse: Callable[[Any], Any]
    type: str
    about: str


KEYS: tuple[Key, ...] = (
    Key(
        name="template",
        field="template",
        parse=parse_path,
        type="path",
        about="The Packer template: a file (`.json`, `.pkr.hcl`, `.pkr.json`), or a folder of HCL2 files. Required.",
    ),
    Key(
        name="inputs",
        field="inputs",
        parse=parse_list_of(parse_path),
        type="list of paths",
        about="Files, folders and globs that are in the digest. Default: the template's folder. "
        "`[]`: only the files that the template reads.",
    ),
    Key(
        name="workdir",
        field="workdir",
        parse=parse_path,
        type="path",
        about="The folder that Packer runs in. Default: the template's folder.",
    ),
    Key(
        name="only",
        field="only",
        parse=parse_list_of(parse_string),
        type="list of strings",
        about="Packer's `-only`: run only these builds.",
    ),
    Key(
        name="except",
        field="except_",
        parse=parse_list_of(parse_string),
        type="list of strings",
        about="Packer's `-except`: do not run these builds.",
    ),
    Key(
        name="ignore",
        field="ignore",
        parse=parse_list_of(_ignore_pattern),
        type="list of gitignore patterns",
        about="Files to leave out of input folders, and of the arguments of local commands. "
        "Added to the built-in patterns.",
    ),
    Key(
        name="from",
        field="base",
        parse=_base,
        type="AMI id, image name, or table",
        about="The source AMI: an AMI id, another image, `{ owners, filters }`, or `{ ssm }`.",
    ),
    Key(
        name="from_variable",
        field="from_variable",
        parse=matching(VARIABLE_NAME, "the name of a Packer variable"),
        type="string",
        about="The Packer variable that receives the id of the source AMI. Default: `source_ami`.",
    ),
    Key(
        name="vars",
        field="variables",
        parse=_variables,
        type="table",
        about="Packer variables. The tables of `[defaults]` and of the image are merged by name.",
    ),
    Key(
        name="var_files",
        field="var_files",
        parse=parse_list_of(parse_path),
        type="list of paths",
        about="Packer's `-var-file`, in order.",
    ),
    Key(
        name="env",
        field="environment",
        parse=parse_list_of(matching(_ENVIRONMENT, "the name of an environment variable")),
        type="list of strings",
        about="Environment variables that the image depends on. The digest covers each value, or that it is not set.",
    ),
    Key(
        name="regions",
        field="regions",
        parse=distinct_values(non_empty(parse_list_of(parse_region))),
        type="list of regions",
        about="The AMI is built in the first region and copied to the others. "
        "Default: AWS_DEFAULT_REGION, AWS_REGION or the profile's region.",
    ),
    Key(
        name="kms_key",
        field="kms_keys",
        parse=_kms_keys,
        type="KMS key, or table of them by region",
        about="The KMS key that encrypts copies in other regions: its id, alias or ARN. "
        "Default: a copy is encrypted as its source is. With one region, this key has no effect.",
    ),
    Key(
        name="share_with",
        field="share_with",
        parse=distinct_values(parse_list_of(_share_target)),
        type="list of accounts",
        about="The only accounts, organizations and OUs that are allowed to launch the AMI. "
        "Default: the template's settings.",
    ),
    Key(
        name="share_snapshots",
        field="share_snapshots",
        parse=parse_boolean,
        type="boolean",
        about="Also share the AMI's snapshots with the accounts of `share_with`, so that they can copy the AMI.",
    ),
    Key(
        name="tags",
        field="tags",
        parse=_tags,
        type="table of strings",
        about="Tags of the AMIs and the lock; `--tag` selects images by them. Not in the digest. Merged as `vars` are.",
    ),
    Key(
        name="enabled",
        field="enabled",
        parse=parse_boolean,
        type="boolean",
        about="`false` disables the image: commands skip it, and enabled images cannot use it in `from`. "
        "Default: `true`.",
    ),
    Key(
        name="owners",
        field="owners",
        parse=non_empty(parse_list_of(matching(re.compile(r"self|\d{12}"), "`self` or an account (12 digits)"))),
        type="list of accounts",
        about="The owner of AMIs that count in a digest lookup: `self`, or this account's number. Default: `self`.",
    ),
    Key(
        name="max_age",
        field="max_age",
        parse=duration_of("mhdw", "12h, 30d or 8w"),
        type="duration such as `30d`",
        about="Rebuild when the newest AMI is older than this. Units: m, h, d, w.",
    ),
    Key(
        name="keep",
        field="keep",
        parse=_keep,
        type="table",
        about='`{ last = 5, within = "90d" }`: `prune` keeps the 5 newest builds, and all younger than 90 days. '
        "Default: `prune` keeps all AMIs. Units: m, h, d, w.",
    ),
    Key(
        name="salt",
        field="salt",
        parse=parse_string,
        type="string",
        about="Any text; a part of the digest. Change it to force a full rebuild.",
    ),
    Key(
        name="digest_exclude",
        field="digest_exclude",
        parse=parse_list_of(one_of(DIGEST_PARTS)),
        type="list of strings",
        about=f"Parts to exclude from the digest: {', '.join(f'`{part}`' for part in DIGEST_PARTS)}.",
    ),
    Key(
        name="test",
        field="test",
        parse=_test,
        type="path, or table",
        about="A Packer template that tests each new AMI before it counts. Not in the digest: a changed test tests the "
        "existing AMI again.",
    ),
    Key(
        name="audit",
        field="audit",
        parse=_audit,
        type="`warn` or `strict`",
        about="Audit each build: find files that it reads and that are not in the digest. `warn`: report them. "
        "`strict`: also refuse the digest to the AMI. Needs `strace`. Default: no audit.",
    ),
)
