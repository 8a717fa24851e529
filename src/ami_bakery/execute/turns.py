"""Goes through the images in the order of their graph, as wide as allowed; a failure is an outcome, too."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.config import BaseImage
from ami_bakery.core.image import Ami, AmiState
from ami_bakery.core.outcome import Outcome, Result
from ami_bakery.core.plan import Action, ImagePlan
from ami_bakery.core.schedule import Schedule
from ami_bakery.core.upkeep import Upkeep
from ami_bakery.errors import AwsError, BakeryError, SkippedError, Stopped
from ami_bakery.execute.keeping import keep
from ami_bakery.execute.regions import Copies, Regions
from ami_bakery.execute.sight import Sight
from ami_bakery.planning import Planned, make_plans, parent_of, warn_of_unseen, with_parents

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from ami_bakery.core.upkeep import Step
    from ami_bakery.resolve import Resolver


def bake_all(
    resolver: Resolver, names: Sequence[str], *, forced: frozenset[str], jobs: int, fail_fast: bool = False
) -> Generator[Outcome]:
    """Make sure that these images' AMIs exist, and those of what they are made from; outcomes as they come.

    A failure stops what is made from the image that failed, not the rest; with `fail_fast` it stops everything. All
    images are looked up at once to begin with; one that is to be baked is defined and looked up again when its turn
    comes: files, bases and other runners may have moved meanwhile. An interruption reaches every Packer, and all are
    waited for.
    """
    failures: dict[str, BakeryError] = {}
    plans = make_plans(resolver, names, forced=forced, failures=failures)
    warn_of_unseen(resolver, plans)
    schedule = Schedule({name: parent_of(resolver.config, name) for name in with_parents(resolver.config, names)})
    turns = _Turns(resolver, plans, failures, forced=forced, fail_fast=fail_fast)
    if turns.are_quick:
        yield from turns.take_here(schedule)
        return
    from concurrent.futures import ThreadPoolExecutor

    from ami_bakery.execute.ending import wait_for_all

    pool = ThreadPoolExecutor(max_workers=jobs)
    try:
        yield from turns.take(schedule, pool)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        turns.interrupt()
        wait_for_all(turns.running, resolver.outside)
        raise
    pool.shutdown()


class _Turns:
    """Whose turn it is, and what has become of those before."""

    def __init__(
        self,
        resolver: Resolver,
        plans: Iterable[Planned],
        undefined: Mapping[str, BakeryError],
        *,
        forced: frozenset[str],
        fail_fast: bool,
    ) -> None:
        """`undefined`: the images that could not be planned to begin with."""
        self.resolver = resolver
        self.first = {planned.plan.image: planned for planned in plans}
        self.undefined = dict(undefined)
        self.forced = forced
        self.fail_fast = fail_fast
        self.settled: dict[str, Ami | None] = {}
        self.failed: set[str] = set(undefined)
        self.culprit: str | None = None
        """The image whose failure stopped everything."""
        self.lock = threading.Lock()
        self.running: dict[Future[Outcome], str] = {}

    @property
    def are_quick(self) -> bool:
        """Whether nothing is to be baked, asked or waited for: threads would only cost time."""
        return not self.undefined and all(map(_is_quick, self.first.values()))

    def take_here(self, schedule: Schedule) -> Iterator[Outcome]:
        while schedule.unfinished:
            for name in schedule.start_ready():
                outcome = self._settle(name, self._turn(name, dict(self.settled), frozenset(self.failed)))
                schedule.finish([name])
                yield outcome

    def take(self, schedule: Schedule, pool: Executor) -> Iterator[Outcome]:
        from concurrent.futures import FIRST_COMPLETED, wait

        if self.fail_fast and self.undefined:
            self._stop(next(iter(self.undefined)))
        running = self.running
        while schedule.unfinished:
            for name in schedule.start_ready():
                running[pool.submit(partial(self._turn, name, dict(self.settled), frozenset(self.failed)))] = name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                outcome = self._settle(name, future.result())
                schedule.finish([name])
                yield outcome

    def interrupt(self) -> None:
        """Every Packer is told to stop and to clean up, and nothing waits any longer."""
        self.resolver.outside.packer.interrupt()
        self.resolver.outside.clock.interrupt()

    def _settle(self, name: str, outcome: Outcome) -> Outcome:
        regions = outcome.plan.regions
        self.settled[name] = outcome.amis.get(regions[0]) if regions else None
        if outcome.error is None:
            return outcome
        self.failed.add(name)
        if self.culprit not in (None, name) and name not in self.undefined:
            return replace(outcome, error=self._stopped(name, outcome.error))
        return outcome

    def _stop(self, culprit: str) -> None:
        with self.lock:
            if self.culprit is not None:
                return
            self.culprit = culprit
        self.interrupt()

    def _stopped(self, name: str, error: BakeryError | None = None) -> BakeryError:
        """`error`: how it ended, where it had been started; it may have failed of itself in the same moment."""
        if isinstance(error, SkippedError):
            return error
        wrong = f"it was stopped because {self.culprit} failed"
        if error is not None and not isinstance(error, Stopped):
            wrong += f"\n{error.wrong}\n{error.todo}"
        return SkippedError(f"baking image {name}", wrong, f"Mend {self.culprit} first, then run again.")

    def _turn(self, image: str, settled: Mapping[str, Ami | None], failed: frozenset[str]) -> Outcome:
        """`settled` and `failed` are those of the time when the image's turn came."""
        outcome = self._taken(image, settled, failed)
        if outcome.error is not None and self.fail_fast:
            self._stop(image)  # here and not in `_settle`: this thread would begin the next image meanwhile
        return outcome

    def _taken(self, image: str, settled: Mapping[str, Ami | None], failed: frozenset[str]) -> Outcome:
        if image in self.undefined:
            return _failed(image, self.undefined[image])
        if self.culprit is not None:
            return _failed(image, self._stopped(image))
        base = self.resolver.config.image(image).base
        if isinstance(base, BaseImage) and base.image in failed:
            todo = "Mend that first, then run again."
            return _failed(image, SkippedError(f"baking image {image}", f"its base {base.image} failed", todo))
        first = self.first[image]
        parent = settled.get(base.image) if isinstance(base, BaseImage) else None
        stands = parent is None or first.definition.base == (("", parent.id),)
        if first.plan.action is Action.REUSE and stands:
            return _attempt(self.resolver, first)
        resolver = self.resolver.afresh()
        try:
            (planned,) = make_plans(resolver, [image], forced=self.forced, known=settled)
        except BakeryError as error:
            return _failed(image, error)
        return _attempt(resolver, planned)


def _is_quick(planned: Planned) -> bool:
    upkeep = Upkeep.of(planned.definition.image)
    return planned.plan.action is Action.REUSE and not any(map(upkeep.concerns, planned.plan.amis.values()))


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
        carried = _carry_out(resolver, planned)
    except BakeryError as raised:
        carried = _Carried(result=Result.FAILED, amis={}, failures=(raised,))
    finally:
        watcher.done(planned.plan.image)
    return Outcome(
        plan=planned.plan,
        result=Result.FAILED if carried.failures else carried.result,
        amis=carried.amis,
        kept=carried.kept,
        seconds=clock.monotonic() - started,
        error=_all_told(planned.plan.image, carried.failures),
    )


def _all_told(image: str, failures: Sequence[BakeryError]) -> BakeryError | None:
    """Several failures of one image as one, which tells them all."""
    if len(failures) < 2:
        return next(iter(failures), None)
    todos = dict.fromkeys(failure.todo for failure in failures)
    return AwsError(f"finishing image {image}", "\n".join(map(str, failures)), " ".join(todos))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Carried:
    """What came of one plan: its AMIs by region, those of a failure included, and what was done to keep them."""

    result: Result
    amis: Mapping[str, Ami]
    kept: tuple[Step, ...] = ()
    failures: tuple[BakeryError, ...] = ()


def _carry_out(resolver: Resolver, planned: Planned) -> _Carried:
    """Do what the plan says, and what there is to do for the AMIs in any case."""
    sight = Sight(resolver.outside, planned.plan.image)
    match planned.plan.action:
        case Action.REUSE:
            result, copies = Result.REUSED, Copies(amis=planned.plan.amis)
        case Action.COPY:
            result, copies = Result.COPIED, _copied(resolver, planned, sight, planned.plan.amis, planned.plan.source)
        case Action.WAIT:
            result, copies = Result.REUSED, Copies(amis=_wait_for_pending(planned, sight))
        case Action.BAKE:
            from ami_bakery.execute.baker import Baker  # a run that bakes nothing has no need of it

            made = Baker(resolver, planned, sight).bake()
            result, copies = Result.BAKED, _copied(resolver, planned, sight, made, made[planned.plan.regions[0]])
        case Action.UNKNOWN:
            raise AssertionError(f"{planned.plan.image} is planned again when its base is baked")
    amis = {region: copies.amis[region] for region in planned.plan.regions if region in copies.amis}
    kept = keep(resolver.outside, planned.plan.image, Upkeep.of(planned.definition.image), amis.values())
    return _Carried(result=result, amis=amis, kept=kept.steps, failures=(*copies.failures, *kept.failures))


def _copied(resolver: Resolver, planned: Planned, sight: Sight, amis: Mapping[str, Ami], source: Ami | None) -> Copies:
    """`amis` in all regions of the image. Where a copy is to have a key of its own, it is one of those that have it:
    not one that Packer has made there."""
    kms_keys = resolver.kms_keys(planned.definition.image)
    right = {region: ami for region, ami in amis.items() if ami.kms_key == kms_keys.get(region, ami.kms_key)}
    assert source is not None, f"nothing of {planned.plan.image} is there to be copied"
    return Regions(resolver.outside, planned, sight, kms_keys).copy_to_all(right, source)


def _wait_for_pending(planned: Planned, sight: Sight) -> dict[str, Ami]:
    pending = next(ami for ami in planned.found if ami.state is AmiState.PENDING)
    sight.step(f"waiting for {pending.id} in {pending.region}, which another run makes")
    return {pending.region: sight.wait_available(pending)}
