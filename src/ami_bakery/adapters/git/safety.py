"""Prevents git from starting programs.

It does so by settings, and by the choice of the repository's folder. A repository's configuration and files, which a
pull request can change, can make git start programs: hooks, file system monitors, filters, ssh, transport and
credential helpers, pagers. docs/concepts/security.md lists them. Settings on the command line override all
configuration files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from ami_bakery.adapters.program_search import git_folder_named_by, is_within, levels_above, safe_path

SETTINGS = (
    # A folder with the files of a bare repository is not a repository unless GIT_DIR names it (git 2.38).
    "safe.bareRepository=explicit",
    # Empty, not `false`: before git 2.36 the value is the name of a program.
    "core.fsmonitor=",
    "core.hooksPath=/dev/null",
    "core.sshCommand=false",
    "core.askPass=",
    "core.pager=cat",
    "credential.helper=",
    "protocol.allow=never",
    "log.showSignature=false",
    "submodule.recurse=false",
    "status.submoduleSummary=false",
)
_ENVIRONMENT = {
    # Locks would disturb other git processes. Replaced objects and grafts differ from the commit.
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    # A partial clone would fetch missing objects, with a transport that its configuration names.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_SSH_COMMAND": "false",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "false",
    "LC_ALL": "C",
}
_KEPT = ("GIT_CONFIG_", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_TRACE")
"""GIT_* variables that are kept: configuration, which can contain `safe.directory`, and tracing. Others could select
another repository, as in a git hook, or name programs."""
_PROGRAMS = frozenset({"SSH_ASKPASS", "PAGER", "EDITOR", "VISUAL"})


def safe_environment(environment: Mapping[str, str], folder: str) -> dict[str, str]:
    """Returns the environment for git in the repository of `folder`."""
    own = {
        name: value
        for name, value in environment.items()
        if name not in _PROGRAMS and (not name.startswith("GIT_") or name.startswith(_KEPT))
    }
    return {**own, **_ENVIRONMENT, "PATH": safe_path(environment, folder)}


def top_of(folder: str) -> str | None:
    """Returns the top of the work tree of `folder`, links resolved; None if there is none.

    Start git in this folder, where it finds `.git` first. In a subfolder, git would accept any parent folder that
    looks like a bare repository, also if that consists of tracked files.
    """
    for level in levels_above(os.path.realpath(folder)):
        git_folder = git_folder_of(level)
        if git_folder is not None:
            # Git does not write such a `.git`: the repository would consist of files of the work tree.
            inside = is_within(git_folder, level) and git_folder != os.path.join(level, ".git")
            return None if inside else level
    return None


def git_folder_of(level: str) -> str | None:
    """Returns the git folder that a folder's `.git` is or names. Resolves links. Returns None if there is none."""
    path = os.path.join(level, ".git")
    if os.path.isdir(path):
        return os.path.realpath(path) if os.path.lexists(os.path.join(path, "HEAD")) else None
    return git_folder_named_by(path) or None


def is_own_submodule(folder: str, git_folder_above: str) -> bool:
    """Returns whether a submodule's git folder is where git puts it.

    That is the git folder of its superproject, or its own `.git`.
    """
    found = git_folder_of(folder)
    return found is not None and (
        found == os.path.join(os.path.realpath(folder), ".git") or is_within(found, git_folder_above)
    )


_OF_A_FILTER = re.compile(r"filter\..*\..*", re.DOTALL)


def without_filters(configured: Iterable[str]) -> tuple[str, ...] | None:
    """Returns settings that disable the filters among the configured names.

    None if a filter has a name that cannot be set on the command line.
    """
    drivers = {name.split(".", 1)[1].rpartition(".")[0] for name in configured if _OF_A_FILTER.fullmatch(name)}
    if any("=" in driver or "\n" in driver for driver in drivers):
        return None
    return tuple(
        f"filter.{driver}.{setting}"
        for driver in sorted(drivers)
        for setting in ("clean=", "smudge=", "process=", "required=false")
    )
