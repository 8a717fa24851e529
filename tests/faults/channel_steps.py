"""Walks the calls of `promote`, `rollback`, `revoke` and `unrevoke`: each with every fault, and killed in each.

The AMIs are made without Packer, so that one experiment needs only the command itself, and its repetition.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import REVOKED_TAG
from ami_bakery.local import FaultKind, InjectedFault
from tests.conftest import ec2_client
from tests.faults.recovery import Outcome
from tests.release.channels import TWO_REGIONS, made, put_in_channel, tag_ami, values, write_app

if TYPE_CHECKING:
    import subprocess

    from ami_bakery.local import LocalAws
    from tests.harness import Harness, Run

LOCK_SECONDS = 8
_DENIED = {"ec2": "UnauthorizedOperation", "ssm": "AccessDeniedException"}
_THROTTLED = {"ec2": "RequestLimitExceeded", "ssm": "ThrottlingException"}
_DOWN = {"ec2": "Unavailable", "ssm": "InternalServerError"}
FAULTS = ("throttled", "connection lost", "response lost", "denied", "down", "credentials expire")
"""As in tests/faults/walk.py, with the codes of each service."""
KILLS = ("killed before", "killed after")
_HANG_SECONDS = 4


@dataclass(frozen=True, kw_only=True)
class ChannelCall:
    """The `number`th call of this action in this region, from 0."""

    service: str
    action: str
    region: str
    number: int

    def __str__(self) -> str:
        nth = f" ({self.number + 1})" if self.number else ""
        return f"{self.action}{nth}{'' if self.region == TWO_REGIONS[0] else f', {self.region}'}"

    def inject(self, fault: str) -> InjectedFault:
        return replace(self._fault(fault), action=self.action, region=self.region, skip=self.number)

    def _fault(self, fault: str) -> InjectedFault:
        match fault:
            case "throttled":
                return InjectedFault(action="", code=_THROTTLED.get(self.service, "Throttling"))
            case "connection lost":
                return InjectedFault(action="", kind=FaultKind.DROP_BEFORE)
            case "response lost":
                return InjectedFault(action="", kind=FaultKind.DROP_AFTER)
            case "denied":
                return InjectedFault(action="", code=_DENIED.get(self.service, "AccessDenied"), times=0)
            case "down":
                return InjectedFault(action="", code=_DOWN.get(self.service, "ServiceUnavailable"), times=0)
            case "credentials expire":
                return InjectedFault(action="", code="ExpiredToken", times=0)
            case "killed before":
                return InjectedFault(action="", kind=FaultKind.HANG, seconds=_HANG_SECONDS)
            case "killed after":
                return InjectedFault(action="", kind=FaultKind.DELAY, seconds=_HANG_SECONDS)
            case _:
                raise AssertionError(fault)


@dataclass(frozen=True, kw_only=True)
class ChannelWalk:
    """One command, and how to see that it is done. There are three builds, and one that was built from the third.

    promoted  how many of them were in the channel before
    revoked   whether the last two were revoked before
    """

    name: str
    arguments: Callable[[list[dict[str, str]]], list[str]]
    promoted: int
    revoked: bool = False
    problem: Callable[[LocalAws, list[dict[str, str]]], str]
    """Returns what is wrong after the command was run again; empty if nothing is."""


def _reasons(local: LocalAws, build: dict[str, str]) -> list[str]:
    """Returns the reasons of the revocation. If DeleteTags is denied, `unrevoke` sets the tag to an empty value."""
    return [
        tag["Value"]
        for region, ami in build.items()
        for tag in ec2_client(local, region).describe_images(ImageIds=[ami])["Images"][0]["Tags"]
        if tag["Key"] == REVOKED_TAG and tag["Value"]
    ]


def _revoked_and_rolled_back(local: LocalAws, builds: list[dict[str, str]]) -> str:
    found = [_reasons(local, build) for build in builds]
    if found != [[], [], ["bad", "bad"], ["bad", "bad"]]:
        return f"the tags of {builds} are {found}"
    return _has(1)(local, builds)


def _unrevoked(local: LocalAws, builds: list[dict[str, str]]) -> str:
    found = [_reasons(local, build) for build in builds]
    return "" if found == [[]] * 4 else f"the tags of {builds} are {found}"


def _has(wanted: int) -> Callable[[LocalAws, list[dict[str, str]]], str]:
    def problem(local: LocalAws, builds: list[dict[str, str]]) -> str:
        found = values(local)
        return "" if found == builds[wanted] else f"the channel has {found}, not {builds[wanted]} of {builds}"

    return problem


WALKS = (
    ChannelWalk(
        name="promote",
        arguments=lambda builds: ["promote", "app", "--ami", builds[2]["us-east-1"], "--to", "stable"],
        promoted=2,
        problem=_has(2),
    ),
    ChannelWalk(
        name="rollback",
        arguments=lambda _: ["rollback", "app", "--channel", "stable"],
        promoted=3,
        problem=_has(1),
    ),
    ChannelWalk(
        name="revoke",
        arguments=lambda builds: [
            "revoke",
            builds[2]["us-east-1"],
            "--reason",
            "bad",
            "--descendants",
            "--rollback-channels",
        ],
        promoted=3,
        problem=_revoked_and_rolled_back,
    ),
    ChannelWalk(
        name="unrevoke",
        arguments=lambda builds: ["unrevoke", builds[2]["us-east-1"], "--descendants"],
        promoted=2,
        revoked=True,
        problem=_unrevoked,
    ),
)


def table_of(walk: ChannelWalk) -> str:
    return f"`{walk.name}`"


TABLES = tuple(map(table_of, WALKS))


def set_up_channels(harness: Harness) -> None:
    write_app(harness, regions=TWO_REGIONS)
    harness.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = str(LOCK_SECONDS)


def _fresh(harness: Harness, local: LocalAws, walk: ChannelWalk) -> list[dict[str, str]]:
    harness.control.reset()
    harness.control.change(validation_seconds=0)
    builds = [made(local, number) for number in range(3)]
    builds.append(made(local, 3, TWO_REGIONS, **{"ami-bakery:from": builds[2]["us-east-1"]}))
    for build in builds[2:] if walk.revoked else ():
        for region, ami in build.items():
            tag_ami(local, ami, region, revoked="bad")
    put_in_channel(local, builds[: walk.promoted])
    harness.control.change(validation_seconds=0.2)
    harness.control.clear_report()
    return builds


def calls_of(harness: Harness, local: LocalAws, walk: ChannelWalk) -> tuple[ChannelCall, ...]:
    """Returns every call of the command, in order.

    A call that is repeated until SSM answers is returned once. Of the regions of the account that the image is not in,
    only the first is returned.
    """
    builds = _fresh(harness, local, walk)
    run = harness.run(*walk.arguments(builds), environment={"AMI_BAKERY_LOCK_TTL_SECONDS": None})
    assert run.status == 0, run.stderr
    seen: Counter[tuple[str, str]] = Counter()
    calls = []
    reported = harness.control.report().calls
    others = sorted({call.region for call in reported} - set(TWO_REGIONS))
    for call in reported:
        key = (call.action, call.region)
        if call.region not in others[1:] and (call.action != "GetParameter" or not seen[key]):
            calls.append(ChannelCall(service=call.service, action=call.action, region=call.region, number=seen[key]))
        seen[key] += 1
    return tuple(calls)


def strike(harness: Harness, local: LocalAws, walk: ChannelWalk, call: ChannelCall, fault: str) -> Outcome:
    """Runs the command with a fault in one call, then again without it."""
    builds = _fresh(harness, local, walk)
    harness.control.plan(call.inject(fault))
    arguments = walk.arguments(builds)
    problems = []
    if fault in KILLS:
        first = _killed(harness, arguments)
    else:
        run = harness.run(*arguments, timeout=300)
        first = _summary(run)
        if run.status not in (0, 1) or (run.status == 1 and "error:" not in run.stderr):
            problems.append(f"the first run ended with {run.status}: {run.stderr[-500:]}")
    # Clear the fault first, because the checks make calls, too.
    reached = bool(harness.control.triggered())
    harness.control.clear_faults()
    if first in ("done", "nothing to do") and (wrong := walk.problem(local, builds)):
        problems.append(f"the first run succeeded, but {wrong}")
    if walk.name == "rollback" and (first == "done" or not _locks(local)) and not walk.problem(local, builds):
        # It was done before it was killed. A second roll-back would be another one.
        return _outcome(walk, call, fault, first if reached else "not reached", "", problems)
    again = harness.run(*arguments, timeout=300)
    if again.status != 0:
        problems.append(f"the second run ended with {again.status}: {again.stderr[-800:]}")
    if wrong := walk.problem(local, builds):
        problems.append(f"{wrong}; first: {first}; second: {again.stderr[-800:]}")
    if _locks(local):
        # With nothing left to do, a run does not take over the expired lock. The lock must not block the next change.
        after = harness.run("promote", "app", "--ami", builds[0][TWO_REGIONS[0]], "--to", "stable", timeout=300)
        if after.status != 0 or _locks(local):
            problems.append(f"the next change ended with {after.status}, {_locks(local)}: {after.stderr[-500:]}")
    return _outcome(walk, call, fault, first if reached else "not reached", _summary(again), problems)


def _locks(local: LocalAws) -> list[str]:
    return [pair["KeyName"] for pair in ec2_client(local).describe_key_pairs()["KeyPairs"]]


def _outcome(walk: ChannelWalk, call: ChannelCall, fault: str, first: str, second: str, problems: list[str]) -> Outcome:
    return Outcome(
        table=table_of(walk),
        step=str(call),
        fault=fault,
        first=first,
        second=second,
        remaining="",
        problems=tuple(problems),
    )


def _summary(run: Run) -> str:
    if run.status != 0:
        return "failed"
    return "nothing to do" if "nothing to do" in run.stderr else "done"


def _killed(harness: Harness, arguments: list[str]) -> str:
    process: subprocess.Popen[str] = harness.start(*arguments)
    while not harness.control.triggered() and process.poll() is None:
        time.sleep(0.02)
    if process.poll() is not None:
        process.communicate()
        return "not reached"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return "killed"
