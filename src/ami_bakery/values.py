"""Frozen keyword-only dataclasses whose methods are made with the first instance: most runs need few of all classes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, dataclass_transform

if TYPE_CHECKING:
    from dataclasses import field
else:
    field = None

_LOCK = threading.RLock()


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
class Frozen:
    """`class X(Frozen)` is `@dataclass(frozen=True, kw_only=True) class X`, made when the first X is.

    To make one takes half a millisecond: of a run that finds nothing to do, that was a quarter (docs/benchmarks.md).
    """

    def __init_subclass__(cls) -> None:
        # Who inherits fields would inherit the way to set them, too: such a class is made at once.
        if any(base is not Frozen and issubclass(base, Frozen) for base in cls.__mro__[1:]):
            for one in reversed(cls.__mro__[:-1]):
                _make(one)

    def __init__(self, /, *arguments: Any, **named: Any) -> None:
        """Of a class that is not made yet: the class's own takes its place."""
        _make(type(self))
        self.__init__(*arguments, **named)  # type: ignore[misc]


def _make(cls: type) -> None:
    from dataclasses import dataclass

    with _LOCK:
        if cls is not Frozen and issubclass(cls, Frozen) and "__dataclass_fields__" not in vars(cls):
            dataclass(frozen=True, kw_only=True)(cls)
