"""Our dataclasses behave as Python's own do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery import dataclass as ours

Module = Any


def classes(module: Module) -> dict[str, Any]:
    """The same classes, made by one module or the other."""

    @module.dataclass(frozen=True, kw_only=True, slots=True)
    class Frozen:
        """Documented."""

        name: str
        tags: Mapping[str, str] = module.field(default_factory=dict)
        secret: str = module.field(default="hidden", repr=False)
        note: str = module.field(default="", compare=False)

        @property
        def loud(self) -> str:
            return self.name.upper()

    @module.dataclass(frozen=True, slots=True, order=True)
    class Ordered:
        major: int
        minor: int = 0

        def __post_init__(self) -> None:
            if self.major < 0:
                raise ValueError("negative")

    @module.dataclass(kw_only=True)
    class Open:
        count: int = 0
        names: list[str] = module.field(default_factory=list)

    @module.dataclass(frozen=True, slots=True, repr=False)
    class Quiet:
        value: str

        def __repr__(self) -> str:
            return "Quiet(...)"

    return {"Frozen": Frozen, "Ordered": Ordered, "Open": Open, "Quiet": Quiet}


@pytest.fixture(params=[dataclasses, ours], ids=["python's", "ours"])
def made(request: pytest.FixtureRequest) -> Any:
    return type("Made", (), classes(request.param))


def test_fields_get_what_is_given_or_their_defaults(made: Any) -> None:
    one, other = made.Frozen(name="a"), made.Frozen(name="b", tags={"x": "y"}, secret="s", note="n")
    assert (one.name, one.tags, one.secret, one.note) == ("a", {}, "hidden", "")
    assert (other.name, other.tags, other.secret, other.note) == ("b", {"x": "y"}, "s", "n")
    assert made.Frozen(name="a").tags is not one.tags
    assert one.loud == "A"
    assert made.Frozen.__doc__ == "Documented."
    assert (made.Ordered(1), made.Ordered(1, minor=2)) == (made.Ordered(1, 0), made.Ordered(minor=2, major=1))


WRONG: dict[str, Callable[[Any], object]] = {
    "missing": lambda made: made.Frozen(),
    "unknown": lambda made: made.Frozen(name="a", other=1),
    "by position": lambda made: made.Frozen("a"),
    "too many": lambda made: made.Ordered(1, 2, 3),
    "twice": lambda made: made.Ordered(1, major=2),
    "another kind": lambda made: made.Ordered(1) < made.Quiet("x"),
    "without an order": lambda made: made.Frozen(name="a") < made.Frozen(name="b"),
    "hash of what may change": lambda made: hash(made.Open()),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_a_type_error(made: Any, case: str) -> None:
    with pytest.raises(TypeError):
        WRONG[case](made)


def test_equal_and_hashed_by_the_fields_that_are_compared(made: Any) -> None:
    assert made.Frozen(name="a", note="x") == made.Frozen(name="a", note="y")
    assert made.Frozen(name="a") != made.Frozen(name="b")
    assert made.Ordered(1) != (1, 0)
    assert hash(made.Ordered(1)) == hash(made.Ordered(1, 0))
    assert len({made.Ordered(1), made.Ordered(1), made.Ordered(2)}) == 2
    assert made.Open(count=1) == made.Open(count=1)


def test_shown_without_secrets(made: Any) -> None:
    assert repr(made.Frozen(name="a")).endswith("Frozen(name='a', tags={}, note='')")
    assert repr(made.Quiet("x")) == "Quiet(...)"


def test_frozen_and_without_other_attributes(made: Any) -> None:
    for instance, change in (
        (made.Frozen(name="a"), lambda one: setattr(one, "name", "b")),
        (made.Frozen(name="a"), lambda one: delattr(one, "name")),
    ):
        with pytest.raises(AttributeError):
            change(instance)
        assert instance == made.Frozen(name="a")
        assert not hasattr(instance, "__dict__")
    open_one = made.Open()
    open_one.count += 1
    assert open_one == made.Open(count=1)


def test_its_own_check_is_made(made: Any) -> None:
    with pytest.raises(ValueError, match="negative"):
        made.Ordered(-1)


def test_matched_by_name_and_by_position(made: Any) -> None:
    match made.Ordered(1, 2):
        case made.Ordered(major, minor):
            assert (major, minor) == (1, 2)
    match made.Frozen(name="a"):
        case made.Frozen(name=name):
            assert name == "a"
    assert made.Frozen.__match_args__ == ()


@given(st.tuples(st.integers(0), st.integers()), st.tuples(st.integers(0), st.integers()))
def test_ordered_as_tuples_are(one: tuple[int, int], other: tuple[int, int]) -> None:
    for module in (dataclasses, ours):
        ordered = classes(module)["Ordered"]
        left, right = ordered(*one), ordered(*other)
        assert (left < right, left <= right, left > right, left >= right, left == right) == (
            one < other,
            one <= other,
            one > other,
            one >= other,
            one == other,
        )


def test_pythons_own_functions_take_ours(made: Any) -> None:
    one = made.Frozen(name="a", tags={"x": "y"}, note="n")
    assert dataclasses.is_dataclass(one)
    assert [field.name for field in dataclasses.fields(one)] == ["name", "tags", "secret", "note"]
    assert dataclasses.asdict(one) == {"name": "a", "tags": {"x": "y"}, "secret": "hidden", "note": "n"}
    assert dataclasses.replace(one, name="b").name == "b"
    assert copy.deepcopy(one) == one


def test_replaced_and_copied() -> None:
    one = Kept(name="a", tags={"x": "y"})
    assert ours.replace(one, name="b") == Kept(name="b", tags={"x": "y"})
    with pytest.raises(TypeError):
        ours.replace(one, other=1)
    assert pickle.loads(pickle.dumps(one)) == one
    assert Behind(name="a", more=1).tags == {}
    assert isinstance(Behind(name="a", more=1), Kept)


@ours.dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    name: str
    tags: Mapping[str, str] = ours.field(default_factory=dict)


@ours.dataclass(frozen=True, kw_only=True, slots=True)
class Behind(Kept):
    more: int
