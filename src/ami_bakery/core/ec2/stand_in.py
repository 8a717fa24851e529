"""Placeholders for source AMIs, for builds without an AWS account."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ami_bakery.values import Frozen, field

_AMAZON = "137112412989"
_MARKETPLACE = "679593333241"
_ALIASES = {"amazon": _AMAZON, "aws-marketplace": _MARKETPLACE}


class StandIn(Frozen):
    """An AMI to add to an embedded EC2. Empty members have defaults.

    owner      the account; empty: that of the credentials
    parameter  the SSM parameter that gets its id
    """

    region: str
    name: str = ""
    id: str = ""
    owner: str = ""
    alias: str = ""
    description: str = ""
    architecture: str = ""
    root_device: str = ""
    volume_type: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    parameter: str = ""

    def members(self) -> dict[str, str | Mapping[str, str]]:
        """Returns the members that are set, without the region, with a name."""
        names = ("id", "owner", "alias", "description", "architecture", "root_device", "volume_type", "tags")
        found = {name: getattr(self, name) for name in (*names, "parameter")}
        name = self.name or f"stand-in {self.id or self.parameter}".strip()
        return {"name": name, **{key: value for key, value in found.items() if value}}


def matching_stand_in(region: str, owners: Sequence[str], filters: Sequence[tuple[str, Sequence[str]]]) -> StandIn:
    """Returns an AMI that matches the filters, if possible."""
    values = {name: _literal(texts[0]) for name, texts in filters if texts}
    owner = values.get("owner-id") or next((one for one in owners if one != "self"), "")
    alias = values.get("owner-alias") or (owner if owner in _ALIASES else "")
    return StandIn(
        region=region,
        name=values.get("name", ""),
        id=values.get("image-id", ""),
        owner=_ALIASES.get(alias, owner),
        alias=alias,
        description=values.get("description", ""),
        architecture=values.get("architecture", ""),
        root_device=values.get("root-device-name") or values.get("block-device-mapping.device-name", ""),
        volume_type=values.get("block-device-mapping.volume-type", ""),
        tags={name[4:]: value for name, value in values.items() if name.startswith("tag:")},
    )


def _literal(pattern: str) -> str:
    """Returns a text that matches a pattern with EC2's wildcards."""
    return re.sub(r"\\(.)|\*|\?", lambda match: match[1] or ("x" if match[0] == "?" else "stand-in"), pattern)
