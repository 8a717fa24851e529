"""Finds programs on PATH. Never finds them in the current folder or the repository."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

_LONGEST_LINE = 1 << 14
"""Maximum length of a `.git` file's first line, in characters; longer than any path."""


def find_program(name: str, environment: Mapping[str, str], repository: str = "") -> str | None:
    """Returns the absolute path of a program; None if there is none.

    A name with a slash is a path that the user wrote, and is not searched. Other names are searched on `safe_path`, so
    that a commit to the repository cannot replace an installed program. `repository` is a folder of the repository.
    """
    if os.sep in name:
        return os.path.abspath(name) if _is_program(name) else None
    repository = work_tree_of(repository) if repository else ""
    for folder in _folders(environment, repository):
        path = os.path.join(folder, name)
        if _is_program(path) and not is_within(os.path.realpath(path), repository):
            return path
    return None


def safe_path(environment: Mapping[str, str], repository: str = "") -> str:
    """Returns PATH without empty and relative entries. Folders of the repository are omitted, too."""
    return os.pathsep.join(_folders(environment, work_tree_of(repository) if repository else ""))


def work_tree_of(folder: str) -> str:
    """Returns the nearest folder, from `folder` up, with a `.git`; `folder` itself if none has. Resolves links.

    For a submodule, returns the outermost repository, because a commit to that can change the submodule.
    """
    start = os.path.realpath(folder)
    for level in levels_above(start):
        path = os.path.join(level, ".git")
        if os.path.lexists(path):
            above, found, _ = git_folder_named_by(path).partition(f"{os.sep}.git{os.sep}modules{os.sep}")
            return above if found and is_within(level, above) else level
    return start


def git_folder_named_by(path: str) -> str:
    """Returns the folder that a `.git` file names; empty if `path` is not such a file."""
    if not os.path.isfile(path):
        return ""  # reading a pipe or a device could block
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            first = file.readline(_LONGEST_LINE)
    except OSError:
        return ""
    if len(first) == _LONGEST_LINE or "\0" in first:
        return ""
    target = first.removeprefix("gitdir: ").rstrip("\r\n")
    return os.path.realpath(os.path.join(os.path.dirname(path), target)) if first.startswith("gitdir: ") else ""


def levels_above(folder: str) -> Iterator[str]:
    """Yields `folder`, and each folder above it."""
    while True:
        yield folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent


def is_within(path: str, folder: str) -> bool:
    """Returns whether an absolute path is `folder` or inside it. Always False for `/`, which is no repository."""
    folder = folder.rstrip("/")
    return bool(folder) and (path == folder or path.startswith(f"{folder}/"))


def is_in_repository(path: str, repository: str) -> bool:
    """Returns whether a path, or its link target, is inside a repository.

    It is the repository of the folder `repository`.
    """
    work_tree = work_tree_of(repository)
    path = os.path.abspath(path)
    return is_within(path, work_tree) or is_within(os.path.realpath(path), work_tree)


def _folders(environment: Mapping[str, str], work_tree: str) -> Iterator[str]:
    for entry in environment.get("PATH", os.defpath).split(os.pathsep):
        inside = is_within(os.path.normpath(entry), work_tree) or is_within(os.path.realpath(entry), work_tree)
        if os.path.isabs(entry) and not inside:
            yield entry


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
