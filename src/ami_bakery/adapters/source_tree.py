"""The files of images on disk: what stands at a path, what it holds, and never a guess."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable

from ami_bakery.errors import SourceError
from ami_bakery.ports import FileKind, TreeEntry

_BLOCK = 1 << 20


class DiskTree:
    """A `SourceTree` over the files below (and beside) `root`, an absolute path.

    Names go to the operating system as UTF-8 with surrogateescape, whatever the locale says: a path is the same string
    on every machine.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    def entry(self, path: str, *, follow: bool = False) -> TreeEntry | None:
        try:
            status = os.stat(self._bytes(path)) if follow else os.lstat(self._bytes(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refused(path, error) from error
        return TreeEntry(path=path, kind=_kind(status.st_mode), executable=_executable(status.st_mode))

    def children(self, folder: str) -> tuple[TreeEntry, ...]:
        entries = []
        try:
            with os.scandir(self._bytes(folder)) as found:
                for item in found:
                    path = os.path.join(folder, item.name.decode("utf-8", "surrogateescape"))
                    mode = item.stat(follow_symlinks=False).st_mode
                    entries.append(TreeEntry(path=path, kind=_kind(mode), executable=_executable(mode)))
        except OSError as error:
            raise _refused(folder, error) from error
        return tuple(entries)

    def link_target(self, path: str) -> str:
        try:
            return os.readlink(self._bytes(path)).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise _refused(path, error) from error

    def read(self, path: str) -> bytes:
        chunks: list[bytes] = []
        self._blocks(path, chunks.append)
        return b"".join(chunks)

    def head(self, path: str, size: int) -> bytes:
        try:
            with open(self._bytes(path), "rb") as file:
                return file.read(size)
        except OSError as error:
            raise _refused(path, error) from error

    def sha256(self, path: str) -> str:
        return self._hash(path, "sha256")

    def sha1(self, path: str) -> str:
        return self._hash(path, "sha1")

    def identity(self, path: str) -> str:
        try:
            return os.path.realpath(self._bytes(path), strict=True).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise _refused(path, error) from error

    def relative(self, path: str) -> str:
        folded = self._fold(self.absolute(path))
        root = self._fold(self.root)
        if folded == root:
            return "."
        if folded.startswith(root.rstrip("/") + "/"):
            return folded[len(root.rstrip("/")) + 1 :]
        return folded if path.startswith("/") else os.path.relpath(folded, root)

    def absolute(self, path: str) -> str:
        return os.path.join(self.root, path)

    def _fold(self, path: str) -> str:
        """`.`, `..` and `//` folded. `..` behind a link is the parent of where it leads, so such links are followed."""
        parts: list[str] = []
        for part in path.split("/"):
            if part in ("", "."):
                continue
            if part != "..":
                parts.append(part)
                continue
            here = "/" + "/".join(parts)
            if os.path.islink(here.encode("utf-8", "surrogateescape")):
                parts = os.path.realpath(here).strip("/").split("/")
            parts = parts[:-1]
        return "/" + "/".join(parts)

    def _bytes(self, path: str) -> bytes:
        return self.absolute(path).encode("utf-8", "surrogateescape")

    def _hash(self, path: str, algorithm: str) -> str:
        hasher = hashlib.new(algorithm, usedforsecurity=False)
        self._blocks(path, hasher.update)
        return hasher.hexdigest()

    def _blocks(self, path: str, take: Callable[[bytes], object]) -> None:
        """Hands over the content in blocks; refuses a file that changes meanwhile, since the blocks would not be it."""
        try:
            # A pipe would block for ever: open it without waiting, and refuse all that is no regular file.
            descriptor = os.open(self._bytes(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(descriptor, "rb", buffering=0) as file:
                before = os.fstat(descriptor)
                if not stat.S_ISREG(before.st_mode):
                    raise SourceError(f"reading {path}", "not a regular file", "Take it out of the inputs.")
                size = 0
                while block := file.read(_BLOCK):
                    size += len(block)
                    take(block)
                after = os.fstat(descriptor)
        except OSError as error:
            raise _refused(path, error) from error
        if size != after.st_size or _moment(before) != _moment(after):
            raise SourceError(f"reading {path}", "it changed while it was read", "Run again when nothing writes to it.")


def _moment(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _kind(mode: int) -> FileKind:
    if stat.S_ISREG(mode):
        return FileKind.FILE
    if stat.S_ISDIR(mode):
        return FileKind.FOLDER
    return FileKind.LINK if stat.S_ISLNK(mode) else FileKind.OTHER


def _executable(mode: int) -> bool:
    return stat.S_ISREG(mode) and bool(mode & stat.S_IXUSR)


def _refused(path: str, error: OSError) -> SourceError:
    todo = "Make it readable, or take it out of the inputs."
    return SourceError(f"reading {path}", error.strerror or str(error), todo)
