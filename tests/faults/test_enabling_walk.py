"""A bake that enables an AMI in quarantine, with a failing call or killed in one: the next run finishes it.

A sample of the calls that change something. `AMI_BAKERY_WALK=all` runs every call with every fault.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults.channel_steps import FAULTS, KILLS
from tests.faults.enabling_steps import calls_of_enabling, set_up_enabling, strike_enabling

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.harness import Harness

ALL = os.environ.get("AMI_BAKERY_WALK") == "all"
SAMPLE = {
    "killed after": ("EnableImage", "ModifyImageAttribute"),
    "denied": ("EnableImage", "DeleteTags"),
    "response lost": ("CreateTags",),
}


@pytest.mark.parametrize("fault", FAULTS + KILLS if ALL else tuple(SAMPLE))
def test_next_run_enables_the_ami_and_shares_it_as_before(harness: Harness, local: LocalAws, fault: str) -> None:
    set_up_enabling(harness)
    everything = calls_of_enabling(harness, local)
    last = {call.action: call for call in everything}
    calls = everything if ALL else [last[action] for action in SAMPLE[fault]]
    outcomes = [strike_enabling(harness, local, call, fault) for call in calls]
    assert [outcome for outcome in outcomes if outcome.problems] == []
    assert any(outcome.first != "not reached" for outcome in outcomes)
