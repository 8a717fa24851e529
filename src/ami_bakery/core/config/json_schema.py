"""Creates the JSON Schema of `bakery.toml` from the table of keys.

The schema checks each value by itself. What several keys or images have to agree on (`from` names an existing image,
no circle, `share_snapshots` needs `share_with`) is checked only by the program.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ami_bakery.core.audit.mode import AuditMode
from ami_bakery.core.config.ami_test import TEST_KEYS
from ami_bakery.core.config.channel_keys import CHANNEL_KEYS
from ami_bakery.core.config.keys import AMI_ID, DIGEST_PARTS, IMAGE_NAME, KEYS, TAGS_AT_MOST, VARIABLE_NAME, Key
from ami_bakery.core.config.model import OnFailure

Schema: TypeAlias = Mapping[str, Any]

_TEXT: Schema = {"type": "string", "pattern": r"^[^\u0000]*$"}
_PATH: Schema = {"type": "string", "pattern": r"^[^\u0000]+$"}
_REGION = r"^[a-z]{2,}(-[a-z]+)+-[0-9]+$"
_VARIABLE = f"^{VARIABLE_NAME.pattern}$"
_KMS_KEY = (
    r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}|alias/[A-Za-z0-9_/-]+"
    r"|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9_/-]+)$"
)
_SHARE_TARGET = r"^([0-9]{12}|arn:aws[a-z-]*:organizations::[0-9]{12}:(organization|ou)/[^\s\u0000]+)$"
_DURATION = r"^(?=[0-9]{1,6}[mhdw]$)0*[1-9][0-9]*[mhdw]$"
_OWN_TAGS = r"^([Aa][Ww][Ss]:|[Aa][Mm][Ii]-[Bb][Aa][Kk][Ee][Rr][Yy]:)|^ami_config_checksum$"


def _matching(pattern: str) -> Schema:
    return {"type": "string", "pattern": pattern}


def _list_of(items: Schema, *, at_least: int = 0) -> Schema:
    return {"type": "array", "items": items, **({"minItems": at_least} if at_least else {})}


_FILTER: Schema = {"oneOf": [_TEXT, {"type": "boolean"}, _list_of(_TEXT, at_least=1)]}
_BASE: Schema = {
    "oneOf": [
        _matching(f"^{IMAGE_NAME.pattern}$"),
        {
            "type": "object",
            "properties": {
                "owners": _list_of(_TEXT, at_least=1),
                "filters": {"type": "object", "minProperties": 1, "additionalProperties": _FILTER},
            },
            "required": ["owners", "filters"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"ssm": _matching(r"^/?[A-Za-z0-9_./:-]+$")},
            "required": ["ssm"],
            "additionalProperties": False,
        },
    ]
}
_VARIABLES: Schema = {
    "type": "object",
    "propertyNames": {"pattern": _VARIABLE, "not": {"const": "config_checksum"}},
    "additionalProperties": {"anyOf": [_TEXT, {"type": ["number", "boolean", "array", "object"]}]},
}
_TAGS: Schema = {
    "type": "object",
    "maxProperties": TAGS_AT_MOST,
    "propertyNames": {"minLength": 1, "maxLength": 127, "pattern": r"^[^\u0000]+$", "not": {"pattern": _OWN_TAGS}},
    "additionalProperties": {**_TEXT, "maxLength": 255},
}
_KMS_KEYS: Schema = {
    "oneOf": [
        _matching(_KMS_KEY),
        {
            "type": "object",
            "propertyNames": {"pattern": _REGION},
            "additionalProperties": _matching(_KMS_KEY),
        },
    ]
}

VALUES: Mapping[str, Schema] = {
    "template": _PATH,
    "inputs": _list_of(_PATH),
    "workdir": _PATH,
    "only": _list_of(_TEXT),
    "except": _list_of(_TEXT),
    "ignore": _list_of(_TEXT),
    "from": _BASE,
    "from_variable": _matching(_VARIABLE),
    "vars": _VARIABLES,
    "var_files": _list_of(_PATH),
    "env": _list_of(_matching(r"^[A-Za-z_][A-Za-z0-9_]*$")),
    "regions": _list_of(_matching(_REGION), at_least=1),
    "kms_key": _KMS_KEYS,
    "share_with": _list_of(_matching(_SHARE_TARGET)),
    "share_snapshots": {"type": "boolean"},
    "tags": _TAGS,
    "enabled": {"type": "boolean"},
    "owners": _list_of(_matching(r"^(self|[0-9]{12})$"), at_least=1),
    "max_age": _matching(_DURATION),
    "keep": {
        "type": "object",
        "minProperties": 1,
        "properties": {
            "last": {"description": "How many of the newest builds are kept.", "type": "integer", "minimum": 0},
            "within": {"description": "Builds younger than this are kept.", **_matching(_DURATION)},
        },
        "additionalProperties": False,
    },
    "salt": _TEXT,
    "digest_exclude": _list_of({"enum": list(DIGEST_PARTS)}),
    "audit": {"enum": [each.value for each in AuditMode]},
    "timeout": _matching(r"^(?=[0-9]{1,6}[smhd]$)0*[1-9][0-9]*[smhd]$"),
    "on_failure": {"enum": [each.value for each in OnFailure]},
    "prefix": _matching(r"^(?!/([Aa][Ww][Ss]|[Ss][Ss][Mm]))(/[A-Za-z0-9_.-]+){1,13}$"),
    "names": _list_of(_matching(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"), at_least=1),
}
"""The schema of each key's value, by the key's name: for keys of images and of their tables."""
_TABLES: Mapping[str, tuple[Key, ...]] = {"test": TEST_KEYS}
"""Keys whose value is the path of a template, or a table of keys with at least a template."""
_BY_TYPE: Mapping[str, Schema] = {
    "path": _PATH,
    "list of paths": _list_of(_PATH),
    "string": _TEXT,
    "list of strings": _list_of(_TEXT),
    "boolean": {"type": "boolean"},
    "table": {"type": "object"},
}
"""For keys that `VALUES` does not have, by `Key.type`."""


def config_schema() -> dict[str, Any]:
    """Returns the schema, in draft 7, which editors support."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "bakery.toml",
        "description": "Images that AMI Bakery builds with Packer.",
        "type": "object",
        "properties": {
            "version": {"description": "The version of the format.", "const": 1},
            "defaults": {"description": "Keys for all images; an image's own keys win.", "$ref": "#/definitions/image"},
            "channels": {"description": "Channels: SSM parameters that name AMIs.", **_table(CHANNEL_KEYS)},
            "images": {
                "description": "The images by name.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": f"^{IMAGE_NAME.pattern}$", "not": {"pattern": f"^{AMI_ID.pattern}$"}},
                "additionalProperties": {"$ref": "#/definitions/image"},
            },
        },
        "required": ["version", "images"],
        "additionalProperties": False,
        "if": {"properties": {"defaults": {"required": ["template"]}}, "required": ["defaults"]},
        "else": {"properties": {"images": {"additionalProperties": {"required": ["template"]}}}},
        "definitions": {"image": _table(KEYS)},
    }


def _table(keys: Iterable[Key]) -> dict[str, Any]:
    properties = {key.name: {"description": key.about, **value_schema(key)} for key in keys}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def value_schema(key: Key) -> Schema:
    """Returns the schema of a key's value. A key without an entry in `VALUES` gets that of its documented type."""
    if key.name in _TABLES:
        return {"oneOf": [_PATH, {**_table(_TABLES[key.name]), "required": ["template"]}]}
    return VALUES.get(key.name, _BY_TYPE.get(key.type, {}))


def schema_text() -> str:
    return json.dumps(config_schema(), indent=2) + "\n"
