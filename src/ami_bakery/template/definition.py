"""The language-independent form of a template, and the context to read one."""

from __future__ import annotations

import posixpath
from functools import cached_property
from typing import TYPE_CHECKING

from ami_bakery.errors import Annotation, SourceError, TooLargeError
from ami_bakery.template.expression.budget import LARGEST_PARSED
from ami_bakery.template.location import SourceLocation
from ami_bakery.template.source_tree import FileKind, SourceTree
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.template.collector import Collector
    from ami_bakery.template.component import Component
    from ami_bakery.template.facts import Plugin, TemplateRequest, Variable
    from ami_bakery.template.paths import PathResolver


_MOST_FOLDERS_UP = 32


class Reading(Frozen):
    """The inputs and the collector that every part of the reader shares."""

    tree: SourceTree
    request: TemplateRequest
    paths: PathResolver
    collector: Collector

    def content(self, path: str) -> bytes:
        """Returns the bytes of a file. Refuses a pipe or a device before opening it: reading it might not end."""
        entry = self.tree.entry(path, follow=True)
        if entry is not None and entry.kind is not FileKind.FILE:
            found = "a folder" if entry.kind is FileKind.FOLDER else "a pipe, a socket or a device"
            raise SourceError(f"reading {path}", f"it is {found}, not a file", "Name a file.")
        return self.tree.read(path)

    def parsed(self, path: str) -> bytes:
        """Returns the bytes of a file to parse. Raises `TooLargeError` if parsing it would take too long."""
        content = self.content(path)
        if len(content) > LARGEST_PARSED:
            wrong = f"larger than {LARGEST_PARSED >> 20} MiB, the limit for files that are parsed"
            todo = "Make it smaller: move data into files that Packer uploads."
            raise TooLargeError(f"reading {path}:1", wrong, todo, marks=(Annotation(path, 1, wrong),))
        return content

    def is_foreign(self, path: str) -> bool:
        """Whether a file is outside the repository (without git: outside the root), links resolved.

        Its content must not influence which files are inputs: the list of inputs would reveal it.
        """
        top = self._top.rstrip("/")
        return not f"{self.tree.identity(path)}/".startswith(f"{top}/")

    @cached_property
    def _top(self) -> str:
        folders = [".", *("/".join([".."] * up) for up in range(1, _MOST_FOLDERS_UP))]
        work_trees = (folder for folder in folders if self.tree.entry(f"{folder}/.git") is not None)
        return self.tree.identity(next(work_trees, "."))

    def given_location(self) -> SourceLocation:
        """Returns line 1 of the template's first file: the location for values that the caller gives."""
        return SourceLocation(file=self._first_file, line=1)

    @cached_property
    def _first_file(self) -> str:
        template = self.request.template
        entry = self.tree.entry(template, follow=True)
        if entry is None or entry.kind is not FileKind.FOLDER:
            return template
        names = (child.path for child in self.tree.children(template))
        files = sorted(posixpath.normpath(name) for name in names if name.endswith((".pkr.hcl", ".pkr.json")))
        return next(iter(files), template)

    def expand_home(self, path: str) -> str | None:
        """Expands `~` and `~/...` with HOME; None if that is unknown."""
        if path != "~" and not path.startswith("~/"):
            return None if path.startswith("~") else path
        home = self.request.environment.get("HOME")
        return posixpath.join(home, path[2:]) if home else None


class TemplateDefinition(Frozen):
    files: tuple[str, ...]
    variables: tuple[Variable, ...]
    components: tuple[Component, ...]
    plugins: tuple[Plugin, ...] = ()
