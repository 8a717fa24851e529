"""Gathers the facts of a report.

1. Everything is planned once, and each question to AWS is asked once (`remembered_calls.py`).
2. What cannot be read is unknown: a warning, and a sentence in the report. The rest of the report is made.
3. `core/report` decides the states, and connects the lineage graph.

Nothing that a definition names is started, as for a plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ami_bakery.cleanup.orphan_search import orphans_of_images
from ami_bakery.core.ci.job import ci_job
from ami_bakery.core.concurrency import run_all
from ami_bakery.core.config.selection import parent_of, with_parents
from ami_bakery.core.ec2.ami import AmiState
from ami_bakery.core.ec2.lineage import AmiKey, key_of
from ami_bakery.core.plan.decision import being_baked
from ami_bakery.core.prune.retention import PruneSettings
from ami_bakery.core.report.image_states import state_of_image
from ami_bakery.core.report.lineage_graph import LineageGraph, LineageImage, connect_lineage
from ami_bakery.errors import AwsError, BakeryError, DeniedError, Stopped
from ami_bakery.inspect.inventory import Listing
from ami_bakery.inspect.used_amis import find_uses
from ami_bakery.plan.lookups import regions_of_definition
from ami_bakery.plan.planner import held_locks, plan_each
from ami_bakery.release.channel_listing import list_channels
from ami_bakery.release.promoted_amis import refuse_drop_in
from ami_bakery.release.prune_facts import PruneFacts
from ami_bakery.release.pruning import preview_pruning
from ami_bakery.release.revoked_use import check_with_uses
from ami_bakery.report.remembered_calls import remembering_ports
from ami_bakery.report.report_facts import (
    ReportedAmi,
    ReportedImage,
    ReportFacts,
)
from ami_bakery.report.reported_builds import ImageNow, group_builds
from ami_bakery.report.reported_definitions import describe_definition
from ami_bakery.report.repository_facts import read_commits_of_builds, read_repository, with_changes
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from ami_bakery.core.check.finding import Finding
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.prune.retention import PruneDecision
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.inspect.used_amis import UsedAmi
    from ami_bakery.plan.planner import Planned, Plans
    from ami_bakery.release.channel_listing import ChannelRow
    from ami_bakery.release.pruning import PruneRun
    from ami_bakery.report.report_facts import ReportedDefinition

Answer = TypeVar("Answer")
_NAME = "report"
"""The name of the work for the reporter."""


def gather_report(resolver: Resolver, chosen: Sequence[str], *, check_jobs: int) -> ReportFacts:
    """Returns the facts about these images and their parents.

    check_jobs  the number of concurrent `packer validate` runs; 0: do not run `check`

    Raises `BakeryError` if AWS cannot be reached, or if the AMIs cannot be listed.
    """
    names = with_parents(resolver.config, chosen)
    for name in names:
        refuse_drop_in(resolver.config.image(name), "making a report")
    unknown: list[str] = []
    ports = remembering_ports(resolver.ports, unknown)
    # Failed plans are shown with their images.
    facts = _Gathering(replace(resolver, ports=ports), names, warn=resolver.ports.reporter.warn).report(check_jobs)
    return replace(facts, unknown=tuple(unknown))


class _Pruning(Frozen):
    """What prune has read and decided. `run`: None if it could not decide."""

    facts: PruneFacts | None = None
    run: PruneRun | None = None

    @property
    def decisions(self) -> dict[AmiKey, PruneDecision]:
        return {each.ami.key: each.decision for each in self.run.amis} if self.run is not None else {}

    @property
    def sizes(self) -> Mapping[AmiKey, float]:
        return self.facts.gibibytes if self.facts is not None else {}


class _Gathering:
    """Gathers one report. `warn`: reports what the report shows elsewhere than in the list of unknown parts."""

    def __init__(self, resolver: Resolver, names: tuple[str, ...], *, warn: Callable[[str], None]) -> None:
        self._resolver, self._ports, self._names, self._warn = resolver, resolver.ports, names, warn

    def report(self, check_jobs: int) -> ReportFacts:
        now = self._ports.clock.now()
        account = self._account()
        self._step("planning the images")
        plans = plan_each(self._resolver, self._names)
        for name, error in plans.failures.items():
            self._warn(f"image {name} cannot be planned: {error}. {error.todo}")
        self._step("listing AMIs and channels")
        listing = self._list(plans)
        channels = self._unless_failed("channels", lambda: list_channels(self._resolver, self._names))
        self._step("finding what uses AMIs")
        pruning = self._prune(plans)
        self._add_others(listing, pruning)
        used = find_uses(self._ports, listing.made())
        amis = self._reported_amis(plans, used, channels, pruning)
        images = self._images(plans, listing, amis, channels)
        self._step("comparing builds")
        images = self._with_changes(images)
        if check_jobs:
            self._step("checking the images")
            images = self._with_findings(images, plans, check_jobs)
        self._step("searching for orphaned resources")
        orphans = self._unless_failed(
            "orphaned resources", lambda: orphans_of_images(self._resolver, self._names) if self._names else ()
        )
        self._ports.reporter.done(_NAME)
        sources = self._sources(listing, plans, images)
        return ReportFacts(
            now=now,
            account=account,
            regions=tuple(dict.fromkeys(region for image in images for region in image.regions)),
            repository=read_repository(self._resolver),
            job=ci_job(self._ports.environment),
            unknown=(),
            images=images,
            sources={key: ami for key, ami in sources.items() if not self._is_built_here(listing, key)},
            lineage=self._lineage(plans, images, sources),
            orphans=orphans,
            prune=pruning.run,
            quarantine=PruneSettings().quarantine,
            commits=read_commits_of_builds(self._resolver, images),
        )

    def _step(self, step: str) -> None:
        self._ports.reporter.step(_NAME, step)

    def _unless_failed(self, what: str, read: Callable[[], Answer]) -> Answer | None:
        """Returns the answer; None, with a warning, if it cannot be read."""
        try:
            return read()
        except Stopped:
            raise
        except BakeryError as error:
            self._ports.reporter.warn(f"{what} are unknown: {error}. {error.todo}")
            return None

    def _account(self) -> str | None:
        """Returns the account. Raises `AwsError` without credentials: nothing can be read then."""
        if not self._names:
            return None
        region = self._resolver.region_of(self._resolver.image(self._names[0]))
        try:
            return self._ports.ec2.account(region)
        except DeniedError as error:
            self._ports.reporter.warn(f"the account is unknown: {error}. {error.todo}")
            return None

    def _list(self, plans: Plans) -> Listing:
        """Lists the AMIs, if possible. Raises `BakeryError` if those of no image can be listed.

        A region may be denied. Then the images of other regions are listed.
        """

        def read(names: Sequence[str]) -> Listing:
            return Listing(self._resolver, names, _tests(plans))

        try:
            return read(self._names)
        except Stopped:
            raise
        except BakeryError:
            groups: dict[tuple[str, ...], list[str]] = {}
            for name in self._names:
                groups.setdefault(self._resolver.regions_of(self._resolver.image(name)), []).append(name)
            if len(groups) < 2:
                raise
            listed = [
                name
                for regions, names in groups.items()
                if self._unless_failed(f"the AMIs of images in {', '.join(regions)}", partial(read, names)) is not None
                for name in names
            ]
            if not listed:
                raise
            return read(listed)

    def _prune(self, plans: Plans) -> _Pruning:
        """Returns what prune would do with its default settings."""
        if not self._names:
            return _Pruning()

        def decide() -> _Pruning:
            facts = PruneFacts(self._resolver, self._names, plans)
            facts.read()
            return _Pruning(facts=facts, run=preview_pruning(facts, PruneSettings()))

        return self._unless_failed("the decisions of prune", decide) or _Pruning()

    def _add_others(self, listing: Listing, pruning: _Pruning) -> None:
        """Adds the AMIs in regions that are not configured any more."""
        for each in pruning.facts.finished() if pruning.facts is not None else ():
            if each.image in self._names:
                listing.add(each.image, each.ami)

    def _reported_amis(
        self,
        plans: Plans,
        used: Sequence[UsedAmi],
        channels: Sequence[ChannelRow] | None,
        pruning: _Pruning,
    ) -> dict[str, list[ReportedAmi]]:
        """Returns the AMIs by image."""
        current = {key_of(ami) for planned in plans.planned for ami in planned.plan.amis.values()}
        promoted = {AmiKey(row.region, row.parameter.value) for row in channels or () if row.current is not None}
        shares = self._permissions(used, current | promoted)
        decisions, sizes = pruning.decisions, pruning.sizes
        found: dict[str, list[ReportedAmi]] = {name: [] for name in self._names}
        for each in used:
            key = key_of(each.made.ami)
            found[each.made.image].append(
                ReportedAmi(
                    use=each,
                    shared_with=shares.get(key),
                    gibibytes=sizes.get(key),
                    decision=decisions.get(key),
                )
            )
        return found

    def _permissions(self, used: Iterable[UsedAmi], important: set[AmiKey]) -> dict[AmiKey, tuple[str, ...]]:
        """Returns the launch permissions. EC2 answers for one AMI a call, so only some are read.

        They are those that prune has read too, of current AMIs, and of AMIs in channels.
        """
        amis = [each.made.ami for each in used if key_of(each.made.ami) in important or self._is_pruned(each)]
        found = {key_of(ami): () for ami in amis if ami.state is AmiState.DISABLED}
        enabled = [ami for ami in amis if ami.available]
        answers = run_all([partial(self._permissions_of, ami) for ami in enabled])
        return found | {key_of(ami): answer for ami, answer in zip(enabled, answers, strict=True) if answer is not None}

    def _is_pruned(self, use: UsedAmi) -> bool:
        return self._resolver.config.image(use.made.image).keep is not None

    def _permissions_of(self, ami: Ami) -> tuple[str, ...] | None:
        try:
            return tuple(sorted(self._ports.ec2.permissions(ami.region, ami.id) - {ami.owner}))
        except AwsError as error:
            # A denied call names the AMI, and is the same for all others.
            which = f"some launch permissions in {ami.region}"
            if not isinstance(error, DeniedError):
                which = f"the launch permissions of {ami.id} in {ami.region}"
            self._ports.reporter.warn(f"{which} are unknown: {error.wrong}. {error.todo}")
            return None

    def _images(
        self,
        plans: Plans,
        listing: Listing,
        amis: Mapping[str, Sequence[ReportedAmi]],
        channels: Sequence[ChannelRow] | None,
    ) -> tuple[ReportedImage, ...]:
        planned = {each.plan.image: each for each in plans.planned}
        locks = self._unless_failed("the locks of runners", lambda: held_locks(self._resolver, plans.planned)) or {}
        parents = {name: parent_of(self._resolver.config, name) for name in self._names}
        images = []
        for name in (image.name for image in self._resolver.config.images if image.name in self._names):
            image, known = self._resolver.image(name), planned.get(name)
            plan = None if known is None else known.plan
            if plan is not None and name in locks:
                plan = being_baked(plan, locks[name])
            own = None if channels is None else tuple(row for row in channels if row.image == name)
            regions = self._regions(name, known)
            now = ImageNow(
                regions=regions,
                digest=plan.digest if plan is not None else None,
                test=plan.test if plan is not None else "",
                channels=own,
            )
            images.append(
                ReportedImage(
                    image=image,
                    state=state_of_image(plan, built=bool(amis[name])),
                    plan=plan,
                    error=plans.failures.get(name),
                    lock=locks.get(name),
                    regions=regions,
                    parent=parents[name],
                    children=tuple(child for child, parent in parents.items() if parent == name),
                    definition=self._definition(name, known),
                    builds=group_builds(listing, amis[name], now),
                    channels=own,
                )
            )
        return tuple(images)

    def _regions(self, name: str, planned: Planned | None) -> tuple[str, ...]:
        if planned is not None:
            return regions_of_definition(self._resolver, planned.definition)
        return self._resolver.regions_of(self._resolver.image(name))

    def _definition(self, name: str, planned: Planned | None) -> ReportedDefinition | None:
        try:
            known = planned.definition if planned is not None else None
            return describe_definition(self._resolver, self._resolver.image(name), known)
        except Stopped:
            raise
        except BakeryError:
            # It is why the plan failed, which is reported.
            return None

    def _with_findings(self, images: Sequence[ReportedImage], plans: Plans, jobs: int) -> tuple[ReportedImage, ...]:
        found: dict[str, tuple[Finding, ...]] | None = self._unless_failed(
            "the findings of `check`", lambda: check_with_uses(self._resolver, self._names, jobs, plans)
        )
        if found is None:
            return tuple(images)
        return tuple(replace(image, findings=found.get(image.image.name)) for image in images)

    def _with_changes(self, images: tuple[ReportedImage, ...]) -> tuple[ReportedImage, ...]:
        return self._unless_failed("the changes between builds", lambda: with_changes(self._resolver, images)) or images

    def _sources(self, listing: Listing, plans: Plans, images: Sequence[ReportedImage]) -> dict[AmiKey, Ami | None]:
        """Returns the source AMIs of all builds and definitions."""
        built = (each.use.made.base for image in images for build in image.builds for each in build.amis)
        keys = {key for key in built if key is not None}
        for planned in plans.planned:
            keys |= set(_defined_sources(planned))
        return listing.known(sorted(keys))

    def _is_built_here(self, listing: Listing, key: AmiKey) -> bool:
        name = listing.image_of(key)
        return name is not None and listing.configures(name)

    def _lineage(
        self, plans: Plans, images: Sequence[ReportedImage], sources: Mapping[AmiKey, Ami | None]
    ) -> LineageGraph:
        defined = {each.plan.image: _defined_sources(each) for each in plans.planned}
        return connect_lineage(
            [
                LineageImage(
                    name=image.image.name,
                    state=image.state,
                    parent=image.parent,
                    sources=defined.get(image.image.name) or _newest_sources(image),
                    amis={region: _ami_in(image, region) for region in image.regions},
                )
                for image in images
            ],
            sources,
        )


def _tests(plans: Plans) -> dict[str, str]:
    return {each.plan.image: each.plan.test for each in plans.planned if each.plan.test}


def _defined_sources(planned: Planned) -> tuple[AmiKey, ...]:
    """Returns the source AMIs of the current definition."""
    return tuple(AmiKey(planned.plan.regions[0], ami) for ami in planned.base_ids)


def _newest_sources(image: ReportedImage) -> tuple[AmiKey, ...]:
    """Returns the source AMI of the newest build. Used if the definition is unknown."""
    base = image.builds[0].amis[0].use.made.base if image.builds else None
    return (base,) if base is not None else ()


def _ami_in(image: ReportedImage, region: str) -> str | None:
    """Returns the AMI of the current definition, or of the newest unrevoked build."""
    if image.plan is not None and region in image.plan.amis:
        return image.plan.amis[region].id
    usable = (build for build in image.builds if not build.revoked)
    return next((each.ami.id for build in usable for each in build.amis if each.ami.region == region), None)
