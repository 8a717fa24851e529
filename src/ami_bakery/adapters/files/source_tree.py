"""The source tree on disk: file types, content and hashes."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ami_bakery.adapters.files.file_hashes import check_unchanged, file_hashes, generated_content, read_error
from ami_bakery.errors import SourceError
from ami_bakery.template.source_tree import FileKind, TreeEntry

if TYPE_CHECKING:
    from ami_bakery.core.definition.stamp import Stamp
    from ami_bakery.template.source_tree import Progress

_LINKS_AT_MOST = 40
"""Linux's limit for symbolic links in one path."""
LARGEST_READ = 1 << 25
"""Maximum size, in bytes, of a file that is parsed; a file that is only hashed can have any size."""
_PLAIN = re.compile(r"(?!\.{1,2}(?:/|\Z))[^/]+(?:/(?!\.{1,2}(?:/|\Z))[^/]+)*\Z")
"""A normalized path: relative, without `.`, `..` or `//`."""


class DiskTree:
    """A `SourceTree` over files below and outside of `root`, an absolute path.

    Names are encoded as UTF-8 with surrogateescape in any locale, so that a path is the same string on every machine.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._above = os.path.join(root, "")

    def entry(self, path: str, *, follow: bool = False) -> TreeEntry | None:
        try:
            status = os.stat(self._bytes(path)) if follow else os.lstat(self._bytes(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise read_error(path, error) from error
        return TreeEntry(path, _kind(status.st_mode))

    def children(self, folder: str) -> tuple[TreeEntry, ...]:
        above = os.path.join(folder, "")
        try:
            with os.scandir(self._bytes(folder)) as found:
                return tuple(
                    TreeEntry(above + item.name.decode("utf-8", "surrogateescape"), _kind_of(item)) for item in found
                )
        except OSError as error:
            raise read_error(folder, error) from error

    def stamp(self, path: str) -> Stamp | None:
        from ami_bakery.core.definition.stamp import Stamp

        try:
            status = os.lstat(self._bytes(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise read_error(path, error) from error
        is_folder = stat.S_ISDIR(status.st_mode)
        size = 0 if is_folder else status.st_size
        return Stamp(is_folder, size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino)

    def visited_paths(self, path: str) -> Iterator[str]:
        here, links = "", 0
        waiting = self.absolute(path).split("/")[::-1]
        while waiting:
            part = waiting.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = here.rpartition("/")[0]
                continue
            step = f"{here}/{part}"
            yield step
            target = self._target(step)
            if target is None:
                here = step
                continue
            links += 1
            if links > _LINKS_AT_MOST:
                raise SourceError(f"reading {path}", "circular or too many symbolic links", "Fix the links.")
            here = "" if target.startswith("/") else here
            waiting += target.split("/")[::-1]

    def _target(self, path: str) -> str | None:
        try:
            return os.readlink(self._bytes(path)).decode("utf-8", "surrogateescape")
        except OSError:
            return None

    def link_target(self, path: str) -> str:
        try:
            return os.readlink(self._bytes(path)).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise read_error(path, error) from error

    def read(self, path: str) -> bytes:
        try:
            # Open without blocking, as a pipe would, and reject files that are not regular.
            descriptor = os.open(self._bytes(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(descriptor, "rb", buffering=0) as file:
                before = os.fstat(descriptor)
                if not stat.S_ISREG(before.st_mode):
                    raise SourceError(f"reading {path}", "not a regular file", "Remove it from the inputs.")
                if before.st_size > LARGEST_READ:
                    raise too_large(path)
                content = file.read()
                if content is None:
                    raise generated_content(path)
                check_unchanged(path, before, os.fstat(descriptor), len(content))
                return content
        except OSError as error:
            raise read_error(path, error) from error

    def head(self, path: str, size: int) -> bytes:
        try:
            with open(self._bytes(path), "rb") as file:
                return file.read(size)
        except OSError as error:
            raise read_error(path, error) from error

    def hashes(
        self, paths: Iterable[str], algorithm: str = "sha256", progress: Progress | None = None
    ) -> Iterator[tuple[str, bool]]:
        return file_hashes(((path, self._bytes(path)) for path in paths), algorithm, progress or _no_progress)

    def identity(self, path: str) -> str:
        try:
            return os.path.realpath(self._bytes(path), strict=True).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise read_error(path, error) from error

    def relative(self, path: str) -> str:
        if _PLAIN.match(path):
            return path
        folded = self._fold(self.absolute(path))
        root = self._fold(self.root)
        if folded == root:
            return "."
        if folded.startswith(root.rstrip("/") + "/"):
            return folded[len(root.rstrip("/")) + 1 :]
        return folded if path.startswith("/") else os.path.relpath(folded, root)

    def absolute(self, path: str) -> str:
        return path if path.startswith("/") else self._above + path

    def _fold(self, path: str) -> str:
        """Normalizes `.`, `..` and `//`. Resolves links before `..`, which means the parent of the link's target."""
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
        return (path if path.startswith("/") else self._above + path).encode("utf-8", "surrogateescape")


def too_large(path: str) -> SourceError:
    wrong = f"larger than {LARGEST_READ >> 20} MiB, the limit for text files"
    return SourceError(f"reading {path}", wrong, "Make it smaller, or remove the reference to it.")


def _no_progress(_files: int, _bytes: int) -> None:
    pass


def _kind_of(item: os.DirEntry[bytes]) -> FileKind:
    """Returns the type stored in the folder's entry. Most filesystems need no further call."""
    if item.is_file(follow_symlinks=False):
        return FileKind.FILE
    if item.is_symlink():
        return FileKind.LINK
    return FileKind.FOLDER if item.is_dir(follow_symlinks=False) else FileKind.OTHER


def _kind(mode: int) -> FileKind:
    if stat.S_ISREG(mode):
        return FileKind.FILE
    if stat.S_ISDIR(mode):
        return FileKind.FOLDER
    return FileKind.LINK if stat.S_ISLNK(mode) else FileKind.OTHER
