"""Limits the time and memory for the evaluation of one template."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MOST_STEPS = 250_000
"""Expressions that are evaluated, and elements that functions create."""
MOST_PARTS = 250_000
"""Values inside one value, at any depth; a repeated value counts each time."""
LONGEST_TEXT = 1 << 25
"""Characters of one string."""
MOST_TEXT = 1 << 28
"""Characters of all strings that are created."""
LARGEST_PARSED = 1 << 20
"""Bytes of a file that is parsed: a template, a var-file, `bakery.toml`, an Ansible file."""


class TooCostly(Exception):
    """The budget is used up; the message says by what."""


class Budget:
    def __init__(self) -> None:
        self.steps = 0
        self.characters = 0

    def step(self, count: int = 1) -> None:
        self.steps += count
        if self.steps > MOST_STEPS:
            raise TooCostly(f"it takes more than {MOST_STEPS:,} steps")

    def text(self, length: int) -> None:
        """Counts a string of this length before it is created."""
        self.characters += length
        if length > LONGEST_TEXT:
            raise TooCostly(f"it creates a string of more than {LONGEST_TEXT:,} characters")
        if self.characters > MOST_TEXT:
            raise TooCostly(f"it creates strings of more than {MOST_TEXT:,} characters")


_ACTIVE: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def limited() -> Iterator[Budget]:
    """Everything evaluated in this context shares one budget; nested contexts share the outer one."""
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
    """Counts work before it is done; raises `TooCostly` if it exceeds the budget."""
    budget = _ACTIVE.get()
    if budget is None:
        budget = Budget()
    if steps:
        budget.step(steps)
    if text:
        budget.text(text)
