"""Writes and reads the tags of AMIs in quarantine, which prune disabled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from ami_bakery.core.ec2.ami import ENABLED_TAG, QUARANTINED_SHARES_TAG, QUARANTINED_TAG
from ami_bakery.values import Frozen

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_TAG_LENGTH = 256
"""EC2's maximum length of a tag's value."""
_MOST_TAGS = 10
"""The maximum number of tags for permissions. EC2 allows 50 tags on an AMI."""
_PERMISSION = re.compile(r"\d{12}|all|arn:[a-z-]+:organizations::\d{12}:(organization|ou)/[\w/-]+", re.ASCII)
_COUNT = re.compile(r"0|[1-9]\d{0,5}", re.ASCII)


class Quarantine(Frozen):
    """The quarantine of an AMI.

    since        when prune disabled the AMI
    permissions  its launch permissions before that, as in `Ec2.permissions`
    """

    since: datetime
    permissions: frozenset[str] = frozenset()


def quarantine_tags(when: datetime, permissions: Iterable[str]) -> dict[str, str]:
    """Returns the tags that record a quarantine. Write them before the AMI is disabled.

    Raises `ValueError`, with the reason as a clause, if the tags cannot hold the permissions: keep the AMI then.

    The first value of the permissions begins with their number, so that a missing tag is noticed:
    `2 123456789012 all`.
    """
    sorted_permissions = sorted(set(permissions))
    for permission in sorted_permissions:
        if not _PERMISSION.fullmatch(permission) or len(permission) > _TAG_LENGTH:
            raise ValueError(f"its launch permission {permission} cannot be recorded in a tag")
    values = list(_values([str(len(sorted_permissions)), *sorted_permissions]))
    if len(values) > _MOST_TAGS:
        raise ValueError(f"its {len(sorted_permissions)} launch permissions do not fit into {_MOST_TAGS} tags")
    return {QUARANTINED_TAG: when.astimezone(UTC).strftime(_TIME), **{_name(i): v for i, v in enumerate(values)}}


def read_quarantine(tags: Mapping[str, str]) -> Quarantine | None:
    """Returns the quarantine that the tags record.

    None if there is none. Also None if a part is missing or malformed, because anyone can write tags. The AMI may be
    available: prune writes the tags before it disables the AMI.
    """
    since = _moment(tags.get(QUARANTINED_TAG, ""))
    words: list[str] = []
    for number in range(_MOST_TAGS):
        words += tags.get(_name(number), "").split()
    if since is None or not words or not _COUNT.fullmatch(words[0]):
        return None
    permissions = frozenset(words[1:])
    if len(permissions) != int(words[0]) or not all(map(_PERMISSION.fullmatch, permissions)):
        return None
    return Quarantine(since=since, permissions=permissions)


def quarantine_tag_names(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the names of all tags of a quarantine among these, sorted: remove them after the AMI is enabled."""
    return tuple(sorted(name for name in tags if name.startswith(QUARANTINED_TAG)))


def enabled_tag(when: datetime) -> dict[str, str]:
    """Returns the tag that records the end of a quarantine. Write it before the AMI is enabled."""
    return {ENABLED_TAG: when.astimezone(UTC).strftime(_TIME)}


def read_enabled(tags: Mapping[str, str]) -> datetime | None:
    """Returns when the last quarantine ended because the AMI was wanted again; None if unknown."""
    return _moment(tags.get(ENABLED_TAG, ""))


def _values(words: Iterable[str]) -> Iterator[str]:
    """Joins words to as few values as possible, in order."""
    value = ""
    for word in words:
        if value and len(value) + 1 + len(word) > _TAG_LENGTH:
            yield value
            value = ""
        value = f"{value} {word}".strip()
    yield value


def _name(index: int) -> str:
    return f"{QUARANTINED_SHARES_TAG}-{index + 1}" if index else QUARANTINED_SHARES_TAG


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment if moment.strftime(_TIME) == text else None
