"""A source tree of a git revision's files, without a checkout."""

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
    is_pointer_to,
)
from ami_bakery.errors import SourceError
from ami_bakery.template.source_tree import FileKind, TreeEntry
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.adapters.git.revision_contents import RevisionContents, RevisionEntry
    from ami_bakery.template.source_tree import Progress

_LINKS_AT_MOST = 40
"""Linux's limit for symbolic links in one path."""
_KINDS = {FOLDER: FileKind.FOLDER, LINK: FileKind.LINK, SUBMODULE: FileKind.OTHER}


class _Compared(Frozen):
    """A file to compare with a revision's entry `node`. `repository_path`: from the top of the entry's repository."""

    path: str
    repository_path: str
    node: RevisionEntry


class GitTree:
    """A `RevisionTree` of one commit.

    `folder` is the root, `top` the top of the work tree, both absolute. Ignored files, and files outside of the
    repository, are read from disk, because no revision contains them. Content is that of the blob, without filters or
    conversion of line endings: see `same_content`.

    hashes  of objects, by id and algorithm; the trees of one repository can share them
    """

    def __init__(
        self, folder: str, top: str, commit: str, contents: RevisionContents, hashes: dict[tuple[str, str], str]
    ) -> None:
        self.commit = commit
        self._folder = folder
        self._top = top
        self._nodes = contents.nodes
        self._ignored = contents.ignored
        self._disk = DiskTree(folder)
        self._hashes = hashes

    def entry(self, path: str, *, follow: bool = False) -> TreeEntry | None:
        return self._entry(path, self._resolve(path, follow=follow))

    def children(self, folder: str) -> tuple[TreeEntry, ...]:
        resolved = self._resolve_existing(folder)
        if self._node(resolved) is None:
            return tuple(child._replace(path=_below(folder, child.path)) for child in self._disk.children(resolved))
        names = self._children.get(self._key(resolved) or ".", ())
        entries = (self._entry(posixpath.join(folder, name), posixpath.join(resolved, name)) for name in names)
        return tuple(entry for entry in entries if entry is not None)

    def link_target(self, path: str) -> str:
        target = self._link(self._resolve(path, follow=False))
        if target is None:
            raise self._absent(path)
        return target

    def read(self, path: str) -> bytes:
        resolved = self._resolve_existing(path)
        node = self._node(resolved)
        return self._disk.read(resolved) if node is None else self._content(path, node)

    def head(self, path: str, size: int) -> bytes:
        resolved = self._resolve_existing(path)
        node = self._node(resolved)
        return self._disk.head(resolved, size) if node is None else self._head(path, node, size)

    def hashes(
        self,
        paths: Iterable[str],
        algorithm: str = "sha256",
        progress: Progress | None = None,  # noqa: ARG002 - not reported: git is fast enough
    ) -> Iterator[tuple[str, bool]]:
        return (self._hash(path, algorithm) for path in paths)

    def identity(self, path: str) -> str:
        return self._resolve_existing(path)

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
        return self._node(self._resolve(path, follow=True)) is not None

    def same_content(self, paths: Sequence[str]) -> frozenset[str]:
        same: set[str] = set()
        for repository, files in self._by_repository(paths).items():
            clean_ids = repository.clean_ids([file.repository_path for file in files])
            same.update(file.path for file in files if clean_ids.get(file.repository_path) == file.node.name)
            others = [file for file in files if file.path not in same]
            same.update(file.path for file in _unmodified(repository, others))
            same.update(file.path for file in others if file.path not in same and self._is_pointer(file))
        return frozenset(same)

    def undecided(self, paths: Sequence[str]) -> frozenset[str]:
        undecided: set[str] = set()
        for repository, files in self._by_repository(paths).items():
            filtered = repository.filtered([file.repository_path for file in files])
            undecided.update(file.path for file in files if file.repository_path in filtered)
        return frozenset(undecided)

    def _by_repository(self, paths: Sequence[str]) -> dict[Repository, list[_Compared]]:
        """Groups the paths by the repository that can compare them; omits those that none can compare."""
        grouped: dict[Repository, list[_Compared]] = {}
        for path in paths:
            node = self._node(self._resolve(path, follow=True))
            now = self._key(os.path.realpath(self._bytes(path)).decode("utf-8", "surrogateescape"))
            if node is not None and node.repository is not None and now is not None:
                file = _Compared(path=path, repository_path=posixpath.relpath(now, node.mount or "."), node=node)
                grouped.setdefault(node.repository, []).append(file)
        return grouped

    def _is_pointer(self, file: _Compared) -> bool:
        return file.node.blobs is not None and is_pointer_to(file.node.blobs, file.node.name, self.absolute(file.path))

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for key in {*self._nodes, *self._ignored} - {"."}:
            children.setdefault(posixpath.dirname(key) or ".", []).append(posixpath.basename(key))
        return children

    def _entry(self, path: str, resolved: str) -> TreeEntry | None:
        node = self._node(resolved)
        if node is not None:
            return TreeEntry(path, _KINDS.get(node.mode, FileKind.FILE))
        found = self._disk.entry(resolved) if self._is_on_disk(resolved) else None
        return None if found is None else found._replace(path=path)

    def _resolve_existing(self, path: str) -> str:
        resolved = self._resolve(path, follow=True)
        if self._entry(path, resolved) is None:
            raise self._absent(path)
        return resolved

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

    def _feed(self, path: str, node: RevisionEntry, consume: Callable[[bytes], object]) -> None:
        if node.mode in (FOLDER, SUBMODULE) or node.blobs is None or not node.blobs.feed(node.name, consume):
            raise SourceError(
                f"reading {path} of commit {self.commit[:12]}",
                "git does not have its content",
                "Fetch the whole history: `git fetch --unshallow`.",
            )

    def _hash(self, path: str, algorithm: str) -> tuple[str, bool]:
        resolved = self._resolve_existing(path)
        node = self._node(resolved)
        if node is None:
            return next(self._disk.hashes([resolved], algorithm))
        if (node.name, algorithm) not in self._hashes:
            hasher = hashlib.new(algorithm, usedforsecurity=False)
            self._feed(path, node, hasher.update)
            self._hashes[node.name, algorithm] = hasher.hexdigest()
        return self._hashes[node.name, algorithm], node.mode == "100755"

    def _key(self, resolved: str) -> str | None:
        """Converts an absolute path to git's path from the top. None if it is outside of the work tree."""
        if resolved == self._top:
            return "."
        above = self._top.rstrip("/") + "/"
        return resolved[len(above) :] if resolved.startswith(above) else None

    def _node(self, resolved: str) -> RevisionEntry | None:
        key = self._key(resolved)
        return None if key is None else self._nodes.get(key)

    def _is_on_disk(self, resolved: str) -> bool:
        """Returns whether the path is ignored, or outside of the repository."""
        key = self._key(resolved)
        while key and key != ".":
            if key in self._ignored:
                return True
            key = posixpath.dirname(key)
        return key is None

    def _link(self, resolved: str) -> str | None:
        """Returns the target of a symbolic link; None if `resolved` is not one."""
        node = self._node(resolved)
        if node is not None:
            return self._content(resolved, node).decode("utf-8", "surrogateescape") if node.mode == LINK else None
        if self._is_on_disk(resolved) and os.path.islink(self._bytes(resolved)):
            return self._disk.link_target(resolved)
        return None

    def _bytes(self, path: str) -> bytes:
        return self.absolute(path).encode("utf-8", "surrogateescape")

    def _resolve(self, path: str, *, follow: bool) -> str:
        """Returns the absolute path with links resolved. Resolves the last part only if `follow`. It need not exist."""
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
                raise SourceError(f"reading {path}", "circular or too many symbolic links", "Fix the links.")
            parts = [] if target.startswith("/") else parts
            waiting = [*target.split("/"), *waiting]
        return "/" + "/".join(parts)


def _unmodified(repository: Repository, files: Sequence[_Compared]) -> Iterator[_Compared]:
    """Yields the unmodified files whose object in the index is the revision's."""
    known = repository.unmodified if files else {}
    return (file for file in files if known.get(file.repository_path) == file.node.name)


def _below(folder: str, resolved: str) -> str:
    return posixpath.join(folder, posixpath.basename(resolved))
