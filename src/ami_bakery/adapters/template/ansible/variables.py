"""The variables of a playbook, as far as they stand in files: for each name, every value that it may have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ami_bakery.adapters.template.ansible.jinja import flatten


class VariableTable:
    """Which value wins is Ansible's to say; a path is followed with every value, so that none is missed."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}

    def add(self, variables: Any) -> None:
        if not isinstance(variables, Mapping):
            return
        for name, value in variables.items():
            for inner, leaf in flatten(str(name), value):
                self._values.setdefault(inner, {}).setdefault(json.dumps(leaf, default=str, sort_keys=True), leaf)

    def lookup(self, name: str) -> Iterable[Any]:
        return self._values.get(name, {}).values()

    @property
    def size(self) -> int:
        return sum(len(values) for values in self._values.values())
