"""The variables of a playbook, as far as they stand in files: for each name, every value that it may have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


class VariableTable:
    """Which value wins is Ansible's to say; a path is followed with every value, so that none is missed."""

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
