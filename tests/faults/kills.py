"""Kills a bake at every call and between Packer's steps, and runs it again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from ami_bakery.local import FaultKind, InjectedFault
from tests.faults.account import Remaining, recorded_values
from tests.faults.recovery import Outcome, is_tested, recover
from tests.processes import kill_everything_of, processes_with, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from ami_bakery.local import LocalAws
    from tests.faults.steps import Step
    from tests.harness import Harness

TABLE, TABLE_OF_LINES, TABLE_OF_TEST = "kills", "kills between Packer's steps", "kills in a test"
_SECONDS = 4
"""How long a call is blocked, so that its run can be killed meanwhile."""
MOMENTS = {
    "before": InjectedFault(action="", kind=FaultKind.HANG, seconds=_SECONDS),
    "after": InjectedFault(action="", kind=FaultKind.DELAY, seconds=_SECONDS),
}
"""Whether EC2 carries the call out."""


def _process(_harness: Harness, process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)


def _group(_harness: Harness, process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)


TARGETS: dict[str, Callable[[Harness, subprocess.Popen[str]], None]] = {
    "process": _process,
    "group": _group,
    "machine": kill_everything_of,
}
"""ami-bakery; its process group; or everything, with the watchdog and Packer, as if a container is gone."""
KILLS = {
    "process, after": ("process", "after"),
    "group, before": ("group", "before"),
    "machine, before": ("machine", "before"),
    "machine, after": ("machine", "after"),
}
"""What is killed during a call, and whether before or after EC2 carries it out."""


def kill_at_call(harness: Harness, local: LocalAws, step: Step, fault: str) -> Outcome:
    target, moment = KILLS[fault]
    harness.control.reset()
    harness.control.plan(step.inject(MOMENTS[moment]))
    process = _start(harness)
    while not (triggered_faults := harness.control.triggered()) and process.poll() is None:
        time.sleep(0.02)
    table = TABLE_OF_TEST if is_tested(harness) else TABLE
    return _kill_and_recover(harness, local, process, target, (table, str(step), fault), reached=bool(triggered_faults))


def lines_of_a_bake(harness: Harness) -> tuple[str, ...]:
    """Returns Packer's lines, step by step, without the parts that vary; each once."""
    harness.control.reset()
    run = harness.run("bake", "-v")
    assert run.status == 0, run.stderr
    reported = (_constant(line) for line in run.stderr.splitlines() if "amazon-ebs: " in line)
    return tuple(dict.fromkeys(line for line in reported if line))


def kill_at_line(harness: Harness, local: LocalAws, line: str, target: str) -> Outcome:
    harness.control.reset()
    process = _start(harness, "-v")
    assert process.stderr is not None
    while (reported := process.stderr.readline()) and _constant(reported) != line:
        pass
    return _kill_and_recover(harness, local, process, target, (TABLE_OF_LINES, line, target), reached=bool(reported))


def _constant(line: str) -> str:
    """Removes ids and names, and everything after them."""
    reported = line.partition("amazon-ebs: ")[2].strip()
    for mark in (" ami-", " i-", " (i-", " vol-", " packer_", " test-", " sg-", " snap-", ": "):
        reported = reported.partition(mark)[0]
    return reported.rstrip(":")


def _start(harness: Harness, *arguments: str) -> subprocess.Popen[str]:
    return harness.start("bake", *arguments, own_group=True)


def _kill_and_recover(
    harness: Harness,
    local: LocalAws,
    process: subprocess.Popen[str],
    target: str,
    names: tuple[str, str, str],
    *,
    reached: bool,
) -> Outcome:
    if process.poll() is None:
        TARGETS[target](harness, process)
    process.communicate(timeout=120)
    problems = []
    if not wait_until(lambda: processes_with(str(harness.folder.parent)) == []):
        problems.append(f"still at work: {processes_with(str(harness.folder.parent))}")
    harness.control.clear_faults()
    trace = recorded_values(local)
    second = recover(harness, local, lambda resource: _without_trace(resource, trace))
    table, step, fault = names
    return Outcome(
        table=table,
        step=step,
        fault=fault,
        first="killed" if reached else "not reached",
        second=second.reported,
        remaining=second.remaining,
        problems=(*problems, *second.problems),
    )


def _without_trace(resource: Remaining, trace: str) -> str:
    """Returns "without a trace" if nothing recorded the resource before the kill (docs/contributing/faults.md)."""
    found = resource.is_named_in(trace) or bool(resource.hint and resource.hint in trace)
    return "" if found else "without a trace"
