"""Formats numbers, times and digests for the page."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from ami_bakery.values import Frozen

SHORT_DIGEST = 12
"""Number of characters shown of a digest or a commit."""
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


class Moment(Frozen):
    """A time to show.

    machine  for programs: ISO 8601, in UTC, to the second
    minute   in UTC, to the minute
    """

    machine: str
    minute: str


@lru_cache(maxsize=4096)
def moment(text: str | None) -> Moment | None:
    """Parses a time of the document. None if it is no time."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    iso = time.replace(tzinfo=None).isoformat(timespec="seconds")
    return Moment(machine=f"{iso}Z", minute=iso[:16].replace("T", " "))


def counted(count: int, word: str) -> str:
    """Returns `1 build`, `2 builds`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def rounded_duration(seconds: int) -> str:
    """Returns a duration in its largest unit, rounded down: `21 days`, `3 hours`."""
    for unit, size in _UNITS:
        if seconds >= size:
            return counted(seconds // size, unit)
    return counted(max(seconds, 0), "second")


def gibibytes(size: float | None) -> str:
    return "unknown" if size is None else f"{size:,.1f} GiB"


def dollars(cost: float | None) -> str:
    return "unknown" if cost is None else f"${cost:,.2f}"


def shortened(digest: str) -> str:
    """Shortens a digest or a full commit id; other text is unchanged."""
    return digest[:SHORT_DIGEST] if len(digest) >= 40 and digest.isalnum() else digest
