"""From definitions to plans: asks EC2 for all digests in bulk, one generation of the graph after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ami_bakery.core.config import BaseImage, Config, ImageConfig
from ami_bakery.core.digest import Scheme
from ami_bakery.core.image import DIGEST_TAG, FORMAT_TAG, IMAGE_TAG, Ami, newest
from ami_bakery.core.plan import Action, ImagePlan, Wanted, decide, explain, judge_bases
from ami_bakery.core.template import TemplateFacts
from ami_bakery.errors import BakeryError, ConfigError
from ami_bakery.history import changes_since
from ami_bakery.resolve import MACHINE_VARIABLES, Definition, Resolver, why_not_hashed

_SHA1_LENGTH = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One image's definition, its plan, and all that the look-up found of its digest, in whatever state."""

    definition: Definition
    plan: ImagePlan
    found: tuple[Ami, ...]


def with_parents(config: Config, names: Iterable[str]) -> tuple[str, ...]:
    """These images and what they are made from, parents first."""
    ordered: dict[str, None] = {}

    def add(name: str) -> None:
        parent = parent_of(config, name)
        if parent is not None:
            add(parent)
        ordered[name] = None

    for name in names:
        add(name)
    return tuple(ordered)


def make_plans(
    resolver: Resolver,
    names: Iterable[str],
    *,
    forced: frozenset[str] = frozenset(),
    known: Mapping[str, Ami | None] | None = None,
    failures: dict[str, BakeryError] | None = None,
) -> tuple[Planned, ...]:
    """Plans for these images and their parents, parents first.

    known     parents whose AMI is settled already (baked a moment ago): they are not looked up again
    failures  where given, images that cannot be defined go there, by name, and the others are planned; else it raises
    """
    parents: dict[str, Ami | None] = dict(known or {})
    waiting = [name for name in with_parents(resolver.config, names) if name not in parents]
    plans: list[Planned] = []
    while waiting:
        ready = [name for name in waiting if parent_of(resolver.config, name) in (None, *parents)]
        waiting = [name for name in waiting if name not in ready]
        parents.update(dict.fromkeys(ready))
        for planned in _plan_generation(resolver, ready, parents, forced, failures):
            plans.append(planned)
            parents[planned.plan.image] = _settled(planned)
    return _explained(resolver, plans)


def warn_of_unseen(resolver: Resolver, plans: Iterable[Planned]) -> None:
    """A digest that does not see everything must not look as if it did."""
    for planned in plans:
        if planned.definition.facts is not None and planned.definition.manifest is not None:
            for message in _unseen(planned.definition, planned.definition.facts, resolver.outside.environment):
                resolver.outside.watcher.warn(message)


def _unseen(definition: Definition, facts: TemplateFacts, environment: Mapping[str, str]) -> Iterator[str]:
    for item in facts.unresolved:
        yield f"{item.place}: {item.expression} cannot be worked out ({item.why}): what it reads is not in the digest"
    for builder in facts.builders:
        if definition.image.base is None and builder.base_unknown:
            yield f"{builder.place}: what {builder.name} starts from is not in the digest: {builder.base_unknown}"
    for name, _ in facts.environment:
        if name in environment and name not in MACHINE_VARIABLES and name not in definition.image.environment:
            why = why_not_hashed(name, facts)
            if why is not None:
                yield f'{name} is set and is not in the digest: {why}. To have its value hashed: env = ["{name}"]'


def define_all(resolver: Resolver, names: Iterable[str]) -> tuple[Definition, ...]:
    """Definitions of these images alone. EC2 is asked only for what they are made from."""
    chosen = tuple(names)
    bases = dict.fromkeys(parent for name in chosen if (parent := parent_of(resolver.config, name)) is not None)
    parents = {planned.plan.image: _settled(planned) for planned in make_plans(resolver, bases)}
    return tuple(resolver.define(resolver.image(name), parents) for name in chosen)


def made_so_far(resolver: Resolver, names: Iterable[str]) -> tuple[tuple[str, Ami], ...]:
    """(image, AMI) of all that was made of these images, newest first; the drop-in's AMIs by their checksum's form."""
    made: list[tuple[str, Ami]] = []
    asked: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name in names:
        image = resolver.image(name)
        for region in resolver.regions_of(image):
            if image.scheme is Scheme.SHA256:
                asked.setdefault((region, image.owners), []).append(name)
                continue
            for ami in resolver.outside.ec2.with_any_digest(region, image.owners):
                if IMAGE_TAG not in ami.tags and len(ami.tags[DIGEST_TAG]) == _SHA1_LENGTH:
                    made.append((name, ami))
    for (region, owners), images in asked.items():
        found = resolver.outside.ec2.of_images(region, images, owners)
        made += [(ami.tags[IMAGE_TAG], ami) for ami in found]
    made.sort(key=lambda item: (item[1].created is not None, item[1].created, item[1].id), reverse=True)
    return tuple(sorted(made, key=lambda item: item[0]))


def parent_of(config: Config, name: str) -> str | None:
    """The image of the same file that this one is made from."""
    base = config.image(name).base
    return base.image if isinstance(base, BaseImage) else None


def _settled(planned: Planned) -> Ami | None:
    """The AMI that children start from, where it will not change: in the region where they are baked."""
    if planned.plan.action not in (Action.REUSE, Action.COPY):
        return None
    return planned.plan.amis.get(planned.plan.regions[0])


def _plan_generation(
    resolver: Resolver,
    names: Sequence[str],
    parents: Mapping[str, Ami | None],
    forced: frozenset[str],
    failures: dict[str, BakeryError] | None,
) -> list[Planned]:
    """One generation: none of these is made from another of them."""
    definitions = []
    for name in names:
        image = resolver.image(name)
        try:
            _check_regions(resolver, image)
            definitions.append((resolver.define(image, parents), resolver.regions_of(image)))
        except BakeryError as error:
            if failures is None:
                raise
            failures[name] = error
    found = _look_up(resolver, definitions)
    now = resolver.outside.clock.now()
    plans = []
    for definition, regions in definitions:
        wanted = Wanted(
            image=definition.image.name,
            digest=definition.digest,
            regions=regions,
            max_age=definition.image.max_age,
            awaits=definition.awaits,
        )
        made = found.get(definition.digest.hex, ()) if definition.digest else ()
        own = tuple(ami for ami in made if ami.region in regions)
        plan = decide(wanted, own, now=now, force=definition.image.name in forced)
        plans.append(Planned(definition=definition, plan=plan, found=own))
    return _with_bases_judged(resolver, plans)


def _with_bases_judged(resolver: Resolver, plans: Sequence[Planned]) -> list[Planned]:
    """Looks at the bases of all that would be reused, in one call for each region."""
    asked: dict[str, set[str]] = {}
    for planned in plans:
        if planned.plan.action in (Action.REUSE, Action.COPY):
            asked.setdefault(planned.plan.regions[0], set()).update(base for _, base in planned.definition.base)
    known = {
        region: {ami.id: ami for ami in resolver.outside.ec2.by_ids(region, sorted(bases))}
        for region, bases in sorted(asked.items())
        if bases
    }
    now = resolver.outside.clock.now()
    judged = []
    for planned in plans:
        bases = sorted({base for _, base in planned.definition.base})
        plan = judge_bases(planned.plan, bases, known.get(planned.plan.regions[0], {}), now=now)
        judged.append(replace(planned, plan=plan))
    return judged


def _check_regions(resolver: Resolver, image: ImageConfig) -> None:
    """A child is baked where its parent is baked: an AMI id belongs to one region."""
    if not isinstance(image.base, BaseImage):
        return
    own = resolver.regions_of(image)[0]
    parent = resolver.regions_of(resolver.image(image.base.image))[0]
    if own != parent:
        raise ConfigError(
            f"planning image {image.name} ({resolver.config.file}:{image.line('regions')})",
            f"it is baked in {own}, but its base {image.base.image} is baked in {parent}",
            "Put the same region first in both.",
        )


def _look_up(resolver: Resolver, definitions: Sequence[tuple[Definition, tuple[str, ...]]]) -> dict[str, list[Ami]]:
    """AMIs by digest: all digests of a generation in one call for each region and set of owners."""
    asked: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for definition, regions in definitions:
        for region in regions:
            if definition.digest is not None:
                asked.setdefault((region, definition.image.owners), set()).add(definition.digest.hex)
    found: dict[str, list[Ami]] = {}
    for (region, owners), digests in sorted(asked.items()):
        for ami in resolver.outside.ec2.with_digests(region, sorted(digests), owners):
            found.setdefault(ami.tags.get(DIGEST_TAG, ""), []).append(ami)
    return found


def _explained(resolver: Resolver, plans: Sequence[Planned]) -> tuple[Planned, ...]:
    """Plans to bake for want of an AMI get the difference to the image's newest AMI: one more call for each region."""
    asked: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for planned in plans:
        if _needs_explaining(planned):
            key = (planned.plan.regions[0], planned.definition.image.owners)
            asked.setdefault(key, set()).add(planned.plan.image)
    made = [
        ami
        for (region, owners), images in sorted(asked.items())
        for ami in resolver.outside.ec2.of_images(region, sorted(images), owners)
    ]
    now = resolver.outside.clock.now()
    return tuple(_explain(resolver, planned, made, now) if _needs_explaining(planned) else planned for planned in plans)


def _needs_explaining(planned: Planned) -> bool:
    return (
        planned.plan.action is Action.BAKE
        and planned.definition.image.scheme is Scheme.SHA256
        and any(reason.kind == "no-ami" for reason in planned.plan.reasons)
    )


def _explain(resolver: Resolver, planned: Planned, made: Sequence[Ami], now: datetime) -> Planned:
    """`made`: the AMIs of several images, in their first regions."""
    region = planned.plan.regions[0]
    previous = newest(
        ami
        for ami in made
        if ami.region == region and ami.tags.get(IMAGE_TAG) == planned.plan.image and FORMAT_TAG in ami.tags
    )
    changes = changes_since(resolver, planned.definition, previous) if previous is not None else ()
    digest = planned.plan.digest
    snapshots = resolver.outside.ec2.snapshots_with_digest(region, digest.hex) if digest else ()
    return replace(planned, plan=explain(planned.plan, previous, changes, snapshots, now=now))
