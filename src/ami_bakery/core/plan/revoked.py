"""Decides which AMIs of a digest belong to a revoked build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import ORIGIN_TAG
from ami_bakery.core.text.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ami_bakery.core.ec2.ami import Ami


def revoked_amis(found: Collection[Ami]) -> Mapping[str, str]:
    """Returns why AMIs are revoked, by id, escaped for one line.

    A revocation that failed in a region has not tagged all copies, so a revoked copy revokes the whole build.
    """
    reasons = {ami.tags[ORIGIN_TAG]: ami.revoked for ami in found if ami.revoked and ami.tags.get(ORIGIN_TAG)}
    return {
        ami.id: one_line(reason)
        for ami in found
        if (reason := ami.revoked or reasons.get(ami.tags.get(ORIGIN_TAG, ""), ""))
    }
