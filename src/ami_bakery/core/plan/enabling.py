"""Decides which AMIs that prune disabled are enabled instead of built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import ABANDONED_TAG, ORIGIN_TAG, AmiState
from ami_bakery.core.ec2.quarantine import read_quarantine
from ami_bakery.core.plan.describe import describe_age, describe_time
from ami_bakery.core.plan.plan import Reason

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from ami_bakery.core.ec2.ami import Ami


def in_quarantine(ami: Ami) -> bool:
    """Whether prune disabled the AMI, so that it can be enabled."""
    return ami.state is AmiState.DISABLED and read_quarantine(ami.tags) is not None


def must_be_enabled(ami: Ami) -> bool:
    """Whether the AMI is in quarantine, or still has the tags of its quarantine.

    A run that enables it removes these tags last. So its launch permissions may not be restored yet.
    """
    return (ami.available or ami.state is AmiState.DISABLED) and read_quarantine(ami.tags) is not None


def noted_permissions(ami: Ami) -> frozenset[str]:
    """Returns the launch permissions that the AMI had before its quarantine; empty if it is not in quarantine."""
    quarantine = read_quarantine(ami.tags)
    return quarantine.permissions if quarantine is not None else frozenset()


def enabling_candidates(found: Collection[Ami]) -> tuple[Ami, ...]:
    """Returns the AMIs in quarantine, without those of builds that are being deregistered."""
    abandoned = {_build(ami) for ami in found if ABANDONED_TAG in ami.tags}
    return tuple(ami for ami in found if in_quarantine(ami) and not ami.test_failed and _build(ami) not in abandoned)


def _build(ami: Ami) -> str:
    return ami.tags.get(ORIGIN_TAG) or ami.id


def enabling_reason(ami: Ami, now: datetime) -> Reason:
    """Returns why an AMI is enabled."""
    named = f"{ami.id} ({ami.region}, built {describe_age(ami, now)})"
    if ami.available:
        detail = f"{named} matches and is enabled again, but its launch permissions may not be restored yet"
        return Reason("quarantine-not-ended", ami.id, detail)
    quarantine = read_quarantine(ami.tags)
    since = describe_time(quarantine.since if quarantine is not None else None, now)
    return Reason("quarantined", ami.id, f"{named} matches, and prune disabled it {since}")
