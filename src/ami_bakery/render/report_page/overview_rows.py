"""The rows, counts and filters of the overview."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ami_bakery.render.report_page.labels import STATES
from ami_bakery.render.report_page.usage_words import usage_counts, usage_names, without_channels
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

SEPARATOR = "\n"
"""Separates values in one attribute. `visible_document` leaves no line break in a value."""


class RegionAmi(Frozen):
    """The AMI of an image in a region; None if it is missing there."""

    region: str
    ami: str | None


class Lag(Frozen):
    """How far an image's oldest AMI in use is behind its newest build."""

    builds: int
    seconds: int


class OverviewRow(Frozen):
    """An image in the overview.

    attention  position of its state: those that need attention first
    reasons    why it has its state, as clauses
    amis       of its current definition; otherwise of its newest finished build
    older      whether these AMIs have an older definition; None if unknown
    built      whether it has any build
    created    when the newest build was created; None if unknown, or without a build
    lag        of what is in a channel or in use; None if unknown or nothing is
    in_use     whether a build is in a channel or in use; None if unknown
    channels   names, in order
    usage      clauses with counts
    tags       `key=value`
    searched   lower-case text that a search looks at
    """

    image: str
    state: str
    attention: int
    reasons: tuple[str, ...]
    regions: tuple[str, ...]
    amis: tuple[RegionAmi, ...]
    older: bool | None
    built: bool
    created: str | None
    lag: Lag | None
    in_use: bool | None
    channels: tuple[str, ...]
    channels_known: bool
    usage: tuple[str, ...]
    tags: tuple[str, ...]
    searched: str

    @property
    def shown_reasons(self) -> tuple[str, ...]:
        """The reasons; empty if `bake` would do nothing."""
        return () if self.state == "current" else self.reasons


class Choices(Frozen):
    """The values that the overview can be filtered by."""

    regions: tuple[str, ...]
    channels: tuple[str, ...]
    tags: tuple[str, ...]


def overview_rows(images: Iterable[Mapping[str, Any]]) -> tuple[OverviewRow, ...]:
    return tuple(map(_row, images))


def state_counts(rows: Iterable[OverviewRow]) -> tuple[tuple[str, int], ...]:
    """Counts images by state. States that need attention come first; states without images are missing."""
    counts = Counter(row.state for row in rows)
    return tuple(sorted(counts.items(), key=lambda item: _attention(item[0])))


def choices(rows: Sequence[OverviewRow]) -> Choices:
    return Choices(
        regions=tuple(sorted({region for row in rows for region in row.regions})),
        channels=tuple(sorted({channel for row in rows for channel in row.channels})),
        tags=tuple(sorted({tag for row in rows for tag in row.tags})),
    )


def reason_clauses(image: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns why an image has its state. Leaves out reasons that follow from others or that others explain."""
    if image["error"]:
        return (image["error"],)
    reasons = image["reasons"]
    kinds = {reason["kind"] for reason in reasons}
    implied = {"no-ami", "definition-changed"} | ({"files-changed"} if "file-changed" in kinds else set())
    nothing: set[str] = set()
    for left_out in (implied, {"no-ami"}, nothing):
        kept = [reason for reason in reasons if reason["kind"] not in left_out]
        if kept:
            return tuple(map(_clause, kept))
    return ()


def _clause(reason: Mapping[str, Any]) -> str:
    subject, detail = reason["subject"], reason["detail"]
    return detail if subject in detail else f"{subject}: {detail}"


def _row(image: Mapping[str, Any]) -> OverviewRow:
    builds = image["builds"]
    used = [build for build in builds if build["channels"] or build["used"]]
    amis, older = _amis(image)
    tags = tuple(f"{key}={value}" for key, value in image["tags"].items())
    reasons = reason_clauses(image)
    return OverviewRow(
        image=image["image"],
        state=image["state"],
        attention=_attention(image["state"]),
        reasons=reasons,
        regions=tuple(image["regions"]),
        amis=amis,
        older=older,
        built=bool(builds),
        created=builds[0]["created"] if builds else None,
        lag=_lag(used),
        in_use=True if used else None if any(map(_may_be_used, builds)) else False,
        channels=tuple(dict.fromkeys(channel["channel"] for channel in image["channels"] or ())),
        channels_known=image["channels"] is not None,
        usage=usage_counts(
            without_channels(ami["uses"], image["channels"] or ()) for build in builds for ami in build["amis"]
        ),
        tags=tags,
        searched=" ".join(dict.fromkeys(filter(None, _searched(image, (*reasons, *tags))))).lower(),
    )


def _attention(state: str) -> int:
    return list(STATES).index(state) if state in STATES else 0


def _may_be_used(build: Mapping[str, Any]) -> bool:
    """Whether it is unknown if a build is used."""
    return build["used"] is None or build["channels"] is None


def _amis(image: Mapping[str, Any]) -> tuple[tuple[RegionAmi, ...], bool | None]:
    """Returns the AMI in each region, and whether their definition is older.

    Older is None if the current definition is unknown.
    A build can have the current definition and not count, because it is revoked, disabled or untested.
    """
    amis = image["amis"]
    older: bool | None = False
    newest = next((build for build in image["builds"] if build["digest"]), None)
    if not amis and newest is not None:
        amis = {ami["region"]: ami["ami"] for ami in newest["amis"]}
        older = None if image["digest"] is None else newest["state"] == "superseded"
    regions = dict.fromkeys((*image["regions"], *amis)) if amis else ()
    return tuple(RegionAmi(region=region, ami=amis.get(region)) for region in regions), older


def _lag(used: Sequence[Mapping[str, Any]]) -> Lag | None:
    known = [build for build in used if build["builds_behind"] is not None]
    if not known:
        return None
    oldest = max(known, key=lambda build: build["builds_behind"])
    return Lag(builds=oldest["builds_behind"], seconds=oldest["seconds_behind"] or 0)


def _searched(image: Mapping[str, Any], shown: Iterable[str]) -> Iterator[str]:
    yield image["image"]
    yield from shown
    yield image["digest"] or ""
    yield image["parent"] or ""
    for build in image["builds"]:
        yield build["commit"] or ""
        yield build["digest"] or ""
        yield from build["channels"] or ()
        for ami in build["amis"]:
            yield from (ami["ami"], ami["region"], ami["name"])
            yield from usage_names(ami["uses"])
