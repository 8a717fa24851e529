"""A bake with a failing call, or killed in one: the next run repairs it, and everything that remains is known.

A sample. `AMI_BAKERY_WALK=all` runs every call with every fault, which takes more than an hour; `python -m
tests.faults` does the same with several processes, and writes the tables of docs/contributing/faults.md.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults import kills, walk
from tests.faults.steps import CALLERS, Step, set_up, set_up_test, steps_of_a_bake, steps_of_a_test
from tests.harness import Harness

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.faults.recovery import Outcome

BAKERY, PACKER = CALLERS
FAULTS = [
    (PACKER, "RunInstances", "response lost"),
    (PACKER, "CreateImage", "response lost"),
    (PACKER, "TerminateInstances", "denied"),
    (BAKERY, "CreateTags", "credentials expire"),
    (BAKERY, "CopyImage", "response lost"),
    (BAKERY, "CopyImage", "denied"),
    (BAKERY, "DeleteKeyPair", "down"),
]
"""Each at the last call of this kind in a bake."""
KILLS = [
    (PACKER, "CreateKeyPair", "machine, after"),
    (PACKER, "CreateSecurityGroup", "machine, after"),
    (PACKER, "RunInstances", "machine, after"),
    (PACKER, "CreateImage", "group, before"),
    (BAKERY, "CopyImage", "machine, after"),
]
FAULTS_OF_A_TEST = [
    (PACKER, "RunInstances", "response lost"),
    (PACKER, "CreateImage", "denied"),
    (BAKERY, "DeregisterImage", "down"),
]
KILLS_OF_A_TEST = [
    (PACKER, "RunInstances", "machine, after"),
    (BAKERY, "DeregisterImage", "machine, before"),
    (BAKERY, "CreateTags", "process, after"),
]
LINES = [("Creating AMI", "machine"), ("Stopping the source instance...", "group")]


@pytest.fixture
def prepared(harness: Harness) -> Harness:
    set_up(harness)
    return harness


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory, _local: LocalAws) -> tuple[Step, ...]:
    harness = Harness(tmp_path_factory.mktemp("steps"), _local)
    set_up(harness)
    return steps_of_a_bake(harness)


def last(steps: tuple[Step, ...], caller: str, action: str) -> Step:
    return [step for step in steps if (step.caller, step.action) == (caller, action)][-1]


def middle(steps: tuple[Step, ...], caller: str, action: str) -> Step:
    """The number of records and tags varies from run to run, so the last one may not be reached."""
    found = [step for step in steps if (step.caller, step.action) == (caller, action)]
    return found[len(found) // 2]


def check(outcome: Outcome) -> None:
    assert outcome.problems == (), outcome
    assert outcome.first != "not reached"


@pytest.mark.parametrize(("caller", "action", "fault"), FAULTS)
def test_failed_call_gives_no_wrong_ami_and_leaves_nothing_unknown(
    prepared: Harness, local: LocalAws, steps: tuple[Step, ...], caller: str, action: str, fault: str
) -> None:
    check(walk.walk(prepared, local, last(steps, caller, action), fault))


@pytest.mark.parametrize(("caller", "action", "kill"), KILLS)
def test_run_after_a_kill_builds_the_one_ami_and_what_remains_is_known(
    prepared: Harness, local: LocalAws, steps: tuple[Step, ...], caller: str, action: str, kill: str
) -> None:
    check(kills.kill_at_call(prepared, local, last(steps, caller, action), kill))


@pytest.fixture
def prepared_test(harness: Harness) -> Harness:
    set_up_test(harness)
    return harness


@pytest.fixture(scope="module")
def steps_in_test(tmp_path_factory: pytest.TempPathFactory, _local: LocalAws) -> tuple[Step, ...]:
    harness = Harness(tmp_path_factory.mktemp("steps"), _local)
    set_up_test(harness)
    return steps_of_a_test(harness)


@pytest.mark.parametrize(("caller", "action", "fault"), FAULTS_OF_A_TEST)
def test_failed_call_of_a_test_returns_no_wrong_ami_and_all_resources_are_recorded(
    prepared_test: Harness, local: LocalAws, steps_in_test: tuple[Step, ...], caller: str, action: str, fault: str
) -> None:
    check(walk.walk(prepared_test, local, middle(steps_in_test, caller, action), fault))


@pytest.mark.parametrize(("caller", "action", "kill"), KILLS_OF_A_TEST)
def test_run_after_a_kill_during_a_test_finishes_the_ami_and_other_resources_are_recorded(
    prepared_test: Harness, local: LocalAws, steps_in_test: tuple[Step, ...], caller: str, action: str, kill: str
) -> None:
    check(kills.kill_at_call(prepared_test, local, middle(steps_in_test, caller, action), kill))


@pytest.mark.parametrize(("line", "target"), LINES)
def test_run_after_a_kill_between_packers_steps_builds_the_one_ami(
    prepared: Harness, local: LocalAws, line: str, target: str
) -> None:
    check(kills.kill_at_line(prepared, local, line, target))


if os.environ.get("AMI_BAKERY_WALK") == "all":

    @pytest.mark.parametrize("fault", walk.FAULTS)
    def test_every_call_may_fail(prepared: Harness, local: LocalAws, steps: tuple[Step, ...], fault: str) -> None:
        outcomes = [walk.walk(prepared, local, step, fault) for step in steps]
        assert [outcome for outcome in outcomes if outcome.problems] == []

    @pytest.mark.parametrize("kill", kills.KILLS)
    def test_every_call_may_be_the_last_one(
        prepared: Harness, local: LocalAws, steps: tuple[Step, ...], kill: str
    ) -> None:
        outcomes = [kills.kill_at_call(prepared, local, step, kill) for step in steps]
        assert [outcome for outcome in outcomes if outcome.problems] == []

    @pytest.mark.parametrize("target", kills.TARGETS)
    def test_every_step_of_packer_may_be_the_last_one(prepared: Harness, local: LocalAws, target: str) -> None:
        outcomes = [kills.kill_at_line(prepared, local, line, target) for line in kills.lines_of_a_bake(prepared)]
        assert [outcome for outcome in outcomes if outcome.problems] == []
