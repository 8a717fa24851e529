"""Promotes AMIs to channels, and changes channels under their lock."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ami_bakery.bake.build_slots import WaitPolicy
from ami_bakery.core.channel.parameter import ChannelParameter, ChannelResult
from ami_bakery.core.channel.promotable import build_key
from ami_bakery.core.ec2.ami import DIGEST_TAG
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.errors import AwsError, BakeryError, UsageError
from ami_bakery.release.channel_lock import HeldChannel, lock_channel
from ami_bakery.release.channel_write import ChannelTarget, RegionChange, read_channel, write_channel
from ami_bakery.release.promoted_amis import (
    amis_of_channel,
    amis_of_definitions,
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
    change = ChannelChanger(resolver, image, channel, policy, f"promoting image {image.name} to channel {channel}")
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


class ChannelChanger:
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

    def unchanged(self, parameters: Sequence[ChannelParameter]) -> ChannelChange:
        """Returns what the channel has, as the result of a change with nothing to do."""
        has = {each.region: [each.value] for each in parameters if each.current is not None and each.current.holds_amis}
        return ChannelChange(
            image=self.image.name,
            channel=self.channel,
            parameter=self.parameter,
            result=ChannelResult.UNCHANGED,
            regions=self.regions,
            amis={region: ami for (region, _), ami in find_amis(self.resolver.ports, has).items()},
        )

    def write(
        self, held: HeldChannel, parameters: Sequence[ChannelParameter], amis: Mapping[str, Ami]
    ) -> ChannelChange:
        """Writes the AMIs to all regions. It is an error if one is revoked meanwhile."""
        target = ChannelTarget(
            image=self.image.name,
            channel=self.channel,
            parameter=self.parameter,
            amis=amis,
            timeout=self.policy.timeout,
            adopt=self.policy.adopt,
            rolls_back=self.result is ChannelResult.ROLLED_BACK,
        )
        changes = write_channel(self.resolver.ports, target, parameters, held)
        failures = [change for change in changes if change.error is not None]
        error = self._error(changes, failures) if failures else None
        result = self.result if any(change.changed for change in changes) else ChannelResult.UNCHANGED
        if error is None:
            held.complete()
            error = self._revoked_meanwhile(amis) if result is self.result else None
        return ChannelChange(
            image=self.image.name,
            channel=self.channel,
            parameter=self.parameter,
            result=result if error is None else ChannelResult.FAILED,
            regions=tuple(change.region for change in changes),
            digest=next((ami.tags.get(DIGEST_TAG, "") for ami in amis.values()), ""),
            amis={change.region: amis[change.region] for change in changes if change.error is None},
            changes=changes,
            error=error,
        )

    def _revoked_meanwhile(self, amis: Mapping[str, Ami]) -> BakeryError | None:
        """Returns an error if the new AMIs are revoked now.

        `revoke` writes its tags, then reads the channels. This reads the tags after the channel is written. So if both
        run at the same time, at least one of them sees the other.
        """
        digests = {ami.tags.get(DIGEST_TAG, "") for ami in amis.values()}
        keys = {build_key(ami) for ami in amis.values()}
        try:
            now = own_builds(self.resolver.ports, tuple(amis), digests)
        except AwsError as error:
            self.resolver.ports.reporter.warn(
                f"{self.doing}: cannot check whether the AMI was revoked meanwhile: {one_line(str(error))}"
            )
            return None
        revoked = next((ami for ami in now if ami.revoked and build_key(ami) in keys), None)
        if revoked is None:
            return None
        return AwsError(
            self.doing,
            f"{revoked.id} ({revoked.region}) was revoked while the channel was written: {one_line(revoked.revoked)}",
            f"The channel has it. Roll back: ami-bakery rollback {self.image.name} --channel {self.channel}",
        )

    def _error(self, changes: Sequence[RegionChange], failures: Sequence[RegionChange]) -> BakeryError:
        """Returns the errors of all regions as one. `BusyError` stays so, for its exit status."""
        errors = [change.error for change in failures if change.error is not None]
        first = errors[0]
        if len(changes) == 1:
            return first
        done = [change.region for change in changes if change.error is None]
        own = (error.wrong if error.doing == self.doing else f"{error.doing}: {error.wrong}" for error in errors)
        lines = tuple(dict.fromkeys(own))
        differ = f"{', '.join(done)} {'has' if len(done) == 1 else 'have'} the AMI already. " if done else ""
        todo = f"{first.todo} {differ}Running the same command again completes the other regions."
        return first.revised(doing=self.doing, wrong="\n".join(lines), todo=todo)
