"""Walks every EC2 call of a bake: lets each one fail in each way, runs again, and says what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ami_bakery.local import Fault, FaultKind, LocalAws
from tests.conftest import ec2_client
from tests.kitchen import Kitchen, Run, json_template

REGIONS = ("us-east-1", "eu-west-1")
CALLERS = {"Boto": "the bakery", "aws-sdk-go": "Packer"}
"""What a User-Agent has in it, and who that is."""

FAULTS = {
    "throttled": Fault(action="", code="RequestLimitExceeded"),
    "InternalError": Fault(action="", code="InternalError"),
    "connection lost before": Fault(action="", kind=FaultKind.DROP_BEFORE),
    "answer lost": Fault(action="", kind=FaultKind.DROP_AFTER),
    "denied": Fault(action="", code="UnauthorizedOperation"),
    "credentials expire": Fault(action="*", code="RequestExpired", times=0),
}
"""The ways to fail. All but the last strike one call, and the next one of its kind goes well."""

CONFIG = f"""\
version = 1

[images.app]
template = "ami/app.json"
inputs = ["ami"]
regions = {list(REGIONS)}
"""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call of a bake: the `number`th of this action by this caller in this region, from 0; `place` among all."""

    place: int
    caller: str
    action: str
    region: str
    number: int

    def __str__(self) -> str:
        nth = f" {self.number + 1}" if self.number else ""
        return f"{CALLERS[self.caller]}: {self.action}{nth} ({self.region})"


@dataclass(frozen=True, kw_only=True)
class Walked:
    """What came of one fault at one call. `problems` are broken promises: there must be none."""

    step: Step
    fault: str
    first: str
    second: str
    left: tuple[str, ...]
    problems: tuple[str, ...]


def plant(kitchen: Kitchen) -> None:
    """An image in two regions whose template knows nothing of us."""
    template = json_template()
    del template["builders"][0]["tags"]
    kitchen.write("bakery.toml", CONFIG)
    kitchen.write("ami/app.json", template)
    kitchen.write("ami/setup.sh", "echo set up\n")
    kitchen.environment["AMI_BAKERY_LOCK_SECONDS"] = "4"


def steps_of_a_bake(kitchen: Kitchen) -> tuple[Step, ...]:
    """Every call of a bake that goes well, in its order."""
    run = kitchen.run("bake")
    assert run.status == 0, run.stderr
    seen: Counter[tuple[str, str, str]] = Counter()
    steps = []
    for place, call in enumerate(kitchen.control.report().calls):
        caller = next(name for name in CALLERS if name in call.agent)
        key = (caller, call.action, call.region)
        steps.append(Step(place=place, caller=caller, action=call.action, region=call.region, number=seen[key]))
        seen[key] += 1
    kitchen.control.reset()
    return tuple(steps)


def walk(kitchen: Kitchen, local: LocalAws, steps: Sequence[Step], faults: Sequence[str]) -> Iterator[Walked]:
    for step in steps:
        for fault in faults:
            kitchen.control.reset()
            yield _walk_one(kitchen, local, step, fault)


def _walk_one(kitchen: Kitchen, local: LocalAws, step: Step, name: str) -> Walked:
    kitchen.control.plan(_at(step, FAULTS[name]))
    runs = kitchen.packer_runs
    first = kitchen.run("bake", "--json")
    struck = kitchen.control.struck()
    kitchen.control.clear_faults()
    after_first = finished(local)
    first_bakes = kitchen.packer_runs - runs
    second = kitchen.run("bake", "--json")
    second_bakes = kitchen.packer_runs - runs - first_bakes
    problems = tuple(_problems(first, second, after_first, finished(local), second_bakes))
    return Walked(
        step=step,
        fault=name,
        first="not reached" if not struck else _word(first, first_bakes),
        second=_word(second, second_bakes),
        left=tuple(_left(local)),
        problems=problems,
    )


def _at(step: Step, fault: Fault) -> Fault:
    """The fault, for this call; one that strikes every action counts all calls from the first."""
    if fault.action == "*":
        return Fault(action="*", kind=fault.kind, code=fault.code, times=fault.times, skip=step.place)
    return Fault(
        action=step.action,
        kind=fault.kind,
        code=fault.code,
        times=fault.times,
        region=step.region,
        agent=step.caller,
        skip=step.number,
    )


def finished(local: LocalAws) -> dict[str, list[str]]:
    """The AMIs that count, by region: available, with the digest and the format."""
    found = {}
    for region in REGIONS:
        images = ec2_client(local, region).describe_images(Owners=["self"])["Images"]
        found[region] = [image["ImageId"] for image in images if _is_finished(image)]
    return found


def _is_finished(image: Any) -> bool:
    names = {tag["Key"] for tag in image.get("Tags", ()) if tag["Value"]}
    return image["State"] == "available" and {"ami_config_checksum", "ami-bakery:format"} <= names


def _problems(
    first: Run, second: Run, between: dict[str, list[str]], after: dict[str, list[str]], second_bakes: int
) -> Iterator[str]:
    if first.status not in (0, 1):
        yield f"the first run ended with {first.status}: {first.stderr[-300:]}"
    if first.status == 1 and "error" not in first.stderr and '"error"' not in first.stdout:
        yield "the first run failed, and does not say why"
    if second.status != 0:
        yield f"the second run ended with {second.status}: {second.stderr[-500:]}"
        return
    answer = second.images[0]["amis"]
    if {region: [ami] for region, ami in answer.items()} != after:
        yield f"the answer is {answer}, and finished are {after}"
    if first.status == 0 and first.images[0]["amis"] != answer:
        yield f"the first answer was {first.images[0]['amis']}, the second {answer}"
    if any(between.values()) and second_bakes:
        yield f"finished were {between}, and it was baked again"


def _word(run: Run, bakes: int) -> str:
    if run.status != 0:
        return "failed"
    outcome = str(run.images[0]["outcome"])
    return outcome if bakes == (outcome == "baked") else f"{outcome}, Packer ran {bakes} times"


def _left(local: LocalAws) -> Iterator[str]:
    """What is still there when all is done, and should not be."""
    deadline = time.monotonic() + 5
    while (left := list(_left_now(local))) and time.monotonic() < deadline:
        time.sleep(0.5)
    yield from left


def _left_now(local: LocalAws) -> Iterator[str]:
    for region in REGIONS:
        ec2 = ec2_client(local, region)
        for reservation in ec2.describe_instances()["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["State"]["Name"] not in ("terminated", "shutting-down"):
                    yield "instance"
        yield from ("key pair" for _ in ec2.describe_key_pairs()["KeyPairs"])
        groups = ec2.describe_security_groups()["SecurityGroups"]
        yield from ("security group" for group in groups if group["GroupName"].startswith("packer"))
        images = ec2.describe_images(Owners=["self"])["Images"]
        yield from ("unfinished AMI" for image in images if not _is_finished(image))
