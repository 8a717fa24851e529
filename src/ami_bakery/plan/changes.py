"""Finds the changes since an AMI's build or a git revision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.definition.diff import Change, compare_components, compare_manifests, component_change
from ami_bakery.core.definition.digest import SHORT_LENGTH, Scheme
from ami_bakery.core.definition.manifest import Manifest, ManifestPart, parse_components
from ami_bakery.core.ec2.ami import COMMIT_TAG, COMPONENTS_TAG, FROM_TAG, Ami
from ami_bakery.define.drop_in import drop_in_inputs
from ami_bakery.define.test_definition import define_test
from ami_bakery.errors import BakeryError
from ami_bakery.plan.past_resolver import as_checked_out, differing_content, resolver_at, without_folders
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.define.test_definition import TestDefinition
    from ami_bakery.ports import RevisionTree

_IN_GIT = (ManifestPart.FILES, ManifestPart.VARIABLES, ManifestPart.SETTINGS)
"""Parts whose old state is in git. The old source AMI and tools are only in the AMI's tags."""
_SHOWN = 3


def changes_since(resolver: Resolver, definition: ImageDefinition, ami: Ami) -> tuple[Change, ...]:
    """Returns the changes since `ami`, another AMI of the image; empty without a components tag.

    If git does not have the old state, one of the changes says so: the AMI has no commit, the commit is not in this
    clone, or the work tree was dirty. If the parent must be built first, a change of the source AMI is not included.
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
    """Yields the parts of the AMI's definition that git does not have. `refusal`: why git does not work at all."""
    unknown = "the detailed changes are unknown"
    if refusal:
        yield Change(kind="git-refused", subject=commit or ami.id, detail=f"{unknown}: {refusal}")
    elif not commit:
        detail = f"{unknown}: {ami.id} has no commit tag, so it was built outside of git"
        yield Change(kind="commit-missing", subject=ami.id, detail=detail)
    elif past is None:
        detail = f"{unknown}: {ami.id} was built from {commit[:12]}, which this clone does not have"
        yield Change(kind="commit-unknown", subject=commit, detail=detail)
    elif dirty:
        detail = f"{ami.id} was built with uncommitted changes: showing changes since {commit[:12]}"
        yield Change(kind="tree-was-dirty", subject=commit, detail=detail)
    elif past is not None and past.manifest.components()[ManifestPart.FILES] != tagged.get(ManifestPart.FILES):
        some = f" ({', '.join(past.unheld[:_SHOWN])})" if past.unheld else ""
        detail = f"{commit[:12]} does not have all inputs of {ami.id}: some files are not in git{some}"
        yield Change(kind="commit-incomplete", subject=commit, detail=detail)
    if past is not None and past.undecided:
        detail = f"a git filter applies to {_some(past.undecided)}: plan runs no filter, so it may be unchanged"
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
        yield replace(
            change, subject=now or change.subject, detail=f"the source AMI changed from {old} to {now or 'none'}"
        )
        return
    if component is ManifestPart.TOOLS and definition.manifest:
        tools = ", ".join(_tool(*tool) for tool in definition.manifest.tools)
        yield replace(change, detail=f"{change.detail} (now {tools or 'excluded'})")
        return
    yield change
    if before is not None and definition.manifest is not None and component in _IN_GIT:
        yield from compare_manifests(before, definition.manifest, component)


def _tool(name: str, version: str, sha256: str = "") -> str:
    return f"{name} {version or sha256[:SHORT_LENGTH]}"


class _Past(Frozen):
    """A definition at a git revision.

    unheld     inputs that git does not have; the current files are used instead
    undecided  inputs that differ, perhaps only because a git filter applies to them
    """

    manifest: Manifest
    unheld: tuple[str, ...]
    undecided: tuple[str, ...]


def _past_definition(resolver: Resolver, definition: ImageDefinition, revision: str) -> _Past | None:
    """Reads an image's definition at a revision from git, without a checkout.

    Environment, source AMI and tools are the current ones. None if the revision is not in this clone, or if its
    definition cannot be read.
    """
    now = definition.manifest
    try:
        with resolver.ports.git.tree(resolver.config.root, revision) as tree:
            then = resolver_at(resolver, tree) if tree is not None else None
            if then is None or tree is None or now is None or not then.config.has(definition.image.name):
                return None
            image = then.image(definition.image.name)
            facts, inventory = then.inputs(image)
            manifest = then.manifest(image, facts, inventory, definition.base, now.tools)
            unheld = tuple(entry.path for entry in manifest.entries if not tree.holds(entry.path))
            past = as_checked_out(manifest, now, tree)
            undecided = tree.undecided(differing_content(past, now))
            return _Past(manifest=past, unheld=unheld, undecided=tuple(sorted(undecided)))
    except BakeryError:
        # The tags can still show which parts changed.
        return None


def changes_of_test(resolver: Resolver, definition: ImageDefinition, ami: Ami) -> tuple[Change, ...]:
    """Returns the changes of an image's test since the commit of `ami`.

    The AMI records only the digest of the test that it passed. If the commit has another test, the last change says so.
    """
    now, commit = definition.test, ami.tags.get(COMMIT_TAG, "").partition("+")[0]
    past = _past_test(resolver, definition, now, commit) if now is not None and commit else None
    if past is None or now is None:
        return ()
    changes = [change for part in ManifestPart for change in compare_manifests(past, now.manifest, part)]
    if past.digest().hex != ami.tested:
        detail = f"{commit[:12]}, which {ami.id} was built from, does not have exactly the test that it passed"
        changes.append(Change(kind="commit-incomplete", subject=commit, detail=detail))
    return tuple(changes)


def _past_test(resolver: Resolver, definition: ImageDefinition, now: TestDefinition, revision: str) -> Manifest | None:
    """Reads an image's test at a revision. Uses the current environment and tools."""
    name = definition.image.name
    try:
        with resolver.ports.git.tree(resolver.config.root, revision) as tree:
            then = resolver_at(resolver, tree) if tree is not None else None
            if then is None or tree is None or not then.config.has(name):
                return None
            past = define_test(then, then.image(name), now.manifest.tools)
            return None if past is None else as_checked_out(past.manifest, now.manifest, tree)
    except BakeryError:
        return None


def commit_of(resolver: Resolver, definition: ImageDefinition) -> str:
    """Returns the commit that an image is built from; empty if there is none.

    It ends in `+dirty` if the image's definition differs from the commit's. Other changes in the work tree do not
    matter.
    """
    root = resolver.config.root
    commit = resolver.ports.git.commit(root)
    head, _, dirty = commit.partition("+")
    if dirty and _is_committed(resolver, definition, head):
        return head
    if not commit and (refusal := resolver.ports.git.refusal(root)):
        resolver.ports.reporter.warn(f"image {definition.image.name}: the AMI gets no commit tag: {refusal}")
    return commit


def _is_committed(now: Resolver, definition: ImageDefinition, revision: str) -> bool:
    """Whether a revision has the same definition. Ignored files and the environment are the current ones."""
    image = definition.image
    try:
        with now.ports.git.tree(now.config.root, revision) as tree:
            then = resolver_at(now, tree) if tree is not None else None
            if then is None or tree is None or not then.config.has(image.name):
                return False
            before = then.image(image.name)
            if image.scheme is Scheme.SHA1:
                return not _checksum_differs(now, image, tree)
            if definition.manifest is None or (image.base, image.regions[:1]) != (before.base, before.regions[:1]):
                return False
            facts, inventory = then.inputs(before)
            manifest = then.manifest(before, facts, inventory, definition.base, definition.manifest.tools)
            today = without_folders(definition.manifest)
            return as_checked_out(without_folders(manifest), today, tree) == today
    except BakeryError:
        return False


def changed_since(resolver: Resolver, names: Iterable[str], revision: str) -> tuple[str, ...]:
    """Returns the images whose definition or test changed since a git revision.

    Needs no AWS: source AMIs are compared as written. Environment, tools and files that are not in git are the current
    ones on both sides. An image counts as changed if it did not exist, or if a definition cannot be read.
    Raises `UsageError` for an unknown revision.
    """
    git, root = resolver.ports.git, resolver.config.root
    with git.tree(root, git.resolve_revision(root, revision)) as tree:
        then = resolver_at(resolver, tree) if tree is not None else None
        if then is None or tree is None:
            return tuple(names)
        return tuple(name for name in names if _differs(resolver, then, tree, name))


def _differs(now: Resolver, then: Resolver, tree: RevisionTree, name: str) -> bool:
    if not then.config.has(name):
        return True
    image, before = now.image(name), then.image(name)
    if image.scheme is Scheme.SHA1:
        return _checksum_differs(now, image, tree)
    # In another region, the same filter finds another source AMI.
    if (image.base, image.regions[:1]) != (before.base, before.regions[:1]):
        return True
    try:
        today = _as_written(now, image)
        if as_checked_out(_as_written(then, before), today, tree) != today:
            return True
        tests = [define_test(side, each, ()) for side, each in ((then, before), (now, image))]
        past, current = (without_folders(test.manifest) if test else None for test in tests)
        if past is None or current is None:
            return past is not current
        return as_checked_out(past, current, tree) != current
    except BakeryError:
        return True


def _as_written(resolver: Resolver, image: ImageConfig) -> Manifest:
    """Returns the manifest without parts that are not in files: the source AMI's id and the tools."""
    facts, inventory = resolver.inputs(image)
    return without_folders(resolver.manifest(image, facts, inventory, base=(), tools=()))


def _checksum_differs(now: Resolver, image: ImageConfig, tree: RevisionTree) -> bool:
    """Whether the drop-in checksum differs. Compares files in the order of the checksum."""
    try:
        before, today = (drop_in_inputs(side, image).entries for side in (tree, now.ports.tree))
    except BakeryError:
        return True
    current = {entry.path: entry.sha256 for entry in today}
    same = tree.same_content([entry.path for entry in before if current.get(entry.path) not in (None, entry.sha256)])
    return [current[entry.path] if entry.path in same else entry.sha256 for entry in before] != list(current.values())
