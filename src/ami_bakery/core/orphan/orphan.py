"""Decides by tags whether a resource in EC2 is orphaned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from ami_bakery.core.ec2.ami import ABANDONED_TAG, DIGEST_TAG, FORMAT_TAG, IMAGE_TAG
from ami_bakery.core.ec2.resource import Resource, ResourceKind
from ami_bakery.core.ec2.run import KEY_PAIR_TAG, RUN_TAG, run_began
from ami_bakery.core.lock.lock import (
    ACQUIRED_TAG,
    CREATED_AMI_TAG,
    EXPIRES_TAG,
    INHERITED_TAG,
    INHERITED_VERIFIED_TAG,
    LOCK_TAG,
    ROLLBACK_TAG,
    VERIFIED_TAG,
    LockRecord,
)
from ami_bakery.core.packer.build_progress import CreatedKind
from ami_bakery.values import Frozen, field, replace

GROUP_TAG, INSTANCE_TAG, NAME_TAG = (
    f"ami-bakery:{kind}" for kind in (CreatedKind.SECURITY_GROUP, CreatedKind.INSTANCE, CreatedKind.AMI_NAME)
)
"""Tags of a lock for resources that its run has created, or was about to create."""
RECORD_TAGS = {
    CreatedKind.KEY_PAIR: KEY_PAIR_TAG,
    CreatedKind.SECURITY_GROUP: GROUP_TAG,
    CreatedKind.INSTANCE: INSTANCE_TAG,
    CreatedKind.AMI_NAME: NAME_TAG,
    CreatedKind.AMI: CREATED_AMI_TAG,
}
"""The tag of a lock that records a resource of each kind."""
KEYS = (
    RUN_TAG,
    IMAGE_TAG,
    FORMAT_TAG,
    DIGEST_TAG,
    KEY_PAIR_TAG,
    ABANDONED_TAG,
    LOCK_TAG,
    EXPIRES_TAG,
    ACQUIRED_TAG,
    VERIFIED_TAG,
    INHERITED_VERIFIED_TAG,
    INHERITED_TAG,
    GROUP_TAG,
    INSTANCE_TAG,
    NAME_TAG,
    CREATED_AMI_TAG,
    ROLLBACK_TAG,
)
"""The tags by which candidates are found."""
SURELY_DEAD = timedelta(hours=3)
"""A run without a lock is dead if it is older than this."""
SURELY_EXPIRED = timedelta(minutes=5)
"""Grace period for a late renewal: a waiting runner takes over immediately, but nothing is removed yet."""
_LEGACY_DIGEST = 40


class Orphan(Frozen):
    """A resource of a run that is dead, or may be dead.

    image  empty if unknown
    began  when it was created, or when its run started; None if unknown
    why    the reason, as a clause
    sure   whether its run is certainly dead, and no later run needs the resource
    """

    resource: Resource
    image: str
    run: str
    began: datetime | None
    why: str
    sure: bool


class RunIndex(Frozen):
    """Runs of an account, by the tags of its locks and resources.

    alive     runs and digests with a live lock, and the AMIs (``us-east-1:ami-...``) that their holders use
    dead      expired locks, by run
    verified  AMIs that, according to dead locks, lack only the digest
    images    the image of each run
    """

    alive: frozenset[str]
    dead: Mapping[str, LockRecord] = field(default_factory=dict)
    verified: frozenset[str] = frozenset()
    images: Mapping[str, str] = field(default_factory=dict)

    def recorded(self, *keys: str) -> dict[str, str]:
        """Returns these tags' values on dead locks, with the run of each."""
        return {lock.tags[key]: run for run, lock in self.dead.items() for key in keys if lock.tags.get(key)}


def index_runs(locks: Iterable[LockRecord], images: Mapping[str, str]) -> RunIndex:
    """Builds the index from locks of any region; `images` as in `RunIndex`."""
    alive: set[str] = set()
    dead: dict[str, LockRecord] = {}
    verified: set[str] = set()
    for lock in locks:
        verified_amis = set((lock.inherited.verified or "").split())
        if lock.expired:
            dead[lock.run] = lock
            verified |= verified_amis
        else:
            alive |= {lock.run, lock.digest, *verified_amis, *lock.inherited.unverified}
    return RunIndex(alive=frozenset(alive - {""}), dead=dead, verified=frozenset(verified), images=images)


def candidates(tagged: Mapping[str, Mapping[str, str]], runs: RunIndex) -> Iterator[str]:
    """Yields the ids to examine: all except locks, finished resources, and resources of live runs."""
    for identifier, tags in tagged.items():
        if LOCK_TAG not in tags and not _is_finished(tags) and not _is_alive(tags, runs):
            yield identifier


def _is_alive(tags: Mapping[str, str], runs: RunIndex) -> bool:
    return bool({tags.get(RUN_TAG, ""), tags.get(DIGEST_TAG, "")} & runs.alive)


def _is_finished(tags: Mapping[str, str]) -> bool:
    """Whether the tags say that an AMI (or its snapshot) is finished.

    A checksum of the original bakery is enough; a digest also needs the format tag.
    """
    return bool(tags.get(FORMAT_TAG)) or len(tags.get(DIGEST_TAG, "")) == _LEGACY_DIGEST


def classify(resource: Resource, runs: RunIndex, now: datetime, *, recorded_run: str = "") -> Orphan | None:
    """Returns the orphan, or None if the resource is not orphaned.

    recorded_run  the run according to a lock's records, for a resource without a run tag
    """
    run = resource.tags.get(RUN_TAG, "") or recorded_run
    if _is_finished(resource.tags) or _is_alive(resource.tags, runs) or {run, _key(resource)} & runs.alive:
        return None
    if not run and not _is_created_by_packer(resource) and not _is_of_pruned_ami(resource):
        return None
    why, sure = _why(resource, run, runs, now)
    return Orphan(
        resource=resource,
        image=resource.tags.get(IMAGE_TAG) or (runs.images.get(run, "") if run else ""),
        run=run,
        began=resource.began or run_began(run),
        why=why,
        sure=sure and _is_proven(resource),
    )


def _why(resource: Resource, run: str, runs: RunIndex, now: datetime) -> tuple[str, bool]:
    """Returns the reason, and whether it is certain."""
    if _is_of_pruned_ami(resource):
        return "its AMI was deregistered", True
    if ABANDONED_TAG in resource.tags:
        return "abandoned by a later run", True
    if _key(resource) in runs.verified:
        return "verified: the next bake of its digest finishes it", False
    if not run:
        return "it has a digest tag, but no run", False
    if run in runs.dead:
        return _expiry(runs.dead[run])
    began = resource.began or run_began(run)
    if began is not None and now - began > SURELY_DEAD:
        return f"no lock, and more than {SURELY_DEAD.total_seconds() / 3600:.0f} hours old", True
    return "no lock, but its run may be alive", False


def _key(resource: Resource) -> str:
    return f"{resource.region}:{resource.id}"


def _expiry(lock: LockRecord) -> tuple[str, bool]:
    sure = replace(lock, seen_at=lock.seen_at - SURELY_EXPIRED).expired
    return f"the lock of its run has {'' if sure else 'just '}expired", sure


def _is_of_pruned_ami(resource: Resource) -> bool:
    """Whether prune deregistered the AMI of this snapshot, but could not delete the snapshot."""
    return resource.kind is ResourceKind.SNAPSHOT and ABANDONED_TAG in resource.tags


def _is_created_by_packer(resource: Resource) -> bool:
    """Whether Packer created a resource that has no run. A digest tag is no proof: users may copy it to their own."""
    if resource.kind is ResourceKind.INSTANCE:
        return is_started_by_packer(resource)
    return resource.kind is ResourceKind.AMI or resource.name.startswith("packer_")


def _is_proven(resource: Resource) -> bool:
    """Whether more than a tag shows that a run created the resource.

    Users may copy tags to their own resources, such as an instance in use, which must not be removed.
    """
    if resource.kind is ResourceKind.INSTANCE:
        return is_started_by_packer(resource)
    if resource.kind is ResourceKind.AMI:
        return RUN_TAG in resource.tags
    return resource.kind is ResourceKind.SNAPSHOT or resource.name.startswith("packer_")


def is_started_by_packer(instance: Resource) -> bool:
    """Whether the instance has a temporary key pair of Packer."""
    return any(name.startswith("packer_") for name in instance.uses)


def expired_lock(lock: LockRecord) -> Orphan | None:
    """Returns the lock as an orphan if it has expired. An impossible expiry counts as expired."""
    if not lock.expired and not lock.exceeds_maximum:
        return None
    _, sure = _expiry(lock)
    expires = lock.tags.get(EXPIRES_TAG, "an unknown time")
    why = f"it expired at {expires}"
    if lock.exceeds_maximum:
        why = f"it expires at {expires}, which no run of ami-bakery can have written"
    if lock.tags.get(ROLLBACK_TAG):
        why, sure = f"{why}, and the next roll-back or promotion of its channel needs it", False
    return Orphan(
        resource=Resource(kind=ResourceKind.LOCK, id=lock.id, region=lock.region, name=lock.digest, tags=lock.tags),
        image=lock.tags.get(IMAGE_TAG, ""),
        run=lock.run,
        began=run_began(lock.run),
        why=why,
        sure=sure,
    )
