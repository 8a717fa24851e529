"""Values behave like frozen dataclasses: compared by class and fields."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import pickle
import pkgutil
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from functools import cached_property

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


@pytest.mark.parametrize("given", [{}, {"x": 1, "z": 2}, {"z": 2}, {"y": 2}])
def test_unknown_and_missing_keywords_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(TypeError, match=r"Point\(\) accepts the keywords x, y, names: "):
        Point(**given)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Point(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        replace(Point(x=1), z=2)  # type: ignore[call-arg]


def test_field_may_be_excluded_from_repr_and_comparison() -> None:
    assert repr(Login(user="me", secret="hunter2")) == "Login(user='me', at=0)"
    assert Login(user="me", secret="a", at=1) == Login(user="me", secret="a", at=2) != Login(user="me", secret="b")
    assert hash(Login(user="me", secret="a", at=1)) == hash(Login(user="me", secret="a", at=2))


def test_subclass_has_inherited_fields() -> None:
    class Base(Frozen):
        a: int

    class Heir(Base):
        b: int = 2

    assert Heir(a=1) == Heir(a=1, b=2)
    assert Base(a=1) != Heir(a=1)
    with pytest.raises(TypeError):
        Heir(b=1)  # type: ignore[call-arg]


def test_value_may_have_no_fields() -> None:
    class Nothing(Frozen):
        pass

    class NothingElse(Frozen):
        pass

    assert Nothing() == Nothing() != NothingElse()
    assert hash(Nothing()) == hash(Nothing())
    assert repr(Nothing()).endswith("Nothing()")


def test_cached_property_is_computed_again_for_a_changed_copy() -> None:
    class Square(Frozen):
        side: int

        @cached_property
        def area(self) -> int:
            return self.side**2

    square = Square(side=2)
    assert square.area == 4
    assert replace(square, side=3).area == 9


def below(cls: type[Frozen]) -> Iterator[type[Frozen]]:
    for heir in cls.__subclasses__():
        yield heir
        yield from below(heir)


def test_every_class_of_the_package_has_only_fields_of_its_own_kind() -> None:
    """A `ClassVar` would become a field, and `dataclasses.field` a value."""
    for module in pkgutil.walk_packages(ami_bakery.__path__, "ami_bakery."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    classes = [cls for cls in below(Frozen) if cls.__module__.startswith("ami_bakery.")]
    assert Ami in classes
    for cls in classes:
        assert not any("ClassVar" in str(kind) for kind in cls.__annotations__.values()), cls
        assert not any(isinstance(known.default, dataclasses.Field) for known in cls._fields.values()), cls
