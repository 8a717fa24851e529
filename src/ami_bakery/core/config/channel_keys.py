"""The keys of the table `[channels]`."""

from __future__ import annotations

from typing import Any

from ami_bakery.core.channel.names import DEFAULT_PREFIX, ChannelSettings, channel_name_problem, prefix_problem
from ami_bakery.core.config.keys import Key
from ami_bakery.core.config.value_parsers import InvalidValue, type_name
from ami_bakery.core.text.suggestions import nearest_always


def _prefix(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"expected a string, got {type_name(value)}")
    if problem := prefix_problem(value):
        raise InvalidValue(f"{problem}; got {value!r}")
    return value


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InvalidValue(f"expected a list, got {type_name(value)}")
    if not value:
        raise InvalidValue("expected at least one channel; without `names`, every channel is allowed")
    for index, name in enumerate(value):
        if not isinstance(name, str):
            raise InvalidValue(f"expected a string, got {type_name(name)}", index)
        if problem := channel_name_problem(name):
            raise InvalidValue(problem, index)
    return tuple(dict.fromkeys(value))


CHANNEL_KEYS: tuple[Key, ...] = (
    Key(
        name="prefix",
        field="prefix",
        parse=_prefix,
        type="string",
        about=f"The path of the SSM parameters: `PREFIX/IMAGE/CHANNEL`. Default: `{DEFAULT_PREFIX}`.",
    ),
    Key(
        name="names",
        field="names",
        parse=_names,
        type="list of strings",
        about='The only channels that are allowed, such as `["beta", "stable"]`. Default: every channel.',
    ),
)


def parse_channels(value: Any) -> ChannelSettings:
    """Parses the table. Raises `InvalidValue` for its first problem."""
    if not isinstance(value, dict):
        raise InvalidValue(f"expected a table, got {type_name(value)}")
    keys = {key.name: key for key in CHANNEL_KEYS}
    fields: dict[str, Any] = {}
    for name, item in value.items():
        if name not in keys:
            raise InvalidValue(f"unknown key{nearest_always(name, keys)}", name)
        try:
            fields[keys[name].field] = keys[name].parse(item)
        except InvalidValue as wrong:
            raise InvalidValue(wrong.message, name, *wrong.path) from None
    return ChannelSettings(**fields)
