"""Checks an image's inputs, such as for secrets and Git LFS pointers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.check.file_contents import (
    SCAN_BYTES,
    has_windows_line_ends,
    has_windows_shebang,
    is_lfs_pointer,
    secret_in,
)
from ami_bakery.core.check.finding import Finding
from ami_bakery.core.definition.manifest import EntryKind
from ami_bakery.template.env_inputs import why_not_hashed

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.core.definition.manifest import Entry
    from ami_bakery.define.inputs import Inventory
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.template.facts import TemplateFacts
    from ami_bakery.template.location import SourceLocation


def input_findings(resolver: Resolver, image: ImageConfig, inventory: Inventory) -> Iterator[Finding]:
    declared = [resolver.ports.tree.relative(path).rstrip("/") for path in image.inputs or ()]
    for entry in inventory.entries:
        locations = inventory.named_by[entry.path]
        is_outside = entry.path.startswith(("../", "/", "~/"))
        if is_outside and not any(entry.path == path or entry.path.startswith(f"{path}/") for path in declared):
            yield Finding.warning(
                "input-outside",
                locations[0],
                message=f"{entry.path} is outside the folder of {resolver.config.file}, and not in `inputs`",
                todo="Add it to `inputs`, or move it into the folder: it may differ between machines.",
            )
        if entry.kind is EntryKind.FILE:
            yield from _content_findings(resolver.config.file, entry, _head(resolver, entry.path), locations)
    yield from _submodule_findings(resolver, inventory)


def environment_findings(image: ImageConfig, facts: TemplateFacts) -> Iterator[Finding]:
    for name, location in facts.environment:
        why = why_not_hashed(name, facts)
        if why is not None and name not in image.environment and not name.startswith("AWS_"):
            yield Finding.warning(
                "environment-not-hashed",
                location,
                message=f"the template reads {name}, which is not in the digest: {why}",
                todo=f'Do not use it, or add it to the digest: env = ["{name}"].',
            )


def _head(resolver: Resolver, path: str) -> bytes:
    home = resolver.ports.environment.get("HOME", "")
    return resolver.ports.tree.head(path.replace("~", home, 1) if path.startswith("~/") else path, SCAN_BYTES)


def _content_findings(
    config_file: str, entry: Entry, head: bytes, locations: Sequence[SourceLocation]
) -> Iterator[Finding]:
    why = secret_in(entry.path, head)
    if why:
        yield Finding.warning(
            "secret-in-inputs",
            locations[0],
            message=f"{entry.path} looks like a secret ({why}): anyone with access to the AMI may read it",
            todo=f"{_how_to_exclude(config_file, locations)} Provide secrets to an instance when it starts.",
        )
    if is_lfs_pointer(head):
        yield Finding.error(
            "lfs-pointer",
            locations[0],
            message=f"{entry.path} is a Git LFS pointer: Packer would read the pointer instead of the file",
            todo="Fetch the files: `git lfs install && git lfs pull` (in CI: check out with LFS).",
        )
    if has_windows_shebang(head):
        yield _line_ends(entry, locations, "its shebang line ends in a carriage return, so Linux cannot run it")
    elif entry.path.endswith((".sh", ".bash")) and has_windows_line_ends(head):
        yield _line_ends(entry, locations, "a shell on Linux reads the carriage returns as part of the commands")


def _line_ends(entry: Entry, locations: Sequence[SourceLocation], why: str) -> Finding:
    return Finding.warning(
        "windows-line-ends",
        locations[0],
        message=f"{entry.path} has Windows line endings (CRLF): {why}",
        todo="Convert it to LF, and add `*.sh text eol=lf` to .gitattributes, so that all checkouts are the same.",
    )


def _how_to_exclude(config_file: str, locations: Sequence[SourceLocation]) -> str:
    """Returns how to exclude an input.

    `ignore` applies to the folders in bakery.toml, not to files that the template uploads.
    """
    by_template = next((location for location in locations if location.file != config_file), None)
    if by_template is None:
        return "Add it to `ignore`, or remove it from the inputs."
    return f"Do not read or upload it in the template ({by_template}); `ignore` does not apply there."


def _submodule_findings(resolver: Resolver, inventory: Inventory) -> Iterator[Finding]:
    """Finds submodules that are not checked out: their folder is empty."""
    folders = [entry for entry in inventory.entries if entry.kind is EntryKind.FOLDER]
    if not folders:
        return
    tree = resolver.ports.tree
    empty = {tree.relative(path) for path in resolver.ports.git.missing_submodules(resolver.config.root)}
    for entry in folders:
        if entry.path in empty:
            yield Finding.error(
                "empty-submodule",
                inventory.named_by[entry.path][0],
                message=f"{entry.path} is a git submodule that is not checked out: the folder is empty",
                todo=f"Check it out: `git submodule update --init --recursive {entry.path}`.",
            )
