"""From definitions to plans: asks EC2 for all digests in bulk, one generation of the graph after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.concurrency import run_all
from ami_bakery.core.check.tag_limit import tag_findings
from ami_bakery.core.config.model import BaseId
from ami_bakery.core.config.selection import parent_of, with_parents
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.image import DIGEST_TAG, IMAGE_TAG, Ami, newest
from ami_bakery.core.plan.plan import Action, ImagePlan, Wanted, being_baked, decide, explain, judge_bases
from ami_bakery.define.accounts import check_account
from ami_bakery.define.definitions import collect_failures, define_many
from ami_bakery.errors import AwsError, BakeryError, TemplateError
from ami_bakery.template.env_inputs import MACHINE_VARIABLES, why_not_hashed
from ami_bakery.template.location import SourceLocation
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from datetime import datetime

    from ami_bakery.core.definition.diff import Change
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.template.facts import TemplateFacts


class Planned(Frozen):
    """One image's definition, its plan, and all that the look-up found of its digest, in whatever state.

    before  AMIs of the image with other digests, in the region of the bake; where it has none, to explain that
    """

    definition: ImageDefinition
    plan: ImagePlan
    found: tuple[Ami, ...]
    before: tuple[Ami, ...] = ()


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
    return _explained(resolver, _plans(resolver, names, forced=forced, known=known or {}, failures=failures))


def replan(resolver: Resolver, planned: Planned, *, forced: frozenset[str], known: Mapping[str, Ami | None]) -> Planned:
    """The plan of an image as it is now, defined anew. Where it is to be baked as before, so are the reasons."""
    (again,) = _plans(resolver, [planned.plan.image], forced=forced, known=known)
    before, now = planned.plan, again.plan
    if before.action is now.action is Action.BAKE and before.digest == now.digest:
        return replace(again, plan=replace(now, reasons=before.reasons), before=planned.before)
    (explained,) = _explained(resolver, [again])
    return explained


def _plans(
    resolver: Resolver,
    names: Iterable[str],
    *,
    forced: frozenset[str],
    known: Mapping[str, Ami | None],
    failures: dict[str, BakeryError] | None = None,
) -> list[Planned]:
    """The same as `make_plans`; what is to be baked for want of an AMI is not explained any further."""
    parents: dict[str, Ami | None] = dict(known)
    seen: dict[tuple[str, str], Ami] = {}
    waiting = [name for name in with_parents(resolver.config, names) if name not in parents]
    plans: list[Planned] = []
    copied: set[str] = set()
    while waiting:
        ready = [name for name in waiting if parent_of(resolver.config, name) in (None, *parents)]
        waiting = [name for name in waiting if name not in ready]
        parents.update(dict.fromkeys(ready))
        definitions = define_many(resolver, ready, parents, failures)
        generation = _decided(resolver, definitions, forced, copied=frozenset(copied))
        for planned in _verify_bases(resolver, generation, seen, planning=True, failures=failures):
            plans.append(planned)
            parents[planned.plan.image] = _settled(planned)
            if planned.plan.action is Action.COPY:
                copied.add(planned.plan.image)
            seen.update({(ami.region, ami.id): ami for ami in planned.found})
    return plans


def with_locks(resolver: Resolver, plans: Sequence[Planned]) -> tuple[Planned, ...]:
    """What another runner is baking just now is to be waited for: all digests are asked for in one call a region."""
    asked: dict[str, set[str]] = {}
    for planned in plans:
        if planned.plan.digest is not None and planned.plan.may_be_locked:
            asked.setdefault(planned.plan.regions[0], set()).add(planned.plan.digest.hex)
    if not asked:
        return tuple(plans)
    of_digests = resolver.ports.locks.of_digests
    try:
        answers = run_all([partial(of_digests, region, sorted(digests)) for region, digests in asked.items()])
    except AwsError as error:
        if not error.is_denied:
            raise
        resolver.ports.reporter.warn(f"whether another runner is baking something cannot be seen: {error}")
        return tuple(plans)
    alive = {(lock.region, lock.digest): lock for locks in answers for lock in locks if not lock.expired}
    return tuple(
        replace(planned, plan=being_baked(planned.plan, alive[key]))
        if planned.plan.may_be_locked and (key := _lock_key(planned.plan)) in alive
        else planned
        for planned in plans
    )


def _lock_key(plan: ImagePlan) -> tuple[str, str]:
    return plan.regions[0], plan.digest.hex if plan.digest is not None else ""


def warn_of_unseen(resolver: Resolver, plans: Iterable[Planned]) -> None:
    """A digest that does not see everything must not look as if it did."""
    for planned in plans:
        for message in planned.definition.unseen:
            resolver.ports.reporter.warn(message)
        image = resolver.config.image(planned.plan.image)
        if image.kms_keys.everywhere and max(len(image.regions), len(planned.plan.regions)) < 2:
            location = f"{resolver.config.file}:{image.line('kms_key')}"
            resolver.ports.reporter.warn(
                f"{location}: image {image.name}: no copies are made: kms_key encrypts nothing"
            )
        if planned.definition.facts is not None and planned.definition.manifest is not None:
            for message in _unseen(planned.definition, planned.definition.facts, resolver.ports.environment):
                resolver.ports.reporter.warn(message)
        _warn_of_pitfalls(resolver, planned)


def _warn_of_pitfalls(resolver: Resolver, planned: Planned) -> None:
    """What a build would fall into; of one that is not needed, only what the digest does not see."""
    facts, action = planned.definition.facts, planned.plan.action
    if facts is None or planned.definition.image.scheme is Scheme.SHA1:
        return
    if action is Action.REUSE and not any(name.startswith("HCP_") for name in resolver.ports.environment):
        return
    from ami_bakery.define.pitfalls import ENFORCED, pitfalls

    for finding in pitfalls(resolver.ports, facts, resolver.arguments):
        if action in (Action.BAKE, Action.PENDING) or finding.code == ENFORCED:
            resolver.ports.reporter.warn(f"{finding.location}: {finding.message}. {finding.todo}")


def _unseen(definition: ImageDefinition, facts: TemplateFacts, environment: Mapping[str, str]) -> Iterator[str]:
    for item in facts.unresolved:
        what = f"{item.expression} cannot be worked out ({item.why})"
        yield f"{item.location}: {what}: what it reads is not in the digest"
    for builder in facts.builders:
        if definition.image.base is None and builder.base_unknown:
            yield f"{builder.location}: what {builder.name} starts from is not in the digest: {builder.base_unknown}"
    for name, _ in facts.environment:
        if name in environment and name not in MACHINE_VARIABLES and name not in definition.image.environment:
            why = why_not_hashed(name, facts)
            if why is not None:
                yield f'{name} is set and is not in the digest: {why}. To have its value hashed: env = ["{name}"]'


def define_all(resolver: Resolver, names: Iterable[str], *, kept: bool = True) -> tuple[ImageDefinition, ...]:
    """Definitions of these images alone. EC2 is asked only for what they are made from.

    kept  whether their inputs are kept, for who wants more than the digest
    """
    chosen = tuple(names)
    bases = dict.fromkeys(parent for name in chosen if (parent := parent_of(resolver.config, name)) is not None)
    parents = {planned.plan.image: _settled(planned) for planned in make_plans(resolver, bases)}
    return tuple(define_many(resolver, chosen, parents, None, kept=kept))


def of_images(resolver: Resolver, asked: Mapping[tuple[str, tuple[str, ...]], Iterable[str]]) -> list[Ami]:
    """All AMIs of these images, by region and owners: one call for each, side by side."""
    of_images = resolver.ports.ec2.find_by_image
    questions = [partial(of_images, region, sorted(names), owners) for (region, owners), names in sorted(asked.items())]
    return [ami for amis in run_all(questions) for ami in amis]


def _settled(planned: Planned) -> Ami | None:
    """The AMI that children start from, where it will not change: in the region where they are baked."""
    if planned.plan.action not in (Action.REUSE, Action.COPY):
        return None
    return planned.plan.amis.get(planned.plan.regions[0])


def refresh(resolver: Resolver, planned: Planned) -> Planned:
    """What there is to do now for a definition that is known: EC2 is asked anew, and no file is read."""
    (again,) = _verify_bases(resolver, _decided(resolver, [planned.definition], frozenset()), {})
    return again


def _decided(
    resolver: Resolver,
    definitions: Sequence[ImageDefinition],
    forced: frozenset[str],
    copied: frozenset[str] = frozenset(),
) -> list[Planned]:
    """`copied`: images that are there already, but for copies."""
    found = _look_up(resolver, definitions)
    now = resolver.ports.clock.now()
    plans = []
    for definition in definitions:
        regions = _regions_of(resolver, definition)
        wanted = Wanted(
            image=definition.image.name,
            digest=definition.digest,
            regions=regions,
            base=tuple(sorted({ami for _, ami in definition.base})) if definition.base else None,
            kms_keys=resolver.kms_keys(definition.image),
            max_age=definition.image.max_age,
            awaits=definition.awaits,
            copied_base=definition.awaits in copied,
        )
        made = found.get(definition.digest.hex, ()) if definition.digest else ()
        own = tuple(ami for ami in made if ami.region in regions)
        plan = decide(wanted, own, now=now, force=definition.image.name in forced)
        plans.append(Planned(definition=definition, plan=plan, found=own))
    return plans


def _regions_of(resolver: Resolver, definition: ImageDefinition) -> tuple[str, ...]:
    """Those that are configured, and those to which the template itself copies: that AMI is kept as any other is."""
    return tuple(dict.fromkeys((*resolver.regions_of(definition.image), *definition.regions_of_template)))


def _verify_bases(
    resolver: Resolver,
    plans: Sequence[Planned],
    seen: Mapping[tuple[str, str], Ami],
    *,
    planning: bool = False,
    failures: dict[str, BakeryError] | None = None,
) -> list[Planned]:
    """Looks at the bases of all that would be reused, in one call for each region; not at those that EC2 has told of
    in this run: what a filter found, and the AMIs of the generations before (`seen`, by region and id).

    planning  look in the same call at bases of what is to be baked, where they are named by id: nobody has yet
    failures  as of `make_plans`
    """
    asked: dict[str, set[str]] = {}
    for planned in plans:
        if planned.plan.action in (Action.REUSE, Action.COPY) or (planning and _bakes_from_id(planned)):
            asked.setdefault(planned.plan.regions[0], set()).update(base for _, base in planned.definition.base)
    known = {(region, base): ami for region in asked for base, ami in resolver.known_bases(region).items()} | dict(seen)
    unseen = {region: sorted(base for base in bases if (region, base) not in known) for region, bases in asked.items()}
    by_ids = resolver.ports.ec2.find_by_id
    looked_at = run_all([partial(by_ids, region, bases) for region, bases in sorted(unseen.items()) if bases])
    known.update({(ami.region, ami.id): ami for amis in looked_at for ami in amis})
    now = resolver.ports.clock.now()
    judged = []
    for planned in plans:
        bases = sorted({base for _, base in planned.definition.base})
        there = {base: ami for base in bases if (ami := known.get((planned.plan.regions[0], base))) is not None}
        with collect_failures(failures, planned.plan.image):
            if planning:
                # First: in another account other AMIs are there.
                _check_account(resolver, planned)
                _check_tags(planned)
            if planning and _bakes_from_id(planned):
                _check_bases_are_there(resolver, planned, [base for base in bases if base not in there])
            if planning:
                check_it_can_end_well(resolver, planned)
            judged.append(replace(planned, plan=judge_bases(planned.plan, bases, there, now=now)))
    return judged


def _check_account(resolver: Resolver, planned: Planned) -> None:
    """Where the AMI would not be found when it is built."""
    facts = planned.definition.facts
    if facts is not None and planned.plan.action in (Action.BAKE, Action.PENDING):
        check_account(resolver, planned.plan.image, facts, planned.plan.regions[0])


def _check_tags(planned: Planned) -> None:
    facts, image = planned.definition.facts, planned.definition.image
    if facts is not None and planned.plan.action in (Action.BAKE, Action.PENDING):
        for finding in tag_findings(image, facts.builders):
            doing = f"counting the tags of image {image.name}'s AMI ({finding.location})"
            raise TemplateError(doing, finding.message, finding.todo, marks=(finding.location.mark(finding.message),))


def check_it_can_end_well(resolver: Resolver, planned: Planned) -> None:
    """Raises where Packer would run to its end, and leave no AMI, or one that is not what was asked for.

    The original let it.
    """
    image, facts = planned.definition.image, planned.definition.facts
    if facts is None or image.scheme is Scheme.SHA1 or planned.plan.action not in (Action.BAKE, Action.PENDING):
        return
    from ami_bakery.core.check.finding import selection_findings, sure_failure

    doing = f"looking at what Packer would make of image {image.name}"
    finding = sure_failure(facts, planned.plan.regions[0])
    if finding is None and not facts.builders and (image.only or image.except_):
        doing = f"looking for an only or except that leaves no build of image {image.name}"
        everything = resolver.facts(replace(image, only=(), except_=())).builders
        finding = next(selection_findings(image, (), everything, resolver.config.file), None)
    if finding is not None:
        marks = (finding.location.mark(finding.message),)
        raise TemplateError(f"{doing} ({finding.location})", finding.message, finding.todo, marks=marks)


def _bakes_from_id(planned: Planned) -> bool:
    base = planned.definition.image.base
    return planned.plan.action is Action.BAKE and (base is None or isinstance(base, BaseId))


def _check_bases_are_there(resolver: Resolver, planned: Planned, gone: Sequence[str]) -> None:
    if gone:
        image, facts = planned.definition.image, planned.definition.facts
        named_by = [builder.location for builder in (facts.builders if facts else ()) if builder.source_ami in gone]
        if image.base is not None:
            named_by = [SourceLocation(file=resolver.config.file, line=image.line("from"))]
        elif not named_by:
            # A data source of the template found it.
            named_by = [builder.location for builder in (facts.builders if facts else ())]
        doing = f"looking at the base of image {image.name} in {planned.plan.regions[0]}"
        wrong = f"{', '.join(gone)} does not exist, or is not shared with this account"
        raise AwsError(
            f"{doing} ({', '.join(map(str, named_by))})",
            wrong,
            "Set another source AMI: `from` in bakery.toml, or the template's source_ami.",
            marks=tuple(location.mark(f"{doing}: {wrong}") for location in named_by),
        )


def _look_up(resolver: Resolver, definitions: Sequence[ImageDefinition]) -> dict[str, list[Ami]]:
    """AMIs by digest: all digests of a generation in one call for each region and set of owners, side by side."""
    asked: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for definition in definitions:
        if definition.digest is not None:
            for region in _regions_of(resolver, definition):
                asked.setdefault((region, definition.image.owners), set()).add(definition.digest.hex)
    with_digests = resolver.ports.ec2.find_by_digest
    questions = [
        partial(with_digests, region, sorted(digests), owners) for (region, owners), digests in sorted(asked.items())
    ]
    found: dict[str, list[Ami]] = {}
    for ami in (ami for amis in run_all(questions) for ami in amis):
        found.setdefault(ami.tags.get(DIGEST_TAG, ""), []).append(ami)
    return found


def _explained(resolver: Resolver, plans: Sequence[Planned]) -> tuple[Planned, ...]:
    """Plans to bake for want of an AMI, or to wait for a base, get the difference to the image's newest AMI: two more
    calls for each region."""
    wanting = [planned for planned in plans if _needs_explaining(planned)]
    asked: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    digests: dict[str, set[str]] = {}
    for planned in wanting:
        key = (planned.plan.regions[0], planned.definition.image.owners)
        asked.setdefault(key, set()).add(planned.plan.image)
        if planned.plan.digest is not None:
            digests.setdefault(planned.plan.regions[0], set()).add(planned.plan.digest.hex)
    made = of_images(resolver, asked)
    snapshots = _snapshots(resolver, digests)
    now = resolver.ports.clock.now()
    return tuple(
        _explain(resolver, planned, made, snapshots, now) if _needs_explaining(planned) else planned
        for planned in plans
    )


def _snapshots(resolver: Resolver, digests: Mapping[str, Iterable[str]]) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Snapshots that carry these digests, by region and digest."""
    with_digests = resolver.ports.ec2.find_snapshots_by_digest
    regions = sorted(digests)
    answers = run_all([partial(with_digests, region, sorted(digests[region])) for region in regions])
    return {
        (region, digest): ids for region, answer in zip(regions, answers, strict=True) for digest, ids in answer.items()
    }


def _needs_explaining(planned: Planned) -> bool:
    return (
        planned.definition.image.scheme is Scheme.SHA256
        and planned.plan.action in (Action.BAKE, Action.PENDING)
        and (planned.plan.digest is None or any(reason.kind == "no-ami" for reason in planned.plan.reasons))
    )


def _explain(
    resolver: Resolver,
    planned: Planned,
    made: Sequence[Ami],
    snapshots: Mapping[tuple[str, str], tuple[str, ...]],
    now: datetime,
) -> Planned:
    """`made`: the AMIs of several images, in their first regions."""
    region = planned.plan.regions[0]
    before = tuple(ami for ami in made if ami.region == region and ami.tags.get(IMAGE_TAG) == planned.plan.image)
    previous = newest(ami for ami in before if ami.verified)
    changes: tuple[Change, ...] = ()
    if previous is not None:
        from ami_bakery.plan.changes import changes_since

        changes = tuple(changes_since(resolver, planned.definition, previous))
    digest = planned.plan.digest
    kept = {snapshot for ami in (*before, *planned.found) for snapshot in ami.snapshots}
    carrying = snapshots.get((region, digest.hex), ()) if digest else ()
    left = tuple(snapshot for snapshot in carrying if snapshot not in kept)
    return replace(planned, plan=explain(planned.plan, previous, changes, left, now=now), before=before)
