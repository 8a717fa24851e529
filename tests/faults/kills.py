"""Kills a bake at every call and between Packer's steps, runs again, and says what came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from ami_bakery.local import FaultKind, InjectedFault
from tests.faults.account import Left, noted
from tests.faults.recovery import Outcome, look_after
from tests.processes import kill_everything_of, processes_with, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from ami_bakery.local import LocalAws
    from tests.faults.steps import Step
    from tests.harness import Kitchen

TABLE, TABLE_OF_LINES = "kills", "kills between Packer's steps"
_SECONDS = 4
"""How long a call that is in flight is held, so that its run can be killed meanwhile."""
MOMENTS = {
    "before": InjectedFault(action="", kind=FaultKind.HANG, seconds=_SECONDS),
    "after": InjectedFault(action="", kind=FaultKind.DELAY, seconds=_SECONDS),
}
"""Whether EC2 carries the call out."""


def _process(_kitchen: Kitchen, process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)


def _group(_kitchen: Kitchen, process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)


WHOM: dict[str, Callable[[Kitchen, subprocess.Popen[str]], None]] = {
    "process": _process,
    "group": _group,
    "machine": kill_everything_of,
}
"""The bakery; its process group; or all there is, with the guard and Packer, as when a container is gone."""
BLOWS = {
    "process, after": ("process", "after"),
    "group, before": ("group", "before"),
    "machine, before": ("machine", "before"),
    "machine, after": ("machine", "after"),
}
"""A call that is in flight, and what is killed before, or after, EC2 carries it out."""


def kill_at_call(kitchen: Kitchen, local: LocalAws, step: Step, blow: str) -> Outcome:
    whom, moment = BLOWS[blow]
    kitchen.control.reset()
    kitchen.control.plan(step.struck_by(MOMENTS[moment]))
    process = _started(kitchen)
    while not (struck := kitchen.control.triggered()) and process.poll() is None:
        time.sleep(0.02)
    return _killed(kitchen, local, process, whom, (TABLE, str(step), blow), reached=bool(struck))


def lines_of_a_bake(kitchen: Kitchen) -> tuple[str, ...]:
    """What Packer says, step by step, up to what differs from bake to bake; one of each."""
    kitchen.control.reset()
    run = kitchen.run("bake", "-v")
    assert run.status == 0, run.stderr
    said = (_constant(line) for line in run.stderr.splitlines() if "amazon-ebs: " in line)
    return tuple(dict.fromkeys(line for line in said if line))


def kill_at_line(kitchen: Kitchen, local: LocalAws, line: str, whom: str) -> Outcome:
    kitchen.control.reset()
    process = _started(kitchen, "-v")
    assert process.stderr is not None
    while (said := process.stderr.readline()) and _constant(said) != line:
        pass
    return _killed(kitchen, local, process, whom, (TABLE_OF_LINES, line, whom), reached=bool(said))


def _constant(line: str) -> str:
    """Without ids, names, and what comes after them."""
    said = line.partition("amazon-ebs: ")[2].strip()
    for mark in (" ami-", " i-", " (i-", " vol-", " packer_", " test-", " sg-", " snap-", ": "):
        said = said.partition(mark)[0]
    return said.rstrip(":")


def _started(kitchen: Kitchen, *arguments: str) -> subprocess.Popen[str]:
    return kitchen.start("bake", *arguments, own_group=True)


def _killed(
    kitchen: Kitchen,
    local: LocalAws,
    process: subprocess.Popen[str],
    whom: str,
    names: tuple[str, str, str],
    *,
    reached: bool,
) -> Outcome:
    if process.poll() is None:
        WHOM[whom](kitchen, process)
    process.communicate(timeout=120)
    problems = []
    if not wait_until(lambda: processes_with(str(kitchen.folder.parent)) == []):
        problems.append(f"still at work: {processes_with(str(kitchen.folder.parent))}")
    kitchen.control.clear_faults()
    trace = noted(local)
    second = look_after(kitchen, local, lambda thing: _without_trace(thing, trace))
    table, step, blow = names
    return Outcome(
        table=table,
        step=step,
        blow=blow,
        first="killed" if reached else "not reached",
        second=second.said,
        left=second.left,
        problems=(*problems, *second.problems),
    )


def _without_trace(thing: Left, trace: str) -> str:
    """Names a resource that was created just before the kill and not recorded (docs/contributing/faults.md)."""
    found = thing.is_named_in(trace) or bool(thing.hint and thing.hint in trace)
    return "" if found else "without a trace"
