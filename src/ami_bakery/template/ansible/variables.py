"""Collects the variables of playbooks: for each name, every value that it may have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


class VariableTable:
    """All values of each variable. Precedence is not modelled: a path is followed with every value."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}

    def add(self, variables: Any) -> None:
        for name, value in variables.items() if isinstance(variables, Mapping) else ():
            self._values.setdefault(str(name), {}).setdefault(json.dumps(value, default=str, sort_keys=True), value)

    def lookup(self, name: str) -> Iterable[Any]:
        return self._values.get(name, {}).values()

    @property
    def size(self) -> int:
        return sum(len(values) for values in self._values.values())
