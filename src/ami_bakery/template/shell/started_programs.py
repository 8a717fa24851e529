"""Finds a template's programs that `packer validate` starts to get their version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ami_bakery.template.component import ComponentKind
from ami_bakery.template.expression.known_values import Unknown

if TYPE_CHECKING:
    from ami_bakery.template.component import Component
    from ami_bakery.template.location import SourceLocation

_USUAL: Mapping[str, tuple[str, ...]] = {
    "ansible": ("ansible-playbook",),
    "ansible-navigator": ("ansible-navigator", "ansible-navigator run"),
}
"""By provisioner type: the usual commands, which are installed. Any other may be, or may run, a file of the repository.
Source: `getVersion` in provisioner/ansible/provisioner.go. `inspec` has the function too, but does not call it."""


def started_by_validate(components: Iterable[Component]) -> Iterator[tuple[str, SourceLocation]]:
    """Yields each unusual `command` expression, as written, with its location."""
    for component in components:
        usual = _USUAL.get(component.type) if component.kind is ComponentKind.PROVISIONER else None
        found = component.fields.get("command")
        if usual is None or found is None or found.value in (None, "", *usual):
            continue
        if not _is_surely_true(component, "skip_version_check"):
            yield found.written, found.location


def _is_surely_true(component: Component, name: str) -> bool:
    return not isinstance(component.value(name), Unknown) and component.is_true(name)
