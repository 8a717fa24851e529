"""What moved between two definitions of an image: by the parts' short digests, or by the manifests themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ami_bakery.core.manifest import Component

_WORDS = {
    Component.FILES: "the files changed",
    Component.VARIABLES: "variables, var-files or environment variables changed",
    Component.BASE: "the base moved",
    Component.TOOLS: "Packer or a plugin has another version",
    Component.SETTINGS: "the template's place, the builds selected, or the salt changed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One thing that moved. `subject` is a path or a name, or the component's own where no more is known."""

    component: Component
    subject: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    changes: tuple[Change, ...]


def compare_components(old: Mapping[Component, str], new: Mapping[Component, str]) -> Difference:
    """From the tag `ami-bakery:components` of an AMI and today's components; a part that only one side has, moved."""
    return Difference(changes=tuple(_component_changes(old, new)))


def _component_changes(old: Mapping[Component, str], new: Mapping[Component, str]) -> Iterator[Change]:
    for component in Component:
        if old.get(component) != new.get(component):
            yield Change(component=component, subject=component, detail=_WORDS[component])
