"""The locking protocol keeps its invariants in every order of events.

The explorer detects every violation.

Whatever is late, lost, read too early or killed: a digest never has two finished AMIs, and never two answers; an answer
is finished, was verified, and exists; a lock is deleted only by its holder, or by a runner that saw that lock expired;
no runner bakes or tests if the AMI was visible to everyone when it acquired the lock; and each runner comes to an end.
With a test, an answer has passed it, and an AMI that lacks only the test is tested and not built again. An AMI in
quarantine is enabled and not built again; an answer has left quarantine, and prune does not deregister it.
`AMI_BAKERY_EXPLORE=all` explores larger models, which takes minutes.
"""

from __future__ import annotations

import os

import pytest

from ami_bakery.core.lock.protocol import advance, begin
from ami_bakery.core.lock.protocol_steps import (
    Bake,
    End,
    Ending,
    LockAcquired,
    LockNotVisible,
    LockSeen,
    LookupResult,
    ProtocolEvent,
)

from . import mutations
from .explorer import Budget, Explorer, Rules, violation

WIDTHS = {
    "two, one killed, one paused": Budget(crashes=1, late=0, pauses=1),
    "two, one killed, one request late": Budget(crashes=1, late=1, pauses=0),
    "two, one killed, one failure": Budget(crashes=1, late=0, pauses=0, failures=1),
    "three": Budget(runners=3, crashes=0, late=0, pauses=0),
    "three, one killed": Budget(runners=3, crashes=1, late=0, pauses=0, history=2),
    "test: two, one request late": Budget(crashes=0, late=1, pauses=0, tests=True),
    "test: two, one killed, one failure": Budget(crashes=1, late=0, pauses=0, failures=1, tests=True),
    "untested: two, one killed, one failure": Budget(
        crashes=1, late=0, pauses=0, failures=1, tests=True, untested=True
    ),
    "quarantined: two, one killed, one failure": Budget(
        crashes=1, late=0, pauses=0, failures=1, quarantined=True, prunes=True
    ),
}
if os.environ.get("AMI_BAKERY_EXPLORE") == "all":
    WIDTHS |= {
        "two, one killed, one paused, one request late": Budget(crashes=1, late=1, pauses=1),
        "two, both killed, two paused": Budget(crashes=2, late=0, pauses=2, history=2),
        "two, two requests late": Budget(crashes=0, late=2, pauses=0),
        "three, one request late": Budget(runners=3, crashes=0, late=1, pauses=0, history=2),
        "three, one paused": Budget(runners=3, crashes=0, late=0, pauses=1, history=1),
        "test: two, one killed, one paused": Budget(crashes=1, late=0, pauses=1, tests=True),
        "removed: two, one failure, one request late": Budget(
            crashes=0, late=1, pauses=0, failures=1, tests=True, removes_failed=True
        ),
        "test: two, one paused, one failure": Budget(crashes=0, late=0, pauses=1, failures=1, tests=True),
        "test: two, one killed, one request late": Budget(crashes=1, late=1, pauses=0, tests=True),
        "untested: two, one paused, one failure": Budget(
            crashes=0, late=0, pauses=1, failures=1, tests=True, untested=True
        ),
        "removed: two, one paused, one failure": Budget(
            crashes=0, late=0, pauses=1, failures=1, tests=True, removes_failed=True
        ),
        "quarantined: two, one request late": Budget(crashes=0, late=1, pauses=0, quarantined=True, prunes=True),
        "quarantined: two, one killed, one paused": Budget(crashes=1, late=0, pauses=1, quarantined=True, prunes=True),
    }


@pytest.mark.parametrize("width", WIDTHS)
def test_every_digest_has_one_answer_and_no_runner_gets_stuck(width: str) -> None:
    budget = WIDTHS[width]
    result = Explorer(budget).explore()
    print(f"{width}: {result.states} states")
    expected = {Ending.REUSED, Ending.TESTED if budget.untested else Ending.BAKED}
    expected |= {Ending.TESTED if budget.tests else Ending.ADOPTED} if budget.crashes else set()
    expected |= {Ending.ENABLED} if budget.quarantined else set()
    expected |= {Ending.TEST_FAILED} if budget.tests and budget.failures else set()
    assert expected <= set(result.endings), "every ending was explored"


SMALL = Budget(crashes=0, late=0, pauses=1)
QUARANTINED = Budget(crashes=0, late=0, pauses=0, quarantined=True, prunes=True)
TESTED = Budget(crashes=0, late=0, pauses=0, failures=1, tests=True)
BROKEN = {
    "no second look-up": (
        SMALL,
        Rules(advance=mutations.without_second_look),
        "although the AMI was visible to everyone",
    ),
    "no third look-up": (SMALL, Rules(advance=mutations.without_third_look), "is the second finished AMI"),
    "no settling": (SMALL, Rules(settles=False), "is the second finished AMI"),
    "deleted by name": (SMALL, Rules(deletes_by_name=True), "is deleted by a runner that means"),
    "no fence": (SMALL, Rules(fence="none"), "is removed although it is finished"),
    "half a fence": (SMALL, Rules(fence="partial"), "is removed although it is finished"),
    "no fence, nothing removed": (SMALL, Rules(fence="none", removes=False), "is the second finished AMI"),
    "removed without settling": (SMALL, Rules(settles_to_remove=False), "is removed although it is finished"),
    "unverified AMIs adopted": (Budget(late=0), Rules(advance=mutations.adopting_unverified), "was never verified"),
    "no test": (TESTED, Rules(advance=mutations.without_test), "is finished, but passed no test"),
    "failure ignored": (TESTED, Rules(advance=mutations.ignoring_failures), "is finished, but passed no test"),
    "failed AMI built again": (TESTED, Rules(advance=mutations.building_again), "although an untested AMI, or one in"),
    "tested without settling": (
        Budget(crashes=0, late=0, pauses=0, failures=1, tests=True, untested=True),
        Rules(advance=mutations.testing_without_settling),
        "is tagged as failed although it is finished",
    ),
    "enabled without settling": (
        QUARANTINED,
        Rules(advance=mutations.enabling_without_settling),
        "leaves quarantine although prune is going to deregister it",
    ),
    "built in place of enabled": (
        QUARANTINED,
        Rules(advance=mutations.building_in_quarantine),
        "although an untested AMI, or one in quarantine, was visible",
    ),
    "permissions not restored": (
        QUARANTINED,
        Rules(advance=mutations.without_permissions),
        "is an answer, but is in quarantine",
    ),
    "enabled without the fence": (
        Budget(crashes=0, late=0, pauses=1, quarantined=True, prunes=True),
        Rules(fence="none"),
        "although prune is going to deregister it",
    ),
    "pruned without a mark": (QUARANTINED, Rules(prune_marks=False), "although it has left quarantine"),
}
if os.environ.get("AMI_BAKERY_EXPLORE") == "all":
    BROKEN["abandoned without a tag"] = (
        Budget(history=1),
        Rules(tags_first=False),
        "is removed although it is finished",
    )
    BROKEN["marked without the lock"] = (
        Budget(crashes=0, late=1, pauses=1, failures=1, tests=True, untested=True),
        Rules(marks_with_lock=False),
        "is tagged as failed although it is finished",
    )


@pytest.mark.parametrize("part", BROKEN)
def test_explorer_finds_a_fault_if_a_part_of_the_protocol_is_missing(part: str) -> None:
    budget, rules, wrong = BROKEN[part]
    assert wrong in violation(budget, rules).partition("\n")[0]


def test_explorer_reports_the_path_to_a_fault_step_by_step() -> None:
    lines = violation(Budget(), Rules(advance=mutations.without_third_look)).splitlines()
    assert len([line for line in lines if "AcquireLock" in line and "Acquired" in line]) == 2


def test_step_refuses_the_result_of_another_step() -> None:
    state = begin()
    with pytest.raises(ValueError, match="cannot end with"):
        advance(state, LookupResult())
    ended = advance(state, ProtocolEvent.FAILED)
    assert ended.step == End(Ending.FAILED)
    with pytest.raises(ValueError, match="the protocol has ended"):
        advance(ended, ProtocolEvent.DONE)


def test_runner_that_may_not_wait_ends_busy_and_one_that_needs_no_lock_bakes() -> None:
    refused = advance(begin(waits=False), ProtocolEvent.REFUSED)
    assert advance(refused, LockSeen("key-1", ours=False, expired=False)).step == End(Ending.BUSY)
    denied = advance(begin(required=False), ProtocolEvent.DENIED)
    state = advance(advance(denied, LookupResult()), mutations.nothing_abandoned)
    assert (state.step, state.lock) == (Bake(), None)
    assert advance(begin(), ProtocolEvent.DENIED).step == End(Ending.FAILED)


def test_own_lock_is_recognized_after_a_lost_response() -> None:
    unanswered = advance(begin(), ProtocolEvent.UNANSWERED)
    held = advance(unanswered, LockSeen("key-1", ours=True, expired=False))
    assert held.lock == "key-1"


def test_name_that_stays_taken_by_a_foreign_key_pair_is_reported() -> None:
    refused = advance(begin(), ProtocolEvent.REFUSED)
    assert advance(refused, LockNotVisible(overdue=True)).step == End(Ending.NAME_TAKEN)


def test_runner_that_loses_its_lock_three_times_fails() -> None:
    state = begin()
    for lock in ("key-1", "key-2", "key-3"):
        while not isinstance(state.step, Bake):
            state = advance(state, mutations.undisturbed(state, lock))
        state = advance(state, ProtocolEvent.LOST)
    assert state.step == End(Ending.LOST)
    assert advance(begin(), LockAcquired("key-1")).lock == "key-1"
