"""Lists the channels of images, with the AMI of each region."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.channel.builds_behind import how_far_behind
from ami_bakery.core.channel.parameter import ChannelParameter, ChannelVersion, last_written
from ami_bakery.core.channel.promotable import build_key
from ami_bakery.core.concurrency import run_all
from ami_bakery.core.ec2.ami import IMAGE_TAG, Ami
from ami_bakery.plan.lookups import of_images
from ami_bakery.release.promoted_amis import channel_regions, find_amis, refuse_drop_in
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.resolver import Resolver

_SELF = ("self",)


class ChannelRow(Frozen):
    """A channel in one region.

    ami      None if EC2 does not show the AMI, or if there is no parameter
    behind   the number of newer builds of the image in this region; None if unknown
    differs  whether it has another build than the region that was written last; false if that is unknown
    """

    image: str
    channel: str
    parameter: ChannelParameter
    ami: Ami | None
    behind: int | None
    differs: bool

    @property
    def region(self) -> str:
        return self.parameter.region

    @property
    def current(self) -> ChannelVersion | None:
        return self.parameter.current

    @property
    def revoked(self) -> str:
        return self.ami.revoked if self.ami is not None else ""

    @property
    def problem(self) -> str:
        """What is wrong with it, in a few words; empty if nothing is."""
        if self.current is None:
            return "missing in this region"
        if not self.current.holds_amis:
            return f"not a channel: {self.current.kind}, {self.current.data_type}"
        if self.ami is None:
            return "its AMI does not exist, or is disabled"
        if self.revoked:
            return f"revoked: {self.revoked}"
        if not self.ami.available:
            return f"its AMI is {self.ami.state}"
        return "differs" if self.differs else ""


def list_channels(resolver: Resolver, names: Sequence[str]) -> tuple[ChannelRow, ...]:
    """Returns the channels by image, channel and region, in file order.

    Three steps, each with concurrent calls: names of parameters, their histories, and AMIs.
    """
    images = [resolver.image(name) for name in names]
    for image in images:
        refuse_drop_in(image, "listing channels")
    regions = {image.name: channel_regions(resolver, image) for image in images}
    parameters = _parameters(resolver, images, regions)
    amis = _amis(resolver, regions, parameters)
    return tuple(
        row
        for (image, channel), found in parameters.items()
        for row in _rows(image, channel, found, amis, len(regions[image]))
    )


def _parameters(
    resolver: Resolver, images: Sequence[ImageConfig], regions: Mapping[str, Sequence[str]]
) -> dict[tuple[str, str], tuple[ChannelParameter, ...]]:
    """Returns the parameter of each channel in each region of its image."""
    settings = resolver.config.channels
    path = settings.prefix if len(images) > 1 else f"{settings.prefix}/{images[0].name}" if images else ""
    everywhere = sorted({region for each in regions.values() for region in each})
    below, history = resolver.ports.parameters.below, resolver.ports.parameters.history
    names = dict(zip(everywhere, run_all([partial(below, region, path) for region in everywhere]), strict=True))
    found: dict[tuple[str, str], None] = {}
    for image in images:
        listed = {name for region in regions[image.name] for name in names[region]}
        channels = {channel for name in listed if (channel := settings.channel_of(image.name, name))}
        order = {channel: at for at, channel in enumerate(settings.names)}
        found.update(
            ((image.name, channel), None)
            for channel in sorted(channels, key=lambda channel: (order.get(channel, len(order)), channel))
        )
    wanted = [(image, channel, region) for image, channel in found for region in regions[image]]
    existing = [each for each in wanted if settings.parameter(*each[:2]) in names[each[2]]]
    answers = run_all([partial(history, each[2], settings.parameter(*each[:2])) for each in existing])
    versions = dict(zip(existing, answers, strict=True))
    return {
        (image, channel): tuple(
            ChannelParameter(
                region=region,
                name=settings.parameter(image, channel),
                versions=versions.get((image, channel, region), ()),
            )
            for region in regions[image]
        )
        for image, channel in found
    }


def _amis(
    resolver: Resolver,
    regions: Mapping[str, Sequence[str]],
    parameters: Mapping[tuple[str, str], Iterable[ChannelParameter]],
) -> tuple[Ami, ...]:
    """Returns the AMIs of these images, and others that a channel has."""
    queries: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for image, _ in parameters:
        for region in regions[image]:
            queries.setdefault((region, _SELF), set()).add(image)
    found = of_images(resolver, queries)
    known = {(ami.region, ami.id) for ami in found}
    others: dict[str, set[str]] = {}
    for each in (each for group in parameters.values() for each in group):
        if each.current is not None and each.current.holds_amis and (each.region, each.value) not in known:
            others.setdefault(each.region, set()).add(each.value)
    return (*found, *find_amis(resolver.ports, others).values())


def _rows(
    image: str, channel: str, parameters: Sequence[ChannelParameter], amis: Sequence[Ami], regions: int
) -> list[ChannelRow]:
    by_id = {(ami.region, ami.id): ami for ami in amis}
    builds = {each.region: _build(by_id.get((each.region, each.value)), each) for each in parameters}
    reference = last_written(parameters)
    wanted = builds[reference.region] if reference is not None else ""
    compared = regions > 1 and wanted is not None
    return [
        ChannelRow(
            image=image,
            channel=channel,
            parameter=each,
            ami=(ami := by_id.get((each.region, each.value))),
            behind=_behind(image, ami, amis),
            differs=compared and builds[each.region] not in (wanted, None),
        )
        for each in parameters
    ]


def _build(ami: Ami | None, parameter: ChannelParameter) -> str | None:
    """Returns the key of the build that a region has; empty without a parameter, None if EC2 does not show the AMI."""
    if ami is not None:
        return build_key(ami)
    return None if parameter.current is not None else ""


def _behind(image: str, ami: Ami | None, amis: Iterable[Ami]) -> int | None:
    if ami is None or ami.tags.get(IMAGE_TAG) != image:
        return None
    own = [other for other in amis if other.tags.get(IMAGE_TAG) == image and other.verified]
    behind = how_far_behind(ami, own)
    return behind.builds if behind is not None else None
