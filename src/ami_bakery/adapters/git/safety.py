"""Keeps git from starting programs: settings for every call, and which folder may be taken for a repository.

A repository's configuration, and files that a stranger's change brings, can make git start programs: hooks, a file
system monitor, filters, ssh, helpers for transports and credentials, pagers. docs/concepts/security.md lists them all.
Settings of the command line win over those of every configuration file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from ami_bakery.adapters.program_search import git_folder_named_by, is_within, levels_above, safe_path

SETTINGS = (
    # A folder with the files of a bare repository is a repository only where GIT_DIR names it (git 2.38).
    "safe.bareRepository=explicit",
    # Empty, not `false`: before 2.36 the value is the name of a program.
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
    # Locks would disturb whoever works in the repository; replaced objects and grafts are not what was committed.
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    # A partial clone would fetch what is missing: by a transport that its configuration names.
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
"""Of GIT_...: configuration, which may hold `safe.directory`, and its log. All others would lead git to another
repository, as a hook's do, or name programs."""
_PROGRAMS = frozenset({"SSH_ASKPASS", "PAGER", "EDITOR", "VISUAL"})


def safe_environment(environment: Mapping[str, str], folder: str) -> dict[str, str]:
    """The environment of git in a repository that `folder` is in."""
    own = {
        name: value
        for name, value in environment.items()
        if name not in _PROGRAMS and (not name.startswith("GIT_") or name.startswith(_KEPT))
    }
    return {**own, **_ENVIRONMENT, "PATH": safe_path(environment, folder)}


def top_of(folder: str) -> str | None:
    """The top of the work tree that `folder` is in, links resolved; None where there is none.

    Git itself takes each folder on the way up for a repository that looks like a bare one, tracked files too: it is
    started in the folder that has a `.git`, where it looks for that first.
    """
    for level in levels_above(os.path.realpath(folder)):
        git_folder = git_folder_of(level)
        if git_folder is not None:
            # Such a `.git` was not written by git: its repository would be made of the work tree's own files.
            inside = is_within(git_folder, level) and git_folder != os.path.join(level, ".git")
            return None if inside else level
    return None


def git_folder_of(level: str) -> str | None:
    """Where the repository of a folder with a `.git` is, links resolved; None where it has none."""
    path = os.path.join(level, ".git")
    if os.path.isdir(path):
        return os.path.realpath(path) if os.path.lexists(os.path.join(path, "HEAD")) else None
    return git_folder_named_by(path) or None


def is_own_submodule(folder: str, git_folder_above: str) -> bool:
    """Whether the repository of a submodule's folder is where git keeps it: in that of its superproject, or in a `.git`
    of its own."""
    found = git_folder_of(folder)
    return found is not None and (
        found == os.path.join(os.path.realpath(folder), ".git") or is_within(found, git_folder_above)
    )


_OF_A_FILTER = re.compile(r"filter\..*\..*", re.DOTALL)


def without_filters(configured: Iterable[str]) -> tuple[str, ...] | None:
    """Settings that switch off the filters among these names of settings; None where one has a name that no setting of
    the command line can have."""
    drivers = {name.split(".", 1)[1].rpartition(".")[0] for name in configured if _OF_A_FILTER.fullmatch(name)}
    if any("=" in driver or "\n" in driver for driver in drivers):
        return None
    return tuple(
        f"filter.{driver}.{setting}"
        for driver in sorted(drivers)
        for setting in ("clean=", "smudge=", "process=", "required=false")
    )
