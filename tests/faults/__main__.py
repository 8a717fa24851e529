"""Runs every experiment: every call of a command with every fault, and with a kill. `--write FILE` writes the tables.

usage: python -m tests.faults --results FOLDER [--jobs N] [--only TEXT] [--write docs/contributing/faults.md]

Experiments with a result in the folder are skipped. So you can stop and continue, and remove a line to repeat it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ami_bakery.local import LocalAws, LocalSettings
from tests.faults import channel_steps, enabling_steps, kills, walk
from tests.faults.recovery import Outcome
from tests.faults.steps import Step, set_up, set_up_test, steps_of_a_bake, steps_of_a_test
from tests.faults.tables import document
from tests.harness import Harness

Experiment = tuple[tuple[str, str, str], Callable[[Harness, LocalAws], Outcome]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="pairs in whose name this regular expression is found")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--slice", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    results: Path = arguments.results
    results.mkdir(parents=True, exist_ok=True)
    if arguments.slice is not None:
        return 0 if _walk_slice(results, arguments.slice, arguments.jobs, arguments.only) else 1
    if not (results / "plan.json").exists():
        _plan(results)
    command = [sys.executable, "-m", "tests.faults", "--results", str(results), "--jobs", str(arguments.jobs)]
    started = [
        subprocess.Popen([*command, "--only", arguments.only, "--slice", str(number)])
        for number in range(arguments.jobs)
    ]
    status = max(process.wait() for process in started)
    found = [outcome for outcome in outcomes(results) if outcome.problems]
    for outcome in found:
        print(outcome)
    if arguments.write is not None:
        before = arguments.write.read_text() if arguments.write.exists() else ""
        arguments.write.write_text(document(tuple(outcomes(results)), _packer(), before))
    return status or bool(found)


def _packer() -> str:
    done = subprocess.run(["packer", "version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def _harness(local: LocalAws) -> Harness:
    harness = Harness(Path(tempfile.mkdtemp(prefix="faults-")), local)
    set_up(harness)
    return harness


def _channel_harness(local: LocalAws) -> Harness:
    harness = Harness(Path(tempfile.mkdtemp(prefix="faults-")), local)
    channel_steps.set_up_channels(harness)
    return harness


def _enabling_harness(local: LocalAws) -> Harness:
    harness = Harness(Path(tempfile.mkdtemp(prefix="faults-")), local)
    enabling_steps.set_up_enabling(harness)
    return harness


def _plan(results: Path) -> None:
    """Runs once for all slices: two bakes may differ in the order of their calls."""
    with LocalAws(LocalSettings(pending_seconds=0)) as local:
        harness = _harness(local)
        plan: dict[str, Any] = {
            "steps": list(map(asdict, steps_of_a_bake(harness))),
            "lines": kills.lines_of_a_bake(harness),
        }
        set_up_test(harness)
        plan["test"] = list(map(asdict, steps_of_a_test(harness)))
        channels = _channel_harness(local)
        plan["channels"] = {
            each.name: list(map(asdict, channel_steps.calls_of(channels, local, each))) for each in channel_steps.WALKS
        }
        plan["enabling"] = list(map(asdict, enabling_steps.calls_of_enabling(_enabling_harness(local), local)))
    (results / "plan.json").write_text(json.dumps(plan))


def _experiments(results: Path) -> Iterator[Experiment]:
    plan = json.loads((results / "plan.json").read_text())
    for step in (Step(**step) for step in plan["steps"]):
        for fault in walk.FAULTS:
            yield (walk.TABLE, str(step), fault), partial(walk.walk, step=step, name=fault)
        for fault in kills.KILLS:
            yield (kills.TABLE, str(step), fault), partial(kills.kill_at_call, step=step, fault=fault)
    for step in (Step(**step) for step in plan["test"]):
        for fault in walk.FAULTS:
            yield (walk.TABLE_OF_TEST, str(step), fault), partial(walk.walk, step=step, name=fault)
        for fault in kills.KILLS:
            yield (kills.TABLE_OF_TEST, str(step), fault), partial(kills.kill_at_call, step=step, fault=fault)
    yield from _without_packer(plan)
    for line in plan["lines"]:
        for target in kills.TARGETS:
            yield (kills.TABLE_OF_LINES, line, target), partial(kills.kill_at_line, line=line, target=target)


def _without_packer(plan: Mapping[str, Any]) -> Iterator[Experiment]:
    """Yields the experiments whose AMIs are made without Packer."""
    for each in channel_steps.WALKS:
        for call in (channel_steps.ChannelCall(**call) for call in plan["channels"][each.name]):
            for fault in channel_steps.FAULTS + channel_steps.KILLS:
                struck = partial(channel_steps.strike, walk=each, call=call, fault=fault)
                yield (channel_steps.table_of(each), str(call), fault), struck
    for call in (channel_steps.ChannelCall(**call) for call in plan["enabling"]):
        for fault in channel_steps.FAULTS + channel_steps.KILLS:
            struck = partial(enabling_steps.strike_enabling, call=call, fault=fault)
            yield (enabling_steps.TABLE, str(call), fault), struck


def _walk_slice(results: Path, number: int, count: int, only: str) -> bool:
    """Runs every `count`th experiment, from `number`. Returns whether each one has a result."""
    done = {outcome.key for outcome in outcomes(results)}
    todo = [
        experiment
        for experiment in _experiments(results)
        if re.search(only, " / ".join(experiment[0])) and experiment[0] not in done
    ]
    with LocalAws(LocalSettings(pending_seconds=0)) as local, (results / f"{os.getpid()}.jsonl").open("a") as file:
        harness, tested = _harness(local), _harness(local)
        set_up_test(tested)
        harnesses = dict.fromkeys(channel_steps.TABLES, _channel_harness(local))
        harnesses[enabling_steps.TABLE] = _enabling_harness(local)
        harnesses |= dict.fromkeys((walk.TABLE_OF_TEST, kills.TABLE_OF_TEST), tested)
        complete = True
        for names, walked in todo[number::count]:
            began = time.monotonic()
            used = harnesses.get(names[0], harness)
            try:
                outcome = walked(used, local)
            except Exception as error:
                print(names, file=sys.stderr)
                traceback.print_exception(error)
                complete = False
                used.close()
                continue
            file.write(json.dumps(asdict(outcome) | {"seconds": round(time.monotonic() - began, 1)}) + "\n")
            file.flush()
    return complete


def outcomes(results: Path) -> Iterator[Outcome]:
    """Yields the last outcome of each experiment, in the order of the plan."""
    found = {}
    for path in sorted(results.glob("*.jsonl"), key=lambda path: path.stat().st_mtime):
        for line in path.read_text().splitlines():
            read = json.loads(line)
            del read["seconds"]
            outcome = Outcome(**read | {"problems": tuple(read["problems"])})
            found[outcome.key] = outcome
    for key, _ in _experiments(results):
        if key in found:
            yield found[key]


if __name__ == "__main__":
    sys.exit(main())
