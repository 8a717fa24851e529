"""Renders what uses AMIs, as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ami_bakery.core.text.sanitize import safe_json
from ami_bakery.core.text.table import Cell, Table
from ami_bakery.render.images import ami_json, state_cell
from ami_bakery.render.text import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from ami_bakery.core.ec2.usage import AmiReference, TemplateVersion
    from ami_bakery.inspect.used_amis import UsedAmi, UsedTemplate

_SHOWN = 3
"""How many resources of one kind a table shows; the others are counted."""


def usage_json(used: Sequence[UsedAmi], now: datetime) -> str:
    return safe_json({"format": FORMAT, "images": [_use_json(item, now) for item in used]}, indent=2)


def _use_json(item: UsedAmi, now: datetime) -> dict[str, Any]:
    return {
        **ami_json(item.made, now),
        "behind_builds": item.behind.builds if item.behind else None,
        "behind_seconds": int(item.behind.time.total_seconds()) if item.behind else None,
        "used": item.is_used,
        **uses_json(item),
    }


def uses_json(item: UsedAmi) -> dict[str, Any]:
    """Renders what uses an AMI. None: it could not be read."""
    return {
        "instances": None
        if item.instances is None
        else [
            {
                "id": one.instance,
                "state": one.state or None,
                "launched": one.launched.isoformat() if one.launched else None,
            }
            for one in item.instances
        ],
        "launch_templates": None if item.templates is None else [_template_json(one) for one in item.templates],
        "auto_scaling_groups": _names(item.groups),
        "launch_configurations": _names(item.configurations),
        "others": None
        if item.others is None
        else [{"kind": one.kind.value, "name": one.name, "arn": one.arn or None} for one in item.others],
    }


def _template_json(used: UsedTemplate) -> dict[str, Any]:
    versions = used.versions
    return {
        "id": used.template,
        "name": versions[0].name if versions else None,
        "versions": None
        if versions is None
        else [{"number": version.version, "aliases": list(version.aliases)} for version in versions],
    }


def _names(references: Iterable[AmiReference] | None) -> list[str] | None:
    return None if references is None else [one.name for one in references]


def usage_table(used: Sequence[UsedAmi]) -> Table:
    """Returns a row for each AMI. `-`: nothing uses it."""
    return Table(
        columns=("IMAGE", "REGION", "AMI", "STATE", "BEHIND", "USED BY"),
        rows=tuple(
            (
                Cell(item.made.image, "bold"),
                Cell(item.made.ami.region),
                Cell(item.made.ami.id),
                state_cell(item.made.ami),
                Cell(_behind(item)),
                Cell("; ".join(_uses(item)) or "-", "yellow" if item.is_used is None else ""),
            )
            for item in used
        ),
        optional=("STATE",),
    )


def _behind(item: UsedAmi) -> str:
    """Returns the number of newer builds, and the days to the newest one: `2 builds, 14 days`."""
    if item.behind is None:
        return "unknown"
    if item.behind.builds == 0:
        return "-"
    return f"{_counted(item.behind.builds, 'build')}, {_counted(item.behind.time.days, 'day')}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _uses(item: UsedAmi) -> Iterator[str]:
    """Yields a clause for each kind of resource. Resources of one kind that could not be read are unknown."""
    kinds = (
        ("instance", _instance_words(item)),
        ("launch template", None if item.templates is None else [_template_word(one) for one in item.templates]),
        ("Auto Scaling group", _names(item.groups)),
        ("launch configuration", _names(item.configurations)),
    )
    for kind, words in kinds:
        if words:
            yield f"{kind if len(words) == 1 else f'{kind}s'} {_some(words)}"
    yield from map(str, item.others or ())
    unknown = [f"{kind}s" for kind, words in kinds if words is None]
    unknown += ["SSM parameters", "recipes"] if item.others is None else []
    if unknown:
        yield f"unknown: {', '.join(unknown)}"


def _instance_words(item: UsedAmi) -> list[str] | None:
    if item.instances is None:
        return None
    return [one.instance if one.state in ("running", "") else f"{one.instance} ({one.state})" for one in item.instances]


def _template_word(used: UsedTemplate) -> str:
    if used.versions is None:
        return f"{used.template} (versions unknown)"
    name = next((version.name for version in used.versions if version.name), "")
    versions = ", ".join(map(_version_word, used.versions))
    return f"{used.template}{f' {name}' if name else ''}{f' ({versions})' if versions else ''}"


def _version_word(version: TemplateVersion) -> str:
    return " ".join((str(version.version), *version.aliases))


def _some(words: Sequence[str]) -> str:
    more = len(words) - _SHOWN
    return ", ".join(words[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
