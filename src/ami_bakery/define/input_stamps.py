"""Reads the stamps of all inputs of an image, without their content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.definition.manifest import EntryKind
from ami_bakery.core.definition.stamp import Folder, Stamps
from ami_bakery.define.inputs import folders_of_outputs, walks_of
from ami_bakery.template.source_tree import FileKind

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.file_walk import FileWalk
    from ami_bakery.ports import StampReader
    from ami_bakery.template.facts import TemplateFacts
    from ami_bakery.template.source_tree import SourceTree


def take_stamps(
    tree: SourceTree,
    reader: StampReader,
    image: ImageConfig,
    config_file: str,
    facts: TemplateFacts,
    written: Iterable[str] = (),
    *,
    left_out: frozenset[str] = frozenset(),
    busy: Iterable[str] = (),
) -> Stamps:
    """Reads the stamps. Raises `SourceError` if an input is missing or cannot be read.

    left_out  paths that are not default inputs, relative to the root
    busy      more folders that Packer writes into, relative to the root
    """
    declared, named = walks_of(tree, image, config_file, facts, written, left_out)
    walks = (*declared, *named)
    files: set[str] = set()
    links: set[str] = set()
    for walk in walks:
        for found in walk:
            (links if found.kind is EntryKind.LINK else files).add(tree.absolute(found.path))
    above = {path.rpartition("/")[0] for path in files}
    passed = {step for path in (*above, *links) for step in reader.visited_paths(path)}
    outputs = folders_of_outputs(tree, facts) | {tree.identity(folder) for folder in busy}
    folders = {
        folder: Folder(stamp, tuple((name, reader.stamp(f"{folder}/{name}")) for name in names), folder in outputs)
        for folder, names in _listed(tree, image, facts, walks).items()
        if (stamp := reader.stamp(folder)) is not None
    }
    stamped = {path: stamp for path in files | passed | folders.keys() if (stamp := reader.stamp(path)) is not None}
    return Stamps(
        files={path: stamp for path, stamp in stamped.items() if not stamp.is_folder},
        folders=folders,
        passed={path: stamp for path, stamp in stamped.items() if stamp.is_folder},
    )


def _listed(
    tree: SourceTree, image: ImageConfig, facts: TemplateFacts, walks: Sequence[FileWalk]
) -> dict[str, frozenset[str]]:
    """Returns the folders whose entries are inputs, with their excluded names.

    Folders are real paths. Packer also lists the folder of a folder build, and ignores files that are not templates.
    """
    listed = {
        folder: frozenset(name for other in walks for name in other.left_out.get(folder, ()))
        for walk in walks
        for folder in walk.walked
    }
    template = tree.relative(image.template)
    entry = tree.entry(template, follow=True)
    if entry is not None and entry.kind is FileKind.FOLDER and (place := tree.identity(template)) not in listed:
        read = {path.rpartition("/")[2] for path in facts.files}
        names = (child.path.rpartition("/")[2] for child in tree.children(template))
        listed[place] = frozenset(name for name in names if name not in read)
    return listed
