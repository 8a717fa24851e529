"""Frozen keyword-only dataclasses, without generated code for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, dataclass_transform

__all__ = ["Frozen", "field", "replace"]

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import field, replace
else:

    def field(*, default=..., default_factory=None, repr=True, compare=True):
        """Describes a field, like `dataclasses.field`."""
        return _Field(default, default_factory, repr, compare)

    def replace(value, /, **changes):
        """Returns a copy with changed fields, like `dataclasses.replace`. A `cached_property` is computed again."""
        return type(value)(**{**{name: getattr(value, name) for name in value._fields}, **changes})


class _Field(NamedTuple):
    """A field. `default` is `...` if there is none."""

    default: Any
    default_factory: Callable[[], Any] | None = None
    repr: bool = True
    compare: bool = True


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
class Frozen:
    """`class X(Frozen)` behaves like `@dataclass(frozen=True, kw_only=True) class X`.

    `dataclasses` compiles six methods for each class and imports `inspect`, which takes a measurable part of a short
    run (docs/decisions/house-and-performance/speed.md). Here all classes share the methods.
    """

    _fields: ClassVar[dict[str, _Field]] = {}

    def __init_subclass__(cls) -> None:
        given = {name: cls.__dict__.get(name, ...) for name in cls.__annotations__}
        own = {name: value if isinstance(value, _Field) else _Field(value) for name, value in given.items()}
        cls._fields = cls._fields | own

    def __init__(self, /, **given: Any) -> None:
        fields = self._fields
        if given.keys() != fields.keys():
            for name, (default, make, _, _) in fields.items():
                if name not in given and (make or default is not ...):
                    given[name] = make() if make else default
            if given.keys() != fields.keys():
                raise TypeError(f"{type(self).__name__}() accepts the keywords {', '.join(fields)}: {', '.join(given)}")
        object.__setattr__(self, "__dict__", given)

    def _compared(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name, known in self._fields.items() if known.compare])

    def __eq__(self, other: object) -> bool:
        return self._compared() == other._compared() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name, known in self._fields.items() if known.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    if not TYPE_CHECKING:  # otherwise type checkers would allow assignments to any attribute

        def __setattr__(self, name: str, value: object) -> None:
            _refuse_change(name)

        def __delattr__(self, name: str) -> None:
            _refuse_change(name)


def _refuse_change(name: str) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot change field {name!r}")
