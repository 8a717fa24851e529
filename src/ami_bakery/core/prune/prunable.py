"""What prune knows about a finished AMI and its use."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from datetime import datetime

    from ami_bakery.core.ec2.lineage import AmiKey


class PruneOutcome(StrEnum):
    """What happened to an AMI. `planned`: a run without --apply, which changes nothing."""

    PLANNED = "planned"
    KEPT = "kept"
    DONE = "done"
    SKIPPED = "skipped"
    """Not changed in this run: it changed after the decision, or another runner holds its lock."""
    FAILED = "failed"


class UsageReport(Frozen):
    """EC2's answer to which other accounts use an AMI.

    created  when the report was requested
    used_by  accounts that use the AMI; None while the report is pending, or if it failed
    """

    created: datetime
    used_by: tuple[str, ...] | None


class PrunableAmi(Frozen):
    """One finished AMI in one region.

    build        the AMI that Packer created; copies have the AMI that they were copied from
    bases        the AMIs of this account that it was built from
    created      None if EC2 has no date
    disabled     whether it is disabled in EC2
    quarantined  when prune disabled it, or was about to; None if it did not, or if it was enabled again
    enabled      when a bake enabled it again; None if none did
    current      whether it is an answer for the current definition
    revoked      whether it is revoked: then the policy does not keep it
    channels     the channels that have it
    rollbacks    the channels that a roll-back would return to it
    uses         instances, launch templates and others that name it
    children     AMIs that prune never changes, and that were built from it
    shared_with  accounts and organizations, other than its owner, that may launch it or could before the quarantine
    report       the newest usage report
    protected    why EC2 refuses to deregister it; empty if it does not
    unknown      why its use could not be read; empty if it was read
    gibibytes    full size of its snapshots; None if unknown
    """

    image: str
    key: AmiKey
    build: AmiKey
    created: datetime | None
    bases: tuple[AmiKey, ...] = ()
    disabled: bool = False
    quarantined: datetime | None = None
    enabled: datetime | None = None
    current: bool = False
    revoked: bool = False
    channels: tuple[str, ...] = ()
    rollbacks: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    shared_with: tuple[str, ...] = ()
    report: UsageReport | None = None
    protected: str = ""
    unknown: str = ""
    gibibytes: float | None = field(default=None)
