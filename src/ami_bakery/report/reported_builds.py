"""Groups the AMIs of an image into builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.channel.builds_behind import how_far_behind
from ami_bakery.core.ec2.ami import COMMIT_TAG, FROM_TAG, ORIGIN_TAG, Ami
from ami_bakery.core.ec2.lineage import AmiKey, key_of
from ami_bakery.core.report.image_states import state_of_build
from ami_bakery.report.report_facts import ReportedBuild
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from ami_bakery.core.channel.builds_behind import Behind
    from ami_bakery.core.definition.digest import Digest
    from ami_bakery.inspect.inventory import Listing
    from ami_bakery.inspect.used_amis import UsedAmi
    from ami_bakery.release.channel_listing import ChannelRow
    from ami_bakery.report.report_facts import ReportedAmi


class ImageNow(Frozen):
    """What an image's builds are compared with.

    regions   that of the build first
    digest    that of the current definition; None if it is unknown
    test      the digest of its test, as hex; empty if it has none
    channels  None if they could not be read
    """

    regions: tuple[str, ...]
    digest: Digest | None
    test: str
    channels: tuple[ChannelRow, ...] | None


def group_builds(listing: Listing, amis: Iterable[ReportedAmi], image: ImageNow) -> tuple[ReportedBuild, ...]:
    """Returns the builds of one image, newest first."""
    members: dict[AmiKey, list[ReportedAmi]] = {}
    listed = tuple(amis)
    for each in listed:
        members.setdefault(_build_of(each.use, image.regions[0]), []).append(each)
    builds = [_build(listing, key, found, image) for key, found in members.items()]
    builds = [replace(build, behind=_behind(build, [each.ami for each in listed])) for build in builds]
    return tuple(sorted(builds, key=_age, reverse=True))


def _build_of(use: UsedAmi, home: str) -> AmiKey:
    """Returns the AMI that Packer created: by the tag, or by EC2's record."""
    made = use.made
    origin = made.ami.tags.get(ORIGIN_TAG, "")
    if origin and origin != made.ami.id:
        return made.copy_of if made.copy_of is not None and made.copy_of.id == origin else AmiKey(home, origin)
    return made.copy_of or key_of(made.ami)


def _build(listing: Listing, key: AmiKey, found: Iterable[ReportedAmi], image: ImageNow) -> ReportedBuild:
    order = {region: at for at, region in enumerate(image.regions)}
    amis = sorted(
        found,
        key=lambda each: (each.ami.id != key.id, order.get(each.ami.region, len(order)), each.ami.region, each.ami.id),
    )
    first, tags = amis[0].use.made, amis[0].ami.tags
    commit, _, dirty = tags.get(COMMIT_TAG, "").partition("+")
    return ReportedBuild(
        id=key,
        amis=tuple(amis),
        state=state_of_build([each.ami for each in amis], image.digest, image.test),
        commit=commit,
        dirty=bool(dirty),
        source_amis=_source_amis(first.ami, first.copy_of),
        parent=_parent(listing, first.base),
        tested=first.tested,
        revoked=next((each.ami.revoked for each in amis if each.ami.revoked), ""),
        channels=_channels([each.ami for each in amis], image.channels),
    )


def _behind(build: ReportedBuild, amis: Iterable[Ami]) -> Behind | None:
    """Compares a build with the others where they were built, because newer builds may have no copies."""
    if key_of(build.first) == build.id:
        return build.amis[0].use.behind
    return how_far_behind(replace(build.first, region=build.id.region), amis)


def _source_amis(ami: Ami, copy_of: AmiKey | None) -> tuple[str, ...]:
    tagged = tuple(ami.tags.get(FROM_TAG, "").split())
    return tagged or ((ami.source,) if ami.source and copy_of is None else ())


def _parent(listing: Listing, base: AmiKey | None) -> str | None:
    name = listing.image_of(base) if base is not None else None
    return name if name is not None and listing.configures(name) else None


def _channels(amis: Sequence[Ami], rows: Sequence[ChannelRow] | None) -> tuple[str, ...] | None:
    if rows is None:
        return None
    keys = {(ami.region, ami.id) for ami in amis}
    return tuple(dict.fromkeys(row.channel for row in rows if (row.region, row.parameter.value) in keys))


def _age(build: ReportedBuild) -> tuple[bool, datetime | None, AmiKey]:
    return build.first.created is not None, build.first.created, build.id
