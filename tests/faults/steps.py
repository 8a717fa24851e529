"""The calls of a successful bake, and of its test. Each may fail, or be the last one of its run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.faults.account import REGIONS
from tests.harness import json_template

if TYPE_CHECKING:
    from ami_bakery.local import InjectedFault
    from tests.harness import Harness

CALLERS = {"ami-bakery": "ami-bakery", "aws-sdk-go": "Packer"}
"""Part of the User-Agent, and the name of the caller."""
_CONFIG = f"""\
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
        nth = f" ({self.number + 1})" if self.number else ""
        where = "" if self.region == REGIONS[0] else f", {self.region}"
        return f"{CALLERS[self.caller]}: {self.action}{nth}{where}"

    @property
    def changes(self) -> bool:
        return not self.action.startswith("Describe")

    def inject(self, fault: InjectedFault) -> InjectedFault:
        """Returns the fault for this call. A fault of every action counts all calls from the first."""
        if fault.action == "*":
            return replace(fault, skip=self.place)
        return replace(fault, action=self.action, region=self.region, agent=self.caller, skip=self.number)


def set_up(harness: Harness) -> None:
    """Configures an image in two regions, a template without a digest tag, short locks, and few retries."""
    template = json_template(max_retries=3)
    del template["builders"][0]["tags"]
    harness.write("bakery.toml", _CONFIG)
    harness.write("ami/app.json", template)
    harness.write("ami/setup.sh", "echo set up\n")
    harness.environment |= {"AMI_BAKERY_LOCK_TTL_SECONDS": "8", "PACKER_NO_COLOR": "1"}


def set_up_test(harness: Harness) -> None:
    """Adds a test, which makes an AMI, as every test of Packer 1.6.6 does."""
    set_up(harness)
    template = json_template(max_retries=3, source_ami="{{user `source_ami`}}")
    template["variables"] = {"source_ami": "", "aws_region": "", "size": "t3.micro"}
    del template["builders"][0]["tags"], template["builders"][0]["source_ami_filter"]
    harness.write("tests/app.json", template)
    harness.write("bakery.toml", f'{_CONFIG}test = "tests/app.json"\n')


def steps_of_a_test(harness: Harness) -> tuple[Step, ...]:
    """Returns the calls of a bake from the start of its test to the digest."""
    steps = steps_of_a_bake(harness)
    starts = [step.place for step in steps if step.caller == "aws-sdk-go" and step.action == "DescribeRegions"]
    copies = next(step.place for step in steps if step.action == "CopyImage")
    assert len(starts) == 2, "Packer asks for the regions once in each run"
    return tuple(step for step in steps if starts[1] <= step.place < copies)


def steps_of_a_bake(harness: Harness) -> tuple[Step, ...]:
    """Returns every call, in order."""
    harness.control.reset()
    run = harness.run("bake")
    assert run.status == 0, run.stderr
    seen: Counter[tuple[str, str, str]] = Counter()
    steps = []
    for place, call in enumerate(harness.control.report().calls):
        caller = next(name for name in CALLERS if name in call.agent)
        key = (caller, call.action, call.region)
        steps.append(Step(place=place, caller=caller, action=call.action, region=call.region, number=seen[key]))
        seen[key] += 1
    harness.control.reset()
    return tuple(steps)
