"""What finished AMIs need to be as configured: tags and permissions. What is wanted and what EC2 says in, steps out."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.image import SHARED_TAG, Ami
from ami_bakery.values import Frozen, field, replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ami_bakery.core.config.model import ImageConfig

PUBLIC = "all"
"""Among permissions: everybody."""
_LAUNCH, _SNAPSHOTS = "launch", "snapshots"
"""The first words of the marker: what was shared."""
_HASHED = "#"
"""What begins the marker's last word where it stands for a list that a tag has no room for."""
_MARKER_LENGTH = 256
"""The longest value of a tag."""


class StepKind(StrEnum):
    BAKE = "bake"
    COPY = "copy"
    TAG = "tag"
    GRANT = "grant"
    REVOKE = "revoke"


class Step(Frozen):
    """One thing that a bake does in one region.

    ami          what it is done to, or the source of a copy; None where that is still to be made
    source       the region that a copy comes from
    kms_key      of a copy; empty where it has none of its own
    on_snapshot  whether the permission is a snapshot's; `snapshot` is None where that is still to be made
    targets      accounts, and ARNs of organizations and OUs
    tags         (name, value), by name; None takes a tag off
    certain      False where the image may be found instead, when its base is there
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
    """What EC2 says of one AMI: who may launch it, and who may make volumes of its snapshots, by snapshot."""

    launch: frozenset[str]
    volumes: Mapping[str, frozenset[str]] = field(default_factory=dict)


class DesiredState(Frozen):
    """How the AMIs of an image are to be kept. `share_with` is None where nobody has said."""

    tags: tuple[tuple[str, str], ...] = ()
    share_with: tuple[str, ...] | None = None
    share_snapshots: bool = False

    @classmethod
    def of(cls, image: ImageConfig) -> DesiredState:
        return cls(tags=image.tags, share_with=image.share_with, share_snapshots=image.share_snapshots)

    @property
    def accounts(self) -> tuple[str, ...]:
        """Who may use the snapshots: EC2 shares them with accounts only."""
        return tuple(filter(_is_account, self.share_with or ())) if self.share_snapshots else ()

    @property
    def ami_tags(self) -> dict[str, str]:
        """The configured tags, and the marker: what it says was shared can be taken back later."""
        return {**dict(self.tags), **({SHARED_TAG: self.marker} if self.marker else {})}

    @property
    def marker(self) -> str:
        """What is shared, and with whom: `launch snapshots 123456789012`. Empty where nothing is."""
        words = [word for word, targets in ((_LAUNCH, self.share_with), (_SNAPSHOTS, self.accounts)) if targets]
        return _marker(words, self.share_with or ())

    def looks_at(self, ami: Ami) -> bool:
        """Whether this AMI's permissions are any business of ours: now, or because we once granted some."""
        return self.share_with is not None or is_marked(ami)

    def takes_back(self, ami: Ami) -> bool:
        """Whether the marker lets us think that something which this AMI is shared for is to be taken back."""
        marker = ami.tags.get(SHARED_TAG, "")
        if marker in ("", self.marker):
            return False
        words, targets = _read(marker)
        if targets is None or not set(targets) <= set(self.share_with or ()):
            return True
        return _SNAPSHOTS in words and not {target for target in targets if _is_account(target)} <= set(self.accounts)

    def concerns(self, ami: Ami) -> bool:
        """Whether there is anything to do for this AMI, or to ask about it."""
        return self.looks_at(ami) or any(upkeep_steps(ami, self, None))

    def looks_at_snapshots(self, ami: Ami) -> bool:
        return bool(self.accounts) or _SNAPSHOTS in _read(ami.tags.get(SHARED_TAG, ""))[0]


def is_marked(ami: Ami) -> bool:
    """Whether the bakery has shared this AMI. A marker that could not be taken off was emptied."""
    return bool(ami.tags.get(SHARED_TAG))


def _is_account(target: str) -> bool:
    from ami_bakery.core.config.keys import is_account

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
    """The words of a marker, and with whom it says that was shared; None where it does not say."""
    words = tuple(word for word in (_LAUNCH, _SNAPSHOTS) if word in marker.split())
    targets = tuple(word for word in marker.split() if word not in words)
    return words, None if not targets or targets[0].startswith(_HASHED) else targets


def _united(before: str, wanted: str) -> str:
    """A marker that covers both: what was shared, until it is taken back, and what is to be."""
    if before in ("", wanted):
        return wanted
    if not wanted:
        return before
    (words, targets), (more_words, more_targets) = _read(before), _read(wanted)
    both = [word for word in (_LAUNCH, _SNAPSHOTS) if word in (*words, *more_words)]
    if targets is None or more_targets is None:
        return " ".join(both)
    return _marker(both, (*targets, *more_targets))


def upkeep_steps(ami: Ami, upkeep: DesiredState, permissions: Permissions | None) -> Iterator[Step]:
    """What is to be done for one AMI, in this order. `permissions` is None where they are no business of ours.

    The marker comes before the first grant and goes after the last is revoked: a run that ends in between leaves
    nothing that no later run would find.
    """
    marker = upkeep.marker
    before = _united(ami.tags.get(SHARED_TAG, ""), marker)
    wanted = {**upkeep.ami_tags, **({SHARED_TAG: before} if before else {})}
    lacking = tuple((name, value) for name, value in sorted(wanted.items()) if ami.tags.get(name) != value)
    if lacking:
        yield Step(kind=StepKind.TAG, region=ami.region, ami=ami.id, tags=lacking)
    if permissions is None:
        return
    yield from _permission_steps(ami, None, permissions.launch, upkeep.share_with or ())
    for snapshot, now in sorted(permissions.volumes.items()):
        yield from _permission_steps(ami, snapshot, now, upkeep.accounts)
    if before != marker:
        yield Step(kind=StepKind.TAG, region=ami.region, ami=ami.id, tags=((SHARED_TAG, marker or None),))


def take_back_steps(ami: Ami, upkeep: DesiredState, permissions: Permissions | None) -> Iterator[Step]:
    """What is to be done for an AMI that is not the one that counts: nobody is let in, and nothing else is changed."""
    if permissions is None:
        return
    launch, accounts = set(upkeep.share_with or ()), set(upkeep.accounts)
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
    """What makes `now` into `wanted`. What is public stays public: that is said, and left to a person. The owner needs
    no permission, and EC2 need not keep one."""
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


def first_steps(region: str, upkeep: DesiredState) -> Iterator[Step]:
    """What is to be done for an AMI that is still to be made; its tags come with it."""
    if upkeep.share_with:
        yield Step(kind=StepKind.GRANT, region=region, targets=upkeep.share_with)
    if upkeep.accounts:
        yield Step(kind=StepKind.GRANT, region=region, on_snapshot=True, targets=upkeep.accounts)


def describe(step: Step) -> str:
    """As a clause for people: `let 123456789012 launch ami-1 of us-east-1`."""
    if not step.certain:
        return f"if it is baked: {describe(replace(step, certain=True))}"
    ami = f"{step.ami} of {step.region}" if step.ami else f"it in {step.region}"
    snapshots = f"snapshot {step.snapshot}" if step.snapshot else "snapshots"
    what = f"use the {snapshots} of" if step.on_snapshot else "launch"
    targets = ", ".join(step.targets)
    match step.kind:
        case StepKind.BAKE:
            return f"bake in {step.region}"
        case StepKind.COPY:
            encrypted = f", encrypted with {step.kms_key}" if step.kms_key else ""
            source = f"{step.ami} of {step.source}" if step.ami else "it"
            return f"copy {source} to {step.region}{encrypted}"
        case StepKind.TAG:
            put = ", ".join(f"{name} = {value}" for name, value in step.tags if value is not None)
            return f"tag {ami}: {put}" if put else f"take {', '.join(dict(step.tags))} off {ami}"
        case StepKind.GRANT:
            return f"let {targets} {what} {ami}"
        case StepKind.REVOKE:
            return f"no longer let {targets} {what} {ami}"
