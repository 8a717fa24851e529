"""Counts the builds that are newer than an AMI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.channel.promotable import build_key
from ami_bakery.core.ec2.ami import DIGEST_TAG, newest
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from ami_bakery.core.ec2.ami import Ami


class Behind(Frozen):
    """How far an AMI is behind the newest build of its image in its region.

    builds  the number of newer builds
    time    the time from its creation to that of the newest build; zero for the newest build
    """

    builds: int
    time: timedelta


def how_far_behind(ami: Ami, amis: Iterable[Ami]) -> Behind | None:
    """Returns how many finished builds are newer. Copies of one build count once; revoked builds do not count.

    amis  AMIs of the same image, in any region; None is returned if EC2 has no date for `ami`
    """
    if ami.created is None:
        return None
    own = build_key(ami)
    newer = [
        other
        for other in amis
        if other.region == ami.region
        and other.available
        and not other.revoked
        and other.tags.get(DIGEST_TAG)
        and other.created is not None
        and other.created > ami.created
        and build_key(other) != own
    ]
    last = newest(newer)
    created = last.created if last is not None and last.created is not None else ami.created
    return Behind(builds=len({build_key(other) for other in newer}), time=created - ami.created)
