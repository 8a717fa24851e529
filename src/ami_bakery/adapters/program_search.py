"""Finds programs on PATH: never in the current folder, never in the repository that is worked on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

_LONGEST_LINE = 1 << 14
"""Characters of a `.git` file's first line: more than a path has."""


def find_program(name: str, environment: Mapping[str, str], repository: str = "") -> str | None:
    """The absolute path of a program.

    A name with a slash is a path that the user wrote, and is taken as it is. Any other name is looked up on PATH as
    `safe_path` leaves it, so that a change of the repository cannot put a program in front of the installed one.
    `repository` is a folder of the repository.
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
    """PATH without empty and relative entries, and without folders of the repository."""
    return os.pathsep.join(_folders(environment, work_tree_of(repository) if repository else ""))


def work_tree_of(folder: str) -> str:
    """The nearest folder, from `folder` up, that has a `.git`; `folder` itself where none has. Links are resolved.

    Of a submodule it is the outermost repository, a change of which can move the submodule, too.
    """
    start = os.path.realpath(folder)
    for level in levels_above(start):
        path = os.path.join(level, ".git")
        if os.path.lexists(path):
            above, found, _ = git_folder_named_by(path).partition(f"{os.sep}.git{os.sep}modules{os.sep}")
            return above if found and is_within(level, above) else level
    return start


def git_folder_named_by(path: str) -> str:
    """Where a `.git` leads that is a file; empty for all else."""
    if not os.path.isfile(path):
        return ""  # reading a pipe or a device might never end
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            first = file.readline(_LONGEST_LINE)
    except OSError:
        return ""
    if len(first) == _LONGEST_LINE or "\0" in first:
        return ""
    named = first.removeprefix("gitdir: ").rstrip("\r\n")
    return os.path.realpath(os.path.join(os.path.dirname(path), named)) if first.startswith("gitdir: ") else ""


def levels_above(folder: str) -> Iterator[str]:
    """`folder` itself, and each folder above it."""
    while True:
        yield folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent


def is_within(path: str, folder: str) -> bool:
    """Whether an absolute path is `folder` or lies in it. Everything lies in `/`, which is nobody's repository."""
    folder = folder.rstrip("/")
    return bool(folder) and (path == folder or path.startswith(f"{folder}/"))


def is_in_repository(path: str, repository: str) -> bool:
    """Whether a path, or what it leads to, lies in the repository that the folder `repository` is in."""
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
