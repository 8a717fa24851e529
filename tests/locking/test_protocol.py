"""The lock's protocol holds in every order of events, and the explorer that says so would say so if it did not.

What must hold, whatever is late, lost, read too early or killed: one digest never has two finished AMIs, and never two
answers; what is an answer is finished, was verified, and is there; a lock is deleted only by its holder, or by one who
saw that very lock expire; nobody bakes what was there for all to see when it took the lock; and whoever goes on comes
to an end. `AMI_BAKERY_EXPLORE=all` goes through more of it, which takes minutes.
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
    LockSeen,
    LookupResult,
    NotShown,
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
}
if os.environ.get("AMI_BAKERY_EXPLORE") == "all":
    WIDTHS |= {
        "two, one killed, one paused, one request late": Budget(crashes=1, late=1, pauses=1),
        "two, both killed, two paused": Budget(crashes=2, late=0, pauses=2, history=2),
        "two, two requests late": Budget(crashes=0, late=2, pauses=0),
        "three, one request late": Budget(runners=3, crashes=0, late=1, pauses=0, history=2),
        "three, one paused": Budget(runners=3, crashes=0, late=0, pauses=1, history=1),
    }


@pytest.mark.parametrize("width", WIDTHS)
def test_one_digest_has_one_answer_and_nobody_is_ever_stuck(width: str) -> None:
    budget = WIDTHS[width]
    result = Explorer(budget).explore()
    print(f"{width}: {result.states} states")
    expected = {Ending.BAKED, Ending.REUSED} | ({Ending.ADOPTED} if budget.crashes else set())
    assert expected <= set(result.endings), "it went through all of it"


SMALL = Budget(crashes=0, late=0, pauses=1)
BROKEN = {
    "no second look": (SMALL, Rules(advance=mutations.without_second_look), "there for all to see"),
    "no third look": (SMALL, Rules(advance=mutations.without_third_look), "is the second one"),
    "no settling": (SMALL, Rules(settles=False), "is the second one"),
    "broken by name": (SMALL, Rules(breaks_by_name=True), "is deleted by one who means"),
    "no fence": (SMALL, Rules(fence="none"), "is removed, and is finished"),
    "half a fence": (SMALL, Rules(fence="partial"), "is removed, and is finished"),
    "no fence, nothing removed": (SMALL, Rules(fence="none", removes=False), "is the second one"),
    "removed without settling": (SMALL, Rules(settles_to_remove=False), "is removed, and is finished"),
    "unverified AMIs adopted": (Budget(late=0), Rules(advance=mutations.adopting_unverified), "was never verified"),
}
if os.environ.get("AMI_BAKERY_EXPLORE") == "all":
    BROKEN["given up without a mark"] = (Budget(history=1), Rules(marks=False), "is removed, and is finished")


@pytest.mark.parametrize("part", BROKEN)
def test_without_one_part_of_the_protocol_the_explorer_finds_fault(part: str) -> None:
    budget, rules, wrong = BROKEN[part]
    assert wrong in violation(budget, rules).partition("\n")[0]


def test_the_way_to_a_fault_is_told_step_by_step() -> None:
    lines = violation(Budget(), Rules(advance=mutations.without_third_look)).splitlines()
    assert len([line for line in lines if "TakeLock" in line and "Taken" in line]) == 2


def test_a_step_cannot_end_as_another_one_does() -> None:
    flight = begin()
    with pytest.raises(ValueError, match="cannot end with"):
        advance(flight, LookupResult())
    ended = advance(flight, ProtocolEvent.FAILED)
    assert ended.step == End(Ending.FAILED)
    with pytest.raises(ValueError, match="it has ended"):
        advance(ended, ProtocolEvent.DONE)


def test_who_may_not_wait_ends_at_once_and_who_needs_no_lock_bakes_without() -> None:
    refused = advance(begin(waits=False), ProtocolEvent.REFUSED)
    assert advance(refused, LockSeen("key-1", ours=False, expired=False)).step == End(Ending.BUSY)
    denied = advance(begin(required=False), ProtocolEvent.DENIED)
    flight = advance(advance(denied, LookupResult()), mutations.nothing_left)
    assert (flight.step, flight.lock) == (Bake(), None)
    assert advance(begin(), ProtocolEvent.DENIED).step == End(Ending.FAILED)


def test_our_own_lock_is_known_by_its_run_where_the_answer_was_lost() -> None:
    unanswered = advance(begin(), ProtocolEvent.UNANSWERED)
    held = advance(unanswered, LockSeen("key-1", ours=True, expired=False))
    assert held.lock == "key-1"


def test_a_name_that_stays_taken_by_nothing_of_ours_is_told() -> None:
    refused = advance(begin(), ProtocolEvent.REFUSED)
    assert advance(refused, NotShown(overdue=True)).step == End(Ending.TAKEN)


def test_who_loses_its_lock_again_and_again_gives_up() -> None:
    flight = begin()
    for lock in ("key-1", "key-2", "key-3"):
        while not isinstance(flight.step, Bake):
            flight = advance(flight, mutations.straight_on(flight, lock))
        flight = advance(flight, ProtocolEvent.LOST)
    assert flight.step == End(Ending.LOST)
    assert advance(begin(), LockAcquired("key-1")).lock == "key-1"
