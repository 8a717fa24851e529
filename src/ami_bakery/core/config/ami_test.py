"""The key `test` of an image: a path, or a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ami_bakery.core.config.keys import KEYS, Key
from ami_bakery.core.config.model import ImageTest, OnFailure
from ami_bakery.core.config.value_parsers import InvalidValue, duration_of, type_name
from ami_bakery.core.text.suggestions import nearest, nearest_always
from ami_bakery.values import replace

_OF_IMAGES = ("template", "workdir", "vars", "var_files", "only", "except")


def _on_failure(value: Any) -> OnFailure:
    choices = [choice.value for choice in OnFailure]
    if not isinstance(value, str):
        raise InvalidValue(f"expected {' or '.join(choices)}, got {type_name(value)}")
    if value not in choices:
        raise InvalidValue(f"{value!r} is not one of {', '.join(choices)}{nearest(value, choices)}")
    return OnFailure(value)


def _of_images() -> Iterator[Key]:
    for name in _OF_IMAGES:
        (key,) = (key for key in KEYS if key.name == name)
        # The variables of a test are not merged with those of the defaults.
        yield replace(key, about="Packer variables.") if name == "vars" else key


TEST_KEYS: tuple[Key, ...] = (
    *_of_images(),
    Key(
        name="timeout",
        field="timeout",
        parse=duration_of("smhd", "90s, 10m or 2h"),
        type="duration such as `10m`",
        about="The test fails if it takes longer. Units: s, m, h, d. Default: `60m`.",
    ),
    Key(
        name="on_failure",
        field="on_failure",
        parse=_on_failure,
        type="`keep` or `remove`",
        about="Whether to keep an AMI that fails its test, without the digest, or to remove it. Default: `keep`.",
    ),
)
"""The keys of the table `test`. Keys that an image also has mean the same, for the test's template."""


def parse_test(value: Any) -> ImageTest:
    """Parses a path or a table. Raises `InvalidValue`."""
    keys = {key.name: key for key in TEST_KEYS}
    if isinstance(value, str):
        return ImageTest(template=keys["template"].parse(value))
    if not isinstance(value, dict):
        raise InvalidValue(f"expected the path of a template, or a table, got {type_name(value)}")
    fields: dict[str, Any] = {}
    for name, item in value.items():
        if name not in keys:
            raise InvalidValue(f"unknown key{nearest_always(name, keys)}", name)
        try:
            fields[keys[name].field] = keys[name].parse(item)
        except InvalidValue as wrong:
            raise InvalidValue(wrong.message, name, *wrong.path) from None
    if "template" not in fields:
        raise InvalidValue("missing template")
    structured = frozenset(name for name, item in value.get("vars", {}).items() if not isinstance(item, str))
    return ImageTest(structured=structured, **fields)
