"""Finds what changed between builds, from tags of AMIs and from git."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import SHORT_LENGTH, Scheme
from ami_bakery.core.definition.manifest import ManifestPart, parse_components
from ami_bakery.core.ec2.ami import COMMIT_TAG, COMPONENTS_TAG, DIGEST_TAG, FROM_TAG, Ami
from ami_bakery.core.ec2.lineage import AmiKey, key_of
from ami_bakery.core.report.build_history import LISTED_PARTS, BuildChanges, PastBuild, changes_between
from ami_bakery.core.report.hosted_repository import CommitInfo, is_commit_id
from ami_bakery.report.past_definitions import PastDefinition, read_past_definitions
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.define.resolver import Resolver

READ_BUILDS = 50
"""Number of the newest builds of an image whose definitions are read from git."""
_DROP_IN_PARTS = (ManifestPart.FILES, ManifestPart.BASE)


def changes_of_builds(resolver: Resolver, builds: Mapping[str, Sequence[Ami]]) -> Mapping[AmiKey, BuildChanges]:
    """Returns what changed in each build since the one before; the oldest build of an image has no entry.

    Definitions come from git. Where git does not have one, only the changed parts are known, and a note says why.

    builds  the AMIs of each image in its build region, newest first
    """
    histories = [_History(resolver, name, amis) for name, amis in builds.items()]
    known = commits_of(resolver, [commit for history in histories for commit in history.commits.values()])
    wanted: dict[str, dict[str, set[str]]] = {}
    for history in histories:
        for ami in history.choose(known):
            digests = wanted.setdefault(history.commits[ami], {}).setdefault(history.image, set())
            digests.add(history.builds[ami].parts.get(ManifestPart.FILES, ""))
    past = read_past_definitions(resolver, wanted)
    refusal = resolver.ports.git.refusal(resolver.config.root) if histories else ""
    found: dict[AmiKey, BuildChanges] = {}
    for history in histories:
        found |= history.changes(past, known, refusal)
    return found


def commits_of(resolver: Resolver, commits: Iterable[str]) -> Mapping[str, CommitInfo]:
    """Returns the commits that this clone has, by id. Ignores text that is not a full commit id."""
    return resolver.ports.git.commits(resolver.config.root, commits)


class _History:
    """The builds of one image.

    builds   by AMI id, oldest first
    commits  the commit of each build that has one
    """

    def __init__(self, resolver: Resolver, image: str, amis: Sequence[Ami]) -> None:
        self.image = image
        is_drop_in = resolver.config.has(image) and resolver.image(image).scheme is Scheme.SHA1
        self._parts = _DROP_IN_PARTS if is_drop_in else tuple(ManifestPart)
        self._keys = tuple(reversed([key_of(ami) for ami in amis]))
        self.builds = {ami.id: _tagged(ami, is_drop_in=is_drop_in) for ami in reversed(amis)}
        tags = {ami.id: ami.tags.get(COMMIT_TAG, "").partition("+") for ami in amis}
        self.commits = {ami: commit for ami, (commit, _, _) in tags.items() if is_commit_id(commit)}
        self._dirty = frozenset(ami for ami, (_, _, dirty) in tags.items() if dirty)
        self._newest = frozenset(list(self.builds)[-READ_BUILDS:])
        self._chosen: dict[tuple[str, ...], str] = {}

    def choose(self, known: Mapping[str, CommitInfo]) -> Iterable[str]:
        """Returns the builds whose definitions are needed: one for each state of the parts that changed."""
        for ami in self.builds:
            commit, state = self.commits.get(ami), self._state(ami)
            if commit in known and ami in self._newest and state:
                chosen = self._chosen.get(state)
                if chosen is None or ami not in self._dirty or chosen in self._dirty:
                    self._chosen[state] = ami
        return self._chosen.values()

    def changes(
        self, past: Mapping[tuple[str, str], PastDefinition], known: Mapping[str, CommitInfo], refusal: str
    ) -> Mapping[AmiKey, BuildChanges]:
        builds = []
        for ami, build in self.builds.items():
            chosen = self._chosen.get(self._state(ami), "")
            read = past[self.commits[chosen], self.image] if chosen else None
            why = refusal or self._why_unknown(ami, known)
            if read is not None and not (why and chosen in self._dirty):
                build = replace(build, caveats=_caveats(read))
            else:
                build = replace(build, caveats=dict.fromkeys(LISTED_PARTS, why))
            if read is not None and ami == chosen:
                build = replace(build, manifest=read.manifest, in_manifest=read.parts)
            builds.append(build)
        return dict(zip(self._keys[1:], changes_between(builds, self._parts), strict=True))

    def _why_unknown(self, ami: str, known: Mapping[str, CommitInfo]) -> str:
        commit = self.commits.get(ami)
        if commit is None:
            return "it has no commit tag"
        if commit not in known:
            return f"commit {commit[:SHORT_LENGTH]} is not in this clone"
        if ami not in self._newest:
            return f"only the newest {READ_BUILDS} builds are read from git"
        return "it was built with uncommitted changes" if ami in self._dirty else ""

    @cached_property
    def _varying(self) -> tuple[ManifestPart, ...]:
        """The parts that are not the same in all builds."""
        return tuple(
            part
            for part in LISTED_PARTS
            if part in self._parts and len({build.parts.get(part) for build in self.builds.values()}) > 1
        )

    def _state(self, ami: str) -> tuple[str, ...]:
        return tuple(self.builds[ami].parts.get(part, "") for part in self._varying)


def _tagged(ami: Ami, *, is_drop_in: bool) -> PastBuild:
    digest = ami.tags.get(DIGEST_TAG, "")
    if is_drop_in:
        parts = {ManifestPart.FILES: digest, ManifestPart.BASE: ami.source or ""}
        return PastBuild(
            ami=ami.id,
            digest=digest,
            parts={part: value for part, value in parts.items() if value},
            sources=(ami.source,) if ami.source else (),
        )
    sources = tuple(ami.tags.get(FROM_TAG, "").split())
    return PastBuild(
        ami=ami.id, digest=digest, parts=parse_components(ami.tags.get(COMPONENTS_TAG, "")), sources=sources
    )


def _caveats(read: PastDefinition) -> Mapping[ManifestPart, str]:
    """Returns why details in git may differ from those of a build."""
    if read.manifest is None:
        return dict.fromkeys(LISTED_PARTS, read.problem)
    return {
        ManifestPart.FILES: read.problem,
        ManifestPart.VARIABLES: "its environment and options are unknown",
        ManifestPart.SETTINGS: "its options are unknown",
    }
