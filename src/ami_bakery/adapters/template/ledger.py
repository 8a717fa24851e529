"""What has been found so far: references, outputs, environment, secrets, and what could not be worked out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.expression.values import Unknown, Value, is_mapping, is_sequence
from ami_bakery.core.template import Reference, Unresolved

if TYPE_CHECKING:
    from ami_bakery.core.place import Place


class Ledger:
    """Collects findings. The first place that names a thing is kept, and `required` if any place requires it."""

    def __init__(self) -> None:
        self._references: dict[str, Reference] = {}
        self._outputs: dict[str, Reference] = {}
        self._credentials: dict[str, Reference] = {}
        self._unresolved: dict[Unresolved, None] = {}
        self._environment: dict[str, Place] = {}
        self._secrets: set[str] = set()

    def reference(self, path: str, place: Place, *, required: bool = True) -> None:
        _keep(self._references, path, place, required)

    def output(self, path: str, place: Place) -> None:
        _keep(self._outputs, path, place, False)

    def credential(self, path: str, place: Place) -> None:
        _keep(self._credentials, path, place, False)

    def unresolved(self, place: Place, expression: str, why: str) -> None:
        self._unresolved[Unresolved(place=place, expression=expression, why=why)] = None

    def not_known(self, place: Place, expression: str, unknown: Unknown) -> None:
        self.unresolved(place, expression, unknown.why)

    def environment(self, name: str, place: Place) -> None:
        self._environment.setdefault(name, place)

    def secret(self, value: Value) -> None:
        """Every text inside of a sensitive value is a secret; so is a number."""
        if is_mapping(value):
            for child in value.values():
                self.secret(child)
        elif is_sequence(value):
            for child in value:
                self.secret(child)
        elif isinstance(value, str | int | float) and not isinstance(value, bool) and str(value):
            self._secrets.add(str(value))

    def merge(self, other: Ledger) -> None:
        for reference in other.references:
            self.reference(reference.path, reference.place, required=reference.required)
        for output in other.outputs:
            self.output(output.path, output.place)
        for credential in other.credentials:
            self.credential(credential.path, credential.place)
        for unresolved in other.all_unresolved:
            self._unresolved[unresolved] = None
        for name, place in other.all_environment:
            self.environment(name, place)
        self._secrets |= other.secrets

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple(self._references[path] for path in sorted(self._references))

    @property
    def outputs(self) -> tuple[Reference, ...]:
        return tuple(self._outputs[path] for path in sorted(self._outputs))

    @property
    def credentials(self) -> tuple[Reference, ...]:
        return tuple(self._credentials[path] for path in sorted(self._credentials))

    @property
    def all_unresolved(self) -> tuple[Unresolved, ...]:
        return tuple(sorted(self._unresolved, key=lambda each: (each.place, each.expression, each.why)))

    @property
    def all_environment(self) -> tuple[tuple[str, Place], ...]:
        return tuple(sorted(self._environment.items()))

    @property
    def secrets(self) -> frozenset[str]:
        return frozenset(self._secrets)


def _keep(known: dict[str, Reference], path: str, place: Place, required: bool) -> None:
    before = known.get(path)
    if before is None:
        known[path] = Reference(path=path, place=place, required=required)
    elif required and not before.required:
        known[path] = Reference(path=path, place=before.place, required=True)
