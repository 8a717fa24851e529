"""Resolves paths in templates to paths relative to the root."""

from __future__ import annotations

import posixpath

from ami_bakery.template.expression.known_values import CHECKOUT, Unknown, names_checkout
from ami_bakery.template.source_tree import FileKind, SourceTree

_LONGEST = 255
"""Bytes of a file name, on common file systems."""


class PathResolver:
    """Resolves paths as Packer does, to paths relative to the root; absolute ones stay absolute.

    workdir   the folder that Packer runs in, relative to the root
    template  the template's folder, relative to the root
    """

    def __init__(self, tree: SourceTree, *, workdir: str, template: str) -> None:
        self._tree = tree
        self.workdir = self.normalise(workdir)
        self.template = self.normalise(template)

    def from_workdir(self, path: str) -> str | Unknown:
        """Resolves a path field of a component."""
        return self.resolve(path, self.workdir)

    def from_template(self, path: str) -> str | Unknown:
        """Resolves a path of `file()` and similar functions: Go folds `..` before it follows links."""
        if posixpath.isabs(path):
            return self.resolve(self.absolute(path), ".")
        return self.resolve(_fold(posixpath.join(self.template, path)), ".")

    def resolve(self, path: str, folder: str) -> str | Unknown:
        """Resolves `path` relative to `folder`, with `..` as the file system does: after a link, from its target."""
        if path == CHECKOUT or path.startswith(CHECKOUT + "/"):
            path, folder = path[len(CHECKOUT) :].lstrip("/"), "."
        if names_checkout(path):
            return Unknown(why="it depends on the path of the checkout")
        if "\0" in path or any(len(name.encode("utf-8", "surrogateescape")) > _LONGEST for name in path.split("/")):
            return Unknown(why="no file can have this name")
        return self.normalise(path if posixpath.isabs(path) else posixpath.join(folder, path))

    def normalise(self, path: str) -> str:
        stack = ["/"] if path.startswith("/") else []
        names = path.split("/")
        budget = 40  # links to follow, as many as Linux does
        while names:
            name = names.pop(0)
            if name in ("", "."):
                continue
            if name != "..":
                stack.append(name)
            elif not stack or stack[-1] == "..":
                stack.append("..")
            elif stack == ["/"]:
                continue
            else:
                target = self._link_target(_joined(stack)) if budget else None
                stack.pop()
                if target is not None:
                    budget -= 1
                    if target.startswith("/"):
                        stack = ["/"]
                    names = [*target.split("/"), "..", *names]
        return _joined(stack)

    def holds_template(self, folder: str) -> bool:
        """Whether this folder is or contains the template or Packer's working directory."""
        above = f"{posixpath.normpath(folder)}/"
        return folder == "." or any(f"{each}/".startswith(above) for each in (self.workdir, self.template))

    def _link_target(self, path: str) -> str | None:
        entry = self._tree.entry(path)
        return self._tree.link_target(path) if entry and entry.kind is FileKind.LINK else None

    def absolute(self, path: str) -> str:
        """Returns Go's `filepath.Abs`, with a mark for the path of the checkout."""
        if path.startswith(CHECKOUT):
            inside = path[len(CHECKOUT) :].lstrip("/")
        elif posixpath.isabs(path):
            return _fold(path)
        else:
            inside = posixpath.join(self.workdir, path)
        folded = posixpath.normpath(inside or ".")
        return CHECKOUT if folded == "." else f"{CHECKOUT}/{folded}"

    def from_packer(self) -> str:
        """The template's folder, relative to the folder that Packer runs in."""
        return posixpath.relpath(posixpath.join("/r", self.template), posixpath.join("/r", self.workdir))


def _joined(stack: list[str]) -> str:
    return (posixpath.join(*stack)) if stack else "."


def _fold(path: str) -> str:
    folded = posixpath.normpath(path)
    return folded[1:] if folded.startswith("//") else folded
