"""Runs git to find commits, resolve revisions, and read files of revisions."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.adapters.git.repository import Repository
from ami_bakery.adapters.git.revision_contents import RevisionLoader
from ami_bakery.adapters.git.revision_tree import GitTree
from ami_bakery.adapters.git.status import is_clean
from ami_bakery.core.definition.bake_outputs import ANSWER_FILE, PACKERS_OUTPUTS
from ami_bakery.errors import UsageError

if TYPE_CHECKING:
    from ami_bakery.core.report.hosted_repository import CommitInfo

_IGNORED = (ANSWER_FILE, *PACKERS_OUTPUTS)
"""Files that bakes write; they do not count as changes."""
_DUBIOUS = re.compile(r"dubious ownership in repository at '(.*?)'")
"""Git 2.35.2 and newer does not read other users' repositories, unless `safe.directory` lists them."""
_TRUST = "git config --global --add safe.directory"
_DEEPEN = "This clone is shallow: fetch more history (`git fetch --unshallow`; `fetch-depth: 0` in GitHub's checkout)."
_NAME = "Use a branch, tag or commit of this repository. You may need to run `git fetch`."


class GitProgram:
    """A `Git` port over the `git` program."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._complaints: dict[str, str] = {}

    def commit(self, folder: str, *, ignored: Sequence[str] = ()) -> str:
        repository = self._repository(folder)
        head = repository.text("rev-parse", "--verify", "HEAD")
        if head is None:
            return ""
        names = (*_IGNORED, *ignored)
        patterns = tuple(f":(top,exclude,glob)**/{name}{end}" for name in names for end in ("", "/**"))
        return head if is_clean(repository, patterns) else f"{head}+dirty"

    def resolve_revision(self, folder: str, revision: str) -> str:
        doing = f"resolving the git revision {revision!r}"
        repository = self._repository(folder)
        inside = repository.run("rev-parse", "--show-toplevel")
        if inside.status != 0:
            wrong = inside.complaint.partition("\n")[0].removeprefix("fatal: ")
            todo = f"Install git, and check that {folder} is in the work tree of a git repository."
            if match := _DUBIOUS.search(inside.complaint):
                todo = f"If the repository is yours, run: {_TRUST} {shlex.quote(match[1])}"
            raise UsageError(doing, wrong, todo)
        commit = _commit(repository, revision)
        if commit is None:
            shallow = repository.text("rev-parse", "--is-shallow-repository") == "true"
            raise UsageError(doing, "unknown git revision", _DEEPEN if shallow else _NAME)
        return commit

    def refusal(self, folder: str) -> str:
        if folder not in self._complaints:
            self._complaints[folder] = self._repository(folder).run("rev-parse", "--git-dir").complaint
        complaint = self._complaints[folder]
        match = _DUBIOUS.search(complaint)
        if match is None:
            return ""
        message = complaint.partition("\n")[0].removeprefix("fatal: ")
        return f"git refuses to read it ({message}); if it is yours, run: {_TRUST} {shlex.quote(match[1])}"

    def missing_submodules(self, folder: str) -> tuple[str, ...]:
        repository = self._repository(folder)
        if repository.top is None:
            return ()
        paths = (os.path.join(repository.top, path) for path in repository.gitlinks("ls-files", "--stage"))
        return tuple(path for path in paths if not os.path.lexists(os.path.join(path, ".git")))

    def references(self, folder: str) -> tuple[str, ...]:
        listed = self._repository(folder).text(
            "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags"
        )
        return tuple((listed or "").split())

    def commits(self, folder: str, ids: Iterable[str]) -> Mapping[str, CommitInfo]:
        from ami_bakery.adapters.git.commit_objects import read_commits

        return read_commits(self._repository(folder), ids)

    def remote_url(self, folder: str) -> str:
        return self._repository(folder).text("config", "--get", "remote.origin.url") or ""

    @contextlib.contextmanager
    def tree(self, folder: str, revision: str) -> Iterator[GitTree | None]:
        with self.trees(folder) as tree_of:
            yield tree_of(revision)

    @contextlib.contextmanager
    def trees(self, folder: str) -> Iterator[Callable[[str], GitTree | None]]:
        with contextlib.ExitStack() as stack:
            repository = self._repository(folder)
            top = repository.text("rev-parse", "--show-toplevel")
            loader = RevisionLoader(repository, stack)
            hashes: dict[tuple[str, str], str] = {}

            def tree_of(revision: str) -> GitTree | None:
                # `core.worktree` can name another folder than the one with `.git`.
                commit = _commit(repository, revision) if top and top == repository.top else None
                contents = loader.load(commit) if commit else None
                return GitTree(folder, top, commit, contents, hashes) if top and commit and contents else None

            yield tree_of

    def _repository(self, folder: str) -> Repository:
        return Repository(folder, self._environment)


def _commit(repository: Repository, revision: str) -> str | None:
    """Returns the id of the commit that a revision names; None if there is none."""
    return repository.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
