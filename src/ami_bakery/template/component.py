"""Evaluated builders, provisioners, post-processors and data sources: the same for JSON and HCL2."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.template.expression.known_values import (
    Text,
    Unknown,
    Value,
    as_text,
    is_sequence,
    is_tainted,
)
from ami_bakery.values import Frozen, field, replace

if TYPE_CHECKING:
    from ami_bakery.template.location import SourceLocation


class ComponentKind(StrEnum):
    BUILDER = "builder"
    PROVISIONER = "provisioner"
    POST_PROCESSOR = "post-processor"
    DATA = "data"


class Field(Frozen):
    """A field of a component.

    written       the expression as the template writes it
    alternatives  other values that the whole field may have: from the other arm of a conditional, another argument of
                  `try()` or `coalesce()`, or a candidate for an unknown value. A file that only they name is optional
    """

    value: Value
    location: SourceLocation
    written: str
    alternatives: tuple[Value, ...] = ()


class Component(Frozen):
    """An evaluated component.

    name        the name that `-only` selects a builder by
    fields      by lower-case name
    on_failure  whether it runs only if the build fails
    """

    kind: ComponentKind
    type: str
    name: str
    location: SourceLocation
    fields: Mapping[str, Field] = field(default_factory=dict)
    on_failure: bool = False

    @property
    def may_not_run(self) -> bool:
        """Whether a successful build on Linux may skip it. On other systems, the digest differs."""
        systems = [text for text, _, _ in self.texts("only_on")]
        return self.on_failure or (bool(systems) and "linux" not in systems)

    def value(self, name: str) -> Value:
        return self.fields[name].value if name in self.fields else None

    def alternatives(self, name: str) -> tuple[Component, ...]:
        """Returns a copy of this component for each alternative of the field."""
        found = self.fields.get(name)
        others = found.alternatives if found else ()
        return tuple(
            replace(self, fields={**self.fields, name: replace(found, value=value, alternatives=())})
            for value in others
            if found
        )

    def is_true(self, name: str) -> bool:
        return is_truthy(self.value(name))

    def texts(self, name: str) -> tuple[tuple[str | Unknown, SourceLocation, str], ...]:
        """The strings of a string or list field. Each comes with its location and expression."""
        found = self.fields.get(name)
        if found is None or found.value is None:
            return ()
        items = found.value if is_sequence(found.value) else (found.value,)
        return tuple(
            (
                _text(item, found.location),
                item.location if isinstance(item, Text) else found.location,
                _written(item, found),
            )
            for item in items
            if item is not None
        )

    def list_texts(self, name: str) -> tuple[tuple[str | Unknown, SourceLocation, str], ...]:
        """The strings of a list field. The list may also be written as one comma-separated string."""
        found = self.fields.get(name)
        if found is not None and isinstance(found.value, str):
            location = found.value.location if isinstance(found.value, Text) else found.location
            return tuple(
                (Text(part, location, tainted=True) if is_tainted(found.value) else part, location, found.written)
                for part in found.value.split(",")
                if found.value
            )
        return self.texts(name)


def go_folded(name: str) -> str:
    """Returns a field name as Go's decoder compares it: with simple case folding.

    The only non-ASCII characters that fold to an ASCII letter are `ſ` (U+017F) and the Kelvin sign.
    """
    return name.replace("\u017f", "s").lower()


def overridden(fields: Mapping[str, Field], override: Mapping[str, Field]) -> dict[str, Field]:
    """Merges an override into the fields as Packer does: a shorter list replaces only the first items."""
    merged = {**fields, **override}
    for name, upper in override.items():
        lower = fields.get(name)
        if lower and is_sequence(lower.value) and is_sequence(upper.value):
            merged[name] = replace(upper, value=upper.value + lower.value[len(upper.value) :])
    return merged


def _written(item: Value, found: Field) -> str:
    return item.pattern if isinstance(item, Unknown) and item.pattern else found.written


def _text(item: Value, location: SourceLocation) -> str | Unknown:
    """Returns the value as a string; a tainted number becomes a tainted string."""
    text = as_text(item)
    return Text(text, location, tainted=True) if isinstance(text, str) and is_tainted(item) else text


def is_truthy(value: Value) -> bool:
    """Whether Packer reads the value as true. Accepts a few more spellings than Packer."""
    if isinstance(value, str):
        return value.lower() in ("true", "1", "t")
    return isinstance(value, bool | int | float) and value != 0


def runs_ansible_here(component: Component) -> bool:
    """Whether it runs Ansible on this machine. `ansible-local` is not one: it runs Ansible on the instance."""
    return component.kind is ComponentKind.PROVISIONER and component.type in ("ansible", "ansible-navigator")


def connects_through_packer(component: Component) -> bool:
    """Whether Ansible connects through Packer's own SSH server.

    The server must use the default host key algorithms. False if that is unknown.
    """
    fields = ("extra_arguments", "ansible_ssh_extra_args", "ansible_env_vars")
    given = [text for name in fields for text, _, _ in component.texts(name)]
    if any(isinstance(text, Unknown) or "HostKeyAlgorithms" in text for text in given):
        return False
    use_proxy = component.value("use_proxy")
    return use_proxy is None or (not isinstance(use_proxy, Unknown) and is_truthy(use_proxy))
