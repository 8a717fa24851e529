"""Revokes AMIs with their copies and descendants, and undoes revocations."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.channel.descendants import affected_images, with_copies, with_descendants
from ami_bakery.core.channel.parameter import RevocationResult
from ami_bakery.core.concurrency import run_all
from ami_bakery.core.config.keys import AMI_ID
from ami_bakery.core.config.selection import named
from ami_bakery.core.ec2.ami import IMAGE_TAG, REVOKED_TAG, Ami
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.errors import AwsError, BakeryError, DeniedError
from ami_bakery.plan.planner import make_plans
from ami_bakery.release.channel_listing import list_channels
from ami_bakery.release.promoted_amis import find_amis, refuse_drop_in
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ami_bakery.core.config.model import Config
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.ports import Ports
    from ami_bakery.release.channel_listing import ChannelRow
    from ami_bakery.release.promotion import ChannelChange, ChannelPolicy

_AT_ONCE = 200
_OF_ONE_AMI = frozenset({"TagLimitExceeded", "InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"})
"""Errors of one AMI for which EC2 refuses the whole call."""
_VISIBLE_SECONDS, _POLL_SECONDS = 60.0, 2.0


class RevocationChange(Frozen):
    """The result for one AMI in one region."""

    ami: Ami
    result: RevocationResult
    error: BakeryError | None = None

    @property
    def image(self) -> str:
        return self.ami.tags.get(IMAGE_TAG, "")


class RevocationOutcome(Frozen):
    """The result of a revocation, for all AMIs and the channels that have one of them.

    channels     each channel and region that had one before the roll-backs; None if they could not be read
    unread       why they could not be read
    rolls_back   whether roll-backs were requested
    """

    changes: tuple[RevocationChange, ...]
    channels: tuple[ChannelRow, ...] | None
    unread: BakeryError | None = None
    rolls_back: bool = False
    rolled_back: tuple[ChannelChange, ...] = ()

    @property
    def errors(self) -> tuple[BakeryError, ...]:
        """All failures. Channels that cannot be read are one only if they were to be rolled back."""
        found = [change.error for change in self.changes] + [change.error for change in self.rolled_back]
        found.append(self.unread if self.rolls_back else None)
        return tuple(error for error in found if error is not None)

    @property
    def in_use(self) -> tuple[ChannelRow, ...]:
        """The channels that still have a revoked AMI, as far as they could be read."""
        done = {(change.image, change.channel) for change in self.rolled_back if change.error is None}
        return tuple(row for row in self.channels or () if (row.image, row.channel) not in done)


def revocation_targets(config: Config, words: Sequence[str]) -> tuple[str, ...]:
    """Returns AMI ids, and names of images. Raises `UsageError` for an unknown image."""
    ids = [word for word in words if AMI_ID.fullmatch(word)]
    names = [word for word in words if word not in ids]
    return tuple(dict.fromkeys((*ids, *(named(config, names) if names else ()))))


def revoke_and_roll_back(
    resolver: Resolver, words: Sequence[str], reason: str, policy: ChannelPolicy | None, *, descendants: bool
) -> RevocationOutcome:
    """Revokes AMIs as `revoke_amis` does, and rolls channels back if `policy` is given.

    Each channel is rolled back once, unless another runner did so meanwhile. A failure does not stop the others.
    """
    changes = revoke_amis(resolver, words, reason, descendants=descendants)
    try:
        rows = channels_with(resolver, [change.ami for change in changes])
    except BakeryError as error:
        # The AMIs are revoked. Only the channels are unknown.
        return RevocationOutcome(changes=changes, channels=None, unread=error, rolls_back=policy is not None)
    if policy is None:
        return RevocationOutcome(changes=changes, channels=rows)
    from ami_bakery.release.channel_rollback import roll_back

    channels = dict.fromkeys((row.image, row.channel) for row in rows)
    leaving = {(change.ami.region, change.ami.id) for change in changes}
    rolled_back = [
        change
        for image, channel in channels
        for change in roll_back(resolver, [image], channel, "", policy, leaving=leaving)
    ]
    return RevocationOutcome(changes=changes, channels=rows, rolls_back=True, rolled_back=tuple(rolled_back))


def revoke_amis(
    resolver: Resolver, words: Sequence[str], reason: str, *, descendants: bool
) -> tuple[RevocationChange, ...]:
    """Tags AMIs as revoked, in every region. `words`: AMI ids, and images, which mean all AMIs of their definition.

    Raises `BakeryError` if a word names no AMI. A failure in one region does not stop the others.
    """
    doing = f"revoking {', '.join(words)}"
    amis = _selected(resolver, words, doing, descendants=descendants, revoked=False)

    def is_done(ami: Ami) -> bool:
        return ami.revoked == reason

    def change(region: str, ids: Sequence[str]) -> None:
        resolver.ports.ec2.tag(region, ids, {REVOKED_TAG: reason})

    return _changed(resolver.ports, amis, is_done, change, RevocationResult.REVOKED)


def unrevoke_amis(resolver: Resolver, words: Sequence[str], *, descendants: bool) -> tuple[RevocationChange, ...]:
    """Undoes revocations, in every region. An image means all revoked AMIs of its current definition."""
    doing = f"taking back the revocation of {', '.join(words)}"
    amis = _selected(resolver, words, doing, descendants=descendants, revoked=True)

    def change(region: str, ids: Sequence[str]) -> None:
        resolver.ports.ec2.untag(region, ids, [REVOKED_TAG])

    return _changed(resolver.ports, amis, lambda ami: not ami.revoked, change, RevocationResult.UNREVOKED)


def channels_with(resolver: Resolver, amis: Sequence[Ami]) -> tuple[ChannelRow, ...]:
    """Returns the channels of configured images that have these AMIs."""
    revoked = {(ami.region, ami.id) for ami in amis}
    images = affected_images(amis)
    names = [image.name for image in resolver.config.images if image.name in images and image.enabled]
    rows = list_channels(resolver, names) if names else ()
    return tuple(row for row in rows if row.current is not None and (row.region, row.parameter.value) in revoked)


def _selected(
    resolver: Resolver, words: Sequence[str], doing: str, *, descendants: bool, revoked: bool
) -> tuple[Ami, ...]:
    ids = [word for word in words if AMI_ID.fullmatch(word)]
    images = [word for word in words if word not in ids]
    for name in images:
        refuse_drop_in(resolver.config.image(name), doing)
    seeds = [*_by_definition(resolver, images, doing, revoked=revoked)]
    regions = _regions(resolver)
    everything = _all_built(resolver, regions, doing)
    seeds += _by_id(resolver, ids, regions, everything, doing)
    account = resolver.ports.ec2.account(regions[0])
    foreign = next((ami for ami in seeds if ami.owner != account), None)
    if foreign is not None:
        wrong = f"{foreign.id} ({foreign.region}) belongs to account {foreign.owner}, not to {account}"
        raise AwsError(doing, wrong, "Use the credentials of its account. Tags of other accounts are not visible.")
    return with_descendants(seeds, everything) if descendants else with_copies(seeds, everything)


def _by_definition(resolver: Resolver, names: Sequence[str], doing: str, *, revoked: bool) -> Iterator[Ami]:
    """Yields the AMIs of the current definitions, valid or revoked ones.

    There are several builds of a definition after `bake --force`. An older one must not be used again.
    """
    for planned in make_plans(resolver, names) if names else ():
        name = planned.plan.image
        if name not in names:
            continue
        there = [ami for ami in planned.found if ami.revoked]
        valid = [*planned.plan.amis.values(), *(ami for ami in planned.found if ami.verified and not ami.revoked)]
        amis = there if revoked else valid or there
        if not amis:
            what = "revoked AMI" if revoked else "AMI"
            wrong = f"there is no {what} of the current definition of image {name}"
            raise AwsError(doing, wrong, f"Name an AMI: ami-bakery images {name} lists them.")
        yield from amis


def _by_id(
    resolver: Resolver, ids: Sequence[str], regions: Sequence[str], built: Sequence[Ami], doing: str
) -> Iterator[Ami]:
    known = {ami.id: ami for ami in built}
    others = [ami_id for ami_id in ids if ami_id not in known]
    found = find_amis(resolver.ports, dict.fromkeys(regions, others)) if others else {}
    known |= {ami_id: ami for (_, ami_id), ami in found.items()}
    for ami_id in ids:
        if ami_id not in known:
            wrong = f"there is no {ami_id} in {', '.join(regions)}"
            raise AwsError(doing, wrong, "Correct the id: ami-bakery images lists the AMIs.")
        yield known[ami_id]


def _regions(resolver: Resolver) -> tuple[str, ...]:
    """Returns the regions of all images."""
    images = [resolver.image(image.name) for image in resolver.config.images]
    return tuple(dict.fromkeys(region for image in images for region in resolver.regions_of(image)))


def _all_built(resolver: Resolver, regions: Sequence[str], doing: str) -> tuple[Ami, ...]:
    """Returns all AMIs of this account with a digest, in all regions.

    A region in which DescribeImages is denied is skipped with a warning, unless an image is configured for it.
    """
    ports = resolver.ports
    try:
        enabled = ports.ec2.regions(regions[0])
    except DeniedError as error:
        enabled = ()
        ports.reporter.warn(f"{doing}: only the configured regions are searched for copies: {error}")
    everywhere = tuple(dict.fromkeys((*regions, *enabled)))
    denied: list[str] = []

    def search(region: str) -> tuple[Ami, ...]:
        try:
            return ports.ec2.find_with_any_digest(region, ("self",))
        except DeniedError:
            if region in regions:
                raise
            denied.append(region)
            return ()

    answers = run_all([partial(search, region) for region in everywhere])
    if denied:
        ports.reporter.warn(f"{doing}: cannot search {', '.join(sorted(denied))}: DescribeImages is denied there")
    return tuple(ami for amis in answers for ami in amis)


def _changed(
    ports: Ports,
    amis: Sequence[Ami],
    is_done: Callable[[Ami], bool],
    change: Callable[[str, Sequence[str]], None],
    result: RevocationResult,
) -> tuple[RevocationChange, ...]:
    """Changes the tags by region, and waits until EC2 shows them."""
    todo: dict[str, list[str]] = {}
    for ami in amis:
        if not is_done(ami):
            todo.setdefault(ami.region, []).append(ami.id)
    failures: dict[tuple[str, str], BakeryError] = {}
    for region, ids in todo.items():
        for start in range(0, len(ids), _AT_ONCE):
            failures |= _change_some(region, ids[start : start + _AT_ONCE], change)
    _wait_visible(ports, {key for key in _keys(todo) if key not in failures}, is_done)
    changed = set(_keys(todo))
    return tuple(
        RevocationChange(
            ami=ami,
            result=RevocationResult.FAILED
            if (ami.region, ami.id) in failures
            else result
            if (ami.region, ami.id) in changed
            else RevocationResult.UNCHANGED,
            error=failures.get((ami.region, ami.id)),
        )
        for ami in amis
    )


def _keys(ids: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str]]:
    return ((region, ami) for region, amis in ids.items() for ami in amis)


def _change_some(
    region: str, ids: Sequence[str], change: Callable[[str, Sequence[str]], None]
) -> dict[tuple[str, str], BakeryError]:
    """Changes tags in one call. If EC2 refuses it because of one AMI, each is changed by itself."""
    try:
        change(region, ids)
    except AwsError as error:
        if error.code in _OF_ONE_AMI and len(ids) > 1:
            failures: dict[tuple[str, str], BakeryError] = {}
            for ami in ids:
                failures |= _change_some(region, [ami], change)
            return failures
        return {(region, ami): error for ami in ids}
    return {}


def _wait_visible(ports: Ports, keys: set[tuple[str, str]], is_done: Callable[[Ami], bool]) -> None:
    """Waits, at most a minute, until EC2 shows the changed tags."""
    deadline = ports.clock.monotonic() + _VISIBLE_SECONDS
    while keys:
        regions: dict[str, list[str]] = {}
        for region, ami in keys:
            regions.setdefault(region, []).append(ami)
        try:
            seen = find_amis(ports, regions)
        except AwsError as error:
            ports.reporter.warn(f"cannot check whether EC2 shows the tag {REVOKED_TAG} already: {one_line(str(error))}")
            return
        keys = {key for key in keys if key in seen and not is_done(seen[key])}
        if not keys or ports.clock.monotonic() >= deadline:
            return
        ports.clock.sleep(_POLL_SECONDS)
