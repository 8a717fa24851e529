"""Decides whether an AMI passed the current test of its image."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import DIGEST_TAG, newest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ami_bakery.core.definition.digest import Digest
    from ami_bakery.core.ec2.ami import Ami


class AmiTestState(StrEnum):
    """The state of an AMI's test."""

    PASSED = "passed"
    CHANGED = "changed"
    """It passed a test that changed since."""
    UNTESTED = "untested"
    FAILED = "failed"


def tested_state(ami: Ami, test: str) -> AmiTestState:
    """Returns the state of an AMI. `test`: the digest of the current test, as hex."""
    if ami.tested == test:
        return AmiTestState.PASSED
    if ami.test_failed:
        return AmiTestState.FAILED
    return AmiTestState.CHANGED if ami.tested else AmiTestState.UNTESTED


def kept_ami(failed: Iterable[Ami], digest: Digest, base: Collection[str] | None, region: str) -> Ami | None:
    """Returns the digest's newest AMI that failed its test and is kept.

    It is verified, and has all tags of a finished AMI except the digest.

    failed  AMIs of this account that have the tag `ami-bakery:test-failed`
    """
    return newest(
        ami
        for ami in failed
        if ami.available
        and not ami.revoked
        and ami.verified
        and ami.region == region
        and ami.test_failed == digest.hex
        and not ami.tags.get(DIGEST_TAG)
        and ami.is_recorded_from(base)
    )
