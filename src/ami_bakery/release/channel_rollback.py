"""Rolls channels back to earlier AMIs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.channel.parameter import ChannelResult, earlier_amis, last_written, listed_amis
from ami_bakery.core.channel.promotable import build_key, why_not_restored
from ami_bakery.core.ec2.ami import DIGEST_TAG
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.errors import AwsError
from ami_bakery.release.channel_write import read_channel
from ami_bakery.release.promoted_amis import build_in_regions, find_amis, own_builds
from ami_bakery.release.promotion import ChannelChanger, check_channel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from ami_bakery.core.channel.parameter import ChannelParameter, ChannelVersion
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.release.channel_lock import HeldChannel
    from ami_bakery.release.promotion import ChannelChange, ChannelPolicy

    _AmiKeys: TypeAlias = "Collection[tuple[str, str]]"


def roll_back(
    resolver: Resolver,
    names: Sequence[str],
    channel: str,
    to: str,
    policy: ChannelPolicy,
    *,
    leaving: _AmiKeys = (),
) -> Iterator[ChannelChange]:
    """Rolls the channel of each image back. Yields each result, as `promote` does.

    to       an AMI id, or the number of a version in the image's first region; empty: the previous different AMI
    leaving  AMIs by region and id: do nothing if the channel has none of them any more; empty: any AMI
    """
    for name in names:
        check_channel(resolver, name, channel)
    for name in names:
        yield _Rollback(resolver, resolver.image(name), channel, to, policy, leaving).run()


class _Rollback:
    """One roll-back. `to`, `leaving`: see `roll_back`."""

    def __init__(
        self,
        resolver: Resolver,
        image: ImageConfig,
        channel: str,
        to: str,
        policy: ChannelPolicy,
        leaving: _AmiKeys,
    ) -> None:
        self._resolver, self._image, self._to, self._leaving = resolver, image, to, leaving
        self._doing = f"rolling back channel {channel} of image {image.name}"
        self._change = ChannelChanger(resolver, image, channel, policy, self._doing)

    def run(self) -> ChannelChange:
        return self._change.under_lock(self._under_lock, ChannelResult.ROLLED_BACK)

    def _under_lock(self, held: HeldChannel) -> ChannelChange:
        change = self._change
        parameters = read_channel(self._resolver.ports, change.regions, change.parameter)
        if last_written(parameters) is None:
            wrong = f"{change.parameter} does not exist in {', '.join(change.regions)}"
            raise AwsError(self._doing, wrong, "Correct the channel: ami-bakery channels lists them.")
        if self._leaving and not self._left(parameters):
            return change.unchanged(parameters)
        return change.write(held, parameters, self._target(parameters, held))

    def _left(self, parameters: Iterable[ChannelParameter]) -> list[ChannelParameter]:
        return [each for each in parameters if (each.region, each.value) in self._leaving]

    def _target(self, parameters: Sequence[ChannelParameter], held: HeldChannel) -> Mapping[str, Ami]:
        if self._to.startswith("ami-"):
            return self._named(parameters, self._to)
        if self._to:
            return self._named(parameters, self._version(parameters[0]).value)
        if held.unfinished:
            return self._continued(parameters, held.unfinished)
        if not self._leaving:
            self._refuse_if_changed(parameters, held)
        reference = last_written(self._left(parameters) or parameters)
        assert reference is not None
        if reference.current and reference.current.rolled_back and self._without(parameters, reference):
            # A roll-back wrote this region, and not all others. Its record on the lock is lost.
            return self._continued(parameters, f"{reference.region}:{reference.value}")
        return self._previous(parameters, reference)

    def _refuse_if_changed(self, parameters: Sequence[ChannelParameter], held: HeldChannel) -> None:
        """Raises if another runner changed the channel while this one waited for it.

        Of two roll-backs at the same time, the second would otherwise restore the AMI that both replace.
        """
        changed = next((each for each in parameters if each.current and held.waited_for(each.current.modified)), None)
        if changed is not None:
            raise AwsError(
                self._doing,
                f"another runner changed the channel while this one waited: in {changed.region}, it has "
                f"{changed.value} (version {changed.number}) now",
                f"Check whether you still want to go back: ami-bakery channels {self._image.name}. Then run again.",
            )

    def _version(self, parameter: ChannelParameter) -> ChannelVersion:
        """Returns the version that `--to` names, in the image's first region."""
        version = parameter.version(int(self._to))
        if version is None:
            known = [each.number for each in parameter.versions]
            has = f"it has {known[0]} to {known[-1]}" if known else "it does not exist"
            raise AwsError(
                self._doing,
                f"{parameter.name} in {parameter.region} has no version {self._to}; {has}",
                f"Name a version of {parameter.region}: ami-bakery channels {self._image.name} --history",
            )
        return version

    def _named(self, parameters: Sequence[ChannelParameter], ami_id: str) -> Mapping[str, Ami]:
        """Returns a named AMI and its copies. It must have been in the channel."""
        if not any(version.value == ami_id for each in parameters for version in each.versions):
            regions = ", ".join(self._change.regions)
            todo = f"To put another AMI there, use: ami-bakery promote {self._image.name} --ami {ami_id} --to CHANNEL"
            raise AwsError(self._doing, f"{ami_id} was never in {self._change.parameter} in {regions}", todo)
        amis, why = self._restorable(ami_id)
        if amis is None:
            wrong = f"{ami_id} cannot be restored: {one_line(why)}"
            raise AwsError(self._doing, wrong, "Name another AMI or version with --to.")
        return amis

    def _restorable(self, ami_id: str) -> tuple[Mapping[str, Ami] | None, str]:
        """Returns an AMI and its copies, or why they cannot be restored."""
        ports, regions = self._resolver.ports, self._change.regions
        ami = next(iter(find_amis(ports, {region: [ami_id] for region in regions}).values()), None)
        digests = {ami.tags.get(DIGEST_TAG, "")} if ami is not None else set()
        return self._usable(ami, own_builds(ports, regions, digests))

    def _continued(self, parameters: Sequence[ChannelParameter], unfinished: str) -> Mapping[str, Ami]:
        """Returns the target of the interrupted roll-back.

        If it cannot be restored any more, goes back further from the AMI that the roll-back was to replace.
        """
        region, _, ami_id = unfinished.partition(":")
        note = self._resolver.ports.reporter.note
        amis, why = self._restorable(ami_id)
        if amis is not None:
            finishing = f"finishing the interrupted roll-back to {ami_id} ({region})"
            note(f"{self._doing}: {finishing}; to go further back, run again")
            return amis
        note(f"{self._doing}: cannot finish the interrupted roll-back to {ami_id} ({region}): {one_line(why)}")
        written = next((each for each in parameters if (each.region, each.value) == (region, ami_id)), None)
        unwritten = self._without(parameters, written) if written is not None else parameters
        reference = last_written(unwritten) or last_written(parameters)
        assert reference is not None
        return self._previous(parameters, reference)

    def _without(
        self, parameters: Sequence[ChannelParameter], reference: ChannelParameter
    ) -> tuple[ChannelParameter, ...]:
        """Returns the parameters that do not have the same build as this one."""
        others = tuple(each for each in parameters if each is not reference)
        ids = {each.region: [each.value] for each in parameters if each.current is not None}
        found = find_amis(self._resolver.ports, ids) if others else {}
        key = _key(found, reference)
        return tuple(each for each in others if _key(found, each) != key)

    def _previous(self, parameters: Sequence[ChannelParameter], reference: ChannelParameter) -> Mapping[str, Ami]:
        """Returns the previous build that is usable in all regions.

        Versions of other regions are considered last: a region that was added later has a short history.

        reference  the region whose AMI is to be replaced
        """
        ports, regions = self._resolver.ports, self._change.regions
        candidates = tuple(self._candidates(parameters, reference))
        ids: dict[str, list[str]] = {reference.region: [reference.value]}
        for region, version in candidates:
            ids.setdefault(region, []).append(version.value)
        found = find_amis(ports, ids)
        copies = own_builds(ports, regions, {ami.tags.get(DIGEST_TAG, "") for ami in found.values()})
        tried = {_key(found, reference)}
        skipped: list[str] = []
        for region, version in candidates:
            ami = found.get((region, version.value))
            key = build_key(ami) if ami is not None else version.value
            if key in tried:
                continue
            tried.add(key)
            amis, why = self._usable(ami, copies)
            if amis is not None:
                for each in skipped:
                    ports.reporter.note(f"{self._doing}: not restored: {each}")
                return amis
            skipped.append(f"{version.value} ({region}, version {version.number}): {one_line(why)}")
        wrong = f"{reference.name} in {reference.region} has no earlier AMI that can be restored"
        todo = f"Promote another AMI: ami-bakery promote {self._image.name} --ami AMI --to {self._change.channel}"
        raise AwsError(self._doing, "\n".join([wrong, *skipped]), todo)

    def _candidates(
        self, parameters: Sequence[ChannelParameter], reference: ChannelParameter
    ) -> Iterator[tuple[str, ChannelVersion]]:
        """Yields versions to go back to, by region, best first. They may be of the same builds."""
        last = last_written(parameters)
        if self._leaving and last is not None and last.current is not None and not self._left([last]):
            # Another region has a newer AMI, which is not one to leave.
            yield last.region, last.current
        yield from ((reference.region, version) for version in earlier_amis(reference))
        for each in parameters:
            if each is not reference:
                yield from ((each.region, version) for version in listed_amis(each))

    def _usable(self, ami: Ami | None, copies: Sequence[Ami]) -> tuple[Mapping[str, Ami] | None, str]:
        """Returns the AMIs of a build, or why it cannot be restored. `copies`: all AMIs with its digest."""
        revoked = next((copy for copy in copies if ami and copy.revoked and build_key(copy) == build_key(ami)), None)
        if why := why_not_restored(revoked or ami):
            return None, why
        assert ami is not None
        try:
            amis = build_in_regions(self._resolver, self._image, self._change.regions, ami, copies, self._doing)
        except AwsError as error:
            if error.code:
                raise
            return None, error.wrong
        bad = next(((each, why) for each in amis.values() if (why := why_not_restored(each))), None)
        return (amis, "") if bad is None else (None, f"{bad[0].id} ({bad[0].region}): {bad[1]}")


def _key(found: Mapping[tuple[str, str], Ami], parameter: ChannelParameter) -> str:
    """Returns the key of the build that a parameter has; the AMI's id if EC2 does not show the AMI."""
    ami = found.get((parameter.region, parameter.value))
    return build_key(ami) if ami is not None else parameter.value
