"""The SSM parameter of a channel in one region."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

AMI_DATA_TYPE = "aws:ec2:image"
"""SSM checks that the value is an AMI of the region, some time after it has accepted the call."""
AMI_TYPE = "String"
_AMI_ID = re.compile(r"ami-[0-9a-f]{1,32}")
MAX_VERSIONS = 100
"""SSM deletes the oldest version, unless it has a label (user guide, working with parameter versions)."""
_MARK = "ami-bakery: "
"""The start of the description, by which ami-bakery recognizes its own parameters."""
_ROLLED_BACK = " (rolled back)"
"""The end of the description of a version that a roll-back wrote."""


def channel_description(image: str, channel: str, *, rolled_back: bool = False) -> str:
    return f"{_MARK}channel {channel} of image {image}{_ROLLED_BACK if rolled_back else ''}"


class ChannelVersion(Frozen):
    """A version of a parameter, as SSM's history shows it.

    number  from 1; it grows by 1 with each write
    user    the ARN of the writer; empty if unknown
    """

    number: int
    value: str
    kind: str
    data_type: str
    description: str
    modified: datetime | None
    user: str = ""
    labels: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether ami-bakery created the parameter."""
        return self.holds_amis and self.description.startswith(_MARK)

    @property
    def rolled_back(self) -> bool:
        """Whether a roll-back wrote it."""
        return self.is_ours and self.description.endswith(_ROLLED_BACK)

    @property
    def holds_amis(self) -> bool:
        return self.kind == AMI_TYPE and self.data_type == AMI_DATA_TYPE


class ChannelParameter(Frozen):
    """The parameter of a channel in one region. `versions`: oldest first; empty if it does not exist."""

    region: str
    name: str
    versions: tuple[ChannelVersion, ...] = ()

    @property
    def current(self) -> ChannelVersion | None:
        return self.versions[-1] if self.versions else None

    @property
    def value(self) -> str:
        """The AMI id; empty without a parameter."""
        return self.versions[-1].value if self.versions else ""

    @property
    def blocked_by(self) -> ChannelVersion | None:
        """The oldest version, if its labels prevent SSM from writing another version."""
        full = len(self.versions) >= MAX_VERSIONS and bool(self.versions[0].labels)
        return self.versions[0] if full else None

    @property
    def number(self) -> int:
        """The number of the current version; 0 without a parameter."""
        return self.versions[-1].number if self.versions else 0

    def version(self, number: int) -> ChannelVersion | None:
        return next((version for version in self.versions if version.number == number), None)


class ChannelResult(StrEnum):
    """What a promotion or roll-back did."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class RevocationResult(StrEnum):
    """What a revocation did to an AMI."""

    REVOKED = "revoked"
    UNREVOKED = "unrevoked"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class Obstacle(StrEnum):
    """Why a parameter is not written."""

    FOREIGN = "foreign"
    """ami-bakery did not create it; `--adopt` overwrites it."""
    OTHER_TYPE = "other type"
    """SSM cannot change its type."""
    FULL = "full"
    """It has 100 versions, and the oldest one has a label."""


class Unchanged(Frozen):
    """The parameter has the AMI already."""

    version: int


class WriteVersion(Frozen):
    """Write the AMI. `previous`: the version that is replaced; None: create the parameter."""

    ami: str
    previous: ChannelVersion | None


class Blocked(Frozen):
    """The parameter must not, or cannot, be written."""

    obstacle: Obstacle
    current: ChannelVersion


ChannelWrite: TypeAlias = Unchanged | WriteVersion | Blocked


def decide_write(parameter: ChannelParameter, ami: str, *, adopt: bool = False) -> ChannelWrite:
    """Decides how the parameter gets this AMI. `adopt`: also if ami-bakery did not create it."""
    current = parameter.current
    if current is None:
        return WriteVersion(ami=ami, previous=None)
    if not current.holds_amis:
        return Blocked(obstacle=Obstacle.OTHER_TYPE, current=current)
    if not current.is_ours and not adopt:
        return Blocked(obstacle=Obstacle.FOREIGN, current=current)
    if current.is_ours and current.value == ami:
        return Unchanged(version=current.number)
    if (oldest := parameter.blocked_by) is not None:
        return Blocked(obstacle=Obstacle.FULL, current=oldest)
    return WriteVersion(ami=ami, previous=current)


def last_written(parameters: Sequence[ChannelParameter]) -> ChannelParameter | None:
    """Returns the parameter that was written last.

    Of several that were written in the same second, returns the first.
    If regions differ, it has the AMI of the last promotion or rollback.
    """
    existing = [parameter for parameter in parameters if parameter.current is not None]
    return max(existing, key=_written_at, default=None)


def _written_at(parameter: ChannelParameter) -> int:
    modified = parameter.versions[-1].modified
    return int(modified.timestamp()) if modified is not None else 0


def earlier_amis(parameter: ChannelParameter) -> Iterator[ChannelVersion]:
    """Yields the versions with earlier AMIs, newest first, each AMI once."""
    return (version for version in listed_amis(parameter) if version.value != parameter.value)


def listed_amis(parameter: ChannelParameter) -> Iterator[ChannelVersion]:
    """Yields the versions with all AMIs, newest first, each AMI once."""
    seen: set[str] = set()
    for version in reversed(parameter.versions):
        if version.value not in seen and _AMI_ID.fullmatch(version.value):
            seen.add(version.value)
            yield version
