"""The scheduler, over any forest and any order of finishing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.plan.schedule import Schedule
from tests.graphs import forests


@given(forests(), st.integers(0, 1 << 16))
def test_no_image_starts_before_its_parent_is_done_and_each_starts_once(
    parents: dict[str, str | None], seed: int
) -> None:
    choice = random.Random(seed)
    schedule = Schedule(parents)
    started: list[str] = []
    done: set[str] = set()
    running: list[str] = []
    while schedule.unfinished:
        for name in schedule.start_ready():
            assert parents[name] is None or parents[name] in done
            started.append(name)
            running.append(name)
        assert running, "somebody can always go on"
        name = running.pop(choice.randrange(len(running)))
        done.add(name)
        schedule.finish([name])
        assert schedule.left == len(parents) - len(done)
    assert sorted(started) == sorted(parents)


def test_what_was_not_started_cannot_finish() -> None:
    schedule = Schedule({"a": None, "b": "a"})
    schedule.start_ready()
    with pytest.raises(ValueError, match="b is not at work"):
        schedule.finish(["b"])
    schedule.finish(["a"])
    with pytest.raises(ValueError, match="a is not at work"):
        schedule.finish(["a"])
