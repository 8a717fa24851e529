"""Renders channels and their changes as text, tables, JSON and Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ami_bakery.core.channel.parameter import ChannelResult
from ami_bakery.core.ec2.ami import DIGEST_TAG
from ami_bakery.core.plan.describe import describe_age, describe_time
from ami_bakery.core.text.sanitize import one_line, safe_json
from ami_bakery.core.text.table import Cell, Table
from ami_bakery.render.text import FORMAT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ami_bakery.release.channel_listing import ChannelRow
    from ami_bakery.release.promotion import ChannelChange
    from ami_bakery.release.revocation import RevocationChange

_SHORT = 12
"""Number of characters shown of a digest."""


def changes_json(changes: Sequence[ChannelChange]) -> str:
    return safe_json({"format": FORMAT, "images": [_change_json(change) for change in changes]}, indent=2)


def _change_json(change: ChannelChange) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "image": change.image,
        "channel": change.channel,
        "parameter": change.parameter,
        "outcome": change.result.value,
        "digest": change.digest or None,
        "amis": {region: ami.id for region, ami in change.amis.items()},
        "regions": [
            {
                "region": each.region,
                "ami": each.ami,
                "previous": each.previous or None,
                "version": each.version,
                "changed": each.changed,
                **({"error": f"{each.error}\n{each.error.todo}"} if each.error else {}),
            }
            for each in change.changes
        ],
    }
    if change.error is not None:
        rendered["error"] = f"{change.error}\n{change.error.todo}"
    return rendered


def changes_text(changes: Sequence[ChannelChange]) -> str:
    """Renders one id, or `image<TAB>region<TAB>ami` lines without failed images."""
    done = [change for change in changes if change.error is None]
    rows = [(change.image, region, ami.id) for change in done for region, ami in change.amis.items()]
    if len(rows) == 1 and len(changes) == 1 and len(changes[0].regions) == 1:
        return rows[0][2]
    return "\n".join("\t".join(row) for row in rows)


_VERBS = {ChannelResult.PROMOTED: "promoted", ChannelResult.ROLLED_BACK: "rolled back"}


def change_note(change: ChannelChange) -> str:
    """Renders a line for stderr."""
    if change.result is ChannelResult.UNCHANGED:
        amis = ", ".join(f"{ami.id} ({region})" for region, ami in change.amis.items())
        return one_line(f"{change.image}: nothing to do: channel {change.channel} has {amis} already")
    moved = ", ".join(
        f"{each.previous or 'new'} -> {each.ami} ({each.region}, version {each.version})"
        for each in change.changes
        if each.changed
    )
    return one_line(f"{change.image}: {_VERBS[change.result]}: channel {change.channel}: {moved}")


def changes_github(changes: Sequence[ChannelChange]) -> str:
    """Renders outputs for GitHub Actions, like those of `bake`: `ami-id`, `amis` and `outcome`."""
    order = (ChannelResult.FAILED, ChannelResult.PROMOTED, ChannelResult.ROLLED_BACK, ChannelResult.UNCHANGED)
    results = {change.result for change in changes}
    outcome = next((result for result in order if result in results), ChannelResult.UNCHANGED)
    ids = {change.image: {region: ami.id for region, ami in change.amis.items()} for change in changes}
    single = [f"ami-id={ami}" for found in ids.values() for ami in list(found.values())[:1] if len(ids) == 1]
    lines = [*single, f"amis={safe_json(ids)}", f"outcome={outcome}"]
    return "".join(f"{line}\n" for line in lines)


def channels_json(rows: Sequence[ChannelRow], now: datetime, *, history: bool) -> str:
    return safe_json({"format": FORMAT, "channels": [_row_json(row, now, history) for row in rows]}, indent=2)


def _row_json(row: ChannelRow, now: datetime, history: bool) -> dict[str, Any]:
    current = row.current
    shown = current if current is not None and current.holds_amis else None
    created = row.ami.created if row.ami is not None else None
    rendered: dict[str, Any] = {
        "image": row.image,
        "channel": row.channel,
        "region": row.region,
        "parameter": row.parameter.name,
        "ami": shown.value if shown else None,
        "version": current.number if current else None,
        "created": created.isoformat() if created else None,
        "age_seconds": int((now - created).total_seconds()) if created else None,
        "digest": row.ami.tags.get(DIGEST_TAG) if row.ami else None,
        "behind": row.behind,
        "since": current.modified.isoformat() if current and current.modified else None,
        "by": (current.user if current else "") or None,
        "revoked": row.revoked or None,
        "differs": row.differs,
        "problem": row.problem or None,
    }
    return {**rendered, "history": _history_json(row)} if history else rendered


def _history_json(row: ChannelRow) -> list[dict[str, Any]]:
    return [
        {
            "version": version.number,
            "ami": version.value if version.holds_amis else None,
            "since": version.modified.isoformat() if version.modified else None,
            "by": version.user or None,
            "labels": list(version.labels),
        }
        for version in reversed(row.parameter.versions)
    ]


def channels_table(rows: Sequence[ChannelRow], now: datetime) -> Table:
    return Table(
        columns=("IMAGE", "CHANNEL", "REGION", "AMI", "AGE", "DIGEST", "BEHIND", "SINCE", "BY", "PROBLEM"),
        rows=tuple(_row_cells(row, now) for row in rows),
        optional=("BY", "DIGEST", "SINCE", "AGE"),
    )


def _row_cells(row: ChannelRow, now: datetime) -> tuple[Cell, ...]:
    current = row.current
    return (
        Cell(row.image),
        Cell(row.channel),
        Cell(row.region),
        Cell(current.value if current and current.holds_amis else "-", "bold"),
        Cell(describe_age(row.ami, now) if row.ami else "-"),
        Cell(row.ami.tags.get(DIGEST_TAG, "-")[:_SHORT] if row.ami else "-"),
        Cell("-" if row.behind is None else str(row.behind)),
        Cell(describe_time(current.modified, now) if current and current.modified else "-"),
        Cell(short_user(current.user) if current else "-"),
        Cell(row.problem, "red" if row.revoked else "yellow"),
    )


def history_table(rows: Sequence[ChannelRow], now: datetime) -> Table:
    """Renders a line for each version, newest first."""
    return Table(
        columns=("IMAGE", "CHANNEL", "REGION", "VERSION", "AMI", "SINCE", "BY"),
        rows=tuple(
            (
                Cell(row.image),
                Cell(row.channel),
                Cell(row.region),
                Cell(str(version.number)),
                Cell(version.value if version.holds_amis else "-", "bold"),
                Cell(describe_time(version.modified, now) if version.modified else "-"),
                Cell(short_user(version.user)),
            )
            for row in rows
            for version in reversed(row.parameter.versions)
        ),
    )


def short_user(arn: str) -> str:
    """Returns the user, or the role and session, of an ARN: `user/anna`, `assumed-role/deploy/job-7`."""
    return arn.rpartition(":")[2] or "-"


def revocation_json(changes: Sequence[RevocationChange], rolled_back: Sequence[ChannelChange]) -> str:
    amis = [
        {
            "image": change.image or None,
            "region": change.ami.region,
            "ami": change.ami.id,
            "digest": change.ami.tags.get(DIGEST_TAG) or None,
            "outcome": change.result.value,
            **({"error": f"{change.error}\n{change.error.todo}"} if change.error else {}),
        }
        for change in changes
    ]
    channels = [_change_json(change) for change in rolled_back]
    return safe_json({"format": FORMAT, "amis": amis, "channels": channels}, indent=2)


def revocation_text(changes: Sequence[RevocationChange]) -> str:
    """Renders `image<TAB>region<TAB>ami` lines, without failed AMIs."""
    done = [change for change in changes if change.error is None]
    return "\n".join(f"{one_line(change.image) or '-'}\t{change.ami.region}\t{change.ami.id}" for change in done)
