"""Dataclasses as Python's own module has them, as far as we use them, made from ready functions and no compiled text.

Python's compiles six functions for each class: 0.6 ms, and some sixty classes are made in every run before anything is
done, which was a third of the time of an unchanged bake. To `dataclasses.fields`, `asdict` and `replace` they are
dataclasses all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, TypeVar, dataclass_transform

Class = TypeVar("Class")
Instance = TypeVar("Instance")


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()


class _Asked(NamedTuple):
    """What `field` was called with."""

    default: Any
    default_factory: Any
    repr: bool
    compare: bool


class _Field(NamedTuple):
    name: str
    asked: _Asked


def field(*, default: Any = _NOTHING, default_factory: Any = _NOTHING, repr: bool = True, compare: bool = True) -> Any:
    return _Asked(default, default_factory, repr, compare)


@dataclass_transform(field_specifiers=(field,))
def dataclass(
    *, frozen: bool = False, kw_only: bool = False, slots: bool = False, order: bool = False, repr: bool = True
) -> Callable[[type[Class]], type[Class]]:
    """The fields are the class's annotations, behind those of its bases."""

    def made(given: Any) -> Any:
        own = [
            _Field(name, asked if isinstance(asked, _Asked) else _Asked(asked, _NOTHING, True, True))
            for name in given.__annotations__
            for asked in [given.__dict__.get(name, _NOTHING)]
        ]
        fields = (*getattr(given, "_dataclass_fields", ()), *own)
        members: dict[str, Any] = {
            "_dataclass_fields": fields,
            "__match_args__": () if kw_only else tuple(name for name, _ in fields),
            "__dataclass_fields__": _StandardFields(),
            "__init__": _init,
            "__eq__": _eq,
            "__hash__": _hash if frozen else None,
            "__reduce__": _reduce,
        }
        if repr and "__repr__" not in given.__dict__:
            members["__repr__"] = _repr
        if frozen:
            members |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
        if order:
            members |= {"__lt__": _lt, "__le__": _le, "__gt__": _gt, "__ge__": _ge}
        return _with_slots(given, [name for name, _ in own], members) if slots else _with_members(given, members)

    return made


def _with_slots(given: Any, names: list[str], members: dict[str, Any]) -> Any:
    """The class once more: slots can only be had from the beginning."""
    kept = {name: value for name, value in given.__dict__.items() if name not in (*names, "__dict__", "__weakref__")}
    return type(given)(given.__name__, given.__bases__, {**kept, **members, "__slots__": tuple(names)})


def _with_members(given: Any, members: dict[str, Any]) -> Any:
    for name in [name for name, value in given.__dict__.items() if isinstance(value, _Asked)]:
        delattr(given, name)
    for name, value in members.items():
        setattr(given, name, value)
    return given


def replace(instance: Instance, /, **changes: Any) -> Instance:
    """The same with other values in the fields named."""
    names = (name for name, _ in instance._dataclass_fields)  # type: ignore[attr-defined]
    return type(instance)(**{**{name: getattr(instance, name) for name in names}, **changes})


def _init(self: Any, *positional: Any, **given: Any) -> None:
    cls = type(self)
    if positional:
        names = cls.__match_args__
        if len(positional) > len(names) or given.keys() & set(names[: len(positional)]):
            raise TypeError(f"{cls.__name__} takes {len(names)} values by position, each once")
        given.update(zip(names, positional, strict=False))
    for name, (default, default_factory, _, _) in cls._dataclass_fields:
        if name in given:
            value = given.pop(name)
        elif default is not _NOTHING:
            value = default
        elif default_factory is not _NOTHING:
            value = default_factory()
        else:
            raise TypeError(f"{cls.__name__} needs a value for {name}")
        object.__setattr__(self, name, value)
    if given:
        raise TypeError(f"{cls.__name__} has no {', '.join(given)}")
    if hasattr(cls, "__post_init__"):
        self.__post_init__()


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name, asked in self._dataclass_fields if asked.compare)


def _repr(self: Any) -> str:
    shown = (f"{name}={getattr(self, name)!r}" for name, asked in self._dataclass_fields if asked.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: object) -> bool:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _lt(self: Any, other: object) -> bool:
    return _compared(self) < _compared(other) if type(other) is type(self) else NotImplemented


def _le(self: Any, other: object) -> bool:
    return _compared(self) <= _compared(other) if type(other) is type(self) else NotImplemented


def _gt(self: Any, other: object) -> bool:
    return _compared(self) > _compared(other) if type(other) is type(self) else NotImplemented


def _ge(self: Any, other: object) -> bool:
    return _compared(self) >= _compared(other) if type(other) is type(self) else NotImplemented


def _refuse_to_set(self: object, name: str, _: object) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")


def _refuse_to_delete(self: object, name: str) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted")


def _reduce(self: Any) -> tuple[Any, ...]:
    return _made_of, (type(self), {name: getattr(self, name) for name, _ in self._dataclass_fields})


def _made_of(cls: type[Any], values: dict[str, Any]) -> Any:
    return cls(**values)


class _StandardFields:
    """What `dataclasses` asks a dataclass for, put together when it is asked."""

    def __get__(self, _: object, owner: Any) -> dict[str, Any]:
        import dataclasses

        fields = {}
        for name, (default, default_factory, repr, compare) in owner._dataclass_fields:
            given = {} if default is _NOTHING else {"default": default}
            given |= {} if default_factory is _NOTHING else {"default_factory": default_factory}
            made = dataclasses.field(**given, repr=repr, compare=compare)
            made.name, made._field_type = name, dataclasses._FIELD  # type: ignore[attr-defined]
            fields[name] = made
        return fields
