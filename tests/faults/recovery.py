"""What comes after a run that was struck: the next run, what both have left, and whether `images --orphans` knows."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.account import Left, counted, finished, left
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping

    from ami_bakery.local import LocalAws
    from tests.harness import Kitchen, Run

_ID = re.compile(r"\b(ami|i|sg|key|snap|vol)-[0-9a-f]{8,}|\bpacker_[0-9a-f-]{36}")
_PATH = re.compile(r"/\S+/")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one blow at one step. `problems` are broken promises: there must be none.

    first   what the struck run said
    second  what the next one did
    left    what both have left; `images --orphans` shows it, and removes it with `--clean`
    """

    table: str
    step: str
    blow: str
    first: str
    second: str
    left: str
    problems: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        return self.table, self.step, self.blow


@dataclass(frozen=True, kw_only=True)
class Second:
    """The next run, and what both have left."""

    said: str
    left: str
    answer: dict[str, str] | None
    problems: tuple[str, ...]


def look_after(kitchen: Kitchen, local: LocalAws, excused: Callable[[Left], str]) -> Second:
    """Run once more: it must end well, with one finished AMI in each region, and not bake what was finished before.

    `excused` says of something that `--orphans` does not show why it cannot, and nothing where it should.
    """
    before, baked = finished(local), kitchen.packer_runs
    run = kitchen.run("bake", "--json", timeout=300)
    problems = []
    answer: dict[str, str] | None = None
    if run.status != 0:
        problems.append(f"the second run ended with {run.status}: {run.stderr[-1500:]}")
    else:
        answer = run.images[0]["amis"]
        after = finished(local)
        if {region: [ami] for region, ami in (answer or {}).items()} != after:
            problems.append(f"the answer is {answer}, and finished are {after}")
        if any(before.values()) and kitchen.packer_runs > baked:
            problems.append(f"finished were {before}, and it was baked again")
    things = left(local)
    if any(thing.kind == "lock" for thing in things):
        time.sleep(int(kitchen.environment["AMI_BAKERY_LOCK_TTL_SECONDS"]) + 1)
    unknown: dict[Left, str] = {}
    if things:
        unknown = {thing: excused(thing) for thing in _unknown(kitchen, things)}
        problems += [f"--orphans does not show {thing}" for thing, why in unknown.items() if not why]
        problems += _not_removed(kitchen, local, unknown)
    known = counted(thing for thing in things if thing not in unknown)
    return Second(
        said=word(run, kitchen.packer_runs - baked),
        left=", ".join(filter(None, [known, *_reasons(unknown)])),
        answer=answer,
        problems=tuple(problems),
    )


def _reasons(unknown: Mapping[Left, str]) -> Iterator[str]:
    for why in dict.fromkeys(unknown.values()):
        yield f"{counted(thing for thing, reason in unknown.items() if reason == why)} {why}"


def _unknown(kitchen: Kitchen, things: tuple[Left, ...]) -> list[Left]:
    shown = kitchen.run("images", "--orphans", "--json")
    assert shown.status == 0, shown.stderr
    return [thing for thing in things if not thing.is_named_in(shown.stdout)]


def _not_removed(kitchen: Kitchen, local: LocalAws, unknown: Container[Left]) -> Iterator[str]:
    terminal = Terminal(kitchen, "images", "--orphans", "--clean")
    answered = [0]

    def agree(seen: str) -> str:
        if seen.count("[y/N]") > answered[0]:
            answered[0] += 1
            return "y\r"
        return ""

    status = terminal.watch(agree)
    still = [thing for thing in left(local) if thing not in unknown]
    if status != 0 or still:
        yield f"--clean ended with {status}, and left {counted(still)}: {terminal.seen[-800:]}"


def word(run: Run, bakes: int) -> str:
    """``reused``, ``baked``, ``failed: ...``; with Packer's runs, where they are not what the word says."""
    if run.status == 0:
        outcome = str(run.images[0]["outcome"])
        return outcome if bakes == (outcome == "baked") else f"{outcome}, Packer ran {bakes} times"
    return f"failed: {why(run)}"


def why(run: Run) -> str:
    """The error, in one line, without what differs from run to run."""
    try:
        text = str(json.loads(run.stdout)["images"][0]["error"])
    except (ValueError, LookupError):
        # Before there is a bake: `error:`, then what went wrong, a line each.
        told = run.stderr.partition("error: ")[2].splitlines()[:2]
        text = ": ".join(map(str.strip, told)) or run.stderr[-200:]
    first, *rest = text.splitlines()
    if first.endswith(":"):
        # Packer's words: the error among them.
        first += " " + next((one.strip() for one in rest if "rror" in one), "".join(rest[:1]))
    line = _ID.sub(lambda match: f"{match[0].partition('-')[0].partition('_')[0]}-…", first)
    return _PATH.sub("…/", line).partition(" User: arn:")[0]
