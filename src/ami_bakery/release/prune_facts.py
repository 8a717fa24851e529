"""Reads what decides about AMIs: plans, channels, uses and permissions. What cannot be read counts as in use."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ami_bakery.core.channel.retained import channel_amis, rollback_amis
from ami_bakery.core.concurrency import run_all
from ami_bakery.core.config.model import BaseId, BaseImage
from ami_bakery.core.config.selection import with_parents
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.ami import REGIONS_TAG, AmiState
from ami_bakery.core.ec2.lineage import AmiKey, key_of
from ami_bakery.core.ec2.quarantine import read_enabled, read_quarantine
from ami_bakery.core.plan.plan import Action
from ami_bakery.core.plan.revoked import revoked_amis
from ami_bakery.core.prune.builds import FinishedAmi, finished_amis
from ami_bakery.core.prune.prunable import PrunableAmi
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.define.base_resolution import resolve_base
from ami_bakery.errors import BakeryError, DeniedError, Stopped
from ami_bakery.plan.planner import plan_each, refresh
from ami_bakery.release.channel_listing import list_channels
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from ami_bakery.core.config.model import ImageConfig, RetentionPolicy
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.ec2.usage import AmiReference
    from ami_bakery.core.prune.prunable import UsageReport
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Planned, Plans
    from ami_bakery.release.channel_listing import ChannelRow

Answer = TypeVar("Answer")
_ByAmi: TypeAlias = "Mapping[AmiKey, tuple[str, ...]]"
_GIBIBYTE = 2**30


class AmiFacts(Frozen):
    """What EC2 says about the use of one AMI.

    permissions  its launch permissions, and those that were noted when it was disabled; without its own account
    unknown      why a part could not be read; empty if all was read
    """

    uses: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()
    report: UsageReport | None = None
    unknown: str = ""


_NOT_READ = AmiFacts(unknown="its use was not read")


class PruneFacts:
    """The finished AMIs of all images, and what decides about those of some images.

    names  the images that prune may change. The AMIs of the others only protect their parents
    plans  those of the images, if they are known; their failures are reported already
    """

    def __init__(self, resolver: Resolver, names: Sequence[str], plans: Plans | None = None) -> None:
        self._resolver, self._ports, self._plans = resolver, resolver.ports, plans
        self.names = tuple(names)
        images = [resolver.image(image.name) for image in resolver.config.images]
        self._homes = {image.name: resolver.region_of(image) for image in images if image.scheme is Scheme.SHA256}
        self._configured = tuple(dict.fromkeys(region for image in images for region in resolver.regions_of(image)))
        self.policies: dict[str, RetentionPolicy | None] = {
            name: resolver.config.image(name).keep if name in self.names else None for name in self._homes
        }
        self._account = self._ports.ec2.account(self._configured[0])
        self._listed: dict[str, tuple[Ami, ...]] = {}
        self._listing_errors: dict[str, BakeryError] = {}
        self._planned: dict[str, Planned] = {}
        self._sources: dict[AmiKey, list[str]] = {}
        self._plan_errors: Mapping[str, BakeryError] = {}
        self._rows: dict[str, tuple[ChannelRow, ...]] = {}
        self._channel_errors: dict[str, BakeryError] = {}
        self._facts: dict[AmiKey, AmiFacts] = {}
        self._gibibytes: dict[AmiKey, float] = {}
        self._gone: set[AmiKey] = set()

    @property
    def now(self) -> datetime:
        """EC2's time."""
        return self._ports.locks.now(self._configured[0])

    def read(self) -> None:
        """Reads everything. Raises `BakeryError` only for what a later run cannot know either, such as the account."""
        self._list(self._all_regions())
        self._plan()
        self._read_sources()
        self._read_channels(self.names)
        chosen = [each for each in self.finished() if each.image in self.names]
        self._read_sizes(chosen)
        self._read_use(each for each in chosen if self.policies[each.image] is not None)

    def reread(self, build: Sequence[FinishedAmi]) -> None:
        """Reads what decides about one build again, with the AMIs that may have been built from it meanwhile."""
        image = build[0].image
        regions = {each.key.region for each in build} | set(self._resolver.regions_of(self._resolver.image(image)))
        self._list(sorted(regions))
        if image in self._planned:
            planned = _tried(partial(refresh, self._resolver, self._planned[image]))
            if isinstance(planned, BakeryError):
                self._plan_errors = {**self._plan_errors, image: planned}
            else:
                self._planned[image] = planned
        self._read_channels([image])
        self._read_use(each for each in self.finished() if each.build == build[0].build)

    def forget(self, key: AmiKey) -> None:
        """Ignores an AMI that was deregistered. EC2 may still show it."""
        self._gone.add(key)

    def finished(self) -> tuple[FinishedAmi, ...]:
        return finished_amis(self._existing(), self._homes, self._account)

    def permissions(self, key: AmiKey) -> frozenset[str]:
        """Returns the launch permissions as they were read last."""
        return self._facts[key].permissions

    @property
    def gibibytes(self) -> Mapping[AmiKey, float]:
        """The full size of each AMI's snapshots, if it is known."""
        return self._gibibytes

    def prunable(self) -> tuple[PrunableAmi, ...]:
        """Returns what decides about each finished AMI."""
        current = {key_of(ami) for planned in self._planned.values() for ami in _current_amis(planned)}
        channels = self._channels()
        return tuple(self._prunable(each, current, channels) for each in self.finished())

    def _prunable(self, each: FinishedAmi, current: set[AmiKey], channels: tuple[_ByAmi, _ByAmi]) -> PrunableAmi:
        ami, facts = each.ami, self._facts.get(each.key, _NOT_READ)
        quarantine = read_quarantine(ami.tags)
        return PrunableAmi(
            image=each.image,
            key=each.key,
            build=each.build,
            created=ami.created,
            bases=each.bases,
            disabled=ami.state is AmiState.DISABLED,
            quarantined=quarantine.since if quarantine is not None else None,
            enabled=read_enabled(ami.tags),
            current=each.key in current,
            revoked=bool(ami.revoked),
            channels=channels[0].get(each.key, ()),
            rollbacks=channels[1].get(each.key, ()),
            uses=(*facts.uses, *(f"the definition of image {name}" for name in self._sources.get(each.key, ()))),
            children=each.children,
            shared_with=tuple(sorted(facts.permissions)),
            report=facts.report,
            protected=ami.protected,
            unknown=one_line(self._unknown(each, facts)),
            gibibytes=self._gibibytes.get(each.key),
        )

    def _unknown(self, each: FinishedAmi, facts: AmiFacts) -> str:
        """Returns why it is unknown whether the AMI is used; empty if it is known."""
        if self.policies[each.image] is None:
            return ""
        failed = [name for name in with_parents(self._resolver.config, [each.image]) if name in self._plan_errors]
        if failed:
            return f"image {failed[0]} cannot be planned: {self._plan_errors[failed[0]]}"
        planned = self._planned.get(each.image)
        if planned is not None and planned.plan.action is Action.PENDING:
            return f"its current digest is unknown until image {planned.definition.awaits} is built"
        errors = (*self._blocking_errors(), *filter(None, [self._channel_errors.get(each.image)]))
        return str(errors[0]) if errors else each.problem or facts.unknown

    def _existing(self) -> list[Ami]:
        return [ami for amis in self._listed.values() for ami in amis if key_of(ami) not in self._gone]

    def _all_regions(self) -> tuple[str, ...]:
        """Returns the configured regions, and all others that are enabled for the account."""
        try:
            enabled = self._ports.ec2.regions(self._configured[0])
        except DeniedError as error:
            enabled = ()
            self._ports.reporter.warn(f"only the configured regions are searched for copies: {error}. {error.todo}")
        return tuple(dict.fromkeys((*self._configured, *enabled)))

    def _list(self, regions: Sequence[str]) -> None:
        """Lists all AMIs of the account in these regions."""
        answers = run_all([partial(_tried, partial(self._ports.ec2.find_everything, region)) for region in regions])
        for region, answer in zip(regions, answers, strict=True):
            self._listing_errors.pop(region, None)
            if isinstance(answer, BakeryError):
                self._listing_errors[region] = answer
            else:
                self._listed[region] = answer

    def _blocking_errors(self) -> Iterator[BakeryError]:
        """Yields errors of regions that may have AMIs of the images.

        An organization may deny a whole region. It has no AMIs then, unless an image or a template names it.
        """
        if not self._listing_errors:
            return  # this is called for each AMI, and what follows reads all AMIs
        of_templates = {region for ami in self._existing() for region in ami.tags.get(REGIONS_TAG, "").split()}
        planned = {region for each in self._planned.values() for region in each.plan.regions}
        for region, error in self._listing_errors.items():
            if region in {*self._configured, *of_templates, *planned} or not isinstance(error, DeniedError):
                yield error

    def _plan(self) -> None:
        """Plans the images. An error of an image does not stop the others."""
        plans = plan_each(self._resolver, self.names) if self._plans is None else self._plans
        self._planned = {planned.plan.image: planned for planned in plans.planned if planned.plan.image in self.names}
        self._plan_errors = plans.failures
        for name, error in plans.failures.items() if self._plans is None else ():
            self._ports.reporter.warn(f"image {name} cannot be planned, so its AMIs are kept: {error}. {error.todo}")

    def _read_sources(self) -> None:
        """Reads which AMIs the definitions of all images start from: their next build needs them."""
        for name in self._homes:
            image = self._resolver.image(name)
            if image.enabled:
                for ami in _source_ids(self._resolver, image):
                    self._sources.setdefault(AmiKey(self._homes[name], ami), []).append(name)

    def _read_channels(self, names: Sequence[str]) -> None:
        rows = _tried(partial(list_channels, self._resolver, names))
        for name in names:
            self._channel_errors.pop(name, None)
            if isinstance(rows, BakeryError):
                self._channel_errors[name] = rows
            else:
                self._rows[name] = tuple(row for row in rows if row.image == name)

    def _channels(self) -> tuple[_ByAmi, _ByAmi]:
        """Returns the channels that have each AMI, and those that would be rolled back to it."""
        held: dict[AmiKey, list[str]] = {}
        earlier: dict[AmiKey, list[str]] = {}
        existing = self._existing()
        for rows in self._rows.values():
            for channel in dict.fromkeys(row.channel for row in rows):
                parameters = [row.parameter for row in rows if row.channel == channel]
                for key in channel_amis(parameters):
                    held.setdefault(key, []).append(channel)
                for key in rollback_amis(parameters, existing):
                    earlier.setdefault(key, []).append(channel)
        return _frozen(held), _frozen(earlier)

    def _read_sizes(self, amis: Sequence[FinishedAmi]) -> None:
        """Reads the sizes of snapshots. They decide nothing, so a failure is only reported."""
        for region, some in _by_region(amis).items():
            snapshots = [snapshot for each in some for snapshot in each.ami.snapshots]
            sizes = _tried(partial(self._ports.usage.snapshot_sizes, region, snapshots)) if snapshots else {}
            if isinstance(sizes, BakeryError):
                self._ports.reporter.warn(f"the sizes of AMIs in {region} are unknown: {sizes}. {sizes.todo}")
                continue
            for each in some:
                if each.ami.snapshots and all(snapshot in sizes for snapshot in each.ami.snapshots):
                    total = sum(sizes[snapshot] for snapshot in each.ami.snapshots)
                    self._gibibytes[each.key] = total / _GIBIBYTE

    def _read_use(self, amis: Iterable[FinishedAmi]) -> None:
        for region, some in _by_region(amis).items():
            ids = [each.ami.id for each in some]
            usage = self._ports.usage
            references = _tried(partial(usage.references, region, ids))
            groups = _tried(partial(usage.auto_scaling_amis, region))
            permissions = self._permissions(region, some)
            shared = [ami for ami, found in permissions.items() if not isinstance(found, BakeryError) and found]
            reports = _tried(partial(usage.usage_reports, region, shared)) if shared else {}
            for each in some:
                self._facts[each.key] = _facts(each.ami.id, references, groups, permissions[each.ami.id], reports)

    def _permissions(self, region: str, amis: Sequence[FinishedAmi]) -> dict[str, frozenset[str] | BakeryError]:
        """Returns the launch permissions by AMI. EC2 has none of a disabled AMI."""
        enabled = [each.ami.id for each in amis if each.ami.available]
        read = self._ports.ec2.permissions
        answers = run_all([partial(_tried, partial(read, region, ami)) for ami in enabled])
        now = dict(zip(enabled, answers, strict=True))
        found: dict[str, frozenset[str] | BakeryError] = {}
        for each in amis:
            quarantine = read_quarantine(each.ami.tags)
            noted = quarantine.permissions if quarantine is not None else frozenset()
            shown = now.get(each.ami.id, frozenset())
            found[each.ami.id] = shown if isinstance(shown, BakeryError) else (shown | noted) - {self._account}
        return found


def _current_amis(planned: Planned) -> Iterator[Ami]:
    """Yields the AMIs of the current definition.

    If it is to be built again, for example because of `max_age`, the one that exists is still the latest.
    """
    if planned.plan.action is Action.BAKE:
        revoked = revoked_amis(planned.found)
        yield from (ami for ami in planned.found if ami.available and ami.id not in revoked)
    else:
        yield from planned.plan.amis.values()
        if planned.plan.source is not None:
            yield planned.plan.source


def _source_ids(resolver: Resolver, image: ImageConfig) -> tuple[str, ...]:
    """Returns the source AMIs of an image that is built from no other image; none if they cannot be found."""
    if isinstance(image.base, BaseId):
        return (image.base.ami,)
    if isinstance(image.base, BaseImage):
        return ()
    settings = resolver.settings(image)
    base = _tried(lambda: resolve_base(settings, resolver.facts(image), {}, resolver.bases))
    return () if isinstance(base, BakeryError) else tuple(dict.fromkeys(ami for _, ami in base.ids))


def _facts(
    ami: str,
    references: Mapping[str, tuple[AmiReference, ...]] | BakeryError,
    groups: Mapping[str, tuple[AmiReference, ...]] | BakeryError,
    permissions: frozenset[str] | BakeryError,
    reports: Mapping[str, UsageReport] | BakeryError,
) -> AmiFacts:
    """Returns the facts of one AMI; with an error, only that error."""
    if isinstance(references, BakeryError):
        return AmiFacts(unknown=str(references))
    if isinstance(groups, BakeryError):
        return AmiFacts(unknown=str(groups))
    if isinstance(permissions, BakeryError):
        return AmiFacts(unknown=str(permissions))
    uses = tuple(dict.fromkeys(str(each) for each in (*references.get(ami, ()), *groups.get(ami, ()))))
    if isinstance(reports, BakeryError):
        unknown = str(reports) if permissions else ""
        return AmiFacts(uses=uses, permissions=permissions, unknown=unknown)
    return AmiFacts(uses=uses, permissions=permissions, report=reports.get(ami))


def _tried(call: Callable[[], Answer]) -> Answer | BakeryError:
    """Returns the answer, or the error."""
    try:
        return call()
    except Stopped:
        raise
    except BakeryError as error:
        return error


def _by_region(amis: Iterable[FinishedAmi]) -> dict[str, list[FinishedAmi]]:
    regions: dict[str, list[FinishedAmi]] = {}
    for each in amis:
        regions.setdefault(each.key.region, []).append(each)
    return regions


def _frozen(found: Mapping[AmiKey, Sequence[str]]) -> dict[AmiKey, tuple[str, ...]]:
    return {key: tuple(names) for key, names in found.items()}
