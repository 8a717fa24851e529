"""What git knows of a folder: which commit it is at, what a revision names, and the files of that revision."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from ami_bakery.adapters.git.repository import Repository, hold
from ami_bakery.adapters.git.tree import GitTree
from ami_bakery.errors import UsageError
from ami_bakery.inputs import OUR_OUTPUT, PACKERS_OUTPUTS

_OF_HOOKS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"})
_NOT_LOOKED_AT = tuple(
    f":(top,exclude,glob)**/{name}{end}" for name in (OUR_OUTPUT, *PACKERS_OUTPUTS) for end in ("", "/**")
)
"""What bakes write: no change of anybody's."""
_DEEPEN = "This clone is shallow: fetch more history (`git fetch --unshallow`; `fetch-depth: 0` in GitHub's checkout)."
_NAME = "Name a branch, a tag or a commit that this repository has; `git fetch` may bring it."


class GitProgram:
    """A `Git` port over the `git` program."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        # Locks would disturb whoever works in the repository; replaced objects and grafts are not what was committed.
        # A hook's own variables would make git look at another repository than the folder's.
        own = {name: value for name, value in environment.items() if name not in _OF_HOOKS}
        self._environment = {**own, "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}

    def commit(self, folder: str) -> str:
        repository = self._repository(folder)
        head = repository.text("rev-parse", "--verify", "HEAD")
        if head is None:
            return ""
        changes = repository.ask("status", "--porcelain", "--untracked-files=normal", "--", ":/", *_NOT_LOOKED_AT)
        return f"{head}+dirty" if changes is None or changes.strip() else head

    def named(self, folder: str, revision: str) -> str:
        doing = f"looking for the git revision {revision!r}"
        repository = self._repository(folder)
        inside = repository.run("rev-parse", "--show-toplevel")
        if inside.status != 0:
            wrong = inside.complaint.partition("\n")[0].removeprefix("fatal: ")
            raise UsageError(doing, wrong, f"{folder} must be in the work tree of a git repository, and git installed.")
        commit = _commit(repository, revision)
        if commit is None:
            shallow = repository.text("rev-parse", "--is-shallow-repository") == "true"
            raise UsageError(doing, "git does not know it", _DEEPEN if shallow else _NAME)
        return commit

    def missing_submodules(self, folder: str) -> tuple[str, ...]:
        repository = self._repository(folder)
        top = repository.text("rev-parse", "--show-toplevel") or folder
        listed = repository.names("-C", top, "ls-files", "--stage", "-z")
        found = (line.partition("\t")[2] for line in listed if line.startswith("160000 "))
        paths = (os.path.join(top, path) for path in found)
        return tuple(path for path in paths if not os.path.lexists(os.path.join(path, ".git")))

    def references(self, folder: str) -> tuple[str, ...]:
        listed = self._repository(folder).text(
            "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags"
        )
        return tuple((listed or "").split())

    @contextlib.contextmanager
    def tree(self, folder: str, revision: str) -> Iterator[GitTree | None]:
        with contextlib.ExitStack() as stack:
            top = self._repository(folder).text("rev-parse", "--show-toplevel")
            repository = self._repository(top or folder)
            commit = _commit(repository, revision) if top else None
            holding = hold(repository, commit, stack) if commit else None
            yield GitTree(folder, repository.folder, commit, holding) if commit and holding else None

    def _repository(self, folder: str) -> Repository:
        return Repository(folder, self._environment)


def _commit(repository: Repository, revision: str) -> str | None:
    """The commit that a revision names."""
    return repository.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
