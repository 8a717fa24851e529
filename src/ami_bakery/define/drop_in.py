"""Drop-in mode: the original bakery's environment variables and checksum."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ami_bakery.core.config.model import Config, ImageConfig
from ami_bakery.core.definition.bake_outputs import ANSWER_FILE
from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.definition.drop_in_checksum import checksum_of_sorted, is_covered, parse_folders
from ami_bakery.core.definition.manifest import Entry, EntryKind
from ami_bakery.define.inputs import Inventory
from ami_bakery.errors import SourceError, UsageError
from ami_bakery.template.location import SourceLocation
from ami_bakery.template.source_tree import FileKind, SourceTree, TreeEntry

if TYPE_CHECKING:
    from ami_bakery.template.source_tree import Progress

TEMPLATE_VARIABLE = "PACKER_JSON_PATH"
FOLDERS_VARIABLE = "AMI_DEFINITION_DIRS"
SUBNET_VARIABLE = "AWS_SUBNET_ID"
IMAGE = "default"


def is_asked_for(environment: Mapping[str, str]) -> bool:
    return bool(environment.get(TEMPLATE_VARIABLE, "").strip())


def drop_in_config(environment: Mapping[str, str], folder: str) -> Config:
    """Returns the configuration of drop-in mode, with one image. Relative paths start at `folder`."""
    template = environment[TEMPLATE_VARIABLE].strip()
    text = environment.get(FOLDERS_VARIABLE, "")
    folders, _ = parse_folders(text)
    if not folders:
        raise UsageError(
            f"reading the environment ({TEMPLATE_VARIABLE} is set)",
            f"{FOLDERS_VARIABLE} is empty",
            f"Set {FOLDERS_VARIABLE} to the folders of the AMI's configuration code, separated by commas.",
        )
    image = ImageConfig(
        name=IMAGE,
        template=template,
        inputs=folders,
        workdir=template.rpartition("/")[0] or ("/" if template.startswith("/") else "."),
        scheme=Scheme.SHA1,
    )
    return Config(root=folder, file=FOLDERS_VARIABLE, images=(image,))


class UncoveredPaths:
    """Paths that the checksum does not cover: hidden files, links to folders, and listed paths that are no folders."""

    def __init__(self) -> None:
        self.hidden: list[str] = []
        self.linked: list[str] = []
        self.no_folders: list[str] = []


def covered_files(tree: SourceTree, folders: tuple[str, ...], uncovered: UncoveredPaths | None = None) -> Iterator[str]:
    """Yields the files that the checksum covers, sorted. Each path starts with the given folder.

    As in Python's os.walk, a link to a file is a file, and a link to a folder is not followed. Unlike os.walk, a folder
    that is missing or cannot be read is an error: its files would not be covered.

    uncovered  receives the paths that are not covered
    """
    uncovered = uncovered or UncoveredPaths()
    walked = []
    for folder in folders:
        start = tree.entry(folder, follow=True)
        if start is None:
            raise SourceError(
                f"listing the folders in {FOLDERS_VARIABLE}",
                f"there is no folder {folder}",
                "Fix the path. In a container, also mount the folder.",
            )
        if start.kind is FileKind.FOLDER:
            walked.append(_walk(tree, folder, uncovered))
        else:
            uncovered.no_folders.append(folder)
    return heapq.merge(*walked)


def _walk(tree: SourceTree, folder: str, uncovered: UncoveredPaths) -> Iterator[str]:
    for child in sorted(tree.children(folder), key=_joined):
        if child.kind is FileKind.FOLDER:
            yield from _walk(tree, child.path, uncovered)
        elif not is_covered(name := child.path.rpartition("/")[2]):
            if name != ANSWER_FILE:
                uncovered.hidden.append(child.path)
        elif child.kind is FileKind.FILE or _leads_to_file(tree, child):
            yield child.path
        else:
            uncovered.linked.append(child.path)


def _joined(child: TreeEntry) -> str:
    """The sort key among siblings. Full paths are compared, so a folder's path ends with `/`."""
    return f"{child.path}/" if child.kind is FileKind.FOLDER else child.path


def _leads_to_file(tree: SourceTree, child: TreeEntry) -> bool:
    """Whether an entry is a file or a link to one. Raises `SourceError` if it is neither file nor folder."""
    target = tree.entry(child.path, follow=True) if child.kind is FileKind.LINK else child
    if target is None:
        raise SourceError(
            f"following the link {child.path}",
            f"its target {tree.link_target(child.path)} does not exist",
            "Fix or remove the link.",
        )
    if target.kind is FileKind.OTHER:
        raise SourceError(f"reading {child.path}", "it is a pipe, a socket or a device", "Remove it from the folder.")
    return target.kind is FileKind.FILE


def drop_in_checksum(
    tree: SourceTree, image: ImageConfig, uncovered: UncoveredPaths | None = None, progress: Progress | None = None
) -> Digest:
    """Computes the checksum. Raises `SourceError` if there are no files: all such images would have one checksum."""
    paths = covered_files(tree, image.inputs or (), uncovered)
    first = next(paths, None)
    if first is None:
        raise SourceError(
            f"computing the checksum of {', '.join(image.inputs or ())}",
            "there is no file whose name does not begin with a dot",
            f"Set {FOLDERS_VARIABLE} to the folders of the AMI's configuration code.",
        )
    hashes = tree.hashes(itertools.chain((first,), paths), "sha1", progress)
    return checksum_of_sorted(sha1 for sha1, _ in hashes)


def drop_in_inputs(tree: SourceTree, image: ImageConfig) -> Inventory:
    """Returns the covered files as an inventory, in the checksum's order."""
    location = SourceLocation(file=FOLDERS_VARIABLE, line=1)
    paths = list(dict.fromkeys(covered_files(tree, image.inputs or ())))
    entries = tuple(
        Entry(path=path, kind=EntryKind.FILE, executable=executable, sha256=sha256)
        for path, (sha256, executable) in zip(paths, tree.hashes(paths), strict=True)
    )
    return Inventory(entries=entries, named_by=dict.fromkeys(paths, (location,)))


def uncovered_in(tree: SourceTree, image: ImageConfig) -> UncoveredPaths:
    """Finds the paths that are not covered, without computing the checksum."""
    uncovered = UncoveredPaths()
    for _ in covered_files(tree, image.inputs or (), uncovered):
        pass
    return uncovered


def warnings(
    tree: SourceTree, image: ImageConfig, environment: Mapping[str, str], uncovered: UncoveredPaths
) -> Iterator[str]:
    """Yields warnings about things that the checksum does not cover: first in these folders, then in general."""
    _, empty = parse_folders(environment.get(FOLDERS_VARIABLE, ""))
    if empty:
        yield f"{FOLDERS_VARIABLE} has an empty entry, which adds nothing to the checksum"
    for folder in uncovered.no_folders:
        yield f"{folder} is not a folder: the checksum does not cover it"
    if uncovered.hidden:
        yield f"the checksum does not cover files whose name begins with a dot: {_some(uncovered.hidden)}"
    if uncovered.linked:
        yield f"the checksum does not follow links to folders: {_some(uncovered.linked)}"
    template = tree.relative(image.template)
    inside = [tree.relative(folder) for folder in image.inputs or ()]
    if not any(folder == "." or template.startswith(folder.rstrip("/") + "/") for folder in inside):
        yield f"the template {image.template} is outside {FOLDERS_VARIABLE}: changing it does not trigger a rebuild"
    yield (
        "this checksum covers the content of files, but not their names and modes, variables, the source AMI or "
        "Packer's version; a bakery.toml covers all of them"
    )


def _some(paths: list[str]) -> str:
    shown = ", ".join(sorted(paths)[:3])
    return f"{shown} and {len(paths) - 3} more" if len(paths) > 3 else shown
