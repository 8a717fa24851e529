"""A bake of which a call fails, or that is killed in one: the next run makes it good, and what is left is known.

A sample. `AMI_BAKERY_WALK=all` walks every call with every blow, which takes an hour and more; `python -m tests.faults`
does the same with several processes at once, and writes the tables of docs/contributing/faults.md.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults import kills, walk
from tests.faults.steps import CALLERS, Step, plant, steps_of_a_bake
from tests.harness import Kitchen

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.faults.recovery import Outcome

BAKERY, PACKER = CALLERS
FAULTS = [
    (PACKER, "RunInstances", "answer lost"),
    (PACKER, "CreateImage", "answer lost"),
    (PACKER, "TerminateInstances", "denied"),
    (BAKERY, "CreateTags", "credentials expire"),
    (BAKERY, "CopyImage", "answer lost"),
    (BAKERY, "CopyImage", "denied"),
    (BAKERY, "DeleteKeyPair", "down"),
]
"""Each at the last such call of a bake."""
KILLS = [
    (PACKER, "CreateKeyPair", "machine, after"),
    (PACKER, "CreateSecurityGroup", "machine, after"),
    (PACKER, "RunInstances", "machine, after"),
    (PACKER, "CreateImage", "group, before"),
    (BAKERY, "CopyImage", "machine, after"),
]
LINES = [("Creating AMI", "machine"), ("Stopping the source instance...", "group")]


@pytest.fixture
def planted(kitchen: Kitchen) -> Kitchen:
    plant(kitchen)
    return kitchen


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory, _local: LocalAws) -> tuple[Step, ...]:
    kitchen = Kitchen(tmp_path_factory.mktemp("steps"), _local)
    plant(kitchen)
    return steps_of_a_bake(kitchen)


def last(steps: tuple[Step, ...], caller: str, action: str) -> Step:
    return [step for step in steps if (step.caller, step.action) == (caller, action)][-1]


def check(outcome: Outcome) -> None:
    assert outcome.problems == (), outcome
    assert outcome.first != "not reached"


@pytest.mark.parametrize(("caller", "action", "fault"), FAULTS)
def test_a_call_that_fails_makes_no_wrong_answer_and_leaves_nothing_unknown(
    planted: Kitchen, local: LocalAws, steps: tuple[Step, ...], caller: str, action: str, fault: str
) -> None:
    check(walk.walk(planted, local, last(steps, caller, action), fault))


@pytest.mark.parametrize(("caller", "action", "blow"), KILLS)
def test_after_a_kill_the_next_run_makes_the_one_ami_and_what_is_left_is_known(
    planted: Kitchen, local: LocalAws, steps: tuple[Step, ...], caller: str, action: str, blow: str
) -> None:
    check(kills.kill_at_call(planted, local, last(steps, caller, action), blow))


@pytest.mark.parametrize(("line", "whom"), LINES)
def test_after_a_kill_between_packers_steps_too(planted: Kitchen, local: LocalAws, line: str, whom: str) -> None:
    check(kills.kill_at_line(planted, local, line, whom))


if os.environ.get("AMI_BAKERY_WALK") == "all":

    @pytest.mark.parametrize("fault", walk.FAULTS)
    def test_every_call_may_fail(planted: Kitchen, local: LocalAws, steps: tuple[Step, ...], fault: str) -> None:
        outcomes = [walk.walk(planted, local, step, fault) for step in steps]
        assert [outcome for outcome in outcomes if outcome.problems] == []

    @pytest.mark.parametrize("blow", kills.BLOWS)
    def test_every_call_may_be_the_last_one(
        planted: Kitchen, local: LocalAws, steps: tuple[Step, ...], blow: str
    ) -> None:
        outcomes = [kills.kill_at_call(planted, local, step, blow) for step in steps]
        assert [outcome for outcome in outcomes if outcome.problems] == []

    @pytest.mark.parametrize("whom", kills.WHOM)
    def test_every_step_of_packer_may_be_the_last_one(planted: Kitchen, local: LocalAws, whom: str) -> None:
        outcomes = [kills.kill_at_line(planted, local, line, whom) for line in kills.lines_of_a_bake(planted)]
        assert [outcome for outcome in outcomes if outcome.problems] == []
