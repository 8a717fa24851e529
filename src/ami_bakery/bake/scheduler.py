"""Goes through the images in the order of their graph, as wide as allowed; a failure is an outcome, too."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.bake.reconcile import reconcile_amis, revoke_stale_shares
from ami_bakery.bake.slots import BuildSlot, BuildSlots, WaitPolicy
from ami_bakery.core.config.model import BaseImage
from ami_bakery.core.config.selection import parent_of, with_parents
from ami_bakery.core.ec2.image import Ami, AmiState
from ami_bakery.core.plan.desired_state import DesiredState
from ami_bakery.core.plan.outcome import Copies, Outcome, Result
from ami_bakery.core.plan.plan import Action, ImagePlan
from ami_bakery.core.plan.schedule import Schedule
from ami_bakery.errors import AwsError, BakeryError, BusyError, SkippedError, SourceError, Stopped
from ami_bakery.plan.planner import Planned, make_plans, warn_of_unseen
from ami_bakery.plan.sharing import stale_shares
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from ami_bakery.core.plan.desired_state import Step
    from ami_bakery.define.resolver import Resolver


_MOST_THREADS = 256
_MOST_MOVES = 5
_WORK = frozenset({Action.BAKE, Action.COPY, Action.PENDING})


def bake_all(
    resolver: Resolver,
    names: Sequence[str],
    *,
    forced: frozenset[str],
    jobs: int,
    fail_fast: bool = False,
    patience: WaitPolicy | None = None,
) -> Generator[Outcome]:
    """Make sure that these images' AMIs exist, and those of what they are made from; outcomes as they come.

    A failure stops what is made from the image that failed, not the rest; with `fail_fast` it stops everything. All
    images are looked up at once to begin with; one that is to be baked is defined and looked up again when its turn
    comes and its lock is taken: files, bases and other runners may have moved meanwhile. An interruption reaches every
    Packer, and all are waited for.

    jobs      how many are at work at once; those that wait for another runner's bake do not count
    patience  what to do while another runner bakes: None waits as long as it takes
    """
    failures: dict[str, BakeryError] = {}
    plans = make_plans(resolver, names, forced=forced, failures=failures)
    warn_of_unseen(resolver, plans)
    if failures or any(planned.plan.action is Action.PENDING for planned in plans):
        from ami_bakery.bake.early_checks import fail_early

        failures |= fail_early(resolver, names, plans, failures)
    schedule = Schedule({name: parent_of(resolver.config, name) for name in with_parents(resolver.config, names)})
    turns = _Turns(
        resolver,
        plans,
        failures,
        stale_shares=stale_shares(resolver, plans),
        forced=forced,
        fail_fast=fail_fast,
        places=BuildSlots(jobs),
        patience=patience or WaitPolicy(),
    )
    if turns.are_quick:
        yield from turns.take_here(schedule)
        return
    from concurrent.futures import ThreadPoolExecutor

    from ami_bakery.bake.shutdown import wait_for_all

    # A thread for each that is ready: how many are at work is a matter of their places.
    pool = ThreadPoolExecutor(max_workers=min(len(schedule), _MOST_THREADS))
    try:
        yield from turns.take(schedule, pool)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        turns.interrupt()
        wait_for_all(turns.running, resolver.ports)
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
        stale_shares: Mapping[str, tuple[Ami, ...]],
        forced: frozenset[str],
        fail_fast: bool,
        places: BuildSlots,
        patience: WaitPolicy,
    ) -> None:
        """`undefined`: the images that could not be planned to begin with."""
        self.resolver = resolver
        self.first = {planned.plan.image: planned for planned in plans}
        self.undefined = dict(undefined)
        self.stale_shares = stale_shares
        self.forced = forced
        self.fail_fast = fail_fast
        self.places = places
        self.patience = patience
        self.settled: dict[str, Ami | None] = {}
        self.failed: dict[str, BakeryError] = dict(undefined)
        self.culprit: str | None = None
        """The image whose failure stopped everything."""
        self.lock = threading.Lock()
        self.running: dict[Future[Outcome], str] = {}

    @property
    def are_quick(self) -> bool:
        """Whether nothing is to be baked, asked or waited for: threads would only cost time."""
        return not (self.undefined or self.stale_shares) and all(map(_is_quick, self.first.values()))

    def take_here(self, schedule: Schedule) -> Iterator[Outcome]:
        while schedule.unfinished:
            for name in schedule.start_ready():
                outcome = self._settle(name, self._turn(name, dict(self.settled), dict(self.failed), self._place(name)))
                schedule.finish([name])
                yield outcome

    def take(self, schedule: Schedule, pool: Executor) -> Iterator[Outcome]:
        from concurrent.futures import FIRST_COMPLETED, wait

        if self.fail_fast and self.undefined:
            self._stop(next(iter(self.undefined)))
        running = self.running
        while schedule.unfinished:
            for name in schedule.start_ready():
                place = self._place(name)
                running[pool.submit(partial(self._turn, name, dict(self.settled), dict(self.failed), place))] = name
            self.resolver.ports.reporter.remaining(schedule.left)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                outcome = self._settle(name, future.result())
                schedule.finish([name])
                yield outcome

    def _place(self, name: str) -> BuildSlot:
        """Images get to work in the order of their turns, not in that in which their threads wake up."""
        place = BuildSlot(self.places)
        first = self.first.get(name)
        if first is not None and first.plan.action in _WORK:
            place.ask()
        return place

    def interrupt(self) -> None:
        """Every Packer is told to stop and to clean up, and nothing waits any longer."""
        self.resolver.ports.packer.interrupt()
        self.resolver.ports.clock.interrupt()
        self.places.close()

    def _settle(self, name: str, outcome: Outcome) -> Outcome:
        regions = outcome.plan.regions
        self.settled[name] = outcome.amis.get(regions[0]) if regions else None
        if outcome.error is None:
            return outcome
        self.failed[name] = outcome.error
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

    def _turn(
        self, image: str, settled: Mapping[str, Ami | None], failed: Mapping[str, BakeryError], place: BuildSlot
    ) -> Outcome:
        """`settled` and `failed` are those of the time when the image's turn came."""
        with place:
            outcome = self._taken(image, settled, failed, place)
            if outcome.error is not None and self.fail_fast:
                # Here and not in `_settle`: the next one that gets the place would begin meanwhile.
                self._stop(image)
        return outcome

    def _taken(
        self, image: str, settled: Mapping[str, Ami | None], failed: Mapping[str, BakeryError], place: BuildSlot
    ) -> Outcome:
        if image in self.undefined:
            return _failed(image, self.undefined[image])
        if self.culprit is not None:
            return _failed(image, self._stopped(image))
        base = self.resolver.config.image(image).base
        if isinstance(base, BaseImage) and base.image in failed:
            return _failed(image, _without_base(image, base.image, failed[base.image]))
        first = self.first[image]
        parent = settled.get(base.image) if isinstance(base, BaseImage) else None
        stands = parent is None or first.definition.base == (("", parent.id),)
        try:
            if not stands or first.plan.action is Action.PENDING:
                place.take()
                (first,) = make_plans(self.resolver.without_cache(), [image], forced=self.forced, known=settled)
        except BakeryError as error:
            return _failed(image, error)
        return self._attempt(first, settled, place)

    def _attempt(self, planned: Planned, settled: Mapping[str, Ami | None], place: BuildSlot) -> Outcome:
        """Do what is planned for one image; a failure is an outcome, too."""
        ports = self.resolver.ports
        started = ports.clock.monotonic()
        try:
            carried = self._carry_out(planned, settled, place)
        except BakeryError as raised:
            carried = _Carried(planned=planned, result=Result.FAILED, amis={}, failures=(raised,))
        finally:
            ports.reporter.done(planned.plan.image)
        return Outcome(
            plan=carried.planned.plan,
            result=Result.FAILED if carried.failures else carried.result,
            amis=carried.amis,
            kept=carried.kept,
            seconds=ports.clock.monotonic() - started,
            error=_all_told(planned.plan.image, carried.failures),
        )

    def _carry_out(self, planned: Planned, settled: Mapping[str, Ami | None], place: BuildSlot) -> _Carried:
        """Do what the plan says, and what there is to do for the AMIs in any case. What is to be taken back comes
        first: the next AMI of an image that is shared no more has no mark that would bring us back."""
        image = planned.definition.image
        taken_back = revoke_stale_shares(
            self.resolver.ports, image.name, DesiredState.of(image), self.stale_shares.get(image.name, ())
        )
        if taken_back.failures:
            return _Carried(
                planned=planned, result=Result.FAILED, amis={}, kept=taken_back.steps, failures=taken_back.failures
            )
        match planned.plan.action:
            case Action.REUSE:
                result, copies = Result.REUSED, Copies(amis=planned.plan.amis)
            case Action.WAIT:
                result, copies = Result.REUSED, Copies(amis=_wait_for_pending(self.resolver, planned, self.patience))
            case Action.BAKE | Action.COPY:
                planned, result, copies = self._locked(planned, settled, place)
            case Action.PENDING:
                raise AssertionError(f"{planned.plan.image} is planned again when its base is baked")
        plan, upkeep = planned.plan, DesiredState.of(image)
        amis = {region: copies.amis[region] for region in plan.regions if region in copies.amis}
        kept = reconcile_amis(self.resolver.ports, plan.image, upkeep, amis.values())
        failures = (*copies.failures, *kept.failures)
        return _Carried(
            planned=planned, result=result, amis=amis, kept=(*taken_back.steps, *kept.steps), failures=failures
        )

    def _locked(
        self, planned: Planned, settled: Mapping[str, Ami | None], place: BuildSlot
    ) -> tuple[Planned, Result, Copies]:
        """A lock is of one digest: where the definition moves, the next one is of another."""
        from ami_bakery.bake.locked_bake import LockedBake

        for _ in range(_MOST_MOVES):
            if planned.plan.action is Action.REUSE:
                return planned, Result.REUSED, Copies(amis=planned.plan.amis)
            baking = LockedBake(
                self.resolver,
                planned,
                forced=self.forced,
                settled=settled,
                place=place,
                patience=self.patience,
            )
            ended = baking.carry_out()
            if ended is not None:
                return ended.planned, ended.result, ended.copies
            planned = baking.planned
        raise SourceError(
            f"baking image {planned.plan.image}",
            f"its definition changed {_MOST_MOVES} times while it was about to be baked",
            "Run again when nothing writes to its inputs.",
        )


def _without_base(image: str, base: str, error: BakeryError) -> BakeryError:
    doing, wrong = f"baking image {image}", f"its base {base} failed"
    if isinstance(error, BusyError):
        return BusyError(doing, f"its base {base} is being baked by another runner", "Run again later.")
    return SkippedError(doing, wrong, "Mend that first, then run again.")


def _is_quick(planned: Planned) -> bool:
    upkeep = DesiredState.of(planned.definition.image)
    return planned.plan.action is Action.REUSE and not any(map(upkeep.concerns, planned.plan.amis.values()))


def _failed(image: str, error: BakeryError) -> Outcome:
    """An image that could not so much as be planned."""
    plan = ImagePlan(image=image, action=Action.PENDING, digest=None, reasons=(), regions=(), amis={})
    return Outcome(plan=plan, result=Result.FAILED, error=error)


def _all_told(image: str, failures: Sequence[BakeryError]) -> BakeryError | None:
    """Several failures of one image as one, which tells them all."""
    if len(failures) < 2:
        return next(iter(failures), None)
    todos = dict.fromkeys(failure.todo for failure in failures)
    return AwsError(f"finishing image {image}", "\n".join(map(str, failures)), " ".join(todos))


class _Carried(Frozen):
    """What came of one plan: its AMIs by region, those of a failure included, and what was done to keep them."""

    planned: Planned
    result: Result
    amis: Mapping[str, Ami]
    kept: tuple[Step, ...] = ()
    failures: tuple[BakeryError, ...] = ()


def _wait_for_pending(resolver: Resolver, planned: Planned, patience: WaitPolicy) -> dict[str, Ami]:
    from ami_bakery.bake.waiters import AmiWaiter

    pending = next(ami for ami in planned.found if ami.state is AmiState.PENDING)
    return {pending.region: AmiWaiter(resolver.ports, planned.plan.image).wait_for_other_runner(pending, patience)}
