"""Values behave like frozen dataclasses: compared by class and fields."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import pickle
import pkgutil
import threading
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from typing import ClassVar

import pytest

import ami_bakery
from ami_bakery.core.ec2.ami import Ami
from ami_bakery.values import Frozen, field, replace


class Point(Frozen):
    x: int
    y: int = 0
    names: list[str] = field(default_factory=list)


class Pair(Frozen):
    a: int
    b: int = 2


class Login(Frozen):
    user: str
    secret: str = field(repr=False)
    at: int = field(default=0, compare=False)


def test_behaves_as_a_frozen_keyword_only_dataclass() -> None:
    point = Point(x=1)
    assert (point.x, point.y, point.names) == (1, 0, [])
    assert point.names is not Point(x=1).names
    assert point == Point(x=1) != Point(x=2)
    assert repr(point) == "Point(x=1, y=0, names=[])"
    assert replace(point, y=3) == Point(x=1, y=3)
    assert {Pair(a=1): "one"}[Pair(a=1)] == "one"
    assert Pair(a=1) != (1, 2)
    with pytest.raises(FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        point.z = 2  # type: ignore[attr-defined]
    with pytest.raises(FrozenInstanceError):
        del point.x
    assert pickle.loads(pickle.dumps(point)) == copy.deepcopy(point) == point


@pytest.mark.parametrize(
    ("given", "problem"),
    [({}, "missing: x"), ({"x": 1, "z": 2}, "unknown: z"), ({"z": 2}, "unknown: z"), ({"y": 2}, "missing: x")],
)
def test_unknown_and_missing_keywords_are_refused(given: dict[str, int], problem: str) -> None:
    with pytest.raises(TypeError, match=rf"Point\(\) accepts the keywords x, y, names; {problem}$"):
        Point(**given)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Point(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        replace(Point(x=1), z=2)  # type: ignore[call-arg]


def test_field_may_be_excluded_from_repr_and_comparison() -> None:
    assert repr(Login(user="me", secret="hunter2")) == "Login(user='me', at=0)"
    assert Login(user="me", secret="a", at=1) == Login(user="me", secret="a", at=2) != Login(user="me", secret="b")
    assert hash(Login(user="me", secret="a", at=1)) == hash(Login(user="me", secret="a", at=2))


def test_dataclasses_functions_accept_it() -> None:
    assert [item.name for item in dataclasses.fields(Point(x=1))] == ["x", "y", "names"]
    assert dataclasses.replace(Point(x=1), y=3) == Point(x=1, y=3)
    assert dataclasses.asdict(Point(x=1)) == {"x": 1, "y": 0, "names": []}
    assert [item.name for item in dataclasses.fields(Login) if not item.repr] == ["secret"]
    assert dataclasses.is_dataclass(Pair)


def test_invalid_fields_are_refused_as_in_dataclasses() -> None:
    class Shares(Frozen):
        names: list[str] = []  # noqa: RUF012

    class Foreign(Frozen):
        names: list[str] = dataclasses.field(default_factory=list)

    class Counts(Frozen):
        limit: ClassVar[int] = 3

    with pytest.raises(TypeError, match=r"__post_init__ is not supported"):

        class Checks(Frozen):
            def __post_init__(self) -> None: ...

    with pytest.raises(TypeError, match=r"Counts\.limit is not a field"):
        Counts()
    with pytest.raises(TypeError, match=r"mutable default for Shares\.names"):
        Shares()
    with pytest.raises(TypeError, match=r"Foreign\.names uses dataclasses\.field"):
        Foreign(names=[])


def test_subclass_has_inherited_fields() -> None:
    class Base(Frozen):
        a: int

    class Heir(Base):
        b: int = 2

    assert Heir(a=1) == Heir(a=1, b=2)
    assert Base(a=1) != Heir(a=1)
    assert [len(dataclasses.fields(cls)) for cls in (Base, Heir)] == [1, 2]
    with pytest.raises(TypeError):
        Heir(b=1)  # type: ignore[call-arg]


def below(cls: type[Frozen]) -> Iterator[type[Frozen]]:
    for heir in cls.__subclasses__():
        yield heir
        yield from below(heir)


def test_every_class_of_the_package_is_valid() -> None:
    """Invalid fields are only found when the first instance is created."""
    for module in pkgutil.walk_packages(ami_bakery.__path__, "ami_bakery."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    classes = [cls for cls in below(Frozen) if cls.__module__.startswith("ami_bakery.")]
    assert Ami in classes
    for cls in classes:
        fields: dict[str, object] = getattr(cls, "__dataclass_fields__")  # noqa: B009
        bases = [base for base in cls.__mro__ if base is not Frozen and issubclass(base, Frozen)]
        assert fields.keys() == {name for base in bases for name in base.__annotations__}


def test_other_dataclasses_can_be_replaced() -> None:
    @dataclasses.dataclass
    class Other:
        a: int

    assert replace(Other(1), a=2) == Other(2)


def test_value_may_have_no_fields() -> None:
    class Nothing(Frozen):
        pass

    class NothingElse(Frozen):
        pass

    assert Nothing() == Nothing() != NothingElse()
    assert hash(Nothing()) == hash(Nothing())
    assert repr(Nothing()).endswith("Nothing()")


def test_first_instances_may_be_created_by_several_threads() -> None:
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
