"""Walks every EC2 call of a bake: lets each one fail in each way, runs again, and says what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.local import FaultKind, InjectedFault
from tests.faults.account import Left, finished, left
from tests.faults.recovery import Outcome, look_after, word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ami_bakery.local import LocalAws
    from tests.faults.steps import Step
    from tests.harness import Kitchen, Run

TABLE = "faults"
FAULTS = {
    "throttled": InjectedFault(action="", code="RequestLimitExceeded"),
    "InternalError": InjectedFault(action="", code="InternalError"),
    "connection lost": InjectedFault(action="", kind=FaultKind.DROP_BEFORE),
    "answer lost": InjectedFault(action="", kind=FaultKind.DROP_AFTER),
    "denied": InjectedFault(action="", code="UnauthorizedOperation", times=0),
    "down": InjectedFault(action="", code="Unavailable", times=0),
    "credentials expire": InjectedFault(action="*", code="RequestExpired", times=0),
    "no answer": InjectedFault(action="", kind=FaultKind.HANG, seconds=35),
}
"""The ways to fail. Those with `times=0` strike this call and all later ones, of its kind or of every kind; the others
one call. The last one is longer than the bakery waits for an answer."""


def walk(kitchen: Kitchen, local: LocalAws, step: Step, name: str) -> Outcome:
    kitchen.control.reset()
    kitchen.control.plan(step.struck_by(FAULTS[name]))
    runs = kitchen.packer_runs
    first = kitchen.run("bake", "--json", timeout=900)
    struck = kitchen.control.triggered()
    kitchen.control.clear_faults()
    said = word(first, kitchen.packer_runs - runs) if struck else "not reached"
    problems = [*_problems(first), *_unsaid(first, left(local))]
    between = finished(local)
    second = look_after(kitchen, local, lambda thing: "reported only" if thing.is_named_in(first.stderr) else "")
    problems += second.problems
    if first.status == 0 and first.images[0]["amis"] != second.answer:
        problems.append(f"the first answer was {first.images[0]['amis']}, the second {second.answer}")
    if first.status == 0 and {region: [ami] for region, ami in first.images[0]["amis"].items()} != between:
        problems.append(f"the first answer was {first.images[0]['amis']}, and finished were {between}")
    return Outcome(
        table=TABLE,
        step=str(step),
        blow=name,
        first=said,
        second=second.said,
        left=second.left,
        problems=tuple(problems),
    )


def _problems(first: Run) -> Iterator[str]:
    if first.status not in (0, 1):
        yield f"the first run ended with {first.status}: {first.stderr[-500:]}"
    if first.status == 1 and "error" not in first.stderr:
        yield f"the first run failed, and does not say why: {first.stderr[-500:]}"


def _unsaid(first: Run, things: tuple[Left, ...]) -> Iterator[str]:
    """Who fails says what is in EC2 now; a lock's name is its digest's."""
    for thing in things:
        said = "lock" in first.stderr if thing.kind == "lock" else thing.is_named_in(first.stderr)
        if not said:
            yield f"the first run does not say that it left {thing}: {first.stderr[-1500:]}"
