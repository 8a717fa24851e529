"""Reads the repository, the commits of builds and their changes from git."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.definition.bake_outputs import REPORT_FILE
from ami_bakery.core.report.hosted_repository import commit_url, repository_url
from ami_bakery.report.build_changes import changes_of_builds, commits_of
from ami_bakery.report.report_facts import ReportedCommit, ReportedRepository
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ami_bakery.define.resolver import Resolver
    from ami_bakery.report.report_facts import ReportedImage


def read_repository(resolver: Resolver) -> ReportedRepository | None:
    """Returns the commit that is checked out; None outside of git."""
    ports = resolver.ports
    commit, _, dirty = ports.git.commit(resolver.config.root, ignored=(REPORT_FILE,)).partition("+")
    if not commit:
        return None
    remote = ports.git.remote_url(resolver.config.root)
    return ReportedRepository(
        commit=commit,
        dirty=bool(dirty),
        url=repository_url(remote, ports.environment),
        commit_url=commit_url(remote, ports.environment, commit),
    )


def read_commits_of_builds(resolver: Resolver, images: Iterable[ReportedImage]) -> dict[str, ReportedCommit]:
    """Returns the commits of all builds, by the text in the tag."""
    ids = dict.fromkeys(build.commit for image in images for build in image.builds if build.commit)
    if not ids:
        return {}
    known, environment = commits_of(resolver, ids), resolver.ports.environment
    remote = resolver.ports.git.remote_url(resolver.config.root)
    return {
        commit: ReportedCommit(
            url=commit_url(remote, environment, commit),
            subject=known[commit].subject if commit in known else None,
            committed=known[commit].committed if commit in known else None,
        )
        for commit in ids
    }


def with_changes(resolver: Resolver, images: Sequence[ReportedImage]) -> tuple[ReportedImage, ...]:
    """Adds what changed in each build. Its copies have its tags, if its AMI in the build region is gone."""
    builds = {
        image.image.name: [replace(build.first, id=build.id.id, region=build.id.region) for build in image.builds]
        for image in images
    }
    changes = changes_of_builds(resolver, builds)
    return tuple(
        replace(image, builds=tuple(replace(build, changes=changes.get(build.id)) for build in image.builds))
        for image in images
    )
