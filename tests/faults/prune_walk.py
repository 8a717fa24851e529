"""Runs every call of `prune --apply` with every fault and with a kill. `--write FILE` writes the section of the page.

usage: python -m tests.faults.prune_walk --results FOLDER [--jobs N] [--write docs/contributing/faults.md]

Experiments with a result in the folder are skipped. So you can stop and continue, and remove a line to repeat it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from ami_bakery.local import LocalAws, LocalSettings
from tests.faults.channel_steps import FAULTS, KILLS, ChannelCall
from tests.faults.prune_steps import calls_of_prune, set_up_prune, strike_prune
from tests.faults.recovery import Outcome
from tests.harness import Harness

HEADING = "## Every call of prune"
_TEXT = """\
{heading}

The account has a parent and its child with a copy, whose quarantine has ended; a shared AMI that
nothing needs, with a copy; and an AMI in quarantine that a channel needs again. After each pair,
`prune --apply` runs again, when the locks of a killed run have expired. Then the parent and the child
must be gone with their snapshots, the shared AMI disabled with its permissions noted, and the AMI of
the channel enabled and shared as before. No run may deregister a parent before its child, touch the
newest build, or lose permissions. Of the regions without AMIs, the calls in one are walked. `·`: the
first run did everything. An empty cell was not walked. {count} pairs; {broken}.
`python -m tests.faults.prune_walk --results FOLDER --write docs/contributing/faults.md` writes this
section.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.prune_walk", description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--slice", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    results: Path = arguments.results
    results.mkdir(parents=True, exist_ok=True)
    if arguments.slice is not None:
        return 0 if _walk_slice(results, arguments.slice, arguments.jobs) else 1
    if not (results / "plan.json").exists():
        with LocalAws(_settings()) as local:
            calls = calls_of_prune(_harness(local), local)
        (results / "plan.json").write_text(json.dumps(list(map(asdict, calls))))
    status = 0
    if arguments.jobs:
        command = [sys.executable, "-m", "tests.faults.prune_walk", "--results", str(results)]
        started = [
            subprocess.Popen([*command, "--jobs", str(arguments.jobs), "--slice", str(number)])
            for number in range(arguments.jobs)
        ]
        status = max(process.wait() for process in started)
    found = list(_outcomes(results))
    for outcome in found:
        if outcome.problems:
            print(outcome)
    if arguments.write is not None:
        page = arguments.write.read_text().partition(f"\n{HEADING}")[0].rstrip()
        arguments.write.write_text(f"{page}\n\n{section(found, _calls(results))}")
    return status or any(outcome.problems for outcome in found)


def _settings() -> LocalSettings:
    return LocalSettings(pending_seconds=0, validation_seconds=0)


def _harness(local: LocalAws) -> Harness:
    harness = Harness(Path(tempfile.mkdtemp(prefix="faults-")), local)
    set_up_prune(harness, local)
    return harness


def _calls(results: Path) -> list[ChannelCall]:
    return [ChannelCall(**call) for call in json.loads((results / "plan.json").read_text())]


def _walk_slice(results: Path, number: int, count: int) -> bool:
    """Walks the calls that change something first. Returns whether each pair has a result."""
    done = {outcome.key[1:] for outcome in _outcomes(results)}
    calls = sorted(_calls(results), key=lambda call: call.action.startswith(("Describe", "Get")))
    todo = [(call, fault) for call in calls for fault in FAULTS + KILLS if (str(call), fault) not in done]
    with LocalAws(_settings()) as local, (results / f"slice-{number}.jsonl").open("a") as file:
        complete, harness = True, _harness(local)
        for call, fault in todo[number::count]:
            began = time.monotonic()
            try:
                outcome = asdict(strike_prune(harness, local, call, fault))
            except Exception as error:
                print(call, fault, file=sys.stderr)
                traceback.print_exception(error)
                complete = False
                harness.close()
                continue
            file.write(json.dumps(outcome | {"seconds": round(time.monotonic() - began, 1)}) + "\n")
            file.flush()
    return complete


def _outcomes(results: Path) -> Iterator[Outcome]:
    for path in sorted(results.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            read = json.loads(line)
            del read["seconds"]
            yield Outcome(**read | {"problems": tuple(read["problems"])})


def section(outcomes: Sequence[Outcome], calls: Sequence[ChannelCall]) -> str:
    """Returns the section of the page, with a row for each call that has an outcome."""
    cells = {(outcome.step, outcome.fault): _cell(outcome) for outcome in outcomes}
    broken = sum(bool(outcome.problems) for outcome in outcomes)
    faults = FAULTS + KILLS
    planned = len(dict.fromkeys(map(str, calls))) * len(faults)
    text = _TEXT.format(
        heading=HEADING,
        count=len(outcomes) if len(outcomes) == planned else f"{len(outcomes)} of {planned}",
        broken=f"{broken} of them failed" if broken else "all of them passed",
    )
    rows = [f"| call | {' | '.join(faults)} |", "|---" * (len(faults) + 1) + "|"]
    for call in dict.fromkeys(map(str, calls)):
        found = [cells.get((call, fault), "") for fault in faults]
        if any(found):
            rows.append(re.sub(r" +\|", " |", f"| {call} | {' | '.join(found)} |"))
    return "\n".join([text, *rows, ""])


def _cell(outcome: Outcome) -> str:
    if outcome.first == "not reached":
        return "–"
    return "·" if outcome.first == "done" else f"{outcome.first}; {outcome.second}"


if __name__ == "__main__":
    sys.exit(main())
