"""Where the files lie that a bake writes: they are no inputs, by whatever path one comes to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ami_bakery.template.facts import Certainty, Output
from ami_bakery.template.source_tree import FileKind, SourceTree

if TYPE_CHECKING:
    from typing import TypeAlias

_Pattern: TypeAlias = "tuple[str, bool, re.Pattern[str]]"
"""The true place of a folder, whether all in it is meant, and what a path within must match."""


class Written:
    """Outputs by their true places. What is written on a condition only is none of them.

    folders  the true places of the folders that are there and that something is written into
    """

    def __init__(self, tree: SourceTree, outputs: Iterable[Output], files: Iterable[str]) -> None:
        """`files`: more paths that are written, relative to the root."""
        counting = [output for output in outputs if output.certainty is not Certainty.PERHAPS]
        # A folder is none: beside what is written it may hold inputs.
        exact = {tree.relative(output.path) for output in counting if not output.pattern and not output.is_folder}
        exact = {path for path in exact if (entry := tree.entry(path)) is None or entry.kind is not FileKind.FOLDER}
        exact |= {tree.relative(path) for path in files}
        self._exact = frozenset(place for path in exact if (place := true_place(tree, path)) is not None)
        self._parents = frozenset(place.rpartition("/")[0] for place in self._exact)
        self._patterns = tuple(_patterns(tree, counting))
        made = {tree.relative(output.path) for output in counting if output.is_folder}
        self._made = frozenset(place for path in made if (place := true_place(tree, path)) is not None)
        self.folders = frozenset(_folders_written_into(tree, (output.path for output in counting)))

    def may_lie_in(self, folder: str) -> bool:
        """Whether an output may lie directly in the folder at this true place."""
        above = folder.rstrip("/")
        return above in self._parents or any(f"{above}/".startswith(f"{base}/") for base, _, _ in self._patterns)

    def holds(self, place: str, *, declared_at: str | None = None) -> bool:
        """Whether the file at a true place is an output.

        declared_at  the true place of a folder that bakery.toml names: a pattern for all in that folder, or in one
                     above it, does not count there
        """
        if place in self._exact:
            return True
        for base, whole, matcher in self._patterns:
            is_declared = whole and declared_at is not None and f"{declared_at}/".startswith(f"{base}/")
            if not is_declared and place.startswith(f"{base}/") and matcher.fullmatch(place[len(base) + 1 :]):
                return True
        return False

    def makes_folder(self, folder: str) -> bool:
        """Whether an empty folder is one that the bake makes, or that it writes files into."""
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
        # The pattern is for the whole path; what it says of the fixed folders is that they are these.
        within = output.pattern[len(re.escape("/".join(names[:fixed]))) :].lstrip("/")
        yield base, names[fixed:] == ["**"], re.compile(within, re.DOTALL)


def _folders_written_into(tree: SourceTree, paths: Iterable[str]) -> Iterator[str]:
    """The folder of each, or the nearest one above it: what is not there yet is made in that."""
    for path in paths:
        folder = tree.relative(path.partition("*")[0])
        entry = None
        while (entry is None or entry.kind is not FileKind.FOLDER) and folder not in ("", ".", "/"):
            folder = folder.rpartition("/")[0] or ("/" if folder.startswith("/") else ".")
            entry = tree.entry(folder, follow=True)
        if entry is not None and entry.kind is FileKind.FOLDER:
            yield tree.identity(folder)


def true_place(tree: SourceTree, path: str) -> str | None:
    """Where a path lies with all links on the way followed; None where its folder is not there."""
    folder, _, name = path.rpartition("/")
    folder = folder or ("/" if path.startswith("/") else ".")
    entry = tree.entry(folder, follow=True)
    if entry is None or entry.kind is not FileKind.FOLDER:
        return None
    return f"{tree.identity(folder).rstrip('/')}/{name}"
