"""Interfaces to the files that define images: stamps, templates, and git."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ami_bakery.template.source_tree import SourceTree

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ami_bakery.core.definition.stamp import Stamp
    from ami_bakery.core.report.hosted_repository import CommitInfo
    from ami_bakery.template.facts import TemplateFacts, TemplateRequest


class StampReader(Protocol):
    """Reads file status. Paths and errors are those of `SourceTree`."""

    def stamp(self, path: str) -> Stamp | None:
        """Returns the status of `path`, without following links; None if it does not exist."""

    def visited_paths(self, path: str) -> Iterator[str]:
        """Yields all paths on the way to the target of `path`.

        They are the absolute paths of the folders and links on the way, and of the target.
        """


class RevisionTree(SourceTree, Protocol):
    """The files of a git revision.

    Ignored files, and files outside the repository, are read from disk as they are now.
    """

    def holds(self, path: str) -> bool:
        """Returns whether the revision contains `path`."""

    def same_content(self, paths: Sequence[str]) -> frozenset[str]:
        """Returns the files whose content is certainly the same now.

        Considers conversions of line endings and encodings, and Git LFS. Runs no filter.
        """

    def undecided(self, paths: Sequence[str]) -> frozenset[str]:
        """Returns the files that may have changed: `same_content` does not include them, and they have a filter."""


class TemplateReader(Protocol):
    """Reads a Packer template as Packer does, without running Packer."""

    def read(self, tree: SourceTree, request: TemplateRequest) -> TemplateFacts:
        """Reads a template. Raises `TemplateError`, with the line, if it is missing or does not parse."""


class Git(Protocol):
    """The git repository of a folder."""

    def commit(self, folder: str, *, ignored: Sequence[str] = ()) -> str:
        """Returns the current commit, with `+dirty` if the work tree has changes; empty if unknown.

        Files that a bake writes (`.ami_id.json`, `packer_cache`) do not count as changes.

        ignored  names of more files that do not count
        """

    def resolve_revision(self, folder: str, revision: str) -> str:
        """Returns the commit of a revision in the repository of `folder`. Raises `UsageError` if it is unknown."""

    def refusal(self, folder: str) -> str:
        """Returns why git refuses to read the repository, and what to run.

        The text is one line. It is empty if git does not refuse.
        """

    def missing_submodules(self, folder: str) -> tuple[str, ...]:
        """Returns the absolute paths of submodules that are not checked out."""

    def references(self, folder: str) -> tuple[str, ...]:
        """Returns the short names of branches and tags."""

    def commits(self, folder: str, ids: Iterable[str]) -> Mapping[str, CommitInfo]:
        """Returns the commits that this clone has, by id. Ignores what is no full id."""

    def remote_url(self, folder: str) -> str:
        """Returns the URL of the remote `origin`, which may have a password; empty if there is none."""

    def tree(self, folder: str, revision: str) -> AbstractContextManager[RevisionTree | None]:
        """Returns the files of a revision, with `folder` as the root; None if git does not know the revision."""

    def trees(self, folder: str) -> AbstractContextManager[Callable[[str], RevisionTree | None]]:
        """Returns a function that returns the files of a revision, as `tree` does.

        For many revisions, it starts fewer processes. The work tree must not change meanwhile.
        """
