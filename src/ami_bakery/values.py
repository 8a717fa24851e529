"""Frozen keyword-only dataclasses, without generated code for each class."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, dataclass_transform

__all__ = ["Frozen", "field", "replace"]

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import field, replace
    from typing import Self
else:

    def field(*, default=..., default_factory=None, repr=True, compare=True):
        """Describes a field, like `dataclasses.field`."""
        return _Field(default, default_factory, repr, compare)

    def replace(value, /, **changes):
        """Returns a copy with changed fields, like `dataclasses.replace`; also accepts ordinary dataclasses."""
        if isinstance(value, Frozen):
            return value.__replace__(**changes)
        import dataclasses

        return dataclasses.replace(value, **changes)


class _Field(NamedTuple):
    """A field. `default` is `...` if there is none."""

    default: Any
    default_factory: Callable[[], Any] | None
    repr: bool
    compare: bool


class _Shape(NamedTuple):
    """The fields of a class, in order.

    shown     names of the fields in `repr`
    compared  returns the compared values of an instance
    """

    fields: Mapping[str, _Field]
    defaults: Mapping[str, Any]
    factories: tuple[tuple[str, Callable[[], Any]], ...]
    shown: tuple[str, ...]
    compared: Callable[[object], Any]


class _DataclassFields:
    """Makes the functions of `dataclasses` (`fields`, `replace`, `asdict`) accept a `Frozen` class."""

    def __get__(self, _: object, owner: type[Frozen]) -> Any:
        return owner.__dict__.get("_fields_of_dataclass") or _as_dataclass(owner)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
class Frozen:
    """`class X(Frozen)` behaves like `@dataclass(frozen=True, kw_only=True) class X`.

    `dataclasses` compiles six methods for each class (0.5 ms) and imports `inspect`: a fifth of the time of an
    unchanged run (docs/decisions/house-and-performance/start-time.md). Here all classes share the methods.
    """

    if not TYPE_CHECKING:
        __dataclass_fields__ = _DataclassFields()

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        if hasattr(cls, "__post_init__"):
            raise TypeError(f"{cls.__name__}: __post_init__ is not supported: write an __init__ that calls super's")

    def __init__(self, /, **given: Any) -> None:
        shape = type(self).__dict__.get("_shape_of_class") or _learn(type(self))
        if given.keys() != shape.fields.keys():
            given = {**shape.defaults, **given}
            for name, make in shape.factories:
                if name not in given:
                    given[name] = make()
            if given.keys() != shape.fields.keys():
                _refuse(type(self), shape, given)
        object.__setattr__(self, "__dict__", given)

    def _state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _shape(type(self)).fields}

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        compared = _shape(type(self)).compared
        return bool(compared(self) == compared(other))

    def __hash__(self) -> int:
        return hash(_shape(type(self)).compared(self))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in _shape(type(self)).shown)
        return f"{type(self).__qualname__}({shown})"

    def __replace__(self, /, **changes: Any) -> Self:
        return type(self)(**{**self._state(), **changes})

    if not TYPE_CHECKING:  # otherwise type checkers would allow assignments to any attribute

        def __setattr__(self, name: str, value: object) -> None:
            _refuse_change("assign to", name)

        def __delattr__(self, name: str) -> None:
            _refuse_change("delete", name)


def _shape(cls: type[Frozen]) -> _Shape:
    known: _Shape | None = cls.__dict__.get("_shape_of_class")
    return known or _learn(cls)


def _learn(cls: type[Frozen]) -> _Shape:
    """Collects the fields when the first instance is created. Concurrent calls have the same result."""
    fields: dict[str, _Field] = {}
    for base in reversed(cls.__mro__):
        if base is not Frozen and issubclass(base, Frozen):
            fields |= {name: _field_of(base, name) for name in base.__annotations__}
    compared = [name for name, known in fields.items() if known.compare]
    shape = _Shape(
        fields=fields,
        defaults={name: known.default for name, known in fields.items() if known.default is not ...},
        factories=tuple((name, known.default_factory) for name, known in fields.items() if known.default_factory),
        shown=tuple(name for name, known in fields.items() if known.repr),
        compared=attrgetter(*compared) if compared else type,
    )
    type.__setattr__(cls, "_shape_of_class", shape)
    return shape


def _field_of(cls: type[Frozen], name: str) -> _Field:
    given = cls.__dict__.get(name, ...)
    if any(word in str(cls.__annotations__[name]) for word in ("ClassVar", "InitVar", "KW_ONLY")):
        raise TypeError(f"{cls.__name__}.{name} is not a field: define it as a constant of the module")
    if type(given).__module__ == "dataclasses":
        raise TypeError(f"{cls.__name__}.{name} uses dataclasses.field: import `field` from {__name__}")
    known = given if isinstance(given, _Field) else _Field(given, None, True, True)
    if type(known.default).__hash__ is None:
        raise TypeError(f"mutable default for {cls.__name__}.{name}: use field(default_factory=...)")
    return known


def _as_dataclass(cls: type[Frozen]) -> Any:
    """Returns the `__dataclass_fields__` of an equivalent dataclass."""
    import dataclasses

    fields: list[tuple[str, Any, Any]] = []
    for name, known in _shape(cls).fields.items():
        given: dict[str, Any] = {"repr": known.repr, "compare": known.compare}
        if known.default is not ...:
            given["default"] = known.default
        if known.default_factory is not None:
            given["default_factory"] = known.default_factory
        fields.append((name, Any, dataclasses.field(**given)))
    twin: Any = dataclasses.make_dataclass(cls.__name__, fields, frozen=True, kw_only=True)
    type.__setattr__(cls, "_fields_of_dataclass", twin.__dataclass_fields__)
    return twin.__dataclass_fields__


def _refuse(cls: type[Frozen], shape: _Shape, state: Mapping[str, Any]) -> NoReturn:
    unknown = [name for name in state if name not in shape.fields]
    missing = [name for name in shape.fields if name not in state]
    problem = f"unknown: {', '.join(unknown)}" if unknown else f"missing: {', '.join(missing)}"
    raise TypeError(f"{cls.__name__}() accepts the keywords {', '.join(shape.fields)}; {problem}")


def _refuse_change(what: str, name: str) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot {what} field {name!r}")
