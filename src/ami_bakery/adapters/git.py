"""Reads git: which commit a folder is at, and the files of another commit without a checkout."""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import subprocess
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property

from ami_bakery.errors import SourceError
from ami_bakery.ports import FileKind, TreeEntry

_FOLDER, _LINK, _SUBMODULE = "040000", "120000", "160000"
_OF_HOOKS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"})
_LINKS_AT_MOST = 40
"""As Linux has it: more links in a row are a circle."""


class GitProgram:
    """A `Git` port over the `git` program. Where there is none, or no repository, nothing is known: no error."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        # Locks would disturb whoever works in the repository; replaced objects and grafts are not what was committed.
        # A hook's own variables would make git look at another repository than the folder's.
        own = {name: value for name, value in environment.items() if name not in _OF_HOOKS}
        self._environment = {**own, "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}

    def commit(self, folder: str) -> str:
        head = self._text(folder, "rev-parse", "--verify", "HEAD")
        if head is None:
            return ""
        changes = self.ask(folder, "status", "--porcelain", "--untracked-files=normal")
        return f"{head}+dirty" if changes is None or changes.strip() else head

    @contextlib.contextmanager
    def tree(self, folder: str, revision: str) -> Iterator[GitTree | None]:
        commit = self._text(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        prefix = self._text(folder, "rev-parse", "--show-prefix")
        listing = commit and self.ask(folder, "ls-tree", "-r", "-t", "-z", "--full-tree", commit)
        if not commit or prefix is None or not listing:
            yield None
            return
        with subprocess.Popen(
            ["git", "-C", folder, "cat-file", "--batch"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            yield GitTree(folder, commit, prefix.rstrip("/"), _parse_listing(listing), _Blobs(process))

    def _text(self, folder: str, *arguments: str) -> str | None:
        answer = self.ask(folder, *arguments)
        return None if answer is None else answer.decode("utf-8", "surrogateescape").removesuffix("\n")

    def ask(self, folder: str, *arguments: str) -> bytes | None:
        try:
            answer = subprocess.run(
                ["git", "-C", folder, *arguments],
                capture_output=True,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except OSError:
            return None
        return answer.stdout if answer.returncode == 0 else None


class _Blobs:
    """Asks one `git cat-file --batch` for the content of objects, one after the other."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lock = threading.Lock()

    def content(self, name: str) -> bytes | None:
        """None where git does not have the object (a shallow or partial clone)."""
        with self._lock:
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin is not None
            assert stdout is not None
            stdin.write(f"{name}\n".encode())
            stdin.flush()
            words = stdout.readline().split()
            if len(words) != 3 or words[1] != b"blob":
                return None
            content = stdout.read(int(words[2]))
            stdout.read(1)
            return content


def _parse_listing(listing: bytes) -> dict[str, tuple[str, str]]:
    """(mode, object) by path, from `git ls-tree -z`; the top itself is "."."""
    entries = {".": (_FOLDER, "")}
    for line in listing.decode("utf-8", "surrogateescape").split("\0"):
        if line:
            fields, _, path = line.partition("\t")
            mode, _, name = fields.split(" ")
            entries[path] = (mode, name)
    return entries


class GitTree:
    """A `SourceTree` over one commit. `prefix` is where the root lies in the repository; empty at its top.

    Nothing outside the repository is there: what a definition takes from elsewhere was never committed. Content is
    the blob's, without filters such as end-of-line conversion.
    """

    def __init__(
        self, folder: str, commit: str, prefix: str, entries: Mapping[str, tuple[str, str]], blobs: _Blobs
    ) -> None:
        self.commit = commit
        self._folder = folder
        self._prefix = prefix
        self._entries = entries
        self._blobs = blobs

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for path in self._entries:
            if path != ".":
                children.setdefault(posixpath.dirname(path) or ".", []).append(path)
        return children

    def entry(self, path: str, *, follow: bool = False) -> TreeEntry | None:
        place = self._place(path, follow=follow)
        if place is None or place not in self._entries:
            return None
        return self._entry(path, place)

    def children(self, folder: str) -> tuple[TreeEntry, ...]:
        place = self._existing(folder)
        return tuple(
            self._entry(posixpath.join(folder, posixpath.basename(child)), child)
            for child in self._children.get(place, ())
        )

    def link_target(self, path: str) -> str:
        return self._blob(path, self._place(path, follow=False) or "").decode("utf-8", "surrogateescape")

    def read(self, path: str) -> bytes:
        return self._blob(path, self._existing(path))

    def head(self, path: str, size: int) -> bytes:
        return self.read(path)[:size]

    def sha256(self, path: str) -> str:
        return hashlib.sha256(self.read(path)).hexdigest()

    def sha1(self, path: str) -> str:
        return hashlib.sha1(self.read(path), usedforsecurity=False).hexdigest()

    def identity(self, path: str) -> str:
        return self._existing(path)

    def relative(self, path: str) -> str:
        return posixpath.normpath(path)

    def absolute(self, path: str) -> str:
        return os.path.join(self._folder, path)

    def _entry(self, path: str, place: str) -> TreeEntry:
        mode, _ = self._entries[place]
        kinds = {_FOLDER: FileKind.FOLDER, _LINK: FileKind.LINK, _SUBMODULE: FileKind.OTHER}
        kind = kinds.get(mode, FileKind.FILE)
        return TreeEntry(path=path, kind=kind, executable=kind is FileKind.FILE and mode == "100755")

    def _existing(self, path: str) -> str:
        place = self._place(path, follow=True)
        if place is None or place not in self._entries:
            raise SourceError(f"reading {path}", f"commit {self.commit[:12]} has no such file", "Correct the path.")
        return place

    def _blob(self, path: str, place: str) -> bytes:
        mode, name = self._entries[place]
        content = None if mode in (_FOLDER, _SUBMODULE) else self._blobs.content(name)
        if content is None:
            raise SourceError(
                f"reading {path} of commit {self.commit[:12]}", "git has no content for it", "Fetch the whole history."
            )
        return content

    def _place(self, path: str, *, follow: bool) -> str | None:
        """Where `path` stands, from the top of the repository, links on the way followed; None outside of it."""
        if path.startswith("/"):
            return None
        parts = self._prefix.split("/") if self._prefix else []
        waiting = path.split("/")
        links = 0
        while waiting:
            part = waiting.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                if not parts:
                    return None
                parts.pop()
                continue
            here = "/".join([*parts, part])
            mode, _ = self._entries.get(here, ("", ""))
            if mode == _LINK and (waiting or follow):
                links += 1
                target = self._blob(here, here).decode("utf-8", "surrogateescape")
                if links > _LINKS_AT_MOST or target.startswith("/"):
                    return None
                waiting = [*target.split("/"), *waiting]
                continue
            parts.append(part)
        return "/".join(parts) or "."
