"""Compares what a build opened with the digest of its image."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ami_bakery.core.audit.comparison import AuditReport, Coverage, compare_with_digest
from ami_bakery.core.audit.left_out import Exclusions
from ami_bakery.core.audit.link_resolver import LinkResolver
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.definition.manifest import EntryKind
from ami_bakery.core.text.masking import Masker
from ami_bakery.define.drop_in import drop_in_inputs
from ami_bakery.define.input_collection import future_inputs
from ami_bakery.define.inputs import outputs_of, template_folder
from ami_bakery.errors import BakeryError
from ami_bakery.template.source_tree import FileKind
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.audit.trace import Trace
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.inputs import Inventory
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.template.facts import TemplateFacts
    from ami_bakery.template.source_tree import SourceTree


def audit_report(
    resolver: Resolver, image: ImageConfig, facts: TemplateFacts, inventory: Inventory | None, trace: Trace
) -> AuditReport:
    """Returns the audit of a build.

    inventory  the inputs, if they are known
    """
    if image.scheme is Scheme.SHA1:
        inventory = drop_in_inputs(resolver.ports.tree, image)
    coverage = _coverage(resolver, image, facts, inventory or resolver.inventory(image, facts))
    ports = resolver.ports
    links = LinkResolver(lambda path: _link_target(ports.tree, path))
    program = ports.packer.program()
    exclusions = Exclusions(ports.environment, trace.repositories, program, lambda path: links.resolve(path).path)
    return _masked(compare_with_digest(trace, coverage, exclusions), facts)


def _coverage(resolver: Resolver, image: ImageConfig, facts: TemplateFacts, inventory: Inventory) -> Coverage:
    tree = resolver.ports.tree
    links = LinkResolver(lambda path: _link_target(tree, path))
    files: dict[str, str] = {}
    ways: set[str] = set()
    for entry in inventory.entries:
        found = links.resolve(_absolute(resolver, entry.path))
        ways.update(found.links)
        if entry.kind is not EntryKind.FOLDER and not _is_folder(tree, found.path):
            files.setdefault(found.path, entry.path)
    settings = resolver.settings(image)
    outputs = outputs_of(tree, image, facts, settings.log_files)
    excused = {links.resolve(tree.absolute(reference.path)).path for reference in facts.credentials}
    for program in settings.plugin_programs(facts):
        excused |= {program, f"{program}_SHA256SUM"}
    inputs = image.inputs if image.inputs is not None else (template_folder(tree, image.template),)

    def would_cover(paths: Collection[str]) -> frozenset[str]:
        return _would_cover(resolver, image, facts, paths)

    return Coverage(
        root=links.resolve(resolver.config.root).path,
        files=files,
        links=frozenset(ways),
        excused=frozenset(excused),
        inputs=inputs,
        is_output=outputs.holds,
        is_folder=lambda path: _is_folder(tree, path),
        exists=lambda path: _exists(tree, path),
        would_cover=would_cover,
    )


def _would_cover(
    resolver: Resolver, image: ImageConfig, facts: TemplateFacts, paths: Collection[str]
) -> frozenset[str]:
    """Whether a path would be an input; in a missing folder, whether the folder would."""
    tree = resolver.ports.tree
    if image.scheme is Scheme.SHA1:
        folders = [tree.absolute(folder).rstrip("/") for folder in image.inputs or ()]
        return frozenset(path for path in paths if any(path.startswith(f"{folder}/") for folder in folders))
    first = {path: _first_missing(tree, path) for path in paths}
    try:
        covered = future_inputs(resolver.settings(image), facts, set(first.values()))
    except BakeryError:
        return frozenset()  # an input was removed meanwhile
    return frozenset(path for path, missing in first.items() if missing in covered)


def _first_missing(tree: SourceTree, path: str) -> str:
    while (above := path.rpartition("/")[0]) and not _exists(tree, above):
        path = above
    return path


def _absolute(resolver: Resolver, path: str) -> str:
    """Returns the absolute path of an entry. It may be in the home folder (`~/...`)."""
    home = resolver.ports.environment.get("HOME", "").rstrip("/")
    if path.startswith("~/") and home and not _exists(resolver.ports.tree, path):
        return home + path[1:]
    return resolver.ports.tree.absolute(path)


def _link_target(tree: SourceTree, path: str) -> str | None:
    try:
        entry = tree.entry(path)
        return tree.link_target(path) if entry is not None and entry.kind is FileKind.LINK else None
    except BakeryError:
        return None


def _is_folder(tree: SourceTree, path: str) -> bool:
    try:
        entry = tree.entry(path, follow=True)
    except BakeryError:
        return False
    return entry is not None and entry.kind is not FileKind.FILE


def _exists(tree: SourceTree, path: str) -> bool:
    try:
        return tree.entry(path) is not None
    except BakeryError:
        return True


def _masked(report: AuditReport, facts: TemplateFacts) -> AuditReport:
    """Masks the values of sensitive variables in paths."""
    masker = Masker(facts.secrets)
    findings = tuple(
        replace(each, path=masker.mask(each.path), process=masker.mask(each.process)) for each in report.findings
    )
    inputs, unseen = (tuple(map(masker.mask, texts)) for texts in (report.inputs, report.unseen))
    return replace(report, findings=findings, inputs=inputs, unseen=unseen)
