"""Works out what changed since an AMI was baked: from its tags, and from git where its commit is in the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ami_bakery.core.difference import Change, compare_components, compare_manifests, component_change
from ami_bakery.core.image import COMMIT_TAG, COMPONENTS_TAG, FROM_TAG, Ami
from ami_bakery.core.manifest import Component, Manifest, parse_components
from ami_bakery.errors import BakeryError

if TYPE_CHECKING:
    from ami_bakery.resolve import Definition, Resolver

_IN_GIT = (Component.FILES, Component.VARIABLES, Component.SETTINGS)
"""Components whose old state a commit has: what the base and the tools were, only the AMI knows."""


def changes_since(resolver: Resolver, definition: Definition, ami: Ami) -> tuple[Change, ...]:
    """What moved since `ami`, one of the same image with another digest; nothing where it does not say.

    Where git cannot tell everything (the commit is not here, or the tree was dirty), that is among the changes.
    """
    tagged = parse_components(ami.tags.get(COMPONENTS_TAG, ""))
    if not tagged or definition.manifest is None:
        return ()
    moved = compare_components(tagged, definition.manifest.components())
    commit, _, dirty = ami.tags.get(COMMIT_TAG, "").partition("+")
    before = manifest_at(resolver, definition, commit) if commit and set(moved) & set(_IN_GIT) else None
    changes = [change for component in moved for change in _changes(definition, ami, component, before)]
    if set(moved) & set(_IN_GIT):
        changes += _caveats(ami, commit, bool(dirty), tagged, before)
    return tuple(changes)


def _caveats(
    ami: Ami, commit: str, dirty: bool, tagged: Mapping[Component, str], before: Manifest | None
) -> Iterator[Change]:
    """What git cannot tell of the definition that `ami` was baked from."""
    if commit and before is None:
        detail = f"what changed in detail is not known: {ami.id} was baked at {commit[:12]}, which cannot be read here"
        yield Change(kind="commit-unknown", subject=commit, detail=detail)
    elif dirty:
        detail = f"{ami.id} was baked with changes that were not committed: git cannot tell all that changed"
        yield Change(kind="tree-was-dirty", subject=commit, detail=detail)
    elif before is not None and before.components()[Component.FILES] != tagged.get(Component.FILES):
        detail = f"{commit[:12]} does not hold all that {ami.id} was made of: some files are not in git"
        yield Change(kind="commit-incomplete", subject=commit, detail=detail)


def _changes(definition: Definition, ami: Ami, component: Component, before: Manifest | None) -> Iterator[Change]:
    change = component_change(component)
    if component is Component.BASE and (old := ami.tags.get(FROM_TAG)):
        now = ", ".join(sorted({base for _, base in definition.base}))
        yield replace(change, subject=now or change.subject, detail=f"the base moved from {old} to {now or 'none'}")
        return
    if component is Component.TOOLS and definition.manifest:
        tools = ", ".join(f"{name} {version}" for name, version in definition.manifest.tools)
        yield replace(change, detail=f"{change.detail} (now {tools or 'left out'})")
        return
    yield change
    if before is not None and definition.manifest is not None and component in _IN_GIT:
        yield from compare_manifests(before, definition.manifest, component)


def manifest_at(resolver: Resolver, definition: Definition, revision: str) -> Manifest | None:
    """The manifest of this image as it was at a revision, worked out of git without a checkout.

    With today's environment, base and tools, which git does not know. None where the revision is not in the history
    here, or the definition of then cannot be read.
    """
    outside, config = resolver.outside, resolver.config
    try:
        with outside.git.tree(config.root, revision) as tree:
            if tree is None:
                return None
            then = outside.parse_config(tree.read(config.file), config)
            if all(image.name != definition.image.name for image in then.images):
                return None
            resolver = replace(resolver, outside=replace(outside, tree=tree), config=then)
            image = resolver.image(definition.image.name)
            facts, inventory = resolver.inputs(image)
            tools = definition.manifest.tools if definition.manifest else ()
            return resolver.manifest(image, facts, inventory, definition.base, tools)
    except BakeryError:
        # A definition that could not be read then cannot explain anything now; the tags still can.
        return None
