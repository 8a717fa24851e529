"""Decides whether an AMI may be in a channel, and why not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import DIGEST_TAG, FORMAT_TAG, IMAGE_TAG, ORIGIN_TAG, TESTED_TAG
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.ec2.ami import Ami


class PromotionRules(Frozen):
    """What an AMI must be. `tested`: whether the image has a test."""

    image: str
    account: str
    tested: bool


def why_not_promoted(amis: Collection[Ami], rules: PromotionRules) -> tuple[Ami, str] | None:
    """Returns the first AMI that must not be promoted, and why; else None.

    A copy counts as tested if its original is.
    """
    for ami in amis:
        if why := _why_not(ami, rules):
            return ami, why
    if rules.tested and not any(ami.tested for ami in amis):
        return next(iter(amis)), f"it did not pass a test (it has no tag {TESTED_TAG})"
    return None


def _why_not(ami: Ami, rules: PromotionRules) -> str:
    if ami.owner != rules.account:
        return f"it belongs to account {ami.owner or 'unknown'}, not to {rules.account}"
    if ami.revoked:
        return f"it is revoked: {ami.revoked}"
    if not ami.available:
        return f"its state is {ami.state}" + (f" ({ami.state_reason})" if ami.state_reason else "")
    if rules.tested and ami.test_failed:
        return "it failed its test"
    if missing := [tag for tag in (DIGEST_TAG, FORMAT_TAG) if not ami.tags.get(tag)]:
        return f"ami-bakery did not finish it (it has no tag {missing[0]})"
    if ami.tags.get(IMAGE_TAG) != rules.image:
        return f"it is an AMI of image {ami.tags.get(IMAGE_TAG) or 'unknown'}, not of {rules.image}"
    return ""


def why_not_restored(ami: Ami | None) -> str:
    """Returns why a channel must not go back to this AMI; else empty. None: it does not exist."""
    if ami is None:
        return "it does not exist any more, or is disabled"
    if not ami.available:
        return f"its state is {ami.state}"
    return f"it is revoked: {ami.revoked}" if ami.revoked else ""


def build_key(ami: Ami) -> str:
    """Returns a key that all copies of one build share."""
    digest, origin = ami.tags.get(DIGEST_TAG, ""), ami.tags.get(ORIGIN_TAG, "")
    return f"{digest} {origin}" if digest and origin else ami.id


def same_build(amis: Iterable[Ami | None]) -> bool:
    """Whether these are copies of one build. None: an unknown AMI."""
    keys = {build_key(ami) if ami is not None else "" for ami in amis}
    return len(keys) == 1 and "" not in keys


def copies_of(build: Ami, found: Iterable[Ami]) -> Mapping[str, tuple[Ami, ...]]:
    """Returns the AMIs of the same build by region. The region of `build` has only itself."""
    copies: dict[str, tuple[Ami, ...]] = {build.region: (build,)}
    for ami in found:
        if ami.region != build.region and build_key(ami) == build_key(build):
            copies[ami.region] = (*copies.get(ami.region, ()), ami)
    return copies
