"""The files of a git revision as a source tree, without a checkout; what no revision tells of is as it is now."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ami_bakery.adapters.files.source_tree import LARGEST_READ, DiskTree, too_large
from ami_bakery.adapters.git.repository import (
    FOLDER,
    LINK,
    SUBMODULE,
    Repository,
    RevisionContents,
    RevisionEntry,
    is_pointer_to,
)
from ami_bakery.errors import SourceError
from ami_bakery.template.source_tree import FileKind, TreeEntry
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.template.source_tree import Progress

_LINKS_AT_MOST = 40
"""As Linux has it: more links in a row are a circle."""
_KINDS = {FOLDER: FileKind.FOLDER, LINK: FileKind.LINK, SUBMODULE: FileKind.OTHER}


class _Compared(Frozen):
    """A file of now, to be compared with a revision. `within`: its path in the repository that has `node`."""

    path: str
    within: str
    node: RevisionEntry


class GitTree:
    """A `PastTree` over one commit; `folder` is the root, `top` the folder of the work tree, both absolute.

    What git cannot know of is read from the disk, as it is now: files that git is told to ignore, and what lies outside
    the repository. Content is the blob's, without filters such as end-of-line conversion: see `same_content`.
    """

    def __init__(self, folder: str, top: str, commit: str, holding: RevisionContents) -> None:
        self.commit = commit
        self._folder = folder
        self._top = top
        self._nodes = holding.nodes
        self._ignored = holding.ignored
        self._disk = DiskTree(folder)
        self._hashes: dict[tuple[str, str], str] = {}

    def entry(self, path: str, *, follow: bool = False) -> TreeEntry | None:
        return self._entry(path, self._place(path, follow=follow))

    def children(self, folder: str) -> tuple[TreeEntry, ...]:
        place = self._existing(folder)
        if self._node(place) is None:
            return tuple(child._replace(path=_below(folder, child.path)) for child in self._disk.children(place))
        names = self._children.get(self._key(place) or ".", ())
        entries = (self._entry(posixpath.join(folder, name), posixpath.join(place, name)) for name in names)
        return tuple(entry for entry in entries if entry is not None)

    def link_target(self, path: str) -> str:
        target = self._link(self._place(path, follow=False))
        if target is None:
            raise self._absent(path)
        return target

    def read(self, path: str) -> bytes:
        place = self._existing(path)
        node = self._node(place)
        return self._disk.read(place) if node is None else self._content(path, node)

    def head(self, path: str, size: int) -> bytes:
        place = self._existing(path)
        node = self._node(place)
        return self._disk.head(place, size) if node is None else self._head(path, node, size)

    def hashes(
        self,
        paths: Iterable[str],
        algorithm: str = "sha256",
        progress: Progress | None = None,  # noqa: ARG002 - it is not told: nobody waits long for git
    ) -> Iterator[tuple[str, bool]]:
        return (self._hash(path, algorithm) for path in paths)

    def identity(self, path: str) -> str:
        return self._existing(path)

    def relative(self, path: str) -> str:
        folded = posixpath.normpath(self.absolute(path))
        root = self._folder.rstrip("/") + "/"
        if folded == self._folder:
            return "."
        if folded.startswith(root):
            return folded[len(root) :]
        return folded if path.startswith("/") else posixpath.relpath(folded, self._folder)

    def absolute(self, path: str) -> str:
        return posixpath.join(self._folder, path)

    def holds(self, path: str) -> bool:
        return self._node(self._place(path, follow=True)) is not None

    def same_content(self, paths: Sequence[str]) -> frozenset[str]:
        asked = self._asked(paths)
        same: set[str] = set()
        for repository, files in asked.items():
            clean_ids = repository.clean_ids([file.within for file in files])
            same.update(file.path for file, clean in zip(files, clean_ids, strict=False) if clean == file.node.name)
            others = [file for file in files if file.path not in same]
            same.update(file.path for file in _unmodified(repository, others))
            same.update(file.path for file in others if file.path not in same and self._is_pointer(file))
        return frozenset(same)

    def undecided(self, paths: Sequence[str]) -> frozenset[str]:
        asked = self._asked(paths)
        filtered = {
            repository: repository.filtered([file.within for file in files]) for repository, files in asked.items()
        }
        return frozenset(
            file.path for repository, files in asked.items() for file in files if file.within in filtered[repository]
        )

    def _asked(self, paths: Sequence[str]) -> dict[Repository, list[_Compared]]:
        """Those of `paths` that a repository can compare, by repository."""
        asked: dict[Repository, list[_Compared]] = {}
        for path in paths:
            node = self._node(self._place(path, follow=True))
            now = self._key(os.path.realpath(self._bytes(path)).decode("utf-8", "surrogateescape"))
            if node is not None and node.repository is not None and now is not None:
                within = posixpath.relpath(now, node.mount or ".")
                asked.setdefault(node.repository, []).append(_Compared(path=path, within=within, node=node))
        return asked

    def _is_pointer(self, file: _Compared) -> bool:
        return file.node.blobs is not None and is_pointer_to(file.node.blobs, file.node.name, self.absolute(file.path))

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for key in {*self._nodes, *self._ignored} - {"."}:
            children.setdefault(posixpath.dirname(key) or ".", []).append(posixpath.basename(key))
        return children

    def _entry(self, path: str, place: str) -> TreeEntry | None:
        node = self._node(place)
        if node is not None:
            return TreeEntry(path, _KINDS.get(node.mode, FileKind.FILE))
        found = self._disk.entry(place) if self._is_of_now(place) else None
        return None if found is None else found._replace(path=path)

    def _existing(self, path: str) -> str:
        place = self._place(path, follow=True)
        if self._entry(path, place) is None:
            raise self._absent(path)
        return place

    def _absent(self, path: str) -> SourceError:
        return SourceError(f"reading {path}", f"commit {self.commit[:12]} has no such file", "Correct the path.")

    def _content(self, path: str, node: RevisionEntry) -> bytes:
        content = self._head(path, node, LARGEST_READ + 1)
        if len(content) > LARGEST_READ:
            raise too_large(path)
        return content

    def _head(self, path: str, node: RevisionEntry, size: int) -> bytes:
        content = bytearray()
        self._feed(path, node, lambda piece: content.extend(piece[: size - len(content)]))
        return bytes(content)

    def _feed(self, path: str, node: RevisionEntry, take: Callable[[bytes], object]) -> None:
        if node.mode in (FOLDER, SUBMODULE) or node.blobs is None or not node.blobs.feed(node.name, take):
            raise SourceError(
                f"reading {path} of commit {self.commit[:12]}", "git has no content for it", "Fetch the whole history."
            )

    def _hash(self, path: str, algorithm: str) -> tuple[str, bool]:
        place = self._existing(path)
        node = self._node(place)
        if node is None:
            return next(self._disk.hashes([place], algorithm))
        if (node.name, algorithm) not in self._hashes:
            hasher = hashlib.new(algorithm, usedforsecurity=False)
            self._feed(path, node, hasher.update)
            self._hashes[node.name, algorithm] = hasher.hexdigest()
        return self._hashes[node.name, algorithm], node.mode == "100755"

    def _key(self, place: str) -> str | None:
        """A place in the repository as git names it, from the top; None where it lies outside."""
        if place == self._top:
            return "."
        above = self._top.rstrip("/") + "/"
        return place[len(above) :] if place.startswith(above) else None

    def _node(self, place: str) -> RevisionEntry | None:
        key = self._key(place)
        return None if key is None else self._nodes.get(key)

    def _is_of_now(self, place: str) -> bool:
        """Whether no revision can tell of what stands at `place`."""
        key = self._key(place)
        while key and key != ".":
            if key in self._ignored:
                return True
            key = posixpath.dirname(key)
        return key is None

    def _link(self, place: str) -> str | None:
        """The text of the link that stands at `place`; None where there is none."""
        node = self._node(place)
        if node is not None:
            return self._content(place, node).decode("utf-8", "surrogateescape") if node.mode == LINK else None
        if self._is_of_now(place) and os.path.islink(self._bytes(place)):
            return self._disk.link_target(place)
        return None

    def _bytes(self, path: str) -> bytes:
        return self.absolute(path).encode("utf-8", "surrogateescape")

    def _place(self, path: str, *, follow: bool) -> str:
        """Where `path` stands, or would stand, links on the way followed: as an absolute path."""
        parts: list[str] = [] if path.startswith("/") else self._folder.strip("/").split("/")
        waiting = path.split("/")
        links = 0
        while waiting:
            part = waiting.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                parts = parts[:-1]
                continue
            target = self._link("/" + "/".join([*parts, part])) if waiting or follow else None
            if target is None:
                parts.append(part)
                continue
            links += 1
            if links > _LINKS_AT_MOST:
                raise SourceError(f"reading {path}", "links lead in a circle", "Take the link out.")
            parts = [] if target.startswith("/") else parts
            waiting = [*target.split("/"), *waiting]
        return "/" + "/".join(parts)


def _unmodified(repository: Repository, files: Sequence[_Compared]) -> Iterator[_Compared]:
    """Those files that are as they were checked out, from the very object that the revision has."""
    known = repository.unmodified() if files else {}
    return (file for file in files if known.get(file.within) == file.node.name)


def _below(folder: str, place: str) -> str:
    return posixpath.join(folder, posixpath.basename(place))
