"""Lists the files of revisions. The list includes those of submodules."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ami_bakery.adapters.git.repository import FOLDER, SUBMODULE, Blobs, Repository
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from contextlib import ExitStack


class RevisionEntry(Frozen):
    """An entry of a revision: its mode and object id.

    repository  the repository or submodule that has the object; `mount` is the path of its top
    """

    mode: str
    name: str = ""
    blobs: Blobs | None = None
    repository: Repository | None = None
    mount: str = ""


class RevisionContents(Frozen):
    """The entries of a revision, by path from the top.

    The entries of submodules are included.

    ignored  files and folders in the work tree that git ignores, so that no revision contains them
    """

    nodes: Mapping[str, RevisionEntry]
    ignored: frozenset[str]


class RevisionLoader:
    """Lists revisions of a repository. They share processes, and what depends only on the work tree.

    stack  closes the processes that read objects
    """

    def __init__(self, repository: Repository, stack: ExitStack) -> None:
        self._repository = repository
        self._stack = stack
        self._blobs: dict[Repository, Blobs] = {}
        self._ignored: dict[Repository, tuple[str, ...]] = {}
        self._submodules: dict[tuple[Repository, str], Repository | None] = {}

    def load(self, commit: str) -> RevisionContents | None:
        """Lists a commit; None if git does not have it."""
        nodes = {".": RevisionEntry(mode=FOLDER)}
        ignored: set[str] = set()
        if not self._mount(self._repository, commit, "", nodes, ignored):
            return None
        for path in ignored:
            # Add the parent folders, which the revision lacks if they contain only ignored and untracked files.
            while (path := posixpath.dirname(path)) and path not in nodes:
                nodes[path] = RevisionEntry(mode=FOLDER)
        return RevisionContents(nodes=nodes, ignored=frozenset(ignored - nodes.keys()))

    def _mount(
        self, repository: Repository, commit: str, mount: str, nodes: dict[str, RevisionEntry], ignored: set[str]
    ) -> bool:
        listing = repository.output("ls-tree", "-r", "-t", "-z", "--full-tree", commit)
        if listing is None:
            return False
        if repository not in self._blobs:
            self._blobs[repository] = self._stack.enter_context(repository.blobs())
            listed = repository.names("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
            self._ignored[repository] = tuple(path.rstrip("/") for path in listed)
        blobs = self._blobs[repository]
        for line in listing.decode("utf-8", "surrogateescape").split("\0"):
            if not line:
                continue
            fields, _, path = line.partition("\t")
            mode, _, name = fields.split(" ")
            full_path = posixpath.join(mount, path)
            if mode == SUBMODULE:
                submodule = self._submodule(repository, path)
                # A submodule that is not checked out is an empty folder, both now and in the revision.
                is_folder = submodule is None or self._mount(submodule, name, full_path, nodes, ignored)
                mode = FOLDER if is_folder else SUBMODULE
            nodes[full_path] = RevisionEntry(mode=mode, name=name, blobs=blobs, repository=repository, mount=mount)
        ignored.update(posixpath.join(mount, path) for path in self._ignored[repository])
        return True

    def _submodule(self, repository: Repository, path: str) -> Repository | None:
        if (repository, path) not in self._submodules:
            self._submodules[repository, path] = repository.submodule(path)
        return self._submodules[repository, path]
