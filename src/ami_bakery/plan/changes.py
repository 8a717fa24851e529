"""Works out what changed since an AMI was baked, or since a git revision: from the AMI's tags, and out of git."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.definition.diff import Change, compare_components, compare_manifests, component_change
from ami_bakery.core.definition.digest import SHORT_LENGTH, Scheme
from ami_bakery.core.definition.manifest import EntryKind, Manifest, ManifestPart, parse_components
from ami_bakery.core.ec2.image import COMMIT_TAG, COMPONENTS_TAG, FROM_TAG, Ami
from ami_bakery.define.drop_in import drop_in_inputs
from ami_bakery.errors import BakeryError
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.ports import RevisionTree

_IN_GIT = (ManifestPart.FILES, ManifestPart.VARIABLES, ManifestPart.SETTINGS)
"""Components whose old state a commit has: what the base and the tools were, only the AMI knows."""
_SHOWN = 3


def changes_since(resolver: Resolver, definition: ImageDefinition, ami: Ami) -> tuple[Change, ...]:
    """What moved since `ami`, one of the same image with another digest; nothing where it does not say.

    Where git cannot tell everything (`ami` names no commit, or one that is not here, or the tree was dirty), that is
    among the changes. Of an image whose base is still to be made, all but the base.
    """
    tagged = parse_components(ami.tags.get(COMPONENTS_TAG, ""))
    awaits_base = definition.awaits is not None
    if awaits_base and definition.facts is not None and definition.inventory is not None:
        manifest = resolver.manifest(definition.image, definition.facts, definition.inventory, base=())
        definition = replace(definition, manifest=manifest)
    if not tagged or definition.manifest is None:
        return ()
    moved = compare_components(tagged, definition.manifest.components())
    if awaits_base:
        moved = tuple(component for component in moved if component is not ManifestPart.BASE)
    commit, _, dirty = ami.tags.get(COMMIT_TAG, "").partition("+")
    past = _past_definition(resolver, definition, commit) if commit and set(moved) & set(_IN_GIT) else None
    before = past.manifest if past else None
    changes = [change for component in moved for change in _changes(definition, ami, component, before)]
    if set(moved) & set(_IN_GIT):
        refusal = "" if past is not None else resolver.ports.git.refusal(resolver.config.root)
        changes += _caveats(ami, commit, bool(dirty), tagged, past, refusal)
    return tuple(changes)


def _caveats(
    ami: Ami, commit: str, dirty: bool, tagged: Mapping[ManifestPart, str], past: _Past | None, refusal: str
) -> Iterator[Change]:
    """What git cannot tell of the definition that `ami` was baked from. `refusal`: why it tells nothing of anything."""
    unknown = "what changed in detail is not known"
    if refusal:
        yield Change(kind="git-refused", subject=commit or ami.id, detail=f"{unknown}: {refusal}")
    elif not commit:
        detail = f"{unknown}: {ami.id} carries no commit, as baked outside of git"
        yield Change(kind="commit-missing", subject=ami.id, detail=detail)
    elif past is None:
        detail = f"{unknown}: {ami.id} was baked at {commit[:12]}, which cannot be read here"
        yield Change(kind="commit-unknown", subject=commit, detail=detail)
    elif dirty:
        detail = f"{ami.id} was baked with changes that were not committed: told is what changed since {commit[:12]}"
        yield Change(kind="tree-was-dirty", subject=commit, detail=detail)
    elif past is not None and past.manifest.components()[ManifestPart.FILES] != tagged.get(ManifestPart.FILES):
        some = f" ({', '.join(past.unheld[:_SHOWN])})" if past.unheld else ""
        detail = f"{commit[:12]} does not hold all that {ami.id} was made of: some files are not in git{some}"
        yield Change(kind="commit-incomplete", subject=commit, detail=detail)
    if past is not None and past.undecided:
        detail = f"a git filter applies to {_some(past.undecided)}: planning runs no filter, so it may not have changed"
        yield Change(kind="filter-not-run", subject=commit, detail=detail)


def _some(paths: Sequence[str]) -> str:
    more = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _changes(
    definition: ImageDefinition, ami: Ami, component: ManifestPart, before: Manifest | None
) -> Iterator[Change]:
    change = component_change(component)
    if component is ManifestPart.BASE and (old := ami.tags.get(FROM_TAG)):
        now = ", ".join(sorted({base for _, base in definition.base}))
        yield replace(change, subject=now or change.subject, detail=f"the base moved from {old} to {now or 'none'}")
        return
    if component is ManifestPart.TOOLS and definition.manifest:
        tools = ", ".join(_tool(*tool) for tool in definition.manifest.tools)
        yield replace(change, detail=f"{change.detail} (now {tools or 'left out'})")
        return
    yield change
    if before is not None and definition.manifest is not None and component in _IN_GIT:
        yield from compare_manifests(before, definition.manifest, component)


def _tool(name: str, version: str, sha256: str = "") -> str:
    return f"{name} {version or sha256[:SHORT_LENGTH]}"


class _Past(Frozen):
    """A definition as it was at a revision.

    unheld     those of its inputs that git does not have: they are as now
    undecided  those that a git filter applies to and that differ: perhaps only by what the filter does
    """

    manifest: Manifest
    unheld: tuple[str, ...]
    undecided: tuple[str, ...]


def _past_definition(resolver: Resolver, definition: ImageDefinition, revision: str) -> _Past | None:
    """The definition of an image as it was at a revision, worked out of git without a checkout.

    With today's environment, base and tools, which git does not know. None where the revision is not in the history
    here, or the definition of then cannot be read.
    """
    now = definition.manifest
    try:
        with resolver.ports.git.tree(resolver.config.root, revision) as tree:
            then = _resolver_at(resolver, tree) if tree is not None else None
            if then is None or tree is None or now is None or not then.config.has(definition.image.name):
                return None
            image = then.image(definition.image.name)
            facts, inventory = then.inputs(image)
            manifest = then.manifest(image, facts, inventory, definition.base, now.tools)
            unheld = tuple(entry.path for entry in manifest.entries if not tree.holds(entry.path))
            past = _as_checked_out(manifest, now, tree)
            undecided = tree.undecided(_differing(past, now))
            return _Past(manifest=past, unheld=unheld, undecided=tuple(sorted(undecided)))
    except BakeryError:
        # A definition that could not be read then cannot explain anything now; the tags still can.
        return None


def commit_of(resolver: Resolver, definition: ImageDefinition) -> str:
    """The commit that an image is built from, with `+dirty` behind it where the image's definition is another one than
    the commit's; empty where git does not tell. Other changes in the work tree do not matter."""
    root = resolver.config.root
    commit = resolver.ports.git.commit(root)
    head, _, dirty = commit.partition("+")
    if dirty and _is_committed(resolver, definition, head):
        return head
    if not commit and (refusal := resolver.ports.git.refusal(root)):
        resolver.ports.reporter.warn(f"image {definition.image.name}: the AMI carries no commit: {refusal}")
    return commit


def _is_committed(now: Resolver, definition: ImageDefinition, revision: str) -> bool:
    """Whether a revision has the same definition. Files that git ignores, and the environment, are those of now."""
    image = definition.image
    try:
        with now.ports.git.tree(now.config.root, revision) as tree:
            then = _resolver_at(now, tree) if tree is not None else None
            if then is None or tree is None or not then.config.has(image.name):
                return False
            before = then.image(image.name)
            if image.scheme is Scheme.SHA1:
                return not _checksum_differs(now, image, tree)
            if definition.manifest is None or (image.base, image.regions[:1]) != (before.base, before.regions[:1]):
                return False
            facts, inventory = then.inputs(before)
            manifest = then.manifest(before, facts, inventory, definition.base, definition.manifest.tools)
            today = _without_folders(definition.manifest)
            return _as_checked_out(_without_folders(manifest), today, tree) == today
    except BakeryError:
        return False


def _without_folders(manifest: Manifest) -> Manifest:
    """Git cannot hold an empty folder."""
    return replace(manifest, entries=tuple(entry for entry in manifest.entries if entry.kind is not EntryKind.FOLDER))


def changed_since(resolver: Resolver, names: Iterable[str], revision: str) -> tuple[str, ...]:
    """Those of these images whose definition is not what it was at a git revision.

    Compared without AWS: what an image starts from is compared as it is written. The environment and the tools are
    those of now on both sides, and so are files that git does not have. An image that was not there then, or whose
    definition cannot be read now or then, counts as changed. Raises `UsageError` where git does not know the revision.
    """
    git, root = resolver.ports.git, resolver.config.root
    with git.tree(root, git.resolve_revision(root, revision)) as tree:
        then = _resolver_at(resolver, tree) if tree is not None else None
        if then is None or tree is None:
            return tuple(names)
        return tuple(name for name in names if _differs(resolver, then, tree, name))


def _resolver_at(resolver: Resolver, tree: RevisionTree) -> Resolver | None:
    """The same bakery with the files of then; None where it had no configuration that can be read."""
    config = resolver.config
    try:
        if all(image.scheme is Scheme.SHA256 for image in config.images):
            config = resolver.ports.parse_config(tree.read(config.file), config)
    except BakeryError:
        return None
    return replace(resolver, ports=replace(resolver.ports, tree=tree), config=config, is_past=True)


def _differs(now: Resolver, then: Resolver, tree: RevisionTree, name: str) -> bool:
    if not then.config.has(name):
        return True
    image, before = now.image(name), then.image(name)
    if image.scheme is Scheme.SHA1:
        return _checksum_differs(now, image, tree)
    # An AMI id belongs to a region: in another one the same words name another base.
    if (image.base, image.regions[:1]) != (before.base, before.regions[:1]):
        return True
    try:
        today = _as_written(now, image)
        return _as_checked_out(_as_written(then, before), today, tree) != today
    except BakeryError:
        return True


def _as_written(resolver: Resolver, image: ImageConfig) -> Manifest:
    """The manifest without what is not written: the base's id and the tools."""
    facts, inventory = resolver.inputs(image)
    return _without_folders(resolver.manifest(image, facts, inventory, base=(), tools=()))


def _as_checked_out(then: Manifest, now: Manifest, tree: RevisionTree) -> Manifest:
    """`then` with what a checkout would make of its files: git keeps them as they are before its filters."""
    today = {entry.path: entry for entry in now.entries}
    suspects = _differing(then, now)
    same = tree.same_content(suspects) if suspects else frozenset()
    return replace(
        then,
        entries=tuple(
            entry._replace(sha256=today[entry.path].sha256) if entry.path in same else entry for entry in then.entries
        ),
    )


def _differing(then: Manifest, now: Manifest) -> list[str]:
    """The files of both whose content differs."""
    today = {entry.path: entry.sha256 for entry in now.entries}
    return [
        entry.path
        for entry in then.entries
        if entry.sha256 and (other := today.get(entry.path)) and other != entry.sha256
    ]


def _checksum_differs(now: Resolver, image: ImageConfig, tree: RevisionTree) -> bool:
    """By the drop-in's checksum: the contents of its files, in the order of their paths."""
    try:
        before, today = (drop_in_inputs(side, image).entries for side in (tree, now.ports.tree))
    except BakeryError:
        return True
    ours = {entry.path: entry.sha256 for entry in today}
    same = tree.same_content([entry.path for entry in before if ours.get(entry.path) not in (None, entry.sha256)])
    return [ours[entry.path] if entry.path in same else entry.sha256 for entry in before] != list(ours.values())
