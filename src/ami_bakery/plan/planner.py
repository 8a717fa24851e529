"""Makes plans from definitions: looks up all digests in bulk, parents before children."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ami_bakery.core.concurrency import run_all
from ami_bakery.core.config.selection import parent_of, with_parents
from ami_bakery.core.plan.decision import being_baked, decide, verify_bases
from ami_bakery.core.plan.plan import Action, Reason, Wanted
from ami_bakery.define.definitions import collect_failures, define_many
from ami_bakery.errors import BakeryError, DeniedError, Stopped
from ami_bakery.plan.build_checks import builds_from_id, check_plan
from ami_bakery.plan.explanation import add_changes
from ami_bakery.plan.lookups import look_up, look_up_failed, may_be_kept, regions_of_definition
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.lock.lock import LockRecord
    from ami_bakery.core.plan.plan import ImagePlan
    from ami_bakery.define.resolver import ImageDefinition, Resolver


class Planned(Frozen):
    """An image's definition and plan.

    found   all AMIs with its digest, in any state
    before  AMIs of the image with other digests, in the build region; only looked up if no AMI has the digest
    """

    definition: ImageDefinition
    plan: ImagePlan
    found: tuple[Ami, ...]
    before: tuple[Ami, ...] = ()

    @property
    def base_ids(self) -> list[str]:
        return sorted({base for _, base in self.definition.base})


class Plans(Frozen):
    """The plans of some images, parents first, and the error of each image that cannot be planned."""

    planned: tuple[Planned, ...]
    failures: Mapping[str, BakeryError]


def plan_each(resolver: Resolver, names: Sequence[str]) -> Plans:
    """Plans these images and their parents. An error of one image does not stop the others."""
    failures: dict[str, BakeryError] = {}
    try:
        planned = make_plans(resolver, names, failures=failures)
    except Stopped:
        raise
    except BakeryError as error:
        return Plans(planned=(), failures=dict.fromkeys(names, error) | failures)
    return Plans(planned=planned, failures=failures)


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
    return add_changes(resolver, _plans(resolver, names, forced=forced, known=known or {}, failures=failures))


def replan(resolver: Resolver, planned: Planned, *, forced: frozenset[str], known: Mapping[str, Ami | None]) -> Planned:
    """Defines and plans an image again. Keeps the reasons if it must still be built with the same digest."""
    (new,) = _plans(resolver, [planned.plan.image], forced=forced, known=known)
    before, now = planned.plan, new.plan
    if before.action is now.action is Action.BAKE and before.digest == now.digest:
        return replace(new, plan=replace(now, reasons=before.reasons), before=planned.before)
    (explained,) = add_changes(resolver, [new])
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
            if planned.plan.action in (Action.COPY, Action.ENABLE):
                copied.add(planned.plan.image)
            seen.update({(ami.region, ami.id): ami for ami in planned.found})
    return plans


def with_locks(resolver: Resolver, plans: Sequence[Planned]) -> tuple[Planned, ...]:
    """Changes plans to `wait` if another runner is building the image. One call for each region."""
    alive = held_locks(resolver, plans)
    return tuple(
        replace(planned, plan=being_baked(planned.plan, alive[planned.plan.image]))
        if planned.plan.image in alive
        else planned
        for planned in plans
    )


def held_locks(resolver: Resolver, plans: Sequence[Planned]) -> dict[str, LockRecord]:
    """Returns the lock of each image that another runner is building. One call for each region."""
    keys = {
        planned.plan.image: (planned.plan.regions[0], planned.plan.digest.hex)
        for planned in plans
        if planned.plan.digest is not None and planned.plan.may_be_locked
    }
    if not keys:
        return {}
    locked_digests: dict[str, set[str]] = {}
    for region, digest in keys.values():
        locked_digests.setdefault(region, set()).add(digest)
    of_digests = resolver.ports.locks.of_digests
    try:
        answers = run_all([partial(of_digests, region, sorted(digests)) for region, digests in locked_digests.items()])
    except DeniedError as error:
        resolver.ports.reporter.warn(f"cannot check whether another runner is building an image: {error}")
        return {}
    alive = {(lock.region, lock.digest): lock for locks in answers for lock in locks if not lock.expired}
    return {image: alive[key] for image, key in keys.items() if key in alive}


def define_all(resolver: Resolver, names: Iterable[str], *, kept: bool = True) -> tuple[ImageDefinition, ...]:
    """Defines these images without planning them. Only their source AMIs are looked up.

    kept  whether the definitions keep their inputs; the digest does not need them
    """
    chosen = tuple(names)
    bases = dict.fromkeys(parent for name in chosen if (parent := parent_of(resolver.config, name)) is not None)
    parents = {planned.plan.image: _final_ami(planned) for planned in make_plans(resolver, bases)}
    return tuple(define_many(resolver, chosen, parents, None, kept=kept))


def _final_ami(planned: Planned) -> Ami | None:
    """Returns the AMI in the build region, which children start from; None if it must be built first.

    An AMI that is still to be tested or enabled is known. If this fails, its children are not built.
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
    found = look_up(resolver, definitions)
    failed = look_up_failed(resolver, [each for each in definitions if may_be_kept(each, found)])
    now = resolver.ports.clock.now()
    plans = []
    for definition in definitions:
        regions = regions_of_definition(resolver, definition)
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
            check_plan(resolver, planned, bases)
            yield _verify_bases(resolver, planned, bases)


def _verify_bases(resolver: Resolver, planned: Planned, bases: _Amis) -> Planned:
    """Plans a build if the source AMI is missing or deprecated. Changes only a plan to reuse."""
    ids = planned.base_ids
    existing = {base: ami for base in ids if (ami := bases.get((planned.plan.regions[0], base))) is not None}
    return replace(planned, plan=verify_bases(planned.plan, ids, existing, now=resolver.ports.clock.now()))


def _reuses(planned: Planned) -> bool:
    return planned.plan.action in (Action.REUSE, Action.COPY, Action.TEST, Action.ENABLE)


def _reuses_or_builds_from_id(planned: Planned) -> bool:
    return _reuses(planned) or builds_from_id(planned)
