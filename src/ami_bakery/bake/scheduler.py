"""Bakes images in dependency order, in parallel if possible."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.bake.build_slots import BuildSlot, BuildSlots, WaitPolicy
from ami_bakery.bake.reconcile import reconcile_amis, revoke_stale_shares
from ami_bakery.core.config.model import BaseImage
from ami_bakery.core.config.selection import parent_of, with_parents
from ami_bakery.core.ec2.ami import Ami, AmiState
from ami_bakery.core.plan.desired_state import DesiredState
from ami_bakery.core.plan.outcome import Copies, Outcome, Result
from ami_bakery.core.plan.plan import Action, ImagePlan
from ami_bakery.core.plan.schedule import Schedule
from ami_bakery.errors import AwsError, BakeryError, BusyError, SkippedError, SourceError, Stopped
from ami_bakery.plan.planner import Planned, make_plans, plan_retest
from ami_bakery.plan.sharing import stale_shares
from ami_bakery.plan.uncovered import warn_of_unseen
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from ami_bakery.core.plan.desired_state import Step
    from ami_bakery.define.resolver import Resolver


_MAX_THREADS = 256
_MAX_DIGEST_CHANGES = 5
_WORK = frozenset({Action.BAKE, Action.COPY, Action.TEST, Action.ENABLE, Action.PENDING})


def bake_all(
    resolver: Resolver,
    names: Sequence[str],
    *,
    forced: frozenset[str],
    jobs: int,
    fail_fast: bool = False,
    wait_policy: WaitPolicy | None = None,
    builds: bool = True,
    retested: frozenset[str] = frozenset(),
) -> Generator[Outcome]:
    """Bakes the images and their parents. Yields the outcome of each image as it ends.

    A failure is an outcome, too. It stops the images that depend on the failed one; with `fail_fast`, it stops all. All
    images are first looked up together. An image that needs a build is defined and looked up again after its lock is
    acquired, because files, source AMIs and AMIs may have changed. An interruption is passed to every Packer; the bake
    waits until all of them have ended.

    jobs         number of concurrent builds; images that wait for another runner do not count
    wait_policy  what to do while another runner bakes; None waits without a limit
    builds       whether to build missing AMIs; without, an image that needs a build fails
    retested     the images whose AMIs are tested even if they passed the current test
    """
    failures: dict[str, BakeryError] = {}
    plans = make_plans(resolver, names, forced=forced, failures=failures)
    warn_of_unseen(resolver, plans)
    if failures or any(map(_is_validated_early, plans)):
        from ami_bakery.plan.early_checks import fail_early

        failures |= fail_early(resolver, names, plans, failures)
    schedule = Schedule({name: parent_of(resolver.config, name) for name in with_parents(resolver.config, names)})
    run = _Run(
        resolver,
        plans,
        failures,
        stale_shares=stale_shares(resolver, plans),
        forced=forced,
        fail_fast=fail_fast,
        slots=BuildSlots(jobs),
        wait_policy=wait_policy or WaitPolicy(),
        builds=builds,
        retested=retested,
    )
    if run.needs_no_threads:
        yield from run.run_here(schedule)
        return
    from concurrent.futures import ThreadPoolExecutor

    from ami_bakery.bake.shutdown import wait_for_all

    # One thread for each ready image; the build slots limit the concurrent builds.
    pool = ThreadPoolExecutor(max_workers=min(len(schedule), _MAX_THREADS))
    try:
        yield from run.run_in(schedule, pool)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        run.interrupt()
        wait_for_all(run.running, resolver.ports)
        raise
    pool.shutdown()


def _is_validated_early(planned: Planned) -> bool:
    is_tested = planned.plan.action is Action.BAKE and planned.definition.test is not None
    return is_tested or planned.plan.action is Action.PENDING


class _Run:
    """The state of one run: finished, running and failed images."""

    def __init__(
        self,
        resolver: Resolver,
        plans: Iterable[Planned],
        unplanned: Mapping[str, BakeryError],
        *,
        stale_shares: Mapping[str, tuple[Ami, ...]],
        forced: frozenset[str],
        fail_fast: bool,
        slots: BuildSlots,
        wait_policy: WaitPolicy,
        builds: bool,
        retested: frozenset[str],
    ) -> None:
        """unplanned  the errors of images that could not be planned"""
        self.resolver = resolver
        self.first = {
            planned.plan.image: plan_retest(planned) if planned.plan.image in retested else planned for planned in plans
        }
        self.unplanned = dict(unplanned)
        self.stale_shares = stale_shares
        self.forced = forced
        self.fail_fast = fail_fast
        self.slots = slots
        self.wait_policy = wait_policy
        self.builds = builds
        self.retested = retested
        self.known: dict[str, Ami | None] = {}
        self.failed: dict[str, BakeryError] = dict(unplanned)
        self.stopped_by: str | None = None
        """The image whose failure stopped everything."""
        self.lock = threading.Lock()
        self.running: dict[Future[Outcome], str] = {}

    @property
    def needs_no_threads(self) -> bool:
        """Whether no image needs a build, a change or a wait. Then threads would only cost time."""
        return not (self.unplanned or self.stale_shares) and all(map(_needs_nothing, self.first.values()))

    def run_here(self, schedule: Schedule) -> Iterator[Outcome]:
        while schedule.unfinished:
            for name in schedule.start_ready():
                outcome = self._record(
                    name, self._run_image(name, dict(self.known), dict(self.failed), self._new_slot(name))
                )
                schedule.finish(name)
                yield outcome

    def run_in(self, schedule: Schedule, pool: Executor) -> Iterator[Outcome]:
        from concurrent.futures import FIRST_COMPLETED, wait

        if self.fail_fast and self.unplanned:
            self._stop(next(iter(self.unplanned)))
        running = self.running
        while schedule.unfinished:
            for name in schedule.start_ready():
                slot = self._new_slot(name)
                running[pool.submit(partial(self._run_image, name, dict(self.known), dict(self.failed), slot))] = name
            self.resolver.ports.reporter.remaining(schedule.left)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                outcome = self._record(name, future.result())
                schedule.finish(name)
                yield outcome

    def _new_slot(self, name: str) -> BuildSlot:
        """Queues an image for a build slot. Images are queued in order; their threads start in any order."""
        slot = BuildSlot(self.slots)
        first = self.first.get(name)
        if first is not None and first.plan.action in _WORK:
            slot.queue()
        return slot

    def interrupt(self) -> None:
        """Interrupts every Packer so that it cleans up, and ends every wait."""
        self.resolver.ports.packer.interrupt()
        self.resolver.ports.clock.interrupt()
        self.slots.close()

    def _record(self, name: str, outcome: Outcome) -> Outcome:
        regions = outcome.plan.regions
        self.known[name] = outcome.amis.get(regions[0]) if regions else None
        if outcome.error is None:
            return outcome
        self.failed[name] = outcome.error
        if self.stopped_by not in (None, name) and name not in self.unplanned:
            return replace(outcome, error=self._stopped_error(name, outcome.error))
        return outcome

    def _stop(self, stopped_by: str) -> None:
        with self.lock:
            if self.stopped_by is not None:
                return
            self.stopped_by = stopped_by
        self.interrupt()

    def _stopped_error(self, name: str, error: BakeryError | None = None) -> BakeryError:
        """Returns the error of an image that `fail_fast` stopped.

        error  the image's own error, if it had started; it may have failed for another reason at the same time
        """
        if isinstance(error, SkippedError):
            return error
        wrong = f"it was stopped because {self.stopped_by} failed"
        if error is not None and not isinstance(error, Stopped):
            wrong += f"\n{error.wrong}\n{error.todo}"
        return SkippedError(f"baking image {name}", wrong, f"Fix {self.stopped_by} first, then run again.")

    def _run_image(
        self, image: str, known: Mapping[str, Ami | None], failed: Mapping[str, BakeryError], slot: BuildSlot
    ) -> Outcome:
        """Bakes one image in its slot. `known`, `failed`: as of the time when the image became ready."""
        with slot:
            outcome = self._run_planned(image, known, failed, slot)
            if outcome.error is not None and self.fail_fast:
                # Stopped here and not in `_record`, because the next image could get the slot and start first.
                self._stop(image)
        return outcome

    def _run_planned(
        self, image: str, known: Mapping[str, Ami | None], failed: Mapping[str, BakeryError], slot: BuildSlot
    ) -> Outcome:
        if image in self.unplanned:
            return _failed_outcome(image, self.unplanned[image])
        if self.stopped_by is not None:
            return _failed_outcome(image, self._stopped_error(image))
        base = self.resolver.config.image(image).base
        if isinstance(base, BaseImage) and base.image in failed:
            return _failed_outcome(image, _parent_error(image, base.image, failed[base.image]))
        first = self.first[image]
        parent = known.get(base.image) if isinstance(base, BaseImage) else None
        parent_unchanged = parent is None or first.definition.base == (("", parent.id),)
        try:
            if not parent_unchanged or first.plan.action is Action.PENDING:
                slot.acquire()
                (first,) = make_plans(self.resolver.without_cache(), [image], forced=self.forced, known=known)
        except BakeryError as error:
            return _failed_outcome(image, error)
        return self._attempt(first, known, slot)

    def _attempt(self, planned: Planned, known: Mapping[str, Ami | None], slot: BuildSlot) -> Outcome:
        """Carries out the plan of one image. Returns a failure as an outcome."""
        ports = self.resolver.ports
        started = ports.clock.monotonic()
        try:
            done = self._carry_out(planned, known, slot)
        except BakeryError as raised:
            done = _PlanResult(planned=planned, result=Result.FAILED, amis={}, failures=(raised,))
        finally:
            ports.reporter.done(planned.plan.image)
        return Outcome(
            plan=done.planned.plan,
            result=Result.FAILED if done.failures else done.result,
            amis=done.amis,
            kept=done.kept,
            seconds=ports.clock.monotonic() - started,
            error=_merge_failures(planned.plan.image, done.failures),
            audit=self.resolver.audits.get(planned.plan.image),
        )

    def _carry_out(self, planned: Planned, known: Mapping[str, Ami | None], slot: BuildSlot) -> _PlanResult:
        """Carries out the plan, and reconciles the AMIs.

        Stale permissions are revoked first. If they are not configured any more, the next AMI has no tag that records
        them, so later runs would not find them.
        """
        image = planned.definition.image
        revoked = revoke_stale_shares(
            self.resolver.ports, image.name, DesiredState.of(image), self.stale_shares.get(image.name, ())
        )
        if revoked.failures:
            return _PlanResult(
                planned=planned, result=Result.FAILED, amis={}, kept=revoked.steps, failures=revoked.failures
            )
        match planned.plan.action:
            case Action.REUSE:
                result, copies = Result.REUSED, Copies(amis=planned.plan.amis)
            case Action.WAIT:
                result, copies = Result.REUSED, Copies(amis=_wait_for_pending(self.resolver, planned, self.wait_policy))
            case Action.BAKE | Action.COPY | Action.TEST | Action.ENABLE:
                planned, result, copies = self._bake_locked(planned, known, slot)
            case Action.PENDING:
                raise AssertionError(f"{planned.plan.image} is planned again when its base is baked")
        plan, desired = planned.plan, DesiredState.of(image)
        amis = {region: copies.amis[region] for region in plan.regions if region in copies.amis}
        kept = reconcile_amis(self.resolver.ports, plan.image, desired, amis.values())
        failures = (*copies.failures, *kept.failures)
        return _PlanResult(
            planned=planned, result=result, amis=amis, kept=(*revoked.steps, *kept.steps), failures=failures
        )

    def _bake_locked(
        self, planned: Planned, known: Mapping[str, Ami | None], slot: BuildSlot
    ) -> tuple[Planned, Result, Copies]:
        """Bakes under the digest's lock. Repeats this if the definition gets a new digest."""
        from ami_bakery.bake.locked_bake import LockedBake, not_built

        retested = planned.plan.image in self.retested
        for _ in range(_MAX_DIGEST_CHANGES):
            if planned.plan.action is Action.BAKE and not self.builds:
                raise not_built(planned.plan.image)
            if planned.plan.action is Action.REUSE and not retested:
                return planned, Result.REUSED, Copies(amis=planned.plan.amis)
            bake = LockedBake(
                self.resolver,
                planned,
                forced=self.forced,
                known=known,
                slot=slot,
                wait_policy=self.wait_policy,
                retested=retested,
                builds=self.builds,
            )
            result = bake.carry_out()
            if result is not None:
                return result.planned, result.result, result.copies
            planned = bake.planned
        raise SourceError(
            f"baking image {planned.plan.image}",
            f"its definition changed {_MAX_DIGEST_CHANGES} times before it could be built",
            "Run again when nothing writes to its inputs.",
        )


def _parent_error(image: str, base: str, error: BakeryError) -> BakeryError:
    doing, wrong = f"baking image {image}", f"its base {base} failed"
    if isinstance(error, BusyError):
        return BusyError(doing, f"its base {base} is being baked by another runner", "Run again later.")
    return SkippedError(doing, wrong, "Fix that first, then run again.")


def _needs_nothing(planned: Planned) -> bool:
    desired = DesiredState.of(planned.definition.image)
    return planned.plan.action is Action.REUSE and not any(map(desired.concerns, planned.plan.amis.values()))


def _failed_outcome(image: str, error: BakeryError) -> Outcome:
    """Returns the outcome of an image that could not be planned."""
    plan = ImagePlan(image=image, action=Action.PENDING, digest=None, reasons=(), regions=(), amis={})
    return Outcome(plan=plan, result=Result.FAILED, error=error)


def _merge_failures(image: str, failures: Sequence[BakeryError]) -> BakeryError | None:
    """Merges several failures of one image into one error."""
    if len(failures) < 2:
        return next(iter(failures), None)
    todos = dict.fromkeys(failure.todo for failure in failures)
    return AwsError(f"finishing image {image}", "\n".join(map(str, failures)), " ".join(todos))


class _PlanResult(Frozen):
    """The outcome of one plan: AMIs by region, reconcile steps and failures."""

    planned: Planned
    result: Result
    amis: Mapping[str, Ami]
    kept: tuple[Step, ...] = ()
    failures: tuple[BakeryError, ...] = ()


def _wait_for_pending(resolver: Resolver, planned: Planned, wait_policy: WaitPolicy) -> dict[str, Ami]:
    from ami_bakery.bake.waiters import AmiWaiter

    pending = next(ami for ami in planned.found if ami.state is AmiState.PENDING)
    return {pending.region: AmiWaiter(resolver.ports, planned.plan.image).wait_for_other_runner(pending, wait_policy)}
