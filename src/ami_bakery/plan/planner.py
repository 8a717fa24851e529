"""Makes plans from definitions: looks up all digests in bulk, parents before children."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ami_bakery.core.check.finding import selection_findings, sure_failure
from ami_bakery.core.check.tag_limit import tag_findings
from ami_bakery.core.concurrency import run_all
from ami_bakery.core.config.model import BaseId, BaseParameter
from ami_bakery.core.config.selection import parent_of, with_parents
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.ami import DIGEST_TAG, IMAGE_TAG, Ami, newest
from ami_bakery.core.plan.explain import explain
from ami_bakery.core.plan.plan import Action, ImagePlan, Reason, Wanted, being_baked, decide, verify_bases
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.define.accounts import check_account
from ami_bakery.define.definitions import collect_failures, define_many
from ami_bakery.errors import AwsError, BakeryError, DeniedError, TemplateError
from ami_bakery.template.env_inputs import MACHINE_VARIABLES, why_not_hashed
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from datetime import datetime

    from ami_bakery.core.definition.diff import Change
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.template.facts import TemplateFacts
    from ami_bakery.template.location import SourceLocation


class Planned(Frozen):
    """An image's definition and plan.

    found   all AMIs with its digest, in any state
    before  AMIs of the image with other digests, in the build region; only looked up if no AMI has the digest
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
    """Plans these images and their parents, parents first.

    known     parents whose AMI is already known, for example just built; they are not looked up again
    failures  receives the error of each image that cannot be planned, by name; None: raise the first error
    """
    return _explained(resolver, _plans(resolver, names, forced=forced, known=known or {}, failures=failures))


def replan(resolver: Resolver, planned: Planned, *, forced: frozenset[str], known: Mapping[str, Ami | None]) -> Planned:
    """Defines and plans an image again. Keeps the reasons if it must still be built with the same digest."""
    (new,) = _plans(resolver, [planned.plan.image], forced=forced, known=known)
    before, now = planned.plan, new.plan
    if before.action is now.action is Action.BAKE and before.digest == now.digest:
        return replace(new, plan=replace(now, reasons=before.reasons), before=planned.before)
    (explained,) = _explained(resolver, [new])
    return explained


def _plans(
    resolver: Resolver,
    names: Iterable[str],
    *,
    forced: frozenset[str],
    known: Mapping[str, Ami | None],
    failures: dict[str, BakeryError] | None = None,
) -> list[Planned]:
    """`make_plans` without the changes since the previous AMI."""
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
        generation = _decide(resolver, definitions, forced, copied=frozenset(copied))
        bases = _fetch_bases(resolver, filter(_reuses_or_builds_from_id, generation), seen)
        for planned in _check_plans(resolver, generation, bases, failures):
            plans.append(planned)
            parents[planned.plan.image] = _final_ami(planned)
            if planned.plan.action is Action.COPY:
                copied.add(planned.plan.image)
            seen.update({(ami.region, ami.id): ami for ami in planned.found})
    return plans


def with_locks(resolver: Resolver, plans: Sequence[Planned]) -> tuple[Planned, ...]:
    """Changes plans to `wait` if another runner is building the image. One call for each region."""
    locked_digests: dict[str, set[str]] = {}
    for planned in plans:
        if planned.plan.digest is not None and planned.plan.may_be_locked:
            locked_digests.setdefault(planned.plan.regions[0], set()).add(planned.plan.digest.hex)
    if not locked_digests:
        return tuple(plans)
    of_digests = resolver.ports.locks.of_digests
    try:
        answers = run_all([partial(of_digests, region, sorted(digests)) for region, digests in locked_digests.items()])
    except DeniedError as error:
        resolver.ports.reporter.warn(f"cannot check whether another runner is building an image: {error}")
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
    """Warns of things that the digests do not cover."""
    for planned in plans:
        for message in planned.definition.unseen:
            resolver.ports.reporter.warn(message)
        image = resolver.config.image(planned.plan.image)
        if image.kms_keys.everywhere and max(len(image.regions), len(planned.plan.regions)) < 2:
            location = f"{resolver.config.file}:{image.line('kms_key')}"
            resolver.ports.reporter.warn(f"{location}: image {image.name}: kms_key has no effect: there are no copies")
        if planned.definition.facts is not None and planned.definition.manifest is not None:
            for message in _unseen(planned.definition, planned.definition.facts, resolver.ports.environment):
                resolver.ports.reporter.warn(message)
        _warn_of_pitfalls(resolver, planned)


def _warn_of_pitfalls(resolver: Resolver, planned: Planned) -> None:
    """Warns of known problems of a build. Without a build, warns only of things that the digest does not cover."""
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
        yield f"{item.location}: cannot determine {item.expression} ({item.why}): its files are not in the digest"
    for builder in facts.builders:
        if definition.image.base is None and builder.base_unknown:
            yield f"{builder.location}: the source AMI of {builder.name} is not in the digest: {builder.base_unknown}"
    for name, _ in facts.environment:
        if name in environment and name not in MACHINE_VARIABLES and name not in definition.image.environment:
            why = why_not_hashed(name, facts)
            if why is not None:
                yield f'{name} is set, but is not in the digest: {why}. To add its value: env = ["{name}"]'


def define_all(resolver: Resolver, names: Iterable[str], *, kept: bool = True) -> tuple[ImageDefinition, ...]:
    """Defines these images without planning them. Only their source AMIs are looked up.

    kept  whether the definitions keep their inputs; the digest does not need them
    """
    chosen = tuple(names)
    bases = dict.fromkeys(parent for name in chosen if (parent := parent_of(resolver.config, name)) is not None)
    parents = {planned.plan.image: _final_ami(planned) for planned in make_plans(resolver, bases)}
    return tuple(define_many(resolver, chosen, parents, None, kept=kept))


def of_images(resolver: Resolver, names: Mapping[tuple[str, tuple[str, ...]], Iterable[str]]) -> list[Ami]:
    """Returns all AMIs of these images. One concurrent call for each region and set of owners (the keys of `names`)."""
    of_images = resolver.ports.ec2.find_by_image
    calls = [partial(of_images, region, sorted(images), owners) for (region, owners), images in sorted(names.items())]
    return [ami for amis in run_all(calls) for ami in amis]


def _final_ami(planned: Planned) -> Ami | None:
    """Returns the AMI in the build region, which children start from; None if it must be built first.

    An AMI that is still to be tested is known. If it fails, its children are not built.
    """
    return planned.plan.amis.get(planned.plan.regions[0]) if _reuses(planned) else None


def plan_retest(planned: Planned) -> Planned:
    """Changes a plan to test an AMI that passed its test. Returns other plans unchanged."""
    if planned.plan.action not in (Action.REUSE, Action.COPY) or planned.definition.test is None:
        return planned
    reason = Reason("forced", "--force", "a test was requested with --force")
    return replace(planned, plan=replace(planned.plan, action=Action.TEST, reasons=(reason,)))


def refresh(resolver: Resolver, planned: Planned) -> Planned:
    """Plans a definition again: EC2 is queried, no file is read."""
    (new,) = _decide(resolver, [planned.definition], frozenset())
    return _verify_bases(resolver, new, _fetch_bases(resolver, filter(_reuses, [new]), {}))


def _decide(
    resolver: Resolver,
    definitions: Sequence[ImageDefinition],
    forced: frozenset[str],
    copied: frozenset[str] = frozenset(),
) -> list[Planned]:
    """Looks up the digests and decides. `copied`: images whose AMI exists, but needs copies."""
    found = _look_up(resolver, definitions)
    failed = _look_up_failed(resolver, [each for each in definitions if _may_be_kept(each, found)])
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
            test=definition.test.digest.hex if definition.test else "",
        )
        amis = found.get(definition.digest.hex, ()) if definition.digest else ()
        own = tuple(ami for ami in amis if ami.region in regions)
        plan = decide(wanted, own, now=now, force=definition.image.name in forced, failed=failed)
        plans.append(Planned(definition=definition, plan=plan, found=own))
    return plans


def _regions_of(resolver: Resolver, definition: ImageDefinition) -> tuple[str, ...]:
    """Returns the configured regions, and those to which the template copies AMIs."""
    return tuple(dict.fromkeys((*resolver.regions_of(definition.image), *definition.regions_of_template)))


_Amis: TypeAlias = "Mapping[tuple[str, str], Ami]"
"""AMIs by region and id."""


def _fetch_bases(resolver: Resolver, plans: Iterable[Planned], seen: _Amis) -> _Amis:
    """Returns the source AMIs of these plans that exist. One call for each region.

    AMIs that EC2 has already returned in this run are not fetched again: the results of filters, and `seen`.
    """
    ids: dict[str, set[str]] = {}
    for planned in plans:
        ids.setdefault(planned.plan.regions[0], set()).update(base for _, base in planned.definition.base)
    known = {(region, base): ami for region in ids for base, ami in resolver.bases.amis(region).items()} | dict(seen)
    unknown = {region: sorted(base for base in bases if (region, base) not in known) for region, bases in ids.items()}
    by_ids = resolver.ports.ec2.find_by_id
    fetched = run_all([partial(by_ids, region, bases) for region, bases in sorted(unknown.items()) if bases])
    return known | {(ami.region, ami.id): ami for amis in fetched for ami in amis}


def _check_plans(
    resolver: Resolver, plans: Sequence[Planned], bases: _Amis, failures: dict[str, BakeryError] | None
) -> Iterator[Planned]:
    """Yields the plans that can be carried out, with verified source AMIs. `failures`: see `make_plans`."""
    for planned in plans:
        with collect_failures(failures, planned.plan.image):
            # First the account, because another account has other AMIs.
            _check_account(resolver, planned)
            _check_tags(planned)
            if _builds_from_id(planned):
                _check_bases_exist(resolver, planned, bases)
            check_build_can_succeed(resolver, planned)
            yield _verify_bases(resolver, planned, bases)


def _verify_bases(resolver: Resolver, planned: Planned, bases: _Amis) -> Planned:
    """Plans a build if the source AMI is missing or deprecated. Changes only a plan to reuse."""
    ids = _base_ids(planned)
    existing = {base: ami for base in ids if (ami := bases.get((planned.plan.regions[0], base))) is not None}
    return replace(planned, plan=verify_bases(planned.plan, ids, existing, now=resolver.ports.clock.now()))


def _base_ids(planned: Planned) -> list[str]:
    return sorted({base for _, base in planned.definition.base})


def _check_account(resolver: Resolver, planned: Planned) -> None:
    """Raises if the template builds in another account. The AMI would not be found there."""
    facts = planned.definition.facts
    if facts is not None and planned.plan.action in (Action.BAKE, Action.PENDING):
        check_account(resolver, planned.plan.image, facts, planned.plan.regions[0])


def _check_tags(planned: Planned) -> None:
    facts, image = planned.definition.facts, planned.definition.image
    if facts is not None and planned.plan.action in (Action.BAKE, Action.PENDING):
        for finding in tag_findings(image, facts.builders):
            doing = f"checking the tags of image {image.name} ({finding.location})"
            raise TemplateError(doing, finding.message, finding.todo, marks=(finding.location.mark(finding.message),))


def check_build_can_succeed(resolver: Resolver, planned: Planned) -> None:
    """Raises if Packer would succeed with no AMI or a wrong one.

    The drop-in mode does not check this, as the original did not.
    """
    image, facts = planned.definition.image, planned.definition.facts
    if facts is None or image.scheme is Scheme.SHA1 or planned.plan.action not in (Action.BAKE, Action.PENDING):
        return
    doing = f"checking the builders of image {image.name}"
    finding = sure_failure(facts, planned.plan.regions[0])
    if finding is None and not facts.builders and (image.only or image.except_):
        doing = f"selecting the builds of image {image.name}"
        everything = resolver.facts(replace(image, only=(), except_=())).builders
        finding = next(selection_findings(image, (), everything, resolver.config.file), None)
    if finding is not None:
        marks = (finding.location.mark(finding.message),)
        raise TemplateError(f"{doing} ({finding.location})", finding.message, finding.todo, marks=marks)


def _reuses(planned: Planned) -> bool:
    return planned.plan.action in (Action.REUSE, Action.COPY, Action.TEST)


def _builds_from_id(planned: Planned) -> bool:
    base = planned.definition.image.base
    return planned.plan.action is Action.BAKE and (base is None or isinstance(base, BaseId | BaseParameter))


def _reuses_or_builds_from_id(planned: Planned) -> bool:
    return _reuses(planned) or _builds_from_id(planned)


def _check_bases_exist(resolver: Resolver, planned: Planned, bases: _Amis) -> None:
    missing = [base for base in _base_ids(planned) if (planned.plan.regions[0], base) not in bases]
    if missing:
        image, facts = planned.definition.image, planned.definition.facts
        named_by = [builder.location for builder in (facts.builders if facts else ()) if builder.source_ami in missing]
        if image.base is not None:
            named_by = [image.location(resolver.config.file, "from")]
        elif not named_by:
            # A data source of the template found it.
            named_by = [builder.location for builder in (facts.builders if facts else ())]
        raise missing_base_error(image.name, planned.plan.regions[0], missing, named_by)
    for base in _base_ids(planned):
        ami = bases[planned.plan.regions[0], base]
        if ami.revoked:
            raise AwsError(
                f"looking for the source AMI of image {planned.plan.image} in {ami.region}",
                f"{ami.id} is revoked: {one_line(ami.revoked)}",
                "Use another source AMI: `from` in bakery.toml, or source_ami in the template.",
            )


def missing_base_error(
    image: str, region: str, missing: Iterable[str], named_by: Sequence[SourceLocation] = ()
) -> AwsError:
    """Returns the error for source AMIs that EC2 does not have. `named_by`: the lines that name them."""
    doing = f"looking for the source AMI of image {image} in {region}"
    wrong = f"{', '.join(missing)} does not exist, or is not shared with this account"
    return AwsError(
        f"{doing} ({', '.join(map(str, named_by))})" if named_by else doing,
        wrong,
        "Use another source AMI: `from` in bakery.toml, or source_ami in the template.",
        marks=tuple(location.mark(f"{doing}: {wrong}") for location in named_by),
    )


def _look_up(resolver: Resolver, definitions: Sequence[ImageDefinition]) -> dict[str, list[Ami]]:
    """Returns AMIs by digest. One call for each region and set of owners, all concurrently."""
    wanted: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for definition in definitions:
        if definition.digest is not None:
            for region in _regions_of(resolver, definition):
                wanted.setdefault((region, definition.image.owners), set()).add(definition.digest.hex)
    with_digests = resolver.ports.ec2.find_by_digest
    calls = [
        partial(with_digests, region, sorted(digests), owners) for (region, owners), digests in sorted(wanted.items())
    ]
    found: dict[str, list[Ami]] = {}
    for ami in (ami for amis in run_all(calls) for ami in amis):
        found.setdefault(ami.tags.get(DIGEST_TAG, ""), []).append(ami)
    return found


def _may_be_kept(definition: ImageDefinition, found: Mapping[str, Sequence[Ami]]) -> bool:
    """Whether an AMI that failed its test may exist. It exists only in place of a finished one."""
    digest = definition.digest
    if definition.test is None or digest is None:
        return False
    return not any(ami.available and not ami.revoked and ami.carries(digest) for ami in found.get(digest.hex, ()))


def _look_up_failed(resolver: Resolver, definitions: Sequence[ImageDefinition]) -> tuple[Ami, ...]:
    """Returns AMIs that failed their test. One call for each build region and set of owners."""
    wanted: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for definition in definitions:
        if definition.digest is not None:
            key = (resolver.region_of(definition.image), definition.image.owners)
            wanted.setdefault(key, set()).add(definition.digest.hex)
    lookup = resolver.ports.ec2.find_test_failed
    calls = [partial(lookup, region, sorted(digests), owners) for (region, owners), digests in sorted(wanted.items())]
    return tuple(ami for amis in run_all(calls) for ami in amis)


def _explained(resolver: Resolver, plans: Sequence[Planned]) -> tuple[Planned, ...]:
    """Adds the changes to plans without a matching AMI.

    The changes are those since the image's newest AMI. Two calls for each region. Also adds the changes of the test to
    plans to test again.
    """
    names: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    digests: dict[str, set[str]] = {}
    for planned in filter(_needs_explaining, plans):
        key = (planned.plan.regions[0], planned.definition.image.owners)
        names.setdefault(key, set()).add(planned.plan.image)
        if planned.plan.digest is not None:
            digests.setdefault(planned.plan.regions[0], set()).add(planned.plan.digest.hex)
    amis = of_images(resolver, names)
    snapshots = _snapshots(resolver, digests)
    now = resolver.ports.clock.now()
    return tuple(
        _explain(resolver, planned, amis, snapshots, now)
        if _needs_explaining(planned)
        else _with_test_changes(resolver, planned)
        for planned in plans
    )


def _with_test_changes(resolver: Resolver, planned: Planned) -> Planned:
    plan = planned.plan
    if plan.source is None or not any(reason.kind == "test-changed" for reason in plan.reasons):
        return planned
    from ami_bakery.plan.changes import changes_of_test

    changes = changes_of_test(resolver, planned.definition, plan.source)
    reasons = (Reason(change.kind, change.subject, change.detail) for change in changes)
    return replace(planned, plan=replace(plan, reasons=(*plan.reasons, *reasons)))


def _snapshots(resolver: Resolver, digests: Mapping[str, Iterable[str]]) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Returns ids of snapshots tagged with these digests, by region and digest."""
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
    amis: Sequence[Ami],
    snapshots: Mapping[tuple[str, str], tuple[str, ...]],
    now: datetime,
) -> Planned:
    """Adds the changes to one plan. `amis`: the AMIs of several images, in their build regions."""
    region = planned.plan.regions[0]
    before = tuple(ami for ami in amis if ami.region == region and ami.tags.get(IMAGE_TAG) == planned.plan.image)
    previous = newest(ami for ami in before if ami.verified)
    changes: tuple[Change, ...] = ()
    if previous is not None:
        from ami_bakery.plan.changes import changes_since

        changes = tuple(changes_since(resolver, planned.definition, previous))
    digest = planned.plan.digest
    in_use = {snapshot for ami in (*before, *planned.found) for snapshot in ami.snapshots}
    tagged = snapshots.get((region, digest.hex), ()) if digest else ()
    orphaned = tuple(snapshot for snapshot in tagged if snapshot not in in_use)
    return replace(planned, plan=explain(planned.plan, previous, changes, orphaned, now=now), before=before)
