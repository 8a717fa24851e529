"""Names of channels, and of their SSM parameters."""

from __future__ import annotations

import re

from ami_bakery.core.text.suggestions import nearest
from ami_bakery.values import Frozen

DEFAULT_PREFIX = "/ami-bakery"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PREFIX = re.compile(r"(/[A-Za-z0-9_.-]+){1,13}")
"""SSM allows 15 levels (user guide, parameter name requirements); the image and the channel are the last two."""
_RESERVED = re.compile(r"/(aws|ssm)", re.IGNORECASE)
_LONGEST = 230
"""A lock has the parameter's name in its own name and in a tag. EC2 allows 255 and 256 characters."""


class ChannelSettings(Frozen):
    """The table `[channels]` of bakery.toml.

    prefix  the path of all parameters, without a slash at its end
    names   the only allowed channels; empty: all
    """

    prefix: str = DEFAULT_PREFIX
    names: tuple[str, ...] = ()

    def parameter(self, image: str, channel: str) -> str:
        """Returns the parameter's name, which is the same in each region."""
        return f"{self.prefix}/{image}/{channel}"

    def channel_of(self, image: str, parameter: str) -> str | None:
        """Returns the channel of a parameter of this image; else None."""
        lead = f"{self.prefix}/{image}/"
        name = parameter.removeprefix(lead)
        return name if parameter.startswith(lead) and _NAME.fullmatch(name) else None

    def problem(self, image: str, channel: str) -> str:
        """Returns why the channel cannot exist, as a clause; else empty."""
        if problem := channel_name_problem(channel):
            return problem
        if self.names and channel not in self.names:
            return f"channel {channel!r} is not in `names` of [channels]{nearest(channel, self.names)}"
        name = self.parameter(image, channel)
        if len(name) > _LONGEST:
            return f"the parameter's name {name[:40]}... has {len(name)} characters; at most {_LONGEST} are allowed"
        return ""


def channel_name_problem(name: str) -> str:
    """Returns why this cannot be the name of a channel; else empty."""
    if _NAME.fullmatch(name):
        return ""
    return (
        f"{name[:70]!r} is not a channel's name: use up to 64 letters, digits, dots, dashes and underscores, and "
        "start with a letter or digit"
    )


def prefix_problem(prefix: str) -> str:
    """Returns why SSM does not allow this prefix; else empty."""
    if not _PREFIX.fullmatch(prefix):
        return (
            "expected a path such as /ami-bakery: it starts with a slash, does not end with one, and its parts have "
            "letters, digits, dots, dashes and underscores"
        )
    if _RESERVED.match(prefix):
        return "SSM reserves names that start with /aws or /ssm"
    return ""
