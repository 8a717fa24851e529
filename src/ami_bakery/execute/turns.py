"""Goes through the images in the order of their graph, as wide as allowed; a failure is an outcome, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial

from ami_bakery.core.config import BaseImage
from ami_bakery.core.image import Ami, AmiState
from ami_bakery.core.outcome import Outcome, Result
from ami_bakery.core.plan import Action, ImagePlan
from ami_bakery.core.schedule import Schedule
from ami_bakery.errors import BakeryError, VerificationError
from ami_bakery.execute.baker import Baker
from ami_bakery.execute.regions import Regions
from ami_bakery.execute.sight import Sight
from ami_bakery.planning import Planned, make_plans, parent_of, warn_of_unseen, with_parents
from ami_bakery.resolve import Resolver


def bake_all(resolver: Resolver, names: Sequence[str], *, forced: frozenset[str], jobs: int) -> Iterator[Outcome]:
    """Make sure that these images' AMIs exist, and those of what they are made from; outcomes as they come.

    A failure stops what is made from the image that failed, not the rest. All images are looked up at once to begin
    with; one that is to be baked is defined and looked up again when its turn comes: files, bases and other runners
    may have moved meanwhile. An interruption reaches every Packer, and all are waited for.
    """
    settled: dict[str, Ami | None] = {}
    failures: dict[str, BakeryError] = {}
    plans = make_plans(resolver, names, forced=forced, failures=failures)
    warn_of_unseen(resolver, plans)
    first = {planned.plan.image: planned for planned in plans}
    schedule = Schedule({name: parent_of(resolver.config, name) for name in with_parents(resolver.config, names)})
    running: dict[Future[Outcome], str] = {}
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            while schedule.unfinished:
                for name in schedule.start_ready():
                    turn = partial(_take_turn, resolver, name, first.get(name), forced, dict(settled), dict(failures))
                    running[pool.submit(turn)] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name, outcome = running.pop(future), future.result()
                    schedule.finish([name])
                    if outcome.error is not None:
                        failures[name] = outcome.error
                    settled[name] = outcome.amis.get(outcome.plan.regions[0]) if outcome.plan.regions else None
                    yield outcome
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            resolver.outside.packer.interrupt()
            resolver.outside.clock.interrupt()
            raise


def _take_turn(
    resolver: Resolver,
    image: str,
    first: Planned | None,
    forced: frozenset[str],
    settled: Mapping[str, Ami | None],
    failures: Mapping[str, BakeryError],
) -> Outcome:
    base = resolver.config.image(image).base
    if isinstance(base, BaseImage) and base.image in failures:
        error = VerificationError(
            f"baking image {image}", f"its base {base.image} failed", "Mend that first, then run again."
        )
        return _failed(image, error)
    if first is None:
        return _failed(image, failures[image])
    parent = settled.get(base.image) if isinstance(base, BaseImage) else None
    stands = parent is None or first.definition.base == (("", parent.id),)
    if first.plan.action is Action.REUSE and stands:
        return _attempt(resolver, first)
    resolver = resolver.afresh()
    try:
        (planned,) = make_plans(resolver, [image], forced=forced, known=settled)
    except BakeryError as error:
        return _failed(image, error)
    return _attempt(resolver, planned)


def _failed(image: str, error: BakeryError) -> Outcome:
    """An image that could not so much as be planned."""
    plan = ImagePlan(image=image, action=Action.UNKNOWN, digest=None, reasons=(), regions=(), amis={})
    return Outcome(plan=plan, result=Result.FAILED, error=error)


def _attempt(resolver: Resolver, planned: Planned) -> Outcome:
    """Do what is planned for one image; a failure is an outcome, too."""
    clock, watcher = resolver.outside.clock, resolver.outside.watcher
    started = clock.monotonic()
    if planned.plan.action is not Action.REUSE:
        because = "; ".join(reason.detail for reason in planned.plan.reasons)
        watcher.note(f"{planned.plan.image}: {planned.plan.action}: {because}")
    try:
        result, amis = _carry_out(resolver, planned)
        error = None
    except BakeryError as raised:
        result, amis, error = Result.FAILED, {}, raised
    finally:
        watcher.done(planned.plan.image)
    return Outcome(
        plan=planned.plan,
        result=result,
        amis={region: amis[region] for region in planned.plan.regions if region in amis},
        seconds=clock.monotonic() - started,
        error=error,
    )


def _carry_out(resolver: Resolver, planned: Planned) -> tuple[Result, dict[str, Ami]]:
    """Do what the plan says, and what there is to do in the regions in any case."""
    sight = Sight(resolver.outside, planned.plan.image)
    regions = Regions(resolver.outside, planned, sight)
    match planned.plan.action:
        case Action.REUSE:
            result, amis = Result.REUSED, dict(planned.plan.amis)
        case Action.COPY:
            result, amis = Result.COPIED, regions.copy_to_all(planned.plan.amis)
        case Action.WAIT:
            result, amis = Result.REUSED, _wait_for_pending(planned, sight)
        case Action.BAKE:
            result, amis = Result.BAKED, regions.copy_to_all(Baker(resolver, planned, sight).bake())
        case Action.UNKNOWN:
            raise AssertionError(f"{planned.plan.image} is planned again when its base is baked")
    regions.share(amis)
    return result, amis


def _wait_for_pending(planned: Planned, sight: Sight) -> dict[str, Ami]:
    pending = next(ami for ami in planned.found if ami.state is AmiState.PENDING)
    sight.step(f"waiting for {pending.id} in {pending.region}, which another run makes")
    return {pending.region: sight.wait_available(pending)}
