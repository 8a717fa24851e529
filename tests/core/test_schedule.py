"""The schedule, for any forest of images and any order of completion."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.plan.schedule import Schedule
from tests.graphs import image_graphs


@given(image_graphs(), st.integers(0, 1 << 16))
def test_each_image_starts_once_and_after_its_parent(parents: dict[str, str | None], seed: int) -> None:
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
        assert running, "at least one image can always start"
        name = running.pop(choice.randrange(len(running)))
        done.add(name)
        schedule.finish(name)
        assert schedule.left == len(parents) - len(done)
    assert sorted(started) == sorted(parents)


def test_image_that_was_not_started_cannot_finish() -> None:
    schedule = Schedule({"a": None, "b": "a"})
    schedule.start_ready()
    with pytest.raises(ValueError, match="'b' was not passed out"):
        schedule.finish("b")
    schedule.finish("a")
    with pytest.raises(ValueError, match="'a' was already marked done"):
        schedule.finish("a")
