"""Checks a work tree for changes, without running filters.

`git status` would start git in each submodule, with the filters of its configuration, so each repository is checked
separately.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from ami_bakery.adapters.git.repository import Repository, is_pointer_to

_STATUS = ("status", "--porcelain", "--no-renames", "--untracked-files=normal", "--ignore-submodules=all", "-z")
_MODIFIED = " M "


def is_clean(repository: Repository, excluded: Sequence[str]) -> bool:
    """Returns whether the work tree has no changes. Unknown counts as changed: a file that only a filter can compare.

    excluded  pathspecs of files that do not count
    """
    result = repository.run_unfiltered(*_STATUS, "--", ":/", *excluded)
    if result.status != 0:
        return False
    changes = [change for change in result.answer.decode("utf-8", "surrogateescape").split("\0") if change]
    return _are_pointers(repository, changes) and _has_clean_submodules(repository, excluded)


def _are_pointers(repository: Repository, changes: Iterable[str]) -> bool:
    """Returns whether all changes are Git LFS files with the committed content. The commit's pointers name it."""
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


def _has_clean_submodules(repository: Repository, excluded: Sequence[str]) -> bool:
    committed = repository.gitlinks("ls-tree", "-r", "--full-tree", "HEAD")
    if committed != repository.gitlinks("ls-files", "--stage"):
        return False
    for path, commit in committed.items():
        submodule = repository.submodule(path)
        # A submodule that is not checked out counts as unchanged.
        if submodule is not None and not _is_at(submodule, commit, excluded):
            return False
    return True


def _is_at(submodule: Repository, commit: str, excluded: Sequence[str]) -> bool:
    return submodule.text("rev-parse", "--verify", "HEAD") == commit and is_clean(submodule, excluded)
