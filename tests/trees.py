"""A source tree over a folder on disk, as small as can be, and a way to write one."""

from __future__ import annotations

import hashlib
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ami_bakery.errors import SourceError
from ami_bakery.ports import FileKind, TreeEntry


class DiskTree:
    """Answers from the disk, and counts what it was asked to read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.was_read: list[str] = []

    def _at(self, path: str) -> str:
        return posixpath.join(str(self.root), path)

    def entry(self, path: str, *, follow: bool = False) -> TreeEntry | None:
        try:
            status = Path(self._at(path)).stat(follow_symlinks=follow)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SourceError(f"reading {path}", str(error), "Mend it.") from error
        return TreeEntry(path=path, kind=_kind(status.st_mode))

    def children(self, folder: str) -> tuple[TreeEntry, ...]:
        made = []
        for name in (child.name for child in Path(self._at(folder)).iterdir()):
            path = name if folder == "." else posixpath.join(folder, name)
            entry = self.entry(path)
            if entry:
                made.append(entry)
        return tuple(made)

    def link_target(self, path: str) -> str:
        return str(Path(self._at(path)).readlink())

    def read(self, path: str) -> bytes:
        self.was_read.append(path)
        try:
            return Path(self._at(path)).read_bytes()
        except OSError as error:
            raise SourceError(f"reading {path}", str(error), "Mend it.") from error

    def hashes(
        self, paths: Iterable[str], algorithm: str = "sha256", progress: object = None
    ) -> Iterator[tuple[str, bool]]:
        for path in paths:
            executable = bool(Path(self._at(path)).stat().st_mode & 0o100)
            yield hashlib.new(algorithm, self.read(path)).hexdigest(), executable


def _kind(mode: int) -> FileKind:
    if stat.S_ISREG(mode):
        return FileKind.FILE
    if stat.S_ISDIR(mode):
        return FileKind.FOLDER
    return FileKind.LINK if stat.S_ISLNK(mode) else FileKind.OTHER


def write_tree(root: Path, files: Mapping[str, str]) -> DiskTree:
    """Writes files by their paths; `-> target` as the content makes a link, and a path that ends in `/` a folder."""
    for name, content in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            path.symlink_to(content[3:])
        else:
            path.write_text(content)
    return DiskTree(root)
