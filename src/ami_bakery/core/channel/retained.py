"""Finds the AMIs that a channel needs: those in it, and those that a roll-back would return to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.channel.parameter import earlier_amis
from ami_bakery.core.channel.promotable import build_key
from ami_bakery.core.ec2.ami import QUARANTINED_TAG, AmiState
from ami_bakery.core.ec2.lineage import AmiKey, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ami_bakery.core.channel.parameter import ChannelParameter
    from ami_bakery.core.ec2.ami import Ami


def channel_amis(parameters: Iterable[ChannelParameter]) -> frozenset[AmiKey]:
    """Returns the AMIs that are in the channel, by region."""
    return frozenset(AmiKey(each.region, each.value) for each in parameters if each.value)


def rollback_amis(parameters: Sequence[ChannelParameter], amis: Iterable[Ami]) -> frozenset[AmiKey]:
    """Returns the AMIs that a roll-back needs, in any region.

    In each region, these are the earlier AMIs from the newest one to the first that is usable in all regions: a
    roll-back skips those that are not. An AMI that prune disabled is needed, too: it can be enabled again.

    parameters  the channel in each of its regions
    amis        all existing AMIs of the account
    """
    by_key = {key_of(ami): ami for ami in amis}
    builds: dict[str, list[Ami]] = {}
    for ami in by_key.values():
        builds.setdefault(build_key(ami), []).append(ami)
    regions = {each.region for each in parameters}
    found: set[AmiKey] = set()
    for parameter in parameters:
        for members in _earlier_builds(parameter, by_key, builds):
            found |= {key_of(ami) for ami in members}
            if regions <= {ami.region for ami in members if ami.available}:
                break
    return frozenset(found)


def _earlier_builds(
    parameter: ChannelParameter, by_key: Mapping[AmiKey, Ami], builds: Mapping[str, Sequence[Ami]]
) -> Iterator[Sequence[Ami]]:
    """Yields the earlier builds that may be restored, newest first: all AMIs of each."""
    now = by_key.get(AmiKey(parameter.region, parameter.value))
    for version in earlier_amis(parameter):
        ami = by_key.get(AmiKey(parameter.region, version.value))
        if ami is None or (now is not None and build_key(ami) == build_key(now)):
            continue
        members = builds[build_key(ami)]
        if _may_return(ami) and not any(member.revoked for member in members):
            yield members


def _may_return(ami: Ami) -> bool:
    return ami.available or (ami.state is AmiState.DISABLED and bool(ami.tags.get(QUARANTINED_TAG)))
