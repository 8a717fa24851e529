"""A lock in EC2 as its tags tell of it: whose it is, since when and until when, and what its holder noted on it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.image import IMAGE_TAG, ORIGIN_TAG
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.errors import UsageError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ami_bakery.core.ec2.image import Ami

LOCK_TAG = "ami-bakery:lock"
"""The digest that is locked."""
HOLDER_TAG = "ami-bakery:holder"
JOB_TAG = "ami-bakery:job"
ACQUIRED_TAG = "ami-bakery:acquired-at"
EXPIRES_TAG = "ami-bakery:expires"
VERIFIED_TAG = "ami-bakery:verified"
"""The AMIs of this bake, verified: what lacks is the digest."""
CREATED_AMI_TAG = "ami-bakery:created-ami"
"""The AMI that Packer has begun to make."""
INHERITED_VERIFIED_TAG = "ami-bakery:inherited-verified"
INHERITED_TAG = "ami-bakery:inherited-unverified"
"""The same two, of a dead holder from whom the lock was taken over; of the second there may be several."""
ABANDONED_TAG = "ami-bakery:abandoned"
"""On an AMI: it will be removed, and is never an answer."""

LIFETIME_VARIABLE = "AMI_BAKERY_LOCK_TTL_SECONDS"
_LIFETIME = 180
_SHORTEST, _LONGEST = 2, 24 * 60 * 60
LONGEST_LIFETIME = timedelta(seconds=_LONGEST)
_CLOCK_SLACK = timedelta(minutes=5)
"""By how much two answers of EC2 may differ in their `Date`."""
_CONFIGURED_AT_MOST = 25
"""Of EC2's 50 tags, the others are for what is noted on a lock while it is held."""
_VALUE_LENGTH = 256
"""The longest value of a tag (EC2 user guide, tag restrictions)."""
_WHOLE = re.compile(r"[0-9]{1,6}")
_AMI = re.compile(r"(?P<region>[a-z0-9-]+):(?P<id>ami-[0-9a-f]+)")


def lock_name(digest: str) -> str:
    """The key pair's name: taken once in an account and region."""
    return f"ami-bakery-lock-{digest}"


class Timing(Frozen):
    """All spans of the lock, in proportion to how long it lives without being renewed."""

    lifetime_seconds: int = _LIFETIME

    @property
    def renew_seconds(self) -> float:
        return self.lifetime_seconds / 4

    @property
    def settling_seconds(self) -> float:
        """Longer than EC2 takes twice over to tell all its parts of a change."""
        return self.lifetime_seconds / 12

    @property
    def poll_seconds(self) -> float:
        return min(5.0, self.lifetime_seconds / 12)

    @property
    def overdue_seconds(self) -> float:
        """A lock of ours whose tags are not shown for so long is none."""
        return self.lifetime_seconds + self.settling_seconds


def lock_timing(environment: Mapping[str, str]) -> Timing:
    text = environment.get(LIFETIME_VARIABLE, "").strip()
    if not text:
        return Timing()
    if not _WHOLE.fullmatch(text) or not _SHORTEST <= int(text) <= _LONGEST:
        raise UsageError(
            f"reading {LIFETIME_VARIABLE}",
            f"it is {text[:40]!r}, and a whole number of seconds is wanted, from {_SHORTEST} to {_LONGEST}",
            f"Correct it, or leave it out: it is {_LIFETIME} then.",
        )
    return Timing(lifetime_seconds=int(text))


class SeenLock(Frozen):
    """A lock as EC2 shows it, which may be as it was some seconds ago.

    seen_at     EC2's own time
    there_since when it was certainly there: since it was created, or since this program saw it first; None: now
    """

    id: str
    region: str
    tags: Mapping[str, str]
    seen_at: datetime
    there_since: datetime | None = None

    @property
    def digest(self) -> str:
        return self.tags.get(LOCK_TAG, "")

    @property
    def run(self) -> str:
        return self.tags.get(RUN_TAG, "")

    @property
    def holder(self) -> str:
        return self.tags.get(HOLDER_TAG, "") or "somebody"

    @property
    def since(self) -> str:
        """As it is written, which sorts by time."""
        return self.tags.get(ACQUIRED_TAG, "")

    @property
    def expired(self) -> bool:
        """Whether it may be taken over.

        A lock without a readable expiry was left half written: it is expired. One whose expiry no renewal can have
        written is expired when it has been there for the longest lifetime.
        """
        expires = _moment(self.tags.get(EXPIRES_TAG, ""))
        if expires is None or self.seen_at > expires:
            return True
        return self.outlives_all and self.seen_at - self._oldest_known > LONGEST_LIFETIME

    @property
    def seconds_left(self) -> float:
        """Until it expires; 0 where it does not tell when."""
        expires = _moment(self.tags.get(EXPIRES_TAG, ""))
        return (expires - self.seen_at).total_seconds() if expires is not None else 0.0

    @property
    def outlives_all(self) -> bool:
        """Whether its expiry is further ahead than the longest lifetime: forged, or of a clock that is wrong."""
        expires = _moment(self.tags.get(EXPIRES_TAG, ""))
        return expires is not None and expires - self.seen_at > LONGEST_LIFETIME + _CLOCK_SLACK

    @property
    def _oldest_known(self) -> datetime:
        """The earliest moment that anything tells of it; what lies in the future tells nothing."""
        told = (self.there_since, _moment(self.since))
        return min((moment for moment in told if moment is not None and moment <= self.seen_at), default=self.seen_at)

    @property
    def finished(self) -> bool:
        """The digest was written on the AMI and on the lock in one call."""
        return ORIGIN_TAG in self.tags

    @property
    def left(self) -> InheritedAmis:
        """What whoever takes it over has to know."""
        verified = _listed(self.tags.get(VERIFIED_TAG, "")) or _listed(self.tags.get(INHERITED_VERIFIED_TAG, ""))
        begun = f"{self.region}:{self.tags[CREATED_AMI_TAG]}" if CREATED_AMI_TAG in self.tags else ""
        unverified = {*_listed(begun), *_listed(self.tags.get(INHERITED_TAG, ""))} - set(verified)
        return InheritedAmis(" ".join(verified) or None, frozenset(unverified))

    def describe(self) -> str:
        """``build-7 (pid 42) since 12:03:04 UTC, https://ci.example/job/7``"""
        since = _moment(self.since)
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
    left: InheritedAmis,
    configured: Iterable[tuple[str, str]] = (),
) -> dict[str, str]:
    """What a lock is created with. Empty values of ours are left out.

    configured  the image's `tags`: an organization may demand them on whatever is created
    """
    tags = {
        LOCK_TAG: digest,
        IMAGE_TAG: image,
        RUN_TAG: run,
        HOLDER_TAG: holder,
        JOB_TAG: job,
        ACQUIRED_TAG: _text(now),
        EXPIRES_TAG: expiry(now, timing),
        INHERITED_VERIFIED_TAG: left.verified or "",
        INHERITED_TAG: _fitting(sorted(left.unverified)),
    }
    ours = {name: value[:_VALUE_LENGTH] for name, value in tags.items() if value}
    return {**dict(islice(configured, _CONFIGURED_AT_MOST)), **ours}


def expiry(now: datetime, timing: Timing) -> str:
    return _text(now + timedelta(seconds=timing.lifetime_seconds))


def expired_now(now: datetime) -> str:
    """For a lock that is let go and stays in place for what is noted on it."""
    return _text(now - timedelta(seconds=1))


def noted_amis(amis: Iterable[Ami], home: str) -> str:
    """``us-east-1:ami-1 eu-west-1:ami-2``: that of the home region first, and as many as fit into a tag."""
    ordered = sorted(amis, key=lambda ami: (ami.region != home, ami.region))
    return _fitting([f"{ami.region}:{ami.id}" for ami in ordered])


def read_amis(text: str) -> dict[str, str]:
    """Ids by region, of what `noted_amis` wrote."""
    return {match["region"]: match["id"] for match in _AMI.finditer(text)}


def _listed(text: str) -> tuple[str, ...]:
    return tuple(match[0] for match in _AMI.finditer(text))


def _fitting(words: Iterable[str]) -> str:
    text = ""
    for word in words:
        longer = f"{text} {word}".strip()
        if len(longer) > _VALUE_LENGTH:
            break
        text = longer
    return text


def _text(moment: datetime) -> str:
    """In whole seconds, rounded up: EC2's own clock tells no parts of them."""
    rounded = moment + timedelta(microseconds=-moment.microsecond % 1_000_000)
    return rounded.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
