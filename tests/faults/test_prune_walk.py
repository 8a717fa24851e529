"""`prune --apply` with a failing call, or killed in one: running again ends in the right state.

A sample of the calls that change something. `AMI_BAKERY_WALK=all` runs every call with every fault;
`python -m tests.faults.prune_walk` does the same with several processes, and writes docs/contributing/faults.md.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults.channel_steps import FAULTS, KILLS
from tests.faults.prune_steps import calls_of_prune, set_up_prune, strike_prune

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.harness import Harness

ALL = os.environ.get("AMI_BAKERY_WALK") == "all"
_SAMPLE = ("DisableImage", "ModifyImageAttribute", "DeregisterImage")


@pytest.mark.parametrize("fault", FAULTS + KILLS if ALL else ("killed after",))
def test_running_prune_again_ends_in_the_right_state(harness: Harness, local: LocalAws, fault: str) -> None:
    set_up_prune(harness, local)
    everything = calls_of_prune(harness, local)
    sample = {call.action: call for call in everything if call.action in _SAMPLE}
    assert sample.keys() == set(_SAMPLE)
    outcomes = [strike_prune(harness, local, call, fault) for call in (everything if ALL else sample.values())]
    assert [outcome for outcome in outcomes if outcome.problems] == []
    assert any(outcome.first not in ("not reached", "nothing to do") for outcome in outcomes)
