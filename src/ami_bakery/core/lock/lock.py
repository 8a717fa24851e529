"""The lock in EC2, as its tags describe it: holder, expiry, and records."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import IMAGE_TAG, ORIGIN_TAG
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.errors import UsageError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ami_bakery.core.ec2.ami import Ami

LOCK_TAG = "ami-bakery:lock"
"""The locked digest."""
HOLDER_TAG = "ami-bakery:holder"
JOB_TAG = "ami-bakery:job"
ACQUIRED_TAG = "ami-bakery:acquired-at"
EXPIRES_TAG = "ami-bakery:expires"
VERIFIED_TAG = "ami-bakery:verified"
"""The AMIs of this bake that are verified and lack only the digest."""
CREATED_AMI_TAG = "ami-bakery:created-ami"
"""The AMI that Packer has started to create."""
INHERITED_VERIFIED_TAG = "ami-bakery:inherited-verified"
INHERITED_TAG = "ami-bakery:inherited-unverified"
"""Two tags for the AMIs of a dead holder whose lock was taken over: the verified one, and the unverified ones."""
FAILED_TEST_TAG = "ami-bakery:failed-test"
"""On the lock of a bake whose AMI has just failed its test: the digest of the test."""
ROLLBACK_TAG = "ami-bakery:rollback-to"
"""On the lock of an unfinished roll-back of a channel: the AMI that it goes back to, as `us-east-1:ami-1`."""

LIFETIME_VARIABLE = "AMI_BAKERY_LOCK_TTL_SECONDS"
_DEFAULT_LIFETIME = 180
_MIN_LIFETIME, _MAX_LIFETIME = 2, 24 * 60 * 60
LONGEST_LIFETIME = timedelta(seconds=_MAX_LIFETIME)
_CLOCK_SLACK = timedelta(minutes=5)
"""Maximum difference between the `Date` headers of two EC2 responses."""
_MAX_CONFIGURED_TAGS = 25
"""EC2 allows 50 tags; the others are reserved for records of the holder."""
_VALUE_LENGTH = 256
"""Maximum length of a tag's value (EC2 user guide, tag restrictions)."""
_WHOLE_NUMBER = re.compile(r"[0-9]{1,6}")
_AMI = re.compile(r"(?P<region>[a-z0-9-]+):(?P<id>ami-[0-9a-f]+)")


def lock_name(digest: str) -> str:
    """Returns the key pair's name, unique in an account and region."""
    return f"ami-bakery-lock-{digest}"


class Timing(Frozen):
    """All times of the lock, proportional to its lifetime."""

    lifetime_seconds: int = _DEFAULT_LIFETIME

    @property
    def renew_seconds(self) -> float:
        return self.lifetime_seconds / 4

    @property
    def settling_seconds(self) -> float:
        """The settling time: over twice the delay until all of EC2 shows a change."""
        return self.lifetime_seconds / 12

    @property
    def poll_seconds(self) -> float:
        return min(5.0, self.lifetime_seconds / 12)

    @property
    def notice_seconds(self) -> float:
        """The time in which every waiting runner reads the lock again. It pauses up to 1.25 times between two reads."""
        return self.poll_seconds * 1.5

    @property
    def overdue_seconds(self) -> float:
        """Seconds until we suspect a foreign key pair.

        A name must be refused for this long without a visible lock.
        """
        return self.lifetime_seconds + self.settling_seconds


def lock_timing(environment: Mapping[str, str]) -> Timing:
    """Reads `AMI_BAKERY_LOCK_TTL_SECONDS`. Raises `UsageError` if its value is invalid."""
    text = environment.get(LIFETIME_VARIABLE, "").strip()
    if not text:
        return Timing()
    if not _WHOLE_NUMBER.fullmatch(text) or not _MIN_LIFETIME <= int(text) <= _MAX_LIFETIME:
        raise UsageError(
            f"reading {LIFETIME_VARIABLE}",
            f"expected a whole number of seconds from {_MIN_LIFETIME} to {_MAX_LIFETIME}, got {text[:40]!r}",
            f"Correct it, or unset it for the default of {_DEFAULT_LIFETIME}.",
        )
    return Timing(lifetime_seconds=int(text))


class LockRecord(Frozen):
    """A lock as EC2 shows it, which may be some seconds old.

    seen_at       time of the reading, by EC2's clock
    exists_since  a time at which it already existed: EC2's creation time, or when we first saw it; None if unknown
    """

    id: str
    region: str
    tags: Mapping[str, str]
    seen_at: datetime
    exists_since: datetime | None = None

    @property
    def digest(self) -> str:
        return self.tags.get(LOCK_TAG, "")

    @property
    def run(self) -> str:
        return self.tags.get(RUN_TAG, "")

    @property
    def holder(self) -> str:
        return self.tags.get(HOLDER_TAG, "") or "an unknown holder"

    @property
    def since(self) -> str:
        """The acquisition time as text, which sorts by time."""
        return self.tags.get(ACQUIRED_TAG, "")

    @property
    def expired(self) -> bool:
        """Whether another runner may take it over.

        A lock without a readable expiry counts as expired, because it was written incompletely. A lock whose expiry is
        impossible (`exceeds_maximum`) expires when it is older than the longest lifetime.
        """
        expires = _parse_time(self.tags.get(EXPIRES_TAG, ""))
        if expires is None or self.seen_at > expires:
            return True
        return self.exceeds_maximum and self.seen_at - self._oldest_known > LONGEST_LIFETIME

    @property
    def acquired_at(self) -> datetime | None:
        """The acquisition time, rounded up to a second; None if it is not readable."""
        return _parse_time(self.since)

    @property
    def expires_at(self) -> datetime | None:
        """When it expires if it is not renewed; None if that is not readable."""
        return _parse_time(self.tags.get(EXPIRES_TAG, ""))

    @property
    def remaining_seconds(self) -> float:
        """Seconds until it expires; 0 if the expiry is not readable."""
        expires = _parse_time(self.tags.get(EXPIRES_TAG, ""))
        return (expires - self.seen_at).total_seconds() if expires is not None else 0.0

    @property
    def exceeds_maximum(self) -> bool:
        """Whether its expiry is impossible: later than the longest lifetime allows.

        Such an expiry is forged, or from a wrong clock.
        """
        expires = _parse_time(self.tags.get(EXPIRES_TAG, ""))
        return expires is not None and expires - self.seen_at > LONGEST_LIFETIME + _CLOCK_SLACK

    @property
    def _oldest_known(self) -> datetime:
        """The earliest time at which it is known to exist. Ignores times in the future."""
        known = (self.exists_since, _parse_time(self.since))
        return min((moment for moment in known if moment is not None and moment <= self.seen_at), default=self.seen_at)

    @property
    def finished(self) -> bool:
        """Whether the holder has finished. One call tags the AMI and the lock with the digest."""
        return ORIGIN_TAG in self.tags

    @property
    def failed_test(self) -> str:
        """The digest of the test that the holder's AMI has failed, as hex; empty if none."""
        return self.tags.get(FAILED_TEST_TAG, "")

    @property
    def inherited(self) -> InheritedAmis:
        """The records that the next holder inherits."""
        verified = _find_amis(self.tags.get(VERIFIED_TAG, "")) or _find_amis(self.tags.get(INHERITED_VERIFIED_TAG, ""))
        created = f"{self.region}:{self.tags[CREATED_AMI_TAG]}" if CREATED_AMI_TAG in self.tags else ""
        unverified = {*_find_amis(created), *_find_amis(self.tags.get(INHERITED_TAG, ""))} - set(verified)
        return InheritedAmis(" ".join(verified) or None, frozenset(unverified))

    def describe(self) -> str:
        """Returns ``build-7 (pid 42) since 12:03:04 UTC, https://ci.example/job/7``."""
        since = self.acquired_at
        parts = [self.holder]
        if since is not None:
            day = "" if since.date() == self.seen_at.date() else f"{since:%Y-%m-%d} "
            parts.append(f" since {day}{since:%H:%M:%S} UTC")
        if job := self.tags.get(JOB_TAG, ""):
            parts.append(f", {job}")
        return "".join(parts)


def new_lock_tags(
    *,
    digest: str,
    image: str,
    run: str,
    holder: str,
    job: str,
    now: datetime,
    timing: Timing,
    inherited: InheritedAmis,
    configured: Iterable[tuple[str, str]] = (),
) -> dict[str, str]:
    """Returns the tags that a lock is created with. Empty values are omitted.

    configured  the image's `tags`: an organization may require them on every resource
    """
    tags = {
        LOCK_TAG: digest,
        IMAGE_TAG: image,
        RUN_TAG: run,
        HOLDER_TAG: holder,
        JOB_TAG: job,
        ACQUIRED_TAG: _format_time(now),
        EXPIRES_TAG: expiry(now, timing),
        INHERITED_VERIFIED_TAG: inherited.verified or "",
        INHERITED_TAG: _join_fitting(sorted(inherited.unverified)),
    }
    ours = {name: value[:_VALUE_LENGTH] for name, value in tags.items() if value}
    return {**dict(islice(configured, _MAX_CONFIGURED_TAGS)), **ours}


def expiry(now: datetime, timing: Timing) -> str:
    """Returns the value of `EXPIRES_TAG` for a lock created or renewed now."""
    return _format_time(now + timedelta(seconds=timing.lifetime_seconds))


def past_expiry(now: datetime) -> str:
    """Returns an expiry in the past. It is for a lock that is released but kept for its records."""
    return _format_time(now - timedelta(seconds=1))


def format_amis(amis: Iterable[Ami], home: str) -> str:
    """Returns ``us-east-1:ami-1 eu-west-1:ami-2``: home region first, as many as fit into a tag."""
    ordered = sorted(amis, key=lambda ami: (ami.region != home, ami.region))
    return _join_fitting([f"{ami.region}:{ami.id}" for ami in ordered])


def parse_amis(text: str) -> dict[str, str]:
    """Parses the text of `format_amis`. Returns ids by region."""
    return {match["region"]: match["id"] for match in _AMI.finditer(text)}


def _find_amis(text: str) -> tuple[str, ...]:
    return tuple(match[0] for match in _AMI.finditer(text))


def _join_fitting(words: Iterable[str]) -> str:
    text = ""
    for word in words:
        longer = f"{text} {word}".strip()
        if len(longer) > _VALUE_LENGTH:
            break
        text = longer
    return text


def _format_time(moment: datetime) -> str:
    """Formats in whole seconds, rounded up; EC2's clock has no fractions."""
    rounded = moment + timedelta(microseconds=-moment.microsecond % 1_000_000)
    return rounded.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parse_time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
