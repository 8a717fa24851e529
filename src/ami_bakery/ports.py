"""What we ask of the outside world, as protocols; adapters answer, tests may answer too."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ami_bakery.core.template import TemplateFacts, TemplateRequest


class FileKind(StrEnum):
    FILE = "file"
    FOLDER = "directory"
    LINK = "symlink"
    OTHER = "other"
    """A pipe, a socket or a device: nothing that can be hashed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeEntry:
    """What stands at a path: not what a link leads to. `executable` is the owner's bit, and False for all but files."""

    path: str
    kind: FileKind
    executable: bool = False


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

    def sha256(self, path: str) -> str:
        """SHA-256 of the content of a file, as hex; links are followed. Reads in blocks: memory does not grow."""


class TemplateReader(Protocol):
    """Reads a Packer template as Packer would, without running it."""

    def read(self, tree: SourceTree, request: TemplateRequest) -> TemplateFacts:
        """Raises `TemplateError` where the template is absent or does not parse, naming the line."""
