"""Whether a work tree has changes, found out without filters and without git's own walk through submodules.

`git status` starts itself in each submodule, and the filters of both: here each repository is asked by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from ami_bakery.adapters.git.repository import Repository, is_pointer_to

_STATUS = ("status", "--porcelain", "--no-renames", "--untracked-files=normal", "--ignore-submodules=all", "-z")
_MODIFIED = " M "


def is_clean(repository: Repository, left_out: Sequence[str]) -> bool:
    """`left_out`: pathspecs of what is no change. What cannot be known, such as a file whose filter would have to be
    run to compare it, counts as changed."""
    told = repository.run_unfiltered(*_STATUS, "--", ":/", *left_out)
    if told.status != 0:
        return False
    changes = [change for change in told.answer.decode("utf-8", "surrogateescape").split("\0") if change]
    return _are_pointers(repository, changes) and _has_clean_submodules(repository, left_out)


def _are_pointers(repository: Repository, changes: Iterable[str]) -> bool:
    """Whether all changes are files of Git LFS, whose content is what the commit points to."""
    changes = tuple(changes)
    if not changes:
        return True
    if not all(change.startswith(_MODIFIED) and "\n" not in change for change in changes):
        return False
    with repository.blobs() as blobs:
        return all(
            is_pointer_to(blobs, f":{path}", os.path.join(repository.top or "", path))
            for path in (change.removeprefix(_MODIFIED) for change in changes)
        )


def _has_clean_submodules(repository: Repository, left_out: Sequence[str]) -> bool:
    committed = repository.gitlinks("ls-tree", "-r", "--full-tree", "HEAD")
    if committed != repository.gitlinks("ls-files", "--stage"):
        return False
    for path, commit in committed.items():
        submodule = repository.submodule(path)
        # One that is not checked out is as it was committed.
        if submodule is not None and not _is_at(submodule, commit, left_out):
            return False
    return True


def _is_at(submodule: Repository, commit: str, left_out: Sequence[str]) -> bool:
    return submodule.text("rev-parse", "--verify", "HEAD") == commit and is_clean(submodule, left_out)
