"""Writes the tags of AMIs that are finished or failed their test.

The order matters: an AMI gets the digest last, after it is verified and tested. One call tags both the AMI and the
lock, so the digest is not written if another runner has taken over the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.ami import (
    ABANDONED_TAG,
    DIGEST_TAG,
    FORMAT_TAG,
    ORIGIN_TAG,
    TEST_FAILED_TAG,
    TESTED_TAG,
    Ami,
    finished_tags,
    regions_tag,
    snapshot_tags,
)
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.plan.desired_state import DesiredState
from ami_bakery.errors import AwsError, NotFoundError
from ami_bakery.plan.changes import commit_of
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.bake.baker import Baker

Tag = Callable[[Sequence[str], Mapping[str, str]], bool]
"""Tags AMIs and the lock in one call; returns False, and writes nothing, if the lock is lost."""


class AmiTagger:
    """Tags the AMIs of one bake.

    tested  the digest of the test that the AMIs passed, as hex; empty without a test
    """

    def __init__(self, baker: Baker) -> None:
        self._baker = baker
        self._ec2 = baker.ports.ec2
        self._image = baker.image
        self.tested = ""

    def finish(self, amis: Mapping[str, Ami], tag: Tag | None) -> dict[str, Ami] | None:
        """Writes the digest on the AMI of the home region. After that, missing regions need only copies.

        Returns None if the lock is lost.
        """
        self._baker.waiter.step("tagging the AMI")
        home = amis[self._baker.planned.plan.regions[0]]
        finished, others = self._finished_tags(home, home), DesiredState.of(self._image).ami_tags
        if self._image.scheme is Scheme.SHA256 and not home.verified:
            others = {**others, **regions_tag(region for region in amis if region != home.region)}
        try:
            if others:
                # In a separate call: a call that includes the lock tags it, too, and it has no room for so many tags.
                self._ec2.tag(home.region, [home.id], others)
            self._tag_snapshots(home, {**others, **finished})
            if finished and tag is None:
                self._ec2.tag(home.region, [home.id], finished)
            elif finished and tag is not None and not tag([home.id], finished):
                return None
        except AwsError as error:
            raise self._untagged_error(error, amis.values(), kept=tag is not None) from error
        self._drop_empty(home, finished)
        return {**amis, home.region: replace(home, tags=_with(home, {**others, **finished}))}

    def finish_others(self, amis: Mapping[str, Ami]) -> dict[str, Ami]:
        """Tags the AMIs that Packer itself created in other regions."""
        home = amis[self._baker.planned.plan.regions[0]]
        tagged = {home.region: home}
        for region, ami in amis.items():
            if region == home.region:
                continue
            tags = {**DesiredState.of(self._image).ami_tags, **self._finished_tags(ami, home)}
            try:
                self._tag_snapshots(ami, tags)
                if tags:
                    self._ec2.tag(region, [ami.id], tags)
            except AwsError as error:
                raise self._untagged_error(error, [one for one in amis.values() if one.region not in tagged]) from error
            self._drop_empty(ami, tags)
            tagged[region] = replace(ami, tags=_with(ami, tags))
        return tagged

    def mark_failed(self, amis: Iterable[Ami], tag: Tag) -> bool:
        """Removes the digest, and keeps the AMIs for the next run. Returns False if the lock is lost.

        The AMI of the home region is last: as long as it has a digest, the next run tests it again.

        amis  all AMIs with its origin that may have the digest; others are ignored
        """
        home, *copies = self._of_one_build(amis)
        for copy in copies:
            if DIGEST_TAG in copy.tags:
                self._ec2.untag(copy.region, [copy.id], [DIGEST_TAG])
            self._ec2.tag(copy.region, [copy.id], self._failed_tags(copy, home))
        tags = self._failed_tags(home, home)
        fenced = {name: tags.pop(name) for name in (FORMAT_TAG, TEST_FAILED_TAG, TESTED_TAG) if name in tags}
        # Packer may have written the digest a moment ago, so the tag may not be visible yet.
        fenced[DIGEST_TAG] = ""
        with suppress(NotFoundError):  # the next call finds out whether the AMI or the lock is gone
            self._ec2.tag(home.region, [home.id], tags)
        if not tag([home.id], fenced):
            return False
        self._drop_empty(home, {DIGEST_TAG: ""})
        return True

    def mark_abandoned(self, amis: Iterable[Ami], tag: Tag) -> bool:
        """Tags failed AMIs that are going to be removed. Returns False if the lock is lost."""
        home, *copies = self._of_one_build(amis)
        for copy in copies:
            self._ec2.tag(copy.region, [copy.id], self._abandoned_tags(copy))
        return tag([home.id], self._abandoned_tags(home))

    def _of_one_build(self, amis: Iterable[Ami]) -> tuple[Ami, ...]:
        """Returns the home region's AMI, and all AMIs of its build."""
        by_id = {(ami.region, ami.id): ami for ami in amis}
        region = self._baker.planned.plan.regions[0]
        home = next(ami for ami in by_id.values() if ami.region == region)
        origin = home.tags.get(ORIGIN_TAG, home.id)
        return (
            home,
            *(ami for ami in by_id.values() if ami is not home and ami.tags.get(ORIGIN_TAG, origin) == origin),
        )

    def _abandoned_tags(self, ami: Ami) -> dict[str, str]:
        emptied = (name for name in (FORMAT_TAG, TEST_FAILED_TAG, DIGEST_TAG) if ami.tags.get(name))
        return {ABANDONED_TAG: self._baker.run, **dict.fromkeys(emptied, "")}

    def _failed_tags(self, ami: Ami, home: Ami) -> dict[str, str]:
        """Returns the tags of a failed AMI: without the digest and the test."""
        tags = self._finished_tags(ami, home)
        digest = tags.pop(DIGEST_TAG)
        tags.pop(TESTED_TAG, None)
        # An empty tag of the test shows that the AMI was finished once, so that it is never removed.
        return {**tags, TEST_FAILED_TAG: digest, **({TESTED_TAG: ""} if was_finished(ami) else {})}

    def _tag_snapshots(self, ami: Ami, ami_tags: Mapping[str, str]) -> None:
        """Tags the snapshots. Call it before the AMI gets the digest: no later run tags snapshots of a finished AMI."""
        tags = snapshot_tags(ami_tags, dict(self._image.tags))
        if ami.snapshots and tags:
            self._ec2.tag(ami.region, ami.snapshots, tags)

    def _drop_empty(self, ami: Ami, tags: Mapping[str, str]) -> None:
        """Deletes the emptied tags. Best effort: an empty tag does not count."""
        empty = [name for name, value in tags.items() if not value]
        if empty:
            with suppress(AwsError):
                self._ec2.drop_empty_tags(ami.region, [ami.id], empty)

    def _untagged_error(self, error: AwsError, left: Iterable[Ami], *, kept: bool = False) -> AwsError:
        listed = ", ".join(f"{ami.id} of {ami.region}" for ami in left)
        later = ": the next run adopts it" if kept else ""
        todo = f"{error.todo} {listed} remains, verified but without the digest{later}."
        return error.revised(todo=todo)

    def _finished_tags(self, ami: Ami, home: Ami) -> dict[str, str]:
        baker = self._baker
        digest = baker.definition.digest
        assert digest is not None
        if baker.commit is None:
            baker.commit = commit_of(baker.resolver, baker.definition)
        bases = sorted({base for _, base in baker.definition.base})
        tags = finished_tags(
            image=self._image.name,
            digest=digest,
            components=baker.definition.components,
            base=home.source if home.source in bases else " ".join(bases),
            commit=baker.commit,
            origin=home.id,
            run=ami.tags.get(RUN_TAG, baker.run),
            template_wrote_digest=ami.tags.get(DIGEST_TAG) == digest.hex,
            tested=self.tested,
        )
        if ami.verified:
            # An earlier run built it: keep the commit and the source AMI of that run.
            kept = {name: ami.tags[name] for name in tags if ami.tags.get(name)}
            tags = {**tags, **kept, **{name: tags[name] for name in (DIGEST_TAG, TESTED_TAG) if name in tags}}
        return {**tags, TEST_FAILED_TAG: ""} if ami.test_failed else tags


def was_finished(ami: Ami) -> bool:
    """Whether the AMI was finished before, so that someone may use it."""
    return TESTED_TAG in ami.tags or (ami.verified and bool(ami.tags.get(DIGEST_TAG)))


def _with(ami: Ami, tags: Mapping[str, str]) -> dict[str, str]:
    """Returns the AMI's tags after a call, without the emptied ones."""
    return {name: value for name, value in {**ami.tags, **tags}.items() if value or name not in tags}
