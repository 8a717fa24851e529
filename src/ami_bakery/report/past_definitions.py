"""Reads the definitions of past builds from git, each commit once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import SHORT_LENGTH, Scheme
from ami_bakery.core.definition.manifest import Manifest, ManifestPart
from ami_bakery.define.drop_in import drop_in_checksum, drop_in_inputs
from ami_bakery.errors import BakeryError
from ami_bakery.plan.past_resolver import differing_content, resolver_at, with_content_of
from ami_bakery.values import Frozen, field, replace

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
    parts: Mapping[ManifestPart, str] = field(default_factory=dict)
    problem: str = ""


def read_past_definitions(
    resolver: Resolver, wanted: Mapping[str, Mapping[str, Collection[str]]]
) -> Mapping[tuple[str, str], PastDefinition]:
    """Returns definitions by commit and image.

    Opens each commit once. Runs no program but git, and no filter. Environment and options are the current ones.

    wanted  for each commit, the images, and for each the digests that its files may have
    """
    if not wanted:
        return {}
    found: dict[tuple[str, str], PastDefinition] = {}
    reporter = resolver.ports.reporter
    with resolver.ports.git.trees(resolver.config.root) as tree_of:
        reader = _CommitReader(resolver)
        for number, (commit, images) in enumerate(wanted.items(), 1):
            reporter.update(_PROGRESS, f"reading commit {number} of {len(wanted)} from git")
            past = reader.read(tree_of(commit), commit[:SHORT_LENGTH], images)
            found |= {(commit, name): each for name, each in past.items()}
    reporter.done(_PROGRESS)
    return found


_PROGRESS = "history"


class _CommitReader:
    """Reads commits, and keeps what they have in common."""

    def __init__(self, resolver: Resolver) -> None:
        self._now = resolver
        self._current: dict[str, Manifest] = {}
        self._entries: dict[Entry, Entry] = {}
        self._filtered: dict[str, bool] = {}

    def read(
        self, tree: RevisionTree | None, short: str, images: Mapping[str, Collection[str]]
    ) -> Mapping[str, PastDefinition]:
        """Returns the definitions of images at a commit. `short`: its id for messages."""
        if tree is None:
            return dict.fromkeys(images, _unreadable(f"commit {short} is not in this clone"))
        then, file = resolver_at(self._now, tree), self._now.config.file
        if then is None:
            return dict.fromkeys(images, _unreadable(f"{file} of commit {short} cannot be read"))
        absent = _unreadable(f"{file} of commit {short} does not have this image")
        found = {name: self._read(then, name, short) if then.config.has(name) else absent for name in images}
        inexact = {
            name: past.manifest
            for name, past in found.items()
            if past.manifest is not None and past.parts[ManifestPart.FILES] not in images[name]
        }
        return {**found, **self._as_checked_out(then, tree, inexact, short)}

    def _read(self, then: Resolver, name: str, short: str) -> PastDefinition:
        try:
            image = then.image(name)
            if image.scheme is Scheme.SHA1:
                entries = drop_in_inputs(then.ports.tree, image).entries
                manifest = Manifest(image=name, salt="", template="", workdir="", entries=entries)
                parts = {ManifestPart.FILES: drop_in_checksum(then.ports.tree, image).hex}
                return PastDefinition(manifest=self._shared(manifest), parts=parts)
            facts, inventory = then.inputs(image)
            manifest = then.manifest(image, facts, inventory, base=(), tools=())
            return PastDefinition(manifest=self._shared(manifest), parts=manifest.components())
        except BakeryError as error:
            return _unreadable(f"the definition in commit {short} cannot be read: {error}")

    def _as_checked_out(
        self, then: Resolver, tree: RevisionTree, manifests: Mapping[str, Manifest], short: str
    ) -> Mapping[str, PastDefinition]:
        """Returns definitions with the content that a checkout would write, as far as files still have it."""
        current = {name: self._current_manifest(name) for name in manifests}
        differing = {path for name, past in manifests.items() for path in differing_content(past, current[name])}
        same = tree.same_content(sorted(differing)) if differing else frozenset()
        paths = {entry.path for past in manifests.values() for entry in past.entries}
        unheld = frozenset(path for path in paths if not tree.holds(path))
        filtered = self._filtered_of(tree, paths - unheld)
        found = {}
        for name, past in manifests.items():
            manifest = self._shared(with_content_of(past, current[name], same))
            is_drop_in = then.image(name).scheme is Scheme.SHA1
            equal = {*manifest.entries} & {*current[name].entries}
            unproven = [entry.path for entry in manifest.entries if entry not in equal]
            found[name] = PastDefinition(
                manifest=manifest,
                parts={} if is_drop_in else manifest.components(),
                problem=_why_inexact(
                    [entry.path for entry in past.entries if entry.path in unheld],
                    [path for path in unproven if path in filtered],
                    short,
                ),
            )
        return found

    def _filtered_of(self, tree: RevisionTree, paths: Collection[str]) -> frozenset[str]:
        """Returns the files with a git filter. The current attributes decide, so each path is asked for once."""
        if unknown := sorted(path for path in paths if path not in self._filtered):
            undecided = tree.undecided(unknown)
            self._filtered |= {path: path in undecided for path in unknown}
        return frozenset(path for path in paths if self._filtered[path])

    def _current_manifest(self, name: str) -> Manifest:
        """Returns the files of the work tree as a manifest; without files if the image is absent or cannot be read."""
        if name not in self._current:
            past = self._read(self._now, name, "") if self._now.config.has(name) else PastDefinition()
            self._current[name] = past.manifest or Manifest(image=name, salt="", template="", workdir="", entries=())
        return self._current[name]

    def _shared(self, manifest: Manifest) -> Manifest:
        """Returns a manifest that shares its entries with others: most files do not change from commit to commit."""
        return replace(manifest, entries=tuple(self._entries.setdefault(entry, entry) for entry in manifest.entries))


def _unreadable(problem: str) -> PastDefinition:
    return PastDefinition(problem=problem)


def _why_inexact(unheld: Sequence[str], filtered: Sequence[str], short: str) -> str:
    if unheld:
        return f"commit {short} does not have all of them: some are not in git ({_some(unheld)})"
    if filtered:
        return f"a git filter applies to {_some(filtered)}, and filters are not run"
    return f"commit {short} has different ones"


def _some(paths: Sequence[str]) -> str:
    more = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
