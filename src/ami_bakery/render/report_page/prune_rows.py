"""What prune would do, by action and by reason."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ami_bakery.render.report_page.labels import PRUNE_ACTIONS, PRUNE_REASONS
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


_PREFIXES = {
    "channel": "channel: ",
    "in-use": "in use: ",
    "unknown": "unknown: ",
    "last": "",
    "young": "",
    "parent": "",
    "protected": "protected: ",
    "shared": "shared: ",
    "limit": "limit: ",
    "quarantine": "quarantine ",
    "expired": "",
}
"""What comes before the detail of a reason. Many details are clauses of their own."""


class PruneRow(Frozen):
    """An AMI that prune would change, or waits for."""

    image: str
    build: str
    ami: Mapping[str, Any]
    action: str
    why: str


class PruneCount(Frozen):
    """How many AMIs prune treats in one way, for one reason."""

    action: str
    why: str
    amis: int


def prune_rows(images: Iterable[Mapping[str, Any]]) -> tuple[PruneRow, ...]:
    """Returns the AMIs that prune does not just keep, by action."""
    rows = [
        PruneRow(image=image["image"], build=build["id"], ami=ami, action=ami["prune"]["action"], why=prune_why(ami))
        for image, build, ami in _considered(images)
        if ami["prune"]["action"] != "keep"
    ]
    return tuple(sorted(rows, key=lambda row: _order(row.action)))


def prune_counts(images: Iterable[Mapping[str, Any]]) -> tuple[PruneCount, ...]:
    """Counts AMIs by action and reason; the most frequent reasons of an action first."""
    counts = Counter((ami["prune"]["action"], ami["prune"]["reason"]) for _, _, ami in _considered(images))
    rows = sorted(counts.items(), key=lambda item: (_order(item[0][0]), -item[1], item[0][1]))
    return tuple(PruneCount(action=action, why=_words(action, reason), amis=count) for (action, reason), count in rows)


def prune_why(ami: Mapping[str, Any]) -> str:
    """Returns why prune chose an action for an AMI: `channel: prod`."""
    action, reason, detail = ami["prune"]["action"], ami["prune"]["reason"], ami["prune"]["detail"]
    if not detail:
        return _words(action, reason)
    return f"{_PREFIXES[reason]}{detail}" if reason in _PREFIXES else f"{_words(action, reason)}: {detail}"


def _words(action: str, reason: str) -> str:
    if (action, reason) == ("wait", "quarantine"):
        return "it is in quarantine"
    return PRUNE_REASONS.get(reason, reason)


def _considered(
    images: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]]:
    for image in images:
        for build in image["builds"]:
            for ami in build["amis"]:
                if ami["prune"]:
                    yield image, build, ami


def _order(action: str) -> int:
    return list(PRUNE_ACTIONS).index(action) if action in PRUNE_ACTIONS else len(PRUNE_ACTIONS)
