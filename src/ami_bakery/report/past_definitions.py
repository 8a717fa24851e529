"""Reads the definitions of past builds from git: each commit once, for all images."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import SHORT_LENGTH, Scheme
from ami_bakery.core.definition.manifest import Manifest, ManifestPart
from ami_bakery.define.drop_in import drop_in_checksum, drop_in_inputs
from ami_bakery.errors import BakeryError
from ami_bakery.plan.past_resolver import as_checked_out, resolver_at
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from ami_bakery.core.definition.manifest import Entry
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.ports import RevisionTree

_SHOWN = 3


class PastDefinition(Frozen):
    """An image's definition at a commit.

    manifest   None if it cannot be read
    parts      digest of each part of the manifest
    problem    why it cannot be read, or why its files may differ from those of a build, as a clause without subject
    """

    manifest: Manifest | None = None
    parts: Mapping[ManifestPart, str]
    problem: str


def read_past_definitions(
    resolver: Resolver, wanted: Mapping[str, Mapping[str, Collection[str]]]
) -> Mapping[tuple[str, str], PastDefinition]:
    """Returns definitions by commit and image.

    Opens each commit once. Runs no program but git, and no filter. Environment and options are the current ones.

    wanted  for each commit, the images, and for each the digests that its files may have
    """
    reader = _CommitReader(resolver)
    found = {}
    for number, (commit, images) in enumerate(wanted.items(), 1):
        resolver.ports.reporter.update(_PROGRESS, f"reading commit {number} of {len(wanted)} from git")
        for name, past in reader.at(commit, images):
            found[commit, name] = past
    if wanted:
        resolver.ports.reporter.done(_PROGRESS)
    return found


_PROGRESS = "history"


class _CommitReader:
    """Reads commits, and keeps what they have in common."""

    def __init__(self, resolver: Resolver) -> None:
        self._now = resolver
        self._current: dict[str, Manifest | None] = {}
        self._entries: dict[Entry, Entry] = {}

    def at(self, commit: str, images: Mapping[str, Collection[str]]) -> Iterator[tuple[str, PastDefinition]]:
        short = commit[:SHORT_LENGTH]
        with self._now.ports.git.tree(self._now.config.root, commit) as tree:
            then = resolver_at(self._now, tree) if tree is not None else None
            for name, digests in images.items():
                if tree is None:
                    yield name, _unreadable(f"commit {short} is not in this clone")
                elif then is None:
                    yield name, _unreadable(f"{self._now.config.file} of commit {short} cannot be read")
                elif not then.config.has(name):
                    yield name, _unreadable(f"{self._now.config.file} of commit {short} does not have this image")
                else:
                    yield name, self._read(then, tree, name, digests, short)

    def _read(
        self, then: Resolver, tree: RevisionTree, name: str, digests: Collection[str], short: str
    ) -> PastDefinition:
        try:
            if then.image(name).scheme is Scheme.SHA1:
                return self._read_drop_in(then, tree, name)
            image = then.image(name)
            facts, inventory = then.inputs(image)
            manifest = self._shared(then.manifest(image, facts, inventory, base=(), tools=()))
            parts = manifest.components()
            if parts[ManifestPart.FILES] in digests:
                return PastDefinition(manifest=manifest, parts=parts, problem="")
            now = self._current_manifest(name)
            if now is not None:
                manifest = self._shared(as_checked_out(manifest, now, tree))
            return PastDefinition(
                manifest=manifest, parts=manifest.components(), problem=_why_inexact(manifest, tree, short)
            )
        except BakeryError as error:
            return _unreadable(f"the definition in commit {short} cannot be read: {error}")

    def _read_drop_in(self, then: Resolver, tree: RevisionTree, name: str) -> PastDefinition:
        image = then.image(name)
        entries = drop_in_inputs(tree, image).entries
        manifest = Manifest(image=name, salt="", template="", workdir=".", entries=entries)
        return PastDefinition(
            manifest=self._shared(manifest),
            parts={ManifestPart.FILES: drop_in_checksum(tree, image).hex},
            problem="the commit has other files",
        )

    def _current_manifest(self, name: str) -> Manifest | None:
        if name not in self._current:
            try:
                image = self._now.image(name)
                facts, inventory = self._now.inputs(image)
                self._current[name] = self._now.manifest(image, facts, inventory, base=(), tools=())
            except (BakeryError, KeyError):
                self._current[name] = None
        return self._current[name]

    def _shared(self, manifest: Manifest) -> Manifest:
        """Returns a manifest whose entries are shared with others: most files do not change from commit to commit."""
        return replace(manifest, entries=tuple(self._entries.setdefault(entry, entry) for entry in manifest.entries))


def _unreadable(problem: str) -> PastDefinition:
    return PastDefinition(parts={}, problem=problem)


def _why_inexact(manifest: Manifest, tree: RevisionTree, short: str) -> str:
    paths = [entry.path for entry in manifest.entries]
    if unheld := [path for path in paths if not tree.holds(path)]:
        return f"commit {short} does not have all of them: some are not in git ({_some(unheld)})"
    if filtered := tree.undecided(paths):
        return f"a git filter applies to {_some(sorted(filtered))}, and filters are not run"
    return f"commit {short} has others"


def _some(paths: Sequence[str]) -> str:
    more = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
