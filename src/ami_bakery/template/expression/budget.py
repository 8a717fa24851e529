"""How much work the evaluation of one template may take: what never ends in Packer must not hang the bakery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MOST_STEPS = 250_000
"""Expressions that are worked out, and elements that functions make."""
MOST_PARTS = 250_000
"""Values inside of one value, however deep; what is there twice counts twice."""
LONGEST_TEXT = 1 << 25
"""Characters of one text."""
MOST_TEXT = 1 << 28
"""Characters of all texts that are made."""
LARGEST_PARSED = 1 << 20
"""Bytes of a file that is parsed: a template, a var-file, `bakery.toml`, a file of Ansible's."""


class TooCostly(Exception):
    """The budget is spent; the text says on what."""


class Budget:
    def __init__(self) -> None:
        self.steps = 0
        self.characters = 0

    def step(self, count: int = 1) -> None:
        self.steps += count
        if self.steps > MOST_STEPS:
            raise TooCostly(f"it takes more than {MOST_STEPS:,} steps")

    def text(self, length: int) -> None:
        """Before a text of this length is made."""
        self.characters += length
        if length > LONGEST_TEXT:
            raise TooCostly(f"it makes a text of more than {LONGEST_TEXT:,} characters")
        if self.characters > MOST_TEXT:
            raise TooCostly(f"it makes texts of more than {MOST_TEXT:,} characters")


_ACTIVE: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def limited() -> Iterator[Budget]:
    """All that is evaluated inside shares one budget; inside of another, it shares that one's."""
    active = _ACTIVE.get()
    if active is not None:
        yield active
        return
    token = _ACTIVE.set(Budget())
    try:
        budget = _ACTIVE.get()
        assert budget is not None
        yield budget
    finally:
        _ACTIVE.reset(token)


def spend(*, steps: int = 0, text: int = 0) -> None:
    """Counts work before it is done; raises `TooCostly` where it is too much."""
    budget = _ACTIVE.get()
    if budget is None:
        budget = Budget()
    if steps:
        budget.step(steps)
    if text:
        budget.text(text)
