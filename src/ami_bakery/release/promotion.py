"""Promotes AMIs to channels, and rolls channels back."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ami_bakery.bake.build_slots import WaitPolicy
from ami_bakery.core.channel.parameter import ChannelParameter, ChannelResult, earlier_amis, last_written
from ami_bakery.core.channel.promotable import build_key, why_not_restored
from ami_bakery.core.ec2.ami import DIGEST_TAG
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.errors import AwsError, BakeryError, UsageError
from ami_bakery.release.channel_lock import HeldChannel, lock_channel
from ami_bakery.release.channel_write import ChannelTarget, RegionChange, read_channel, write_channel
from ami_bakery.release.promoted_amis import (
    amis_of_channel,
    amis_of_definitions,
    build_in_regions,
    channel_regions,
    check_promotable,
    copies_of_ami,
    find_amis,
    own_builds,
    refuse_drop_in,
)
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from ami_bakery.core.channel.parameter import ChannelVersion
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.define.resolver import Resolver

    _Run: TypeAlias = "Callable[[HeldChannel], ChannelChange]"

DEFAULT_TIMEOUT = timedelta(minutes=1)


class ChannelPolicy(Frozen):
    """How to change a channel.

    timeout  how long SSM may take to show a new value
    adopt    overwrite parameters that ami-bakery did not create
    """

    wait: WaitPolicy = field(default_factory=WaitPolicy)
    timeout: timedelta = DEFAULT_TIMEOUT
    adopt: bool = False


class ChannelChange(Frozen):
    """The result for one channel of one image.

    amis     what the channel has now, by region; after a failure, only the regions that have the new AMI
    changes  by region; empty if it failed before the first write
    """

    image: str
    channel: str
    parameter: str
    result: ChannelResult
    regions: tuple[str, ...] = ()
    digest: str = ""
    amis: Mapping[str, Ami] = field(default_factory=dict)
    changes: tuple[RegionChange, ...] = ()
    error: BakeryError | None = None


class Origin(Frozen):
    """What to promote; by default, the AMIs of the current definition."""

    channel: str = ""
    ami: str = ""


def promote(
    resolver: Resolver, names: Sequence[str], channel: str, origin: Origin, policy: ChannelPolicy
) -> Iterator[ChannelChange]:
    """Promotes an AMI of each image. Yields each result; the failure of an image does not stop the others.

    Raises `UsageError` for a channel that cannot exist.
    """
    for name in names:
        for each in filter(None, (channel, origin.channel)):
            check_channel(resolver, name, each)
    failures: dict[str, BakeryError] = {}
    known: dict[str, Mapping[str, Ami]] = {}
    if not origin.channel and not origin.ami:
        known = amis_of_definitions(resolver, names, failures)
    for name in names:
        yield _promoted(resolver, resolver.image(name), channel, origin, policy, known.get(name), failures.get(name))


def check_channel(resolver: Resolver, image: str, channel: str) -> None:
    doing = f"reading the channel {one_line(channel[:70])!r}"
    refuse_drop_in(resolver.config.image(image), doing)
    problem = resolver.config.channels.problem(image, channel)
    if problem:
        raise UsageError(doing, problem, "Correct the name, or [channels] in bakery.toml.")


def _promoted(
    resolver: Resolver,
    image: ImageConfig,
    channel: str,
    origin: Origin,
    policy: ChannelPolicy,
    known: Mapping[str, Ami] | None,
    failure: BakeryError | None,
) -> ChannelChange:
    change = _Change(resolver, image, channel, policy, f"promoting image {image.name} to channel {channel}")
    if failure is not None:
        return change.failed(failure)

    def amis(_: HeldChannel) -> Mapping[str, Ami]:
        if origin.channel:
            return amis_of_channel(resolver, image, change.regions, origin.channel)
        if origin.ami:
            return copies_of_ami(resolver, image, change.regions, origin.ami)
        assert known is not None
        return known

    def run(held: HeldChannel) -> ChannelChange:
        wanted = check_promotable(resolver, image, amis(held), change.doing)
        return change.write(held, read_channel(resolver.ports, change.regions, change.parameter), wanted)

    if known is not None:
        change.regions = tuple(known)
    return change.under_lock(run, ChannelResult.PROMOTED)


def roll_back(
    resolver: Resolver, names: Sequence[str], channel: str, to: str, policy: ChannelPolicy
) -> Iterator[ChannelChange]:
    """Rolls the channel of each image back. Yields each result, as `promote` does.

    to  an AMI id, or the number of a version in the image's first region; empty: the previous different AMI
    """
    for name in names:
        check_channel(resolver, name, channel)
    for name in names:
        yield _Rollback(resolver, resolver.image(name), channel, to, policy).run()


class _Change:
    """One change of one channel."""

    def __init__(self, resolver: Resolver, image: ImageConfig, channel: str, policy: ChannelPolicy, doing: str) -> None:
        self.resolver, self.image, self.channel, self.policy, self.doing = resolver, image, channel, policy, doing
        self.parameter = resolver.config.channels.parameter(image.name, channel)
        self.regions: tuple[str, ...] = ()
        self.result = ChannelResult.PROMOTED

    def under_lock(self, run: _Run, result: ChannelResult) -> ChannelChange:
        """Runs under the channel's lock. A `BakeryError` is a result."""
        ports, self.result = self.resolver.ports, result
        try:
            self.regions = self.regions or channel_regions(self.resolver, self.image)
            home = self.resolver.region_of(self.image)
            with lock_channel(ports, self.image, home, self.parameter, self.doing, self.policy.wait) as held:
                ports.reporter.step(self.image.name, self.doing)
                return run(held)
        except BakeryError as error:
            return self.failed(error)
        finally:
            ports.reporter.done(self.image.name)

    def failed(self, error: BakeryError) -> ChannelChange:
        return ChannelChange(
            image=self.image.name,
            channel=self.channel,
            parameter=self.parameter,
            result=ChannelResult.FAILED,
            regions=self.regions,
            error=error,
        )

    def write(
        self, held: HeldChannel, parameters: Sequence[ChannelParameter], amis: Mapping[str, Ami]
    ) -> ChannelChange:
        """Writes the AMIs to all regions."""
        target = ChannelTarget(
            image=self.image.name,
            channel=self.channel,
            parameter=self.parameter,
            amis=amis,
            timeout=self.policy.timeout,
            adopt=self.policy.adopt,
        )
        changes = write_channel(self.resolver.ports, target, parameters, held)
        failures = [change for change in changes if change.error is not None]
        result = self.result if any(change.changed for change in changes) else ChannelResult.UNCHANGED
        return ChannelChange(
            image=self.image.name,
            channel=self.channel,
            parameter=self.parameter,
            result=ChannelResult.FAILED if failures else result,
            regions=tuple(change.region for change in changes),
            digest=next((ami.tags.get(DIGEST_TAG, "") for ami in amis.values()), ""),
            amis={change.region: amis[change.region] for change in changes if change.error is None},
            changes=changes,
            error=self._error(changes, failures) if failures else None,
        )

    def _error(self, changes: Sequence[RegionChange], failures: Sequence[RegionChange]) -> BakeryError:
        """Returns the errors of all regions as one. `BusyError` stays so, for its exit status."""
        errors = [change.error for change in failures if change.error is not None]
        first = errors[0]
        if len(changes) == 1:
            return first
        done = [change.region for change in changes if change.error is None]
        lines = [f"{error.doing}: {error.wrong}" for error in errors]
        differ = f"{', '.join(done)} {'has' if len(done) == 1 else 'have'} the AMI already. " if done else ""
        todo = f"{first.todo} {differ}Running the same command again completes the other regions."
        return first.revised(doing=self.doing, wrong="\n".join(lines), todo=todo)


class _Rollback:
    """One roll-back. `to`: see `roll_back`."""

    def __init__(self, resolver: Resolver, image: ImageConfig, channel: str, to: str, policy: ChannelPolicy) -> None:
        self._resolver, self._image, self._to = resolver, image, to
        self._change = _Change(
            resolver, image, channel, policy, f"rolling back channel {channel} of image {image.name}"
        )

    def run(self) -> ChannelChange:
        return self._change.under_lock(self._under_lock, ChannelResult.ROLLED_BACK)

    def _under_lock(self, held: HeldChannel) -> ChannelChange:
        change = self._change
        parameters = read_channel(self._resolver.ports, change.regions, change.parameter)
        reference = last_written(parameters)
        if reference is None:
            wrong = f"{change.parameter} does not exist in {', '.join(change.regions)}"
            raise AwsError(change.doing, wrong, "Correct the channel: ami-bakery channels lists them.")
        amis = self._target(parameters, reference, held)
        first = next(iter(amis.values()))
        held.begin_rollback(f"{first.region}:{first.id}")
        done = change.write(held, parameters, amis)
        if done.error is None:
            held.end_rollback()
        return done

    def _target(
        self, parameters: Sequence[ChannelParameter], reference: ChannelParameter, held: HeldChannel
    ) -> Mapping[str, Ami]:
        if self._to.startswith("ami-"):
            return self._named(parameters, self._to)
        if self._to:
            return self._named(parameters, self._version(parameters[0]).value)
        if held.unfinished:
            region, _, ami = held.unfinished.partition(":")
            self._resolver.ports.reporter.note(
                f"{self._change.doing}: finishing the interrupted roll-back to {ami} ({region}); to go further back, "
                "run again"
            )
            return self._named(parameters, ami)
        return self._previous(reference)

    def _version(self, parameter: ChannelParameter) -> ChannelVersion:
        """Returns the version that `--to` names, in the image's first region."""
        version = parameter.version(int(self._to))
        if version is None:
            known = [each.number for each in parameter.versions]
            has = f"it has {known[0]} to {known[-1]}" if known else "it does not exist"
            raise AwsError(
                self._change.doing,
                f"{parameter.name} in {parameter.region} has no version {self._to}; {has}",
                f"Name a version of {parameter.region}: ami-bakery channels {self._image.name} --history",
            )
        return version

    def _named(self, parameters: Sequence[ChannelParameter], ami_id: str) -> Mapping[str, Ami]:
        """Returns a named AMI and its copies. It must have been in the channel."""
        doing, regions = self._change.doing, self._change.regions
        if not any(version.value == ami_id for each in parameters for version in each.versions):
            todo = f"To put another AMI there, use: ami-bakery promote {self._image.name} --ami {ami_id} --to CHANNEL"
            raise AwsError(doing, f"{ami_id} was never in {self._change.parameter} in {', '.join(regions)}", todo)
        amis = copies_of_ami(self._resolver, self._image, regions, ami_id)
        for ami in amis.values():
            if why := why_not_restored(ami):
                wrong = f"{ami.id} ({ami.region}) cannot be restored: {one_line(why)}"
                raise AwsError(doing, wrong, "Name another AMI or version with --to.")
        return amis

    def _previous(self, reference: ChannelParameter) -> Mapping[str, Ami]:
        """Returns the previous build that is usable in all regions."""
        region, regions = reference.region, self._change.regions
        candidates = tuple(earlier_amis(reference))
        found = find_amis(self._resolver.ports, {region: [version.value for version in candidates]})
        known = [ami for version in candidates if (ami := found.get((region, version.value))) is not None]
        copies = own_builds(self._resolver.ports, regions, {ami.tags.get(DIGEST_TAG, "") for ami in known})
        current = {build_key(ami) for ami in copies if ami.id == reference.value}
        skipped: list[str] = []
        for version in candidates:
            ami = found.get((region, version.value))
            if ami is not None and build_key(ami) in current:
                continue
            amis, why = self._usable(ami, copies, regions)
            if amis is not None:
                self._report(skipped)
                return amis
            skipped.append(f"{version.value} ({region}, version {version.number}): {one_line(why)}")
        wrong = f"{reference.name} in {region} has no earlier AMI that can be restored"
        todo = f"Promote another AMI: ami-bakery promote {self._image.name} --ami AMI --to {self._change.channel}"
        raise AwsError(self._change.doing, "\n".join([wrong, *skipped]), todo)

    def _usable(
        self, ami: Ami | None, copies: Sequence[Ami], regions: Sequence[str]
    ) -> tuple[Mapping[str, Ami] | None, str]:
        """Returns the AMIs of a build, or why it cannot be restored."""
        revoked = next((copy for copy in copies if ami and copy.revoked and build_key(copy) == build_key(ami)), None)
        if why := why_not_restored(revoked or ami):
            return None, why
        assert ami is not None
        try:
            amis = build_in_regions(self._resolver, self._image, regions, ami, self._change.doing)
        except AwsError as error:
            if error.code:
                raise
            return None, error.wrong
        bad = next(((each, why) for each in amis.values() if (why := why_not_restored(each))), None)
        return (amis, "") if bad is None else (None, f"{bad[0].id} ({bad[0].region}): {bad[1]}")

    def _report(self, skipped: Sequence[str]) -> None:
        for each in skipped:
            self._resolver.ports.reporter.note(f"{self._change.doing}: not restored: {each}")
