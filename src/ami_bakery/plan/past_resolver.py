"""Reads the definitions of a git revision, without a checkout and without running filters."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.definition.manifest import EntryKind, Manifest
from ami_bakery.errors import BakeryError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.ports import RevisionTree


def resolver_at(resolver: Resolver, tree: RevisionTree) -> Resolver | None:
    """Returns a resolver for the files of a revision; None if its configuration cannot be read."""
    config = resolver.config
    try:
        if all(image.scheme is Scheme.SHA256 for image in config.images):
            config = resolver.ports.parse_config(tree.read(config.file), config)
    except BakeryError:
        return None
    return replace(resolver, ports=replace(resolver.ports, tree=tree), config=config, is_past=True)


def as_checked_out(then: Manifest, now: Manifest, tree: RevisionTree) -> Manifest:
    """Returns `then` with the content that a checkout would write. Git stores content before its filters."""
    differing = differing_content(then, now)
    return with_content_of(then, now, tree.same_content(differing) if differing else frozenset())


def with_content_of(then: Manifest, now: Manifest, same: Collection[str]) -> Manifest:
    """Returns `then` with the content that the files `same` have in `now`."""
    today = {entry.path: entry.sha256 for entry in now.entries}
    return replace(
        then,
        entries=tuple(
            entry._replace(sha256=today[entry.path]) if entry.path in same and entry.path in today else entry
            for entry in then.entries
        ),
    )


def differing_content(then: Manifest, now: Manifest) -> list[str]:
    """Returns the files that are in both manifests with different content."""
    today = {entry.path: entry.sha256 for entry in now.entries}
    return [
        entry.path
        for entry in then.entries
        if entry.sha256 and (other := today.get(entry.path)) and other != entry.sha256
    ]


def without_folders(manifest: Manifest) -> Manifest:
    """Removes empty folders, which git cannot store."""
    return replace(manifest, entries=tuple(entry for entry in manifest.entries if entry.kind is not EntryKind.FOLDER))
