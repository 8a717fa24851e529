"""A command that changes channels fails in a call, or is killed in one: running again ends in the right state.

A sample of the calls that change something. `AMI_BAKERY_WALK=all` runs every call with every fault.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults.channel_steps import FAULTS, KILLS, WALKS, ChannelWalk, calls_of, set_up_channels, strike

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.harness import Harness

ALL = os.environ.get("AMI_BAKERY_WALK") == "all"
_CHANGING = ("PutParameter", "CreateTags", "DeleteTags")
_SAMPLE = ("killed after",)


@pytest.mark.parametrize("fault", FAULTS + KILLS if ALL else _SAMPLE)
@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_running_again_ends_in_the_right_state(
    harness: Harness, local: LocalAws, walk: ChannelWalk, fault: str
) -> None:
    set_up_channels(harness)
    everything = calls_of(harness, local, walk)
    last = {call.action: call for call in everything if call.action in _CHANGING}
    calls = everything if ALL else tuple(last.values())
    assert calls
    outcomes = [strike(harness, local, walk, call, fault) for call in calls]
    assert [outcome for outcome in outcomes if outcome.problems] == []
    assert any(outcome.first not in ("not reached", "nothing to do") for outcome in outcomes)
