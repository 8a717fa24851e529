"""What a template says once its language is out of the way: JSON and HCL2 both come to this."""

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
    """What every part of the reader works with."""

    tree: SourceTree
    request: TemplateRequest
    paths: PathResolver
    collector: Collector

    def content(self, path: str) -> bytes:
        """The bytes of a file. A pipe or a device is refused before it is opened: reading it might never end."""
        entry = self.tree.entry(path, follow=True)
        if entry is not None and entry.kind is not FileKind.FILE:
            found = "a folder" if entry.kind is FileKind.FOLDER else "a pipe, a socket or a device"
            raise SourceError(f"reading {path}", f"it is no file but {found}", "Name a file.")
        return self.tree.read(path)

    def parsed(self, path: str) -> bytes:
        """The bytes of a file that is to be parsed, which takes far longer than to read it. Raises `TooLargeError`."""
        content = self.content(path)
        if len(content) > LARGEST_PARSED:
            wrong = f"it has more than {LARGEST_PARSED >> 20} MiB, which is more than is parsed"
            todo = "Make it smaller: move data into files that are uploaded."
            raise TooLargeError(f"reading {path}:1", wrong, todo, marks=(Annotation(path, 1, wrong),))
        return content

    def is_foreign(self, path: str) -> bool:
        """Whether a file truly lies outside of the repository, or, without git, outside of the root.

        A template that chooses file names by its content would spell it out: which of them are inputs tells it.
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
        """`~` and `~/...` by HOME; None where that is not known."""
        if path != "~" and not path.startswith("~/"):
            return None if path.startswith("~") else path
        home = self.request.environment.get("HOME")
        return posixpath.join(home, path[2:]) if home else None


class TemplateDefinition(Frozen):
    files: tuple[str, ...]
    variables: tuple[Variable, ...]
    components: tuple[Component, ...]
    plugins: tuple[Plugin, ...] = ()
