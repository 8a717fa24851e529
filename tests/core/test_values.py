"""Values that are made late are what dataclasses are: frozen, compared by what they hold, told apart by class."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import FrozenInstanceError, field, replace

import pytest

from ami_bakery.values import Frozen


class Point(Frozen):
    x: int
    y: int = 0
    names: list[str] = field(default_factory=list)


def test_it_is_a_frozen_dataclass_of_keywords() -> None:
    point = Point(x=1)
    assert (point.x, point.y, point.names) == (1, 0, [])
    assert point == Point(x=1) != Point(x=2)
    assert repr(point) == "Point(x=1, y=0, names=[])"
    assert replace(point, y=3) == Point(x=1, y=3)
    assert [item.name for item in dataclasses.fields(point)] == ["x", "y", "names"]
    with pytest.raises(FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        Point(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Point(x=1, z=2)  # type: ignore[call-arg]


def test_who_inherits_has_the_fields_of_both() -> None:
    class Base(Frozen):
        a: int

    class Heir(Base):
        b: int = 2

    assert Heir(a=1) == Heir(a=1, b=2)
    assert Base(a=1) != Heir(a=1)
    with pytest.raises(TypeError):
        Heir(b=1)  # type: ignore[call-arg]


def test_a_class_that_nobody_uses_is_not_made() -> None:
    class Unused(Frozen):
        a: int

    assert "__dataclass_fields__" not in vars(Unused)


def test_threads_may_make_the_first_ones_at_once() -> None:
    for _ in range(50):

        class New(Frozen):
            a: int

        made: list[New] = []
        barrier = threading.Barrier(8)

        def make(cls: type[New] = New, barrier: threading.Barrier = barrier, made: list[New] = made) -> None:
            barrier.wait()
            made.append(cls(a=1))

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [New(a=1)] * 8
