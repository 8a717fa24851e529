"""Interface to the files that a template may read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias


class FileKind(StrEnum):
    FILE = "file"
    FOLDER = "directory"
    LINK = "symlink"
    OTHER = "other"
    """A pipe, a socket or a device: cannot be hashed."""


class TreeEntry(NamedTuple):
    """The entry at a path; a link is not followed."""

    path: str
    kind: FileKind


Progress: TypeAlias = Callable[[int, int], None]
"""Called from time to time with the number of files and bytes read."""


class SourceTree(Protocol):
    """The files that define images, on disk or in a git commit.

    Paths are POSIX, relative to the root (the folder of bakery.toml); `..` may lead out of it, and absolute paths are
    used unchanged. Names that are not UTF-8 use surrogateescape. Every method raises `SourceError` with the path if
    the file system refuses (permission denied, a file vanishes).
    """

    def entry(self, path: str, *, follow: bool = False) -> TreeEntry | None:
        """Returns the entry at `path`, or None if it does not exist. With `follow`, the final target of a link."""

    def children(self, folder: str) -> tuple[TreeEntry, ...]:
        """The entries of a folder, in no particular order; an entry's path is `folder` joined with its name."""

    def link_target(self, path: str) -> str:
        """The text of a symbolic link."""

    def read(self, path: str) -> bytes:
        """The content of a file; links are followed."""

    def head(self, path: str, size: int) -> bytes:
        """The first `size` bytes of a file; links are followed."""

    def hashes(
        self, paths: Iterable[str], algorithm: str = "sha256", progress: Progress | None = None
    ) -> Iterator[tuple[str, bool]]:
        """For each file, in the order of `paths`: the hash of its content as hex, and whether its owner may execute it.

        Links are followed. `paths` is read somewhat ahead; memory use does not depend on the number or size of files.
        The algorithm may also be "sha1", for the drop-in checksum.
        """

    def identity(self, path: str) -> str:
        """The real path of `path`, links followed: equal for two paths to the same file or folder."""

    def relative(self, path: str) -> str:
        """`path` normalised, and relative to the root if it is inside. `.`, `..` and `//` are folded."""

    def absolute(self, path: str) -> str:
        """`path` for another program, independent of its working directory."""
