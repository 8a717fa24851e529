"""The JSON Schema of bakery.toml: it agrees with the parser about every value by itself."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from jsonschema import Draft7Validator

from ami_bakery.core.config.ami_test import TEST_KEYS
from ami_bakery.core.config.json_schema import config_schema, value_schema
from ami_bakery.core.config.keys import KEYS
from ami_bakery.core.config.reader import _TOP_LEVEL, Document, parse_config
from ami_bakery.core.config.value_parsers import InvalidValue

SCHEMA = config_schema()
VALIDATOR = Draft7Validator(SCHEMA)
KMS_KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PATHS = ["images/app", "a b", "é", "../x", "*.sh", "/etc/x"]
TEXTS = ["", "x", 'a "b"', "é", "line\nbreak", "amazon-ebs.app"]

GOOD: Mapping[str, list[Any]] = {
    "template": PATHS,
    "inputs": [[], PATHS],
    "workdir": PATHS,
    "only": [[], TEXTS],
    "except": [[], TEXTS],
    "ignore": [[], ["**/*.md", "!keep", ""]],
    "from": [
        "ami-0123456789abcdef0",
        "ami-01234567",
        {"ssm": "/aws/service/x.y-z"},
        {"owners": ["self"], "filters": {"name": "x-*", "is-public": True, "tag:a": ["b", "c"]}},
    ],
    "from_variable": ["source_ami", "_a-b"],
    "vars": [{}, {"a": "x", "b-c": 1, "d": 1.5, "e": True, "f": ["x", 1], "g": {"h": []}}],
    "var_files": [[], PATHS],
    "env": [[], ["A", "b_1"]],
    "regions": [["eu-west-1"], ["eu-west-1", "us-gov-east-1", "eu-west-1"]],
    "kms_key": ["alias/x", "1234abcd-12ab-34cd-56ef-1234567890ab", f"mrk-{'0' * 32}", KMS_KEY],
    "share_with": [[], ["123456789012"], ["arn:aws:organizations::123456789012:ou/o-x/ou-y"]],
    "share_snapshots": [False],
    "tags": [{}, {"Team": "web", "é": "", "x" * 127: "y" * 255}],
    "enabled": [True, False],
    "owners": [["self"], ["123456789012", "self"]],
    "max_age": ["30d", "1m", "999999h", "08w"],
    "keep": [{"last": 0}, {"within": "90d"}, {"last": 10**20, "within": "8w"}],
    "salt": TEXTS,
    "digest_exclude": [[], ["packer-version", "selection"]],
    "audit": ["warn", "strict"],
    "test": ["images/app/test.pkr.hcl", {"template": "t", "timeout": "90s", "on_failure": "remove", "vars": {"a": 1}}],
}
NO_STRING = [1, 1.5, True, [], {}, "a\0b"]
NO_PATH = [*NO_STRING, ""]
NO_PATHS = ["x", 1, {}, True, *([item] for item in NO_PATH)]
NO_STRINGS = ["x", 1, {}, True, *([item] for item in NO_STRING)]
NO_FILTER: list[Any] = [1, [], [1], {}, "a\0"]
NO_BOOLEAN = ["true", 1, [], {}]
NO_REGION = ["us", "US-EAST-1", "us-east-1a", "us east 1", "", 1]
BAD: Mapping[str, list[Any]] = {
    "template": NO_PATH,
    "inputs": NO_PATHS,
    "workdir": NO_PATH,
    "only": NO_STRINGS,
    "except": NO_STRINGS,
    "ignore": NO_STRINGS,
    "from": [
        *(1, True, [], {}, "", "a b", "-x", {"ssm": ""}, {"ssm": "a b"}, {"ssm": "/x", "owners": ["self"]}),
        {"owners": ["self"]},
        {"filters": {"name": "x"}},
        {"owners": [], "filters": {"name": "x"}},
        {"owners": "self", "filters": {"name": "x"}},
        {"owners": ["self"], "filters": {}},
        *({"owners": ["self"], "filters": {"name": bad}} for bad in NO_FILTER),
        {"owners": ["self"], "filters": {"name": "x"}, "owner": "self"},
    ],
    "from_variable": [*NO_STRING, "", "1a", "a b"],
    "vars": ["x", [], 1, {"1a": "x"}, {"a b": "x"}, {"config_checksum": "x"}, {"a": "x\0"}],
    "var_files": NO_PATHS,
    "env": ["A", [""], ["A-B"], ["1"], [1]],
    "regions": ["eu-west-1", [], 1, {}, *([region] for region in NO_REGION)],
    "kms_key": [*NO_STRING[:4], "", "alias", "alias/", "key/x", {"eu": "alias/x"}, {"eu-west-1": 1}],
    "share_with": ["123456789012", [1], ["12345"], ["arn:aws:iam::123456789012:root"], {}],
    "share_snapshots": NO_BOOLEAN,
    "tags": [
        *("x", [], {"a": 1}, {"a": "y" * 256}, {"x" * 128: ""}, {"": "x"}, {"aws:x": ""}, {"AWS:x": ""}),
        *({"ami-bakery:x": ""}, {"Ami-Bakery:image": ""}, {"ami_config_checksum": ""}, {"a": "x\0"}),
        {f"t{number}": "" for number in range(41)},
    ],
    "enabled": NO_BOOLEAN,
    "owners": [[], ["other"], ["12345"], "self", [1]],
    "max_age": [*NO_STRING, "", "0d", "00h", "30", "d", "30s", "1.5d", "1234567d", "-1d"],
    "keep": [
        *(1, "5", True, [], {}, {"last": -1}, {"last": True}, {"last": "5"}, {"last": 1.5}, {"newest": 5}),
        *({"last": 1, "within": bad} for bad in ("", "0d", "30", "30s", 30)),
    ],
    "salt": NO_STRING,
    "digest_exclude": ["packer-version", ["packer"], [1], {}],
    "audit": ["", "off", True, 1, [], {}],
    "test": [
        *(*NO_PATH, {"timeout": "60m"}, {"template": ""}, {"template": "t", "regions": ["eu-west-1"]}),
        *({"template": "t", "timeout": bad} for bad in ("0m", "1w", "60", 60)),
        *({"template": "t", "on_failure": bad} for bad in ("", "delete", True)),
    ],
}


def valid(chance: random.Random) -> dict[str, Any]:
    """Returns a document without faults. Values that must agree with others have the only value that does."""

    def table(names: list[str]) -> dict[str, Any]:
        return {name: chance.choice(GOOD[name]) for name in names}

    optional = [name for name in GOOD if name != "template"]
    images = {
        name: {"template": chance.choice(PATHS), **table(chance.sample(optional, chance.randrange(6)))}
        for name in chance.sample(["app", "base.v1", "A_b-c", "0"], chance.randrange(1, 4))
    }
    for image in images.values():
        if "kms_key" in image:
            image["regions"] = ["us-east-1", "eu-west-1"]
    defaults = {} if chance.random() < 0.5 else {"defaults": table(chance.sample([*optional[:5], "template"], 3))}
    if "template" in defaults.get("defaults", {}) and chance.random() < 0.5:
        images["from-defaults"] = {}
    return {"version": 1, **defaults, "images": images}


def structural_faults() -> list[Callable[[dict[str, Any]], Any]]:
    def first(document: dict[str, Any]) -> dict[str, Any]:
        image: dict[str, Any] = next(iter(document["images"].values()))
        return image

    return [
        lambda document: document.pop("version"),
        lambda document: document.update(version=2),
        lambda document: document.update(version="1"),
        lambda document: document.update(version=True),
        lambda document: document.pop("images"),
        lambda document: document.update(images={}),
        lambda document: document.update(images=[]),
        lambda document: document.update(defaults=[]),
        lambda document: document.update(image={}),
        lambda document: document["images"].update({"a b": {"template": "x"}}),
        lambda document: document["images"].update({"-a": {"template": "x"}}),
        lambda document: document["images"].update({"": {"template": "x"}}),
        lambda document: document["images"].update({"x" * 128: {"template": "x"}}),
        lambda document: document["images"].update({"ami-01234567": {"template": "x"}}),
        lambda document: document["images"].update(app="x"),
        lambda document: (document.pop("defaults", None), first(document).pop("template", None)),
        lambda document: first(document).update(templates="x"),
        lambda document: first(document).update(digest_without=[]),
        lambda document: document.update(defaults={"unknown": 1}),
    ]


def is_accepted(document: Mapping[str, Any]) -> bool:
    return not parse_config(Document(file="bakery.toml", data=document, lines={}), root="/r")[1]


@pytest.mark.parametrize("seed", range(10))
def test_schema_and_parser_agree_on_generated_documents(seed: int) -> None:
    chance = random.Random(seed)
    faults = structural_faults()
    for number in range(50):
        document = valid(chance)
        assert is_accepted(document), document
        assert VALIDATOR.is_valid(document), (document, list(VALIDATOR.iter_errors(document)))
        if number % 3 == 0:
            chance.choice(faults)(document)
        else:
            key = chance.choice(list(BAD))
            table = chance.choice([*document["images"].values(), document.setdefault("defaults", {})])
            table[key] = chance.choice(BAD[key])
        assert not is_accepted(document), document
        assert not VALIDATOR.is_valid(document), document


@pytest.mark.parametrize("name", sorted(GOOD))
def test_schema_and_parser_agree_on_each_value_of_a_key(name: str) -> None:
    key = next(key for key in KEYS if key.name == name)
    validator = Draft7Validator({**value_schema(key)})
    for value in GOOD[name]:
        key.parse(value)
        assert validator.is_valid(value), value
    for value in BAD[name]:
        with pytest.raises(InvalidValue):
            key.parse(value)
        assert not validator.is_valid(value), value


def test_every_key_has_a_schema_a_description_and_values_in_these_tests() -> None:
    names = {key.name for key in KEYS}
    assert set(GOOD) == set(BAD) == names
    assert [key.name for key in (*KEYS, *TEST_KEYS) if not value_schema(key)] == []
    properties = SCHEMA["definitions"]["image"]["properties"]
    assert {name: properties[name]["description"] for name in names} == {key.name: key.about for key in KEYS}


def test_the_schema_has_every_table_of_the_file() -> None:
    assert set(SCHEMA["properties"]) == set(_TOP_LEVEL)


def test_the_schema_is_valid_itself() -> None:
    Draft7Validator.check_schema(SCHEMA)
