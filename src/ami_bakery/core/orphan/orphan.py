"""What dead runs have left in EC2: told from what is alive, what is finished, and what is not ours, by tags alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from ami_bakery.core.ec2.image import DIGEST_TAG, FORMAT_TAG, IMAGE_TAG
from ami_bakery.core.ec2.resource import Resource, ResourceKind
from ami_bakery.core.ec2.run import KEY_PAIR_TAG, RUN_TAG, run_began
from ami_bakery.core.lock.lock import (
    ABANDONED_TAG,
    ACQUIRED_TAG,
    CREATED_AMI_TAG,
    EXPIRES_TAG,
    INHERITED_TAG,
    INHERITED_VERIFIED_TAG,
    LOCK_TAG,
    VERIFIED_TAG,
    SeenLock,
)
from ami_bakery.core.packer.build_progress import CreatedKind
from ami_bakery.values import Frozen, field, replace

GROUP_TAG, INSTANCE_TAG, NAME_TAG = (
    f"ami-bakery:{kind}" for kind in (CreatedKind.SECURITY_GROUP, CreatedKind.INSTANCE, CreatedKind.AMI_NAME)
)
"""On a lock: what its run has made, or was about to make; key pair and AMI likewise."""
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
)
"""The tags by which they are found."""
SURELY_DEAD = timedelta(hours=3)
"""What is older, and has no lock, is of no run that is alive."""
SURELY_EXPIRED = timedelta(minutes=5)
"""A holder may be late with renewing its lock. Who waits for it takes it over at once; but nothing is removed yet."""
_LEGACY_DIGEST = 40


class Orphan(Frozen):
    """Something that a dead run has left, or may have left.

    image  empty where nothing tells it
    began  when it was made, or when its run began; None where nothing tells it
    sure   that its run is dead, and that nobody needs it
    """

    thing: Resource
    image: str
    run: str
    began: datetime | None
    why: str
    sure: bool


class RunIndex(Frozen):
    """What the tags of an account say of runs.

    alive     runs and digests whose lock lives, and the AMIs (``us-east-1:ami-...``) that its holder works with
    dead      the lock that has expired, by run
    verified  AMIs that lack the digest only, as dead locks say
    images    what each run bakes
    """

    alive: frozenset[str]
    dead: Mapping[str, SeenLock] = field(default_factory=dict)
    verified: frozenset[str] = frozenset()
    images: Mapping[str, str] = field(default_factory=dict)

    def noted(self, *keys: str) -> dict[str, str]:
        """What dead locks say under these keys, with the run that it is of."""
        return {lock.tags[key]: run for run, lock in self.dead.items() for key in keys if lock.tags.get(key)}


def read_notes(locks: Iterable[SeenLock], images: Mapping[str, str]) -> RunIndex:
    """`locks` of whatever region; `images` as `RunIndex` has them."""
    alive: set[str] = set()
    dead: dict[str, SeenLock] = {}
    verified: set[str] = set()
    for lock in locks:
        ready = set((lock.left.verified or "").split())
        if lock.expired:
            dead[lock.run] = lock
            verified |= ready
        else:
            alive |= {lock.run, lock.digest, *ready, *lock.left.unverified}
    return RunIndex(alive=frozenset(alive - {""}), dead=dead, verified=frozenset(verified), images=images)


def candidates(tagged: Mapping[str, Mapping[str, str]], notes: RunIndex) -> Iterator[str]:
    """The ids that have to be looked at: less what is finished, or of a run that is alive."""
    for identifier, tags in tagged.items():
        if LOCK_TAG not in tags and not _is_finished(tags) and not _is_alive(tags, notes):
            yield identifier


def _is_alive(tags: Mapping[str, str], notes: RunIndex) -> bool:
    return bool({tags.get(RUN_TAG, ""), tags.get(DIGEST_TAG, "")} & notes.alive)


def _is_finished(tags: Mapping[str, str]) -> bool:
    """AMIs, and their snapshots. The original's checksum counts as soon as Packer has written it."""
    return bool(tags.get(FORMAT_TAG)) or len(tags.get(DIGEST_TAG, "")) == _LEGACY_DIGEST


def classify(thing: Resource, notes: RunIndex, now: datetime, *, noted: str = "") -> Orphan | None:
    """What is to be said of something that is there; None where it is no leftover.

    `noted` is the run that a lock tells of it, where its own tags tell of none.
    """
    run = thing.tags.get(RUN_TAG, "") or noted
    if _is_finished(thing.tags) or _is_alive(thing.tags, notes) or {run, _key(thing)} & notes.alive:
        return None
    if not run and not _is_packers(thing):
        return None
    why, sure = _why(thing, run, notes, now)
    return Orphan(
        thing=thing,
        image=thing.tags.get(IMAGE_TAG) or (notes.images.get(run, "") if run else ""),
        run=run,
        began=thing.began or run_began(run),
        why=why,
        sure=sure and _is_made_by_run(thing),
    )


def _why(thing: Resource, run: str, notes: RunIndex, now: datetime) -> tuple[str, bool]:
    """Why it is a leftover, and whether that is sure."""
    if ABANDONED_TAG in thing.tags:
        return "given up by the run that came after", True
    if _key(thing) in notes.verified:
        return "verified: the next bake of its digest finishes it", False
    if not run:
        return "it carries the digest of a bake, but no run", False
    if run in notes.dead:
        return _expiry(notes.dead[run])
    began = thing.began or run_began(run)
    if began is not None and now - began > SURELY_DEAD:
        return f"no lock, and more than {SURELY_DEAD.total_seconds() / 3600:.0f} hours old", True
    return "no lock, but its run may be alive", False


def _key(thing: Resource) -> str:
    return f"{thing.region}:{thing.id}"


def _expiry(lock: SeenLock) -> tuple[str, bool]:
    sure = replace(lock, seen_at=lock.seen_at - SURELY_EXPIRED).expired
    return f"the lock of its run has {'' if sure else 'just '}expired", sure


def _is_packers(thing: Resource) -> bool:
    """Of what carries a digest only: people may have put that tag on their own instances and volumes."""
    if thing.kind is ResourceKind.INSTANCE:
        return any(name.startswith("packer_") for name in thing.uses)
    return thing.kind is ResourceKind.AMI or thing.name.startswith("packer_")


def _is_made_by_run(thing: Resource) -> bool:
    """Whether not only a tag says so, which may have been copied: an instance that is at work must not go."""
    if thing.kind is ResourceKind.INSTANCE:
        return any(name.startswith("packer_") for name in thing.uses)
    if thing.kind is ResourceKind.AMI:
        return RUN_TAG in thing.tags
    return thing.kind is ResourceKind.SNAPSHOT or thing.name.startswith("packer_")


def expired_lock(lock: SeenLock) -> Orphan | None:
    if not lock.expired and not lock.outlives_all:
        return None
    _, sure = _expiry(lock)
    expires = lock.tags.get(EXPIRES_TAG, "an unknown time")
    why = f"it expired at {expires}"
    if lock.outlives_all:
        why = f"it expires at {expires}, which no run of ami-bakery can have written"
    return Orphan(
        thing=Resource(kind=ResourceKind.LOCK, id=lock.id, region=lock.region, name=lock.digest, tags=lock.tags),
        image=lock.tags.get(IMAGE_TAG, ""),
        run=lock.run,
        began=run_began(lock.run),
        why=why,
        sure=sure,
    )
