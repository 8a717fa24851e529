"""Finds inputs that were replaced during a build.

Compares their file status before and after the build. Equal content at both times does not prove that Packer read that
content: `git checkout other`, upload, `git checkout -` restores every byte. It cannot restore the change time (ctime),
which only the kernel can set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ami_bakery.values import Frozen

_SECOND = 1_000_000_000


class Stamp(NamedTuple):
    """The status of one file, folder or link itself: times in nanoseconds, `size` in bytes.

    modified  mtime: the content was written, or an entry of the folder was created, removed or renamed
    changed   ctime: the same, or mode, owner, link count or name changed
    """

    is_folder: bool
    size: int
    modified: int
    changed: int
    device: int
    inode: int


class Folder(NamedTuple):
    """A folder whose entries are all inputs, except `left_out`: outputs, version control, ignored names.

    takes_outputs  the template declares an output in it, which may be created and removed during the build
    """

    stamp: Stamp
    left_out: tuple[tuple[str, Stamp | None], ...] = ()
    takes_outputs: bool = False


class Stamps(Frozen):
    """The status of all inputs at one time, by absolute path.

    files    files, links, and what the links lead to
    folders  folders that are walked
    passed   parent folders of inputs, whose other entries do not matter
    """

    files: Mapping[str, Stamp]
    folders: Mapping[str, Folder]
    passed: Mapping[str, Stamp]


class Replaced(NamedTuple):
    """One path that was replaced or touched, and how: a clause."""

    path: str
    how: str


def replaced(before: Stamps, after: Stamps) -> Iterator[Replaced]:
    """Yields inputs that were replaced, touched, or added and removed in between.

    A path that only one of them has is ignored: it changes the digest.
    """
    for path in sorted(before.files.keys() & after.files.keys()):
        if _is_replaced(before.files[path], after.files[path]):
            yield Replaced(path, "was replaced or touched")
    for path in sorted(before.passed.keys() & after.passed.keys()):
        if _is_moved(before.passed[path], after.passed[path]):
            yield Replaced(path, "was moved away and back, or its mode was changed")
    for path in sorted(before.folders.keys() & after.folders.keys()):
        if not _is_explained(before.folders[path], after.folders[path]):
            yield Replaced(path, "had entries that came and went")


def _is_replaced(before: Stamp, after: Stamp) -> bool:
    """Whether a file was replaced. If ctime is precise, inodes are ignored: network filesystems change them."""
    if before[:4] != after[:4]:
        return True
    return before.changed % _SECOND == 0 and before[4:] != after[4:]


def _is_moved(before: Stamp, after: Stamp) -> bool:
    """Whether a folder was renamed or its mode changed: that only sets ctime, but a new entry sets both times."""
    if before.is_folder != after.is_folder:
        return True
    return before.modified == after.modified and before.changed != after.changed


def _is_explained(before: Folder, after: Folder) -> bool:
    """Whether outputs in the folder explain that it was modified."""
    if before.stamp.modified == after.stamp.modified:
        return True  # `passed` has the folder, too
    return before.takes_outputs or after.takes_outputs or _left_out(before) != _left_out(after)


def _left_out(folder: Folder) -> dict[str, Stamp | None]:
    """The excluded entries, without the times of folders: a change in .git does not modify its parent folder."""
    return {
        name: stamp if stamp is None or not stamp.is_folder else stamp._replace(size=0, modified=0, changed=0)
        for name, stamp in folder.left_out
    }
