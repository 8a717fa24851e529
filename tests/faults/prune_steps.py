"""Walks the calls of `prune --apply`: each with every fault, and killed in each.

The account has AMIs for each action: a parent and its child with a copy whose quarantine has ended, a shared AMI that
nothing needs, and an AMI in quarantine that a channel needs again. The AMIs are made without Packer.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.conftest import ec2_client
from tests.faults.channel_steps import KILLS, LOCK_SECONDS, ChannelCall
from tests.faults.recovery import Outcome
from tests.release.pruning import FRIEND, HOME, OTHER, Stock, stocked

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.harness import Harness

TABLE_OF_PRUNE = "`prune --apply`"
ARGUMENTS = ("prune", "--apply", "--limit-percent", "100")
REPORTED: Any = [
    {"ResourceType": "ec2:Instance"},
    {
        "ResourceType": "ec2:LaunchTemplate",
        "ResourceTypeOptions": [{"OptionName": "version-depth", "OptionValues": ["10000"]}],
    },
    {"ResourceType": "imagebuilder:ImageRecipe"},
    {"ResourceType": "imagebuilder:ContainerRecipe"},
]


@dataclass(frozen=True, kw_only=True)
class PruneScene:
    """The builds of one experiment, by region."""

    stock: Stock
    newest: dict[str, str]
    parent: dict[str, str]
    child: dict[str, str]
    old: dict[str, str]
    back: dict[str, str]

    def harm(self) -> str:
        """Returns what no run may do, however it ended; empty if it did not."""
        states = self.stock.states()
        kept = {*self.newest.values(), *self.old.values(), *self.back.values()}
        if gone := sorted(kept - states.keys()):
            return f"{gone} are gone"
        if any(states[ami] != "available" for ami in self.newest.values()):
            return "the newest build is disabled"
        child_exists = any(ami in states for ami in self.child.values())
        if child_exists and self.parent[HOME] not in states:
            return "the parent is gone before its child"
        if self.child[OTHER] in states and self.child[HOME] not in states:
            return "the original is gone before its copy"
        if states[self.old[HOME]] == "disabled" and FRIEND not in self._noted(self.old[HOME]):
            return "the permissions of the disabled AMI are lost"
        return ""

    def problem(self) -> str:
        """Returns what is wrong at the end; empty if all is as wanted."""
        states, stock = self.stock.states(), self.stock
        wanted = {
            **dict.fromkeys(self.newest.values(), "available"),
            **dict.fromkeys(self.back.values(), "available"),
            **dict.fromkeys(self.old.values(), "disabled"),
        }
        if states != wanted:
            return f"the states are {states}, not {wanted}"
        if stock.permissions(self.back[HOME]) != [FRIEND]:
            return f"the AMI that was enabled is shared with {stock.permissions(self.back[HOME])}"
        left = [name for name, value in stock.tags(self.back[HOME]).items() if "quarantined" in name and value]
        if left:
            return f"the AMI that was enabled has the tags {left}"
        if len(stock.snapshots(HOME)) != 3 or len(stock.snapshots(OTHER)) != 2:
            return f"the snapshots are {stock.snapshots(HOME)}, {stock.snapshots(OTHER)}"
        return self.harm()

    def _noted(self, ami: str) -> str:
        return self.stock.tags(ami).get("ami-bakery:quarantined-shares", "")


def set_up_prune(harness: Harness, local: LocalAws) -> None:
    stocked(harness, local, regions=(HOME, OTHER))
    harness.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = str(LOCK_SECONDS)


def _fresh(harness: Harness, local: LocalAws) -> PruneScene:
    harness.control.reset()
    harness.control.change(report_seconds=0)
    stock = Stock(harness, local)
    parent = stock.build(70)
    scene = PruneScene(
        stock=stock,
        newest=stock.build(2, HOME, OTHER),
        parent=parent,
        child=stock.build(60, HOME, OTHER, base=parent[HOME]),
        old=stock.build(50, HOME, OTHER),
        back=stock.build(40),
    )
    for build in (scene.parent, scene.child):
        stock.quarantine(build, 20)
    stock.share(scene.old[HOME])
    ec2_client(local).create_image_usage_report(ImageId=scene.old[HOME], ResourceTypes=REPORTED)
    stock.promote(scene.back)
    stock.quarantine(scene.back, 3, FRIEND)
    harness.control.clear_report()
    return scene


def calls_of_prune(harness: Harness, local: LocalAws) -> tuple[ChannelCall, ...]:
    """Returns every call, in order. Of the regions without AMIs, only one."""
    scene = _fresh(harness, local)
    run = harness.run(*ARGUMENTS)
    reported = harness.control.report().calls  # before the checks, which make calls, too
    assert run.status == 0, run.stderr
    assert not scene.problem(), (scene.problem(), run.stdout, run.stderr)
    seen: Counter[tuple[str, str]] = Counter()
    calls: list[ChannelCall] = []
    others = sorted({call.region for call in reported} - {HOME, OTHER})
    for call in reported:
        key = (call.action, call.region)
        if call.region not in others[1:]:
            calls.append(ChannelCall(service=call.service, action=call.action, region=call.region, number=seen[key]))
        seen[key] += 1
    return tuple(calls)


def strike_prune(harness: Harness, local: LocalAws, call: ChannelCall, fault: str) -> Outcome:
    """Runs prune with a fault in one call, then again without it, after the locks of a killed run have expired."""
    scene = _fresh(harness, local)
    harness.control.plan(call.inject(fault))
    problems = []
    said = ""
    if fault in KILLS:
        first = _killed(harness)
    else:
        run = harness.run(*ARGUMENTS, timeout=300)
        first, said = _summary(run.status, run.stderr), f"{run.stdout[-1500:]} {run.stderr[-1500:]}"
        if run.status not in (0, 1) or (run.status == 1 and "error" not in run.stderr):
            problems.append(f"the first run ended with {run.status}: {run.stderr[-800:]}")
    # Clear the fault first, because the checks make calls, too.
    reached = bool(harness.control.triggered())
    harness.control.clear_faults()
    if first in ("done", "nothing to do") and (wrong := scene.problem()):
        problems.append(f"the first run says that it is {first}, but {wrong}: {said}")
    if harm := scene.harm():
        problems.append(f"after the first run, {harm}")
    if _locks(local):
        time.sleep(LOCK_SECONDS + 1)
    again = harness.run(*ARGUMENTS, timeout=300)
    second = _summary(again.status, again.stderr)
    if again.status != 0:
        problems.append(f"the second run ended with {again.status}: {again.stderr[-800:]}")
    if wrong := scene.problem():
        problems.append(f"{wrong}; first: {first}; second: {again.stdout[-1500:]} {again.stderr[-1500:]}")
    return Outcome(
        table=TABLE_OF_PRUNE,
        step=str(call),
        fault=fault,
        first=first if reached else "not reached",
        second=second,
        remaining="",
        problems=tuple(problems),
    )


def _summary(status: int, stderr: str) -> str:
    if status != 0:
        return "failed"
    if "use of AMIs is unknown" in stderr:
        return "kept some"
    if " skipped; run" in stderr:
        return "skipped some"
    return "nothing to do" if "nothing to do" in stderr else "done"


def _locks(local: LocalAws) -> list[str]:
    return [pair["KeyName"] for pair in ec2_client(local).describe_key_pairs()["KeyPairs"]]


def _killed(harness: Harness) -> str:
    process = harness.start(*ARGUMENTS)
    while not harness.control.triggered() and process.poll() is None:
        time.sleep(0.02)
    if process.poll() is not None:
        process.communicate()
        return "not reached"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return "killed"
