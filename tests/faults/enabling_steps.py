"""Walks the calls of a bake that enables an AMI in quarantine: each with every fault, and killed in each.

The AMIs are made without Packer. So a build would be noticed, and one experiment takes little time.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.conftest import ec2_client
from tests.faults.channel_steps import KILLS, ChannelCall
from tests.faults.recovery import Outcome
from tests.harness import json_template
from tests.locking.bench import locks
from tests.quarantined import FRIEND, finish_build, quarantine, state_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

    from ami_bakery.local import LocalAws
    from tests.harness import Harness

TABLE = "`bake` that enables an AMI"
REGIONS = ("us-east-1", "eu-west-1")
_LOCK_SECONDS = 8
_CONFIG = f"""\
version = 1

[images.app]
template = "ami/app.json"
inputs = ["ami"]
regions = {list(REGIONS)}
"""


def set_up_enabling(harness: Harness) -> None:
    harness.write("bakery.toml", _CONFIG)
    harness.write("ami/app.json", json_template())
    harness.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = str(_LOCK_SECONDS)


def _fresh(harness: Harness, local: LocalAws) -> dict[str, str]:
    """Returns the AMIs of the current definition: in quarantine, and shared before."""
    harness.control.reset()
    amis = finish_build(local, harness.run("digest").answer, REGIONS)
    quarantine(local, amis, [FRIEND])
    harness.control.clear_report()
    return amis


def calls_of_enabling(harness: Harness, local: LocalAws) -> tuple[ChannelCall, ...]:
    """Returns every call of the bake, in order."""
    _fresh(harness, local)
    run = harness.run("bake", "--json")
    assert (run.status, run.images[0]["outcome"]) == (0, "enabled"), run.stderr
    seen: Counter[tuple[str, str]] = Counter()
    calls = []
    for call in harness.control.report().calls:
        key = (call.action, call.region)
        calls.append(ChannelCall(service=call.service, action=call.action, region=call.region, number=seen[key]))
        seen[key] += 1
    return tuple(calls)


def strike_enabling(harness: Harness, local: LocalAws, call: ChannelCall, fault: str) -> Outcome:
    """Bakes with a fault in one call, then again without it."""
    amis = _fresh(harness, local)
    runs = harness.packer_runs
    harness.control.plan(call.inject(fault))
    problems: list[str] = []
    answer: dict[str, str] | None = None
    if fault in KILLS:
        first = _killed(harness)
    else:
        run = harness.run("bake", "--json", timeout=300)
        first = str(run.images[0]["outcome"]) if run.stdout else "failed"
        if run.status not in (0, 1) or (run.status == 1 and "error" not in run.stderr):
            problems.append(f"the first run ended with {run.status}: {run.stderr[-500:]}")
        answer = run.images[0]["amis"] if run.status == 0 else None
    # Clear the fault first, because the checks make calls, too.
    reached = bool(harness.control.triggered())
    harness.control.clear_faults()
    if answer is not None:
        problems += _wrong(local, amis, answer)
    again = harness.run("bake", "--json", timeout=300)
    if again.status != 0:
        problems.append(f"the second run ended with {again.status}: {again.stderr[-800:]}")
    else:
        problems += _wrong(local, amis, again.images[0]["amis"])
    if harness.packer_runs > runs:
        problems.append("Packer ran although an AMI was in quarantine")
    if held := locks(ec2_client(local)):
        time.sleep(_LOCK_SECONDS + 1)
        shown = harness.run("images", "--orphans", "--json")
        problems += [f"--orphans does not show {lock}" for lock in held.values() if lock not in shown.stdout]
    return Outcome(
        table=TABLE,
        step=str(call),
        fault=fault,
        first=first if reached else "not reached",
        second=str(again.images[0]["outcome"]) if again.status == 0 else "failed",
        remaining="",
        problems=tuple(problems),
    )


def _wrong(local: LocalAws, amis: Mapping[str, str], answer: Mapping[str, str]) -> Iterator[str]:
    """Yields what is wrong after a run that succeeded."""
    if answer != amis:
        yield f"the answer is {answer}, not {amis}"
    for region, ami in amis.items():
        found = state_of(local, region, ami)
        if found != ("available", [FRIEND], set()):
            yield f"{ami} in {region} is {found}"


def _killed(harness: Harness) -> str:
    process: subprocess.Popen[str] = harness.start("bake", "--json")
    while not harness.control.triggered() and process.poll() is None:
        time.sleep(0.02)
    if process.poll() is not None:
        process.communicate()
        return "not reached"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return "killed"
