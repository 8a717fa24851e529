"""The files that a template may read, as the reader of templates needs them: an interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias


class FileKind(StrEnum):
    FILE = "file"
    FOLDER = "directory"
    LINK = "symlink"
    OTHER = "other"
    """A pipe, a socket or a device: nothing that can be hashed."""


class TreeEntry(NamedTuple):
    """What stands at a path: not what a link leads to."""

    path: str
    kind: FileKind


Progress: TypeAlias = Callable[[int, int], None]
"""Told, now and then, of how many files and how many bytes have been read."""


class SourceTree(Protocol):
    """The files that images are made of, on disk or in a git commit.

    Paths are POSIX, relative to the root (the folder of bakery.toml); `..` may lead out of it, and an absolute path is
    taken as it is. Names that are not UTF-8 are carried with surrogateescape. Every method raises `SourceError` where
    the outside refuses (no right to read, a file that vanishes), naming the path.
    """

    def entry(self, path: str, *, follow: bool = False) -> TreeEntry | None:
        """What stands at `path`, or None where nothing does. With `follow`, what a link there leads to in the end."""

    def children(self, folder: str) -> tuple[TreeEntry, ...]:
        """The entries of a folder, in no particular order; each one's path is `folder` joined with its name."""

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

        Links are followed. `paths` is read somewhat ahead; memory does not grow, however large or many the files are.
        The algorithm may be "sha1", too, for the original's checksum.
        """

    def identity(self, path: str) -> str:
        """What `path` is in truth, links followed: equal for two paths that lead to one file or folder."""

    def relative(self, path: str) -> str:
        """`path` normalised (`.`, `..`, `//` folded), and relative to the root where it lies within."""

    def absolute(self, path: str) -> str:
        """`path` as another program takes it, whatever folder that is started in."""
