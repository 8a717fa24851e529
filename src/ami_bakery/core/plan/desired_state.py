"""Computes steps that bring AMI tags and permissions to their configured state."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.core.config.keys import is_account
from ami_bakery.core.ec2.ami import SHARED_TAG, Ami
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ami_bakery.core.config.model import ImageConfig

PUBLIC = "all"
"""EC2's name for everyone in a list of permissions."""
_LAUNCH, _SNAPSHOTS = "launch", "snapshots"
"""The first words of the marker: the kinds of permissions."""
_HASHED = "#"
"""The prefix of a hash in the marker. It replaces a list that is too long for a tag."""
_MARKER_LENGTH = 256
"""The longest value of a tag, in characters."""


class StepKind(StrEnum):
    BAKE = "bake"
    ENABLE = "enable"
    TEST = "test"
    COPY = "copy"
    TAG = "tag"
    GRANT = "grant"
    REVOKE = "revoke"


class Step(Frozen):
    """One action of a bake in one region.

    ami          the AMI, or the source of a copy; None if it does not exist yet
    source       the source region of a copy
    kms_key      the key of a copy; empty if none is configured
    on_snapshot  whether the permission is for a snapshot; `snapshot` is None if that does not exist yet
    targets      accounts, and ARNs of organizations and OUs; of an AMI that is enabled, also `all`
    tags         (name, value), sorted by name; None removes a tag
    certain      False if the image may not need it, which is known only when its parent is built
    """

    kind: StepKind
    region: str
    ami: str | None = None
    source: str = ""
    kms_key: str = ""
    on_snapshot: bool = False
    snapshot: str | None = None
    targets: tuple[str, ...] = ()
    tags: tuple[tuple[str, str | None], ...] = ()
    certain: bool = True


class Permissions(Frozen):
    """The permissions of one AMI in EC2: to launch it, and to create volumes from each of its snapshots."""

    launch: frozenset[str]
    volumes: Mapping[str, frozenset[str]] = field(default_factory=dict)


class DesiredState(Frozen):
    """The configured tags and permissions of an image's AMIs. `share_with` is None if it is not configured."""

    tags: tuple[tuple[str, str], ...] = ()
    share_with: tuple[str, ...] | None = None
    share_snapshots: bool = False

    @classmethod
    def of(cls, image: ImageConfig) -> DesiredState:
        return cls(tags=image.tags, share_with=image.share_with, share_snapshots=image.share_snapshots)

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts that may use the snapshots. EC2 shares snapshots only with accounts."""
        return tuple(filter(_is_account, self.share_with or ())) if self.share_snapshots else ()

    @property
    def ami_tags(self) -> dict[str, str]:
        """The configured tags and the marker. The marker records the shares, so that they can be revoked later."""
        return {**dict(self.tags), **({SHARED_TAG: self.marker} if self.marker else {})}

    @property
    def marker(self) -> str:
        """The value of the tag that records the shares: `launch snapshots 123456789012`. Empty without shares."""
        words = [word for word, targets in ((_LAUNCH, self.share_with), (_SNAPSHOTS, self.accounts)) if targets]
        return _marker(words, self.share_with or ())

    def manages_permissions(self, ami: Ami) -> bool:
        """Whether ami-bakery manages the AMI's permissions: they are configured, or it granted some before."""
        return self.share_with is not None or is_marked(ami)

    def must_revoke(self, ami: Ami) -> bool:
        """Whether the AMI's marker records shares that are not configured any more."""
        marker = ami.tags.get(SHARED_TAG, "")
        if marker in ("", self.marker):
            return False
        words, targets = _read(marker)
        if targets is None or not set(targets) <= set(self.share_with or ()):
            return True
        return _SNAPSHOTS in words and not {target for target in targets if _is_account(target)} <= set(self.accounts)

    def concerns(self, ami: Ami) -> bool:
        """Whether this AMI may need steps: its tags differ, or its permissions must be read."""
        return self.manages_permissions(ami) or any(reconcile_steps(ami, self, None))

    def manages_snapshots(self, ami: Ami) -> bool:
        """Whether ami-bakery manages the permissions of the AMI's snapshots."""
        return bool(self.accounts) or _SNAPSHOTS in _read(ami.tags.get(SHARED_TAG, ""))[0]


def is_marked(ami: Ami) -> bool:
    """Whether ami-bakery has shared this AMI. A marker is empty if ami-bakery was not allowed to delete it."""
    return bool(ami.tags.get(SHARED_TAG))


def _is_account(target: str) -> bool:
    return is_account(target)


def _marker(words: Sequence[str], targets: Iterable[str]) -> str:
    if not words:
        return ""
    listed = " ".join(sorted(set(targets)))
    marker = f"{' '.join(words)} {listed}"
    if len(marker) <= _MARKER_LENGTH:
        return marker
    return f"{' '.join(words)} {_HASHED}{hashlib.sha256(listed.encode()).hexdigest()[:16]}"


def _read(marker: str) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Parses a marker: the kinds of permissions, and the targets; None if the marker has only their hash."""
    words = tuple(word for word in (_LAUNCH, _SNAPSHOTS) if word in marker.split())
    targets = tuple(word for word in marker.split() if word not in words)
    return words, None if not targets or targets[0].startswith(_HASHED) else targets


def _union(before: str, wanted: str) -> str:
    """A marker for both the existing and the configured shares."""
    if before in ("", wanted):
        return wanted
    if not wanted:
        return before
    (words, targets), (more_words, more_targets) = _read(before), _read(wanted)
    both = [word for word in (_LAUNCH, _SNAPSHOTS) if word in (*words, *more_words)]
    if targets is None or more_targets is None:
        return " ".join(both)
    return _marker(both, (*targets, *more_targets))


def reconcile_steps(ami: Ami, desired: DesiredState, permissions: Permissions | None) -> Iterator[Step]:
    """Yields the steps for one AMI, in order. `permissions` is None if ami-bakery does not manage them.

    The marker is written before the first grant and removed after the last revocation. If a run is interrupted in
    between, the next run still finds the shares.
    """
    marker = desired.marker
    before = _union(ami.tags.get(SHARED_TAG, ""), marker)
    wanted = {**desired.ami_tags, **({SHARED_TAG: before} if before else {})}
    missing = tuple((name, value) for name, value in sorted(wanted.items()) if ami.tags.get(name) != value)
    if missing:
        yield Step(kind=StepKind.TAG, region=ami.region, ami=ami.id, tags=missing)
    if permissions is None:
        return
    yield from _permission_steps(ami, None, permissions.launch, desired.share_with or ())
    for snapshot, now in sorted(permissions.volumes.items()):
        yield from _permission_steps(ami, snapshot, now, desired.accounts)
    if before != marker:
        yield Step(kind=StepKind.TAG, region=ami.region, ami=ami.id, tags=((SHARED_TAG, marker or None),))


def revoke_steps(ami: Ami, desired: DesiredState, permissions: Permissions | None) -> Iterator[Step]:
    """Yields the steps for an AMI that is not current: stale shares are revoked, and nothing is granted."""
    if permissions is None:
        return
    launch, accounts = set(desired.share_with or ()), set(desired.accounts)
    yield from _permission_steps(ami, None, permissions.launch, tuple(permissions.launch & launch))
    for snapshot, now in sorted(permissions.volumes.items()):
        yield from _permission_steps(ami, snapshot, now, tuple(now & accounts))
    kept = DesiredState(
        share_with=tuple(permissions.launch & launch),
        share_snapshots=any(now & accounts for now in permissions.volumes.values()),
    )
    if kept.marker != ami.tags.get(SHARED_TAG):
        yield Step(kind=StepKind.TAG, region=ami.region, ami=ami.id, tags=((SHARED_TAG, kept.marker or None),))


def _permission_steps(ami: Ami, snapshot: str | None, now: frozenset[str], wanted: tuple[str, ...]) -> Iterator[Step]:
    """Yields the steps from `now` to `wanted`. A public AMI stays public. The owner needs no permission."""
    granted = tuple(target for target in wanted if target not in now and target != ami.owner)
    revoked = tuple(sorted(now - {*wanted, PUBLIC}))
    for kind, targets in ((StepKind.GRANT, granted), (StepKind.REVOKE, revoked)):
        if targets:
            yield Step(
                kind=kind,
                region=ami.region,
                ami=ami.id,
                on_snapshot=snapshot is not None,
                snapshot=snapshot,
                targets=targets,
            )


def new_ami_steps(region: str, desired: DesiredState) -> Iterator[Step]:
    """Yields the steps for an AMI that does not exist yet. It is created with its tags."""
    if desired.share_with:
        yield Step(kind=StepKind.GRANT, region=region, targets=desired.share_with)
    if desired.accounts:
        yield Step(kind=StepKind.GRANT, region=region, on_snapshot=True, targets=desired.accounts)
