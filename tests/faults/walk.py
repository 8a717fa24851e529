"""Injects each fault into every EC2 call of a bake, and runs it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.local import FaultKind, InjectedFault
from tests.faults.account import Remaining, finished, remaining
from tests.faults.recovery import Outcome, is_tested, recover, summarize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ami_bakery.local import LocalAws
    from tests.faults.steps import Step
    from tests.harness import Harness, Run

TABLE, TABLE_OF_TEST = "faults", "faults of a test"
FAULTS = {
    "throttled": InjectedFault(action="", code="RequestLimitExceeded"),
    "InternalError": InjectedFault(action="", code="InternalError"),
    "connection lost": InjectedFault(action="", kind=FaultKind.DROP_BEFORE),
    "response lost": InjectedFault(action="", kind=FaultKind.DROP_AFTER),
    "denied": InjectedFault(action="", code="UnauthorizedOperation", times=0),
    "down": InjectedFault(action="", code="Unavailable", times=0),
    "credentials expire": InjectedFault(action="*", code="RequestExpired", times=0),
    "no response": InjectedFault(action="", kind=FaultKind.HANG, seconds=35),
}
"""The faults. Those with `times=0` apply to this call and all later ones, of its kind or of every kind; the others to
one call. The last one exceeds ami-bakery's response timeout.
"""


def walk(harness: Harness, local: LocalAws, step: Step, name: str) -> Outcome:
    harness.control.reset()
    harness.control.plan(step.inject(FAULTS[name]))
    runs = harness.packer_runs
    first = harness.run("bake", "--json", timeout=900)
    triggered = harness.control.triggered()
    harness.control.clear_faults()
    tested = is_tested(harness)
    reported = summarize(first, harness.packer_runs - runs, tested=tested) if triggered else "not reached"
    problems = [*_problems(first), *_unreported(first, remaining(local))]
    between = finished(local)
    second = recover(harness, local, lambda resource: "reported only" if resource.is_named_in(first.stderr) else "")
    problems += second.problems
    if first.status == 0 and first.images[0]["amis"] != second.answer:
        problems.append(f"the first answer was {first.images[0]['amis']}, the second {second.answer}")
    if first.status == 0 and {region: [ami] for region, ami in first.images[0]["amis"].items()} != between:
        problems.append(f"the first answer was {first.images[0]['amis']}, and finished were {between}")
    return Outcome(
        table=TABLE_OF_TEST if tested else TABLE,
        step=str(step),
        fault=name,
        first=reported,
        second=second.reported,
        remaining=second.remaining,
        problems=tuple(problems),
    )


def _problems(first: Run) -> Iterator[str]:
    if first.status not in (0, 1):
        yield f"the first run ended with {first.status}: {first.stderr[-500:]}"
    if first.status == 1 and "error" not in first.stderr:
        yield f"the first run failed, and does not say why: {first.stderr[-500:]}"


def _unreported(first: Run, resources: tuple[Remaining, ...]) -> Iterator[str]:
    """Yields what the failed run does not report; a lock's name contains its digest."""
    for resource in resources:
        reported = "lock" in first.stderr if resource.kind == "lock" else resource.is_named_in(first.stderr)
        if not reported:
            yield f"the first run does not say that it left {resource}: {first.stderr[-1500:]}"
