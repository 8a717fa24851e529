"""Decides what happens to finished AMIs; disables, enables and deregisters them.

1. `PruneFacts` reads what uses AMIs. What cannot be read counts as in use.
2. `core/prune/retention.py` decides, without I/O.
3. Each build is changed under its digest's lock, so that no bake returns it at the same time. Under the lock, its facts
   are read again. The build is changed only if the decision is still the same.
4. AMIs in quarantine are tagged before they are deregistered, so that a bake that takes the lock over does not enable
   them (docs/concepts/locking.md).
5. `prune_steps.py` changes one AMI: copies before the AMI that Packer created, children before parents.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import ABANDONED_TAG
from ami_bakery.core.lock.lock import lock_timing
from ami_bakery.core.prune.prunable import PruneOutcome
from ami_bakery.core.prune.retention import (
    PruneAction,
    PruneDecision,
    PruneSettings,
    decide_pruning,
)
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.errors import BakeryError, BusyError, Stopped
from ami_bakery.release.build_lock import lock_build
from ami_bakery.release.prune_facts import PruneFacts
from ami_bakery.release.prune_steps import PruneSteps
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ami_bakery.bake.held_lock import HeldLock
    from ami_bakery.core.ec2.lineage import AmiKey
    from ami_bakery.core.prune.builds import FinishedAmi
    from ami_bakery.core.prune.prunable import PrunableAmi
    from ami_bakery.define.resolver import Resolver

_NO_LIMIT = 10**9
_PROTECTED = "OperationNotPermitted"
_MARK = "prune"
_GONE = "it does not exist any more"


class PrunedAmi(Frozen):
    """The decision about one AMI, and its result.

    name  EC2's name of the AMI
    why   why it was skipped; empty otherwise
    """

    decision: PruneDecision
    name: str
    outcome: PruneOutcome
    why: str = ""
    error: BakeryError | None = None

    @property
    def ami(self) -> PrunableAmi:
        return self.decision.ami


class PruneRun(Frozen):
    """The result for all finished AMIs of the selected images, in the order of execution. `now`: EC2's time."""

    amis: tuple[PrunedAmi, ...]
    applied: bool
    now: datetime

    @property
    def errors(self) -> tuple[BakeryError, ...]:
        return tuple(each.error for each in self.amis if each.error is not None)


def prune(resolver: Resolver, names: Sequence[str], settings: PruneSettings, *, apply: bool) -> PruneRun:
    """Decides about all finished AMIs of these images; with `apply`, carries the decisions out.

    The failure of one AMI does not stop the others. Raises `BakeryError` if nothing can be read at all.
    """
    facts = PruneFacts(resolver, names)
    facts.read()
    run = preview_pruning(facts, settings)
    if not apply:
        return run
    ami_names = {each.ami.key: each.name for each in run.amis}
    results = _Execution(resolver, facts, settings).run([each.decision for each in run.amis], ami_names)
    return replace(run, amis=tuple(results), applied=True)


def preview_pruning(facts: PruneFacts, settings: PruneSettings) -> PruneRun:
    """Decides about all finished AMIs of the images whose facts were read. Changes nothing."""
    now = facts.now
    names = {each.key: each.ami.name for each in facts.finished()}
    decisions = decide_pruning(facts.prunable(), facts.policies, settings, now)
    return PruneRun(
        amis=tuple(
            PrunedAmi(decision=decision, name=names[decision.ami.key], outcome=PruneOutcome.PLANNED)
            for decision in decisions
            if decision.ami.image in facts.names
        ),
        applied=False,
        now=now,
    )


class _Changed(Exception):
    """A build changed after the decision. The message says how, as a clause."""


class _Execution:
    """Carries decisions out."""

    def __init__(self, resolver: Resolver, facts: PruneFacts, settings: PruneSettings) -> None:
        self._resolver, self._ports, self._facts = resolver, resolver.ports, facts
        # The limits were applied to the whole run. They must not apply again to the rest of it.
        self._settings = replace(settings, limit=_NO_LIMIT, percent=100.0)
        self._steps = PruneSteps(resolver.ports)

    def run(self, decisions: Sequence[PruneDecision], names: Mapping[AmiKey, str]) -> Iterator[PrunedAmi]:
        for _, group in groupby(decisions, key=lambda decision: decision.ami.build):
            build = list(group)
            outcomes = self._build(build) if any(map(_acts, build)) else {}
            for decision in build:
                yield replace(outcomes.get(decision.ami.key) or _kept(decision), name=names[decision.ami.key])

    def _build(self, build: Sequence[PruneDecision]) -> dict[AmiKey, PrunedAmi]:
        """Carries out the decisions about one build. Returns the result of each AMI that is changed."""
        acting = [decision for decision in build if _acts(decision)]
        if all(decision.action is PruneAction.REPORT for decision in acting):
            # A report changes nothing, so it needs no lock.
            return {decision.ami.key: self._carried_out(decision, None) for decision in acting}
        image = acting[0].ami.image
        config = self._resolver.image(image)
        amis = self._members(acting[0].ami.build)
        doing = f"pruning {acting[0].ami.build.id} of image {image}"
        done: dict[AmiKey, PrunedAmi] = {}
        if not amis:
            # The AMIs were listed again for an earlier build.
            return {each.ami.key: _skipped(each, _GONE) for each in acting}
        try:
            home = self._resolver.region_of(config)
            with lock_build(self._ports, config, home, amis[0].digest, doing) as held:
                fenced = acting[0].action is PruneAction.DEREGISTER and any(each.ami.disabled for each in acting)
                if fenced:
                    self._settle(held)
                self._check_unchanged(build, amis)
                if fenced:
                    self._fence(acting, held, home, doing)
                self._carry_out(acting, held, done)
        except Stopped:
            raise
        except (_Changed, BusyError) as skipped:
            why = skipped.wrong if isinstance(skipped, BusyError) else str(skipped)
            self._ports.reporter.note(one_line(f"{image}: skipped {acting[0].ami.build.id}: {why}"))
            return {**{each.ami.key: _skipped(each, why) for each in acting}, **done}
        except BakeryError as error:
            return {**{each.ami.key: _failed(each, error) for each in acting}, **done}
        finally:
            self._ports.reporter.done(image)
        return done

    def _settle(self, held: HeldLock) -> None:
        """Waits until EC2 shows all changes of the previous holder, which may have enabled the AMIs."""
        seconds = lock_timing(self._ports.environment).settling_seconds - held.held_seconds
        if seconds > 0:
            self._ports.clock.sleep(seconds)

    def _fence(self, acting: Sequence[PruneDecision], held: HeldLock, home: str, doing: str) -> None:
        """Tags AMIs in quarantine before they are deregistered, in one call with the lock.

        A bake that takes the lock over does not enable them. If the call fails because the lock is lost, nothing is
        deregistered.
        """
        existing = {each.key for each in self._facts.finished()}
        keys = [each.ami.key for each in acting if each.ami.key in existing]
        if not held.tag([key.id for key in keys if key.region == home], {ABANDONED_TAG: _MARK}):
            wrong = "its lock was lost, or another run has deregistered an AMI"
            raise BusyError(doing, wrong, "Run the command again.")
        for key in keys:
            if key.region != home:
                self._ports.ec2.tag(key.region, [key.id], {ABANDONED_TAG: _MARK})

    def _members(self, build: AmiKey) -> list[FinishedAmi]:
        return [each for each in self._facts.finished() if each.build == build]

    def _check_unchanged(self, before: Sequence[PruneDecision], amis: Sequence[FinishedAmi]) -> None:
        """Reads the facts of a build again. Raises `_Changed` if they lead to another decision.

        An AMI that does not exist any more changes nothing: another run deregistered it.
        """
        self._facts.reread(amis)
        found = self._facts.prunable()
        now = {
            decision.ami.key: decision
            for decision in decide_pruning(found, self._facts.policies, self._settings, self._facts.now)
        }
        for decision in before:
            again = now.get(decision.ami.key)
            if again is not None and _essence(again) != _essence(decision):
                raise _Changed(f"it changed meanwhile: {_change(decision, again)}")
        known = {decision.ami.key for decision in before}
        added = next((ami for ami in found if ami.build == before[0].ami.build and ami.key not in known), None)
        if added is not None:
            raise _Changed(f"it has a new copy, {added.key.id} ({added.key.region})")
        if any(decision.action is PruneAction.DEREGISTER for decision in before):
            self._check_no_children(before, found)

    def _check_no_children(self, build: Sequence[PruneDecision], found: Sequence[PrunableAmi]) -> None:
        """Raises `_Changed` if a child still exists, because its deregistration failed or was skipped."""
        own = {decision.ami.key for decision in build}
        for ami in found:
            if ami.key not in own and not own.isdisjoint(ami.bases):
                raise _Changed(f"{ami.key.id} ({ami.key.region}) was built from it, and still exists")

    def _carry_out(self, acting: Sequence[PruneDecision], held: HeldLock, done: dict[AmiKey, PrunedAmi]) -> None:
        """Carries out the decisions in order. The AMI that Packer created is kept if a copy could not be removed."""
        failed_copy = False
        for decision in acting:
            original = decision.ami.key == decision.ami.build
            if decision.action is PruneAction.DEREGISTER and original and failed_copy:
                done[decision.ami.key] = _skipped(decision, "a copy of it could not be deregistered")
                continue
            result = self._carried_out(decision, held)
            failed_copy = failed_copy or result.outcome is not PruneOutcome.DONE
            done[decision.ami.key] = result

    def _carried_out(self, decision: PruneDecision, held: HeldLock | None) -> PrunedAmi:
        """Carries out one decision. A `BakeryError` is a result."""
        key = decision.ami.key
        ami = next((each.ami for each in self._facts.finished() if each.key == key), None)
        what = f"{decision.ami.image}: {key.id} ({key.region})"
        try:
            if held is not None and not held.confirm():
                raise BusyError(f"pruning {key.id}", f"its lock was lost: {held.loss}", "Run the command again.")
            if ami is None and decision.action is not PruneAction.DEREGISTER:
                return _skipped(decision, _GONE)
            if ami is not None:
                self._ports.reporter.step(decision.ami.image, f"{_DOING[decision.action]} {key.id} ({key.region})")
                self._steps.carry_out(decision.action, ami, self._facts)
            if decision.action is PruneAction.DEREGISTER:
                self._facts.forget(key)
        except Stopped:
            raise
        except BusyError as busy:
            return _skipped(decision, busy.wrong)
        except BakeryError as error:
            if decision.action is PruneAction.DEREGISTER and getattr(error, "code", "") == _PROTECTED:
                # The AMI is protected, or in the cool-down period after that, which EC2 does not show.
                self._ports.reporter.note(one_line(f"{what}: kept: {error.wrong}"))
                return _skipped(decision, f"EC2 refuses to deregister it: {error.wrong}")
            return _failed(decision, error)
        self._ports.reporter.note(one_line(f"{what}: {_DONE[decision.action]}"))
        return PrunedAmi(decision=decision, name="", outcome=PruneOutcome.DONE)


_DOING = {
    PruneAction.ENABLE: "enabling",
    PruneAction.REPORT: "requesting a usage report of",
    PruneAction.DISABLE: "disabling",
    PruneAction.DEREGISTER: "deregistering",
}
_DONE = {
    PruneAction.ENABLE: "enabled again, and shared as before",
    PruneAction.REPORT: "requested a usage report",
    PruneAction.DISABLE: "disabled",
    PruneAction.DEREGISTER: "deregistered, with its snapshots",
}


def _acts(decision: PruneDecision) -> bool:
    return decision.action in _DOING


def _essence(decision: PruneDecision) -> tuple[object, ...]:
    """Returns what must not change between the decision and its execution."""
    return decision.action, decision.ami.disabled, decision.ami.quarantined


def _change(before: PruneDecision, now: PruneDecision) -> str:
    if now.ami.disabled != before.ami.disabled or now.ami.quarantined != before.ami.quarantined:
        return f"another run {'disabled' if now.ami.disabled else 'enabled'} it"
    return f"{now.reason}{f', {now.detail}' if now.detail else ''}"


def _kept(decision: PruneDecision) -> PrunedAmi:
    return PrunedAmi(decision=decision, name="", outcome=PruneOutcome.KEPT)


def _skipped(decision: PruneDecision, why: str) -> PrunedAmi:
    return PrunedAmi(decision=decision, name="", outcome=PruneOutcome.SKIPPED, why=why)


def _failed(decision: PruneDecision, error: BakeryError) -> PrunedAmi:
    return PrunedAmi(decision=decision, name="", outcome=PruneOutcome.FAILED, error=error)
