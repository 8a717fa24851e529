"""The run after a fault: its result, what remains of both runs, and whether `images --orphans` lists it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.account import Remaining, describe, finished, remaining
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping

    from ami_bakery.local import LocalAws
    from tests.harness import Harness, Run

_ID = re.compile(r"\b(ami|i|sg|key|snap|vol)-[0-9a-f]{8,}|\bpacker_[0-9a-f-]{36}")
_PATH = re.compile(r"/\S+/")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one fault at one step. `problems` are broken rules: there must be none.

    first      the result of the run with the fault
    second     the result of the next run
    remaining  what remains of both; `images --orphans` lists it, and `--clean` removes it
    """

    table: str
    step: str
    fault: str
    first: str
    second: str
    remaining: str
    problems: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        return self.table, self.step, self.fault


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """The next run, and what remains of both."""

    reported: str
    remaining: str
    answer: dict[str, str] | None
    problems: tuple[str, ...]


def recover(harness: Harness, local: LocalAws, explain: Callable[[Remaining], str]) -> Recovery:
    """Runs again: this must succeed, with one finished AMI in each region, and not build what was finished before.

    explain  returns why `--orphans` cannot list a resource; empty if it should
    """
    before, baked = finished(local), harness.packer_runs
    run = harness.run("bake", "--json", timeout=300)
    problems = []
    answer: dict[str, str] | None = None
    if run.status != 0:
        problems.append(f"the second run ended with {run.status}: {run.stderr[-1500:]}")
    else:
        answer = run.images[0]["amis"]
        after = finished(local)
        if {region: [ami] for region, ami in (answer or {}).items()} != after:
            problems.append(f"the answer is {answer}, and finished are {after}")
        if any(before.values()) and harness.packer_runs > baked:
            problems.append(f"finished were {before}, and it was baked again")
    resources = remaining(local)
    if any(resource.kind == "lock" for resource in resources):
        time.sleep(int(harness.environment["AMI_BAKERY_LOCK_TTL_SECONDS"]) + 1)
    unknown: dict[Remaining, str] = {}
    if resources:
        unknown = {resource: explain(resource) for resource in _unknown(harness, resources)}
        problems += [
            f"--orphans does not show {resource}" for resource, error_line in unknown.items() if not error_line
        ]
        problems += _not_removed(harness, local, unknown)
    known = describe(resource for resource in resources if resource not in unknown)
    return Recovery(
        reported=summarize(run, harness.packer_runs - baked, tested=is_tested(harness)),
        remaining=", ".join(filter(None, [known, *_reasons(unknown)])),
        answer=answer,
        problems=tuple(problems),
    )


def is_tested(harness: Harness) -> bool:
    """Whether the image has a test."""
    return (harness.folder / "tests").exists()


def _reasons(unknown: Mapping[Remaining, str]) -> Iterator[str]:
    for error_line in dict.fromkeys(unknown.values()):
        yield f"{describe(resource for resource, reason in unknown.items() if reason == error_line)} {error_line}"


def _unknown(harness: Harness, resources: tuple[Remaining, ...]) -> list[Remaining]:
    shown = harness.run("images", "--orphans", "--json")
    assert shown.status == 0, shown.stderr
    return [resource for resource in resources if not resource.is_named_in(shown.stdout)]


def _not_removed(harness: Harness, local: LocalAws, unknown: Container[Remaining]) -> Iterator[str]:
    terminal = Terminal(harness, "images", "--orphans", "--clean")
    confirmed = [0]

    def confirm(seen: str) -> str:
        if seen.count("[y/N]") > confirmed[0]:
            confirmed[0] += 1
            return "y\r"
        return ""

    status = terminal.watch(confirm)
    still = [resource for resource in remaining(local) if resource not in unknown]
    if status != 0 or still:
        yield f"--clean ended with {status}, and left {describe(still)}: {terminal.seen[-800:]}"


def summarize(run: Run, bakes: int, *, tested: bool) -> str:
    """Returns ``reused``, ``baked``, ``failed: ...``; with the number of Packer runs if it is not the expected one.

    tested  whether the image has a test
    """
    if run.status == 0:
        outcome = str(run.images[0]["outcome"])
        expected = {"baked": 1 + tested, "tested": 1}.get(outcome, 0)
        return outcome if bakes == expected else f"{outcome}, Packer ran {bakes} times"
    return f"failed: {error_line(run)}"


def error_line(run: Run) -> str:
    """Returns the error in one line, without the parts that vary."""
    try:
        text = str(json.loads(run.stdout)["images"][0]["error"])
    except (ValueError, LookupError):
        # An error before the bake: `error:`, then one line for each part.
        lines = run.stderr.partition("error: ")[2].splitlines()[:2]
        text = ": ".join(map(str.strip, lines)) or run.stderr[-200:]
    first, *rest = text.splitlines()
    if first.endswith(":"):
        # Packer's output, which contains the error.
        first += " " + next((one.strip() for one in rest if "rror" in one), "".join(rest[:1]))
    line = _ID.sub(lambda match: f"{match[0].partition('-')[0].partition('_')[0]}-…", first)
    return _PATH.sub("…/", line).partition(" User: arn:")[0]
