"""Compares what the filesystem records about inputs before and after a build: was anything replaced meanwhile?

Equal content at both times does not prove that Packer read that content: `git checkout other`, upload, `git checkout -`
restores every byte. It cannot restore the change time (ctime), which the kernel sets and no program can choose.
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
    """A folder of which every entry is an input, except `left_out`: outputs, version control, ignored names.

    takes_outputs  the template declares an output in it, which may be created and removed during the build
    """

    stamp: Stamp
    left_out: tuple[tuple[str, Stamp | None], ...] = ()
    takes_outputs: bool = False


class Stamps(Frozen):
    """The status of all inputs at one time, by absolute path.

    files    files, links, and what the links lead to
    folders  folders that are walked
    passed   folders on the way to an input, whose other entries do not matter
    """

    files: Mapping[str, Stamp]
    folders: Mapping[str, Folder]
    passed: Mapping[str, Stamp]


class Replaced(NamedTuple):
    """One path that was replaced or touched, and how: a clause."""

    path: str
    how: str


def replaced(before: Stamps, after: Stamps) -> Iterator[Replaced]:
    """What was replaced, touched, or came and went between the two.

    A path that only one of them has is a change of the definition, which the digest shows.
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
    """ctime alone decides where it is precise: network and FUSE filesystems may renumber their inodes at any time."""
    if before[:4] != after[:4]:
        return True
    return before.changed % _SECOND == 0 and before[4:] != after[4:]


def _is_moved(before: Stamp, after: Stamp) -> bool:
    """A new entry sets both times of a folder; a rename of the folder itself, or chmod, sets ctime alone."""
    if before.is_folder != after.is_folder:
        return True
    return before.modified == after.modified and before.changed != after.changed


def _is_explained(before: Folder, after: Folder) -> bool:
    """Outputs that were written into a folder explain that its listing was modified."""
    if before.stamp.modified == after.stamp.modified:
        return True  # `passed` has the folder, too
    return before.takes_outputs or after.takes_outputs or _left_out(before) != _left_out(after)


def _left_out(folder: Folder) -> dict[str, Stamp | None]:
    """A change within a folder that is left out, such as .git, does not modify the folder above it."""
    return {
        name: stamp if stamp is None or not stamp.is_folder else stamp._replace(size=0, modified=0, changed=0)
        for name, stamp in folder.left_out
    }
