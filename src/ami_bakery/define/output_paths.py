"""Recognizes the files that a bake writes by their real paths: they are not inputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ami_bakery.template.facts import Certainty, Output
from ami_bakery.template.source_tree import FileKind, SourceTree

if TYPE_CHECKING:
    from typing import TypeAlias

_Pattern: TypeAlias = "tuple[str, bool, re.Pattern[str]]"
"""The real path of a folder, whether it matches all files in it, and the pattern for paths within."""


class OutputPaths:
    """The outputs of a bake, by real path. Outputs that are only written conditionally are not included.

    folders  the real paths of existing folders that the bake writes into
    """

    def __init__(self, tree: SourceTree, outputs: Iterable[Output], files: Iterable[str]) -> None:
        """`files`: more paths that are written, relative to the root."""
        counting = [output for output in outputs if output.certainty is not Certainty.PERHAPS]
        # A folder is not an output, because it may also contain inputs.
        exact = {tree.relative(output.path) for output in counting if not output.pattern and not output.is_folder}
        exact = {path for path in exact if (entry := tree.entry(path)) is None or entry.kind is not FileKind.FOLDER}
        exact |= {tree.relative(path) for path in files}
        self._exact = frozenset(real for path in exact if (real := real_path(tree, path)) is not None)
        self._parents = frozenset(real.rpartition("/")[0] for real in self._exact)
        self._patterns = tuple(_patterns(tree, counting))
        made = {tree.relative(output.path) for output in counting if output.is_folder}
        self._made = frozenset(real for path in made if (real := real_path(tree, path)) is not None)
        self.folders = frozenset(_folders_written_into(tree, (output.path for output in counting)))

    def may_lie_in(self, folder: str) -> bool:
        """Whether an output may be directly in `folder`, a real path."""
        above = folder.rstrip("/")
        return above in self._parents or any(f"{above}/".startswith(f"{base}/") for base, _, _ in self._patterns)

    def holds(self, real: str, *, declared_at: str | None = None) -> bool:
        """Whether the file at a real path is an output.

        declared_at  the real path of a folder in bakery.toml; patterns for all files of that folder, or of a parent,
                     do not apply there
        """
        if real in self._exact:
            return True
        for base, whole, matcher in self._patterns:
            is_declared = whole and declared_at is not None and f"{declared_at}/".startswith(f"{base}/")
            if not is_declared and real.startswith(f"{base}/") and matcher.fullmatch(real[len(base) + 1 :]):
                return True
        return False

    def makes_folder(self, folder: str) -> bool:
        """Whether the bake creates an empty folder or writes files into it."""
        return folder in self._made or folder in self._parents or any(base == folder for base, _, _ in self._patterns)


def _patterns(tree: SourceTree, outputs: Iterable[Output]) -> Iterator[_Pattern]:
    for output in outputs:
        if not output.pattern:
            continue
        names = output.path.split("/")
        fixed = next(number for number, name in enumerate(names) if "*" in name)
        folder = tree.relative("/".join(names[:fixed]) or ".")
        entry = tree.entry(folder, follow=True)
        if entry is None or entry.kind is not FileKind.FOLDER:
            continue
        base = tree.identity(folder).rstrip("/")
        # The pattern is for the whole path: remove the part for the fixed folders.
        within = output.pattern[len(re.escape("/".join(names[:fixed]))) :].lstrip("/")
        yield base, names[fixed:] == ["**"], re.compile(within, re.DOTALL)


def _folders_written_into(tree: SourceTree, paths: Iterable[str]) -> Iterator[str]:
    """Yields the folder of each path, or its nearest parent that exists: the bake creates folders there."""
    for path in paths:
        folder = tree.relative(path.partition("*")[0])
        entry = None
        while (entry is None or entry.kind is not FileKind.FOLDER) and folder not in ("", ".", "/"):
            folder = folder.rpartition("/")[0] or ("/" if folder.startswith("/") else ".")
            entry = tree.entry(folder, follow=True)
        if entry is not None and entry.kind is FileKind.FOLDER:
            yield tree.identity(folder)


def real_path(tree: SourceTree, path: str) -> str | None:
    """Returns the real path, with all links in its folder resolved; None if the folder does not exist."""
    folder, _, name = path.rpartition("/")
    folder = folder or ("/" if path.startswith("/") else ".")
    entry = tree.entry(folder, follow=True)
    if entry is None or entry.kind is not FileKind.FOLDER:
        return None
    return f"{tree.identity(folder).rstrip('/')}/{name}"
