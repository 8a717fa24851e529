"""Prune in random histories of bakes, promotions, launches, shares and revocations."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami_bakery.core.channel.parameter import ChannelParameter, ChannelVersion
from ami_bakery.core.channel.retained import channel_amis, rollback_amis
from ami_bakery.core.config.model import RetentionPolicy
from ami_bakery.core.ec2.ami import Ami, AmiState
from ami_bakery.core.ec2.lineage import AmiKey, key_of
from ami_bakery.core.ec2.quarantine import quarantine_tag_names, quarantine_tags, read_quarantine
from ami_bakery.core.prune.builds import finished_amis
from ami_bakery.core.prune.prunable import PrunableAmi, UsageReport
from ami_bakery.core.prune.retention import PruneAction, PruneDecision, PruneSettings, decide_pruning
from ami_bakery.values import replace

HOME, OTHER = "us-east-1", "eu-west-1"
OWN = "123456789012"
IMAGES = ("base", "app")
DAY = timedelta(days=1)


@dataclass
class Account:
    """An account with the images `base` and `app`, which is built from `base`. Definitions have numbers."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    amis: dict[AmiKey, Ami] = field(default_factory=dict)
    definition: dict[str, int] = field(default_factory=lambda: dict.fromkeys(IMAGES, 0))
    channels: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    instances: list[str] = field(default_factory=list)
    shared: set[str] = field(default_factory=set)
    reports: dict[str, UsageReport] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    number: int = 0

    def bake(self, image: str, version: int) -> None:
        """Builds the image, if there is no AMI of this definition; in two regions."""
        self.definition[image] = version
        if self.current(image):
            return
        base = self.current("base") if image == "app" else ()
        if image == "app" and not base:
            return
        self.number += 1
        digest = f"{IMAGES.index(image)}{version}{self.number}".ljust(64, "a")
        origin = f"ami-{self.number:04}{HOME[0]}"
        for region in (HOME, OTHER):
            tags = {
                "ami-bakery:image": image,
                "ami-bakery:format": "1",
                "ami_config_checksum": digest,
                "ami-bakery:origin": origin,
                "version": str(version),
            }
            parents = [ami for ami in base if ami.region == HOME]
            if parents:
                tags["ami-bakery:from"] = parents[0].id
            ami = Ami(
                id=f"ami-{self.number:04}{region[0]}",
                region=region,
                name="x",
                state=AmiState.AVAILABLE,
                created=self.now,
                owner=OWN,
                tags=tags,
            )
            self.amis[key_of(ami)] = ami

    def current(self, image: str) -> tuple[Ami, ...]:
        """Returns the newest build of the definition, even in quarantine, as plan would."""
        version = str(self.definition[image])
        fitting = [
            ami
            for ami in self.amis.values()
            if ami.tags["ami-bakery:image"] == image and ami.tags["version"] == version and not ami.revoked
        ]
        newest = max((ami.tags["ami-bakery:origin"] for ami in fitting), default="")
        return tuple(ami for ami in fitting if ami.tags["ami-bakery:origin"] == newest)

    def pick(self, image: str, at: int) -> tuple[Ami, ...]:
        """Returns the AMIs of a build that is available."""
        origins = sorted(
            {
                ami.tags["ami-bakery:origin"]
                for ami in self.amis.values()
                if ami.available and ami.tags["ami-bakery:image"] == image
            }
        )
        if not origins:
            return ()
        wanted = origins[at % len(origins)]
        return tuple(ami for ami in self.amis.values() if ami.tags["ami-bakery:origin"] == wanted)

    def promote(self, image: str, at: int) -> None:
        for ami in self.pick(image, at):
            if ami.available and not ami.revoked:
                self.channels.setdefault((image, ami.region), []).append(ami.id)

    def revoke(self, image: str, at: int) -> None:
        for ami in self.pick(image, at):
            self.amis[key_of(ami)] = replace(ami, tags={**ami.tags, "ami-bakery:revoked": "bad"})

    def parameters(self, image: str) -> list[ChannelParameter]:
        return [
            ChannelParameter(
                region=region,
                name="x",
                versions=tuple(
                    ChannelVersion(
                        number=number,
                        value=value,
                        kind="String",
                        data_type="aws:ec2:image",
                        description="",
                        modified=None,
                    )
                    for number, value in enumerate(values)
                ),
            )
            for (name, region), values in self.channels.items()
            if name == image
        ]

    def prunable(self) -> list[PrunableAmi]:
        current = {key_of(ami) for image in IMAGES for ami in self.current(image)}
        held = {key for image in IMAGES for key in channel_amis(self.parameters(image))}
        earlier = {key for image in IMAGES for key in rollback_amis(self.parameters(image), self.amis.values())}
        found = []
        for each in finished_amis(self.amis.values(), dict.fromkeys(IMAGES, HOME), OWN):
            quarantine = read_quarantine(each.ami.tags)
            found.append(
                PrunableAmi(
                    image=each.image,
                    key=each.key,
                    build=each.build,
                    created=each.ami.created,
                    bases=each.bases,
                    disabled=each.ami.state is AmiState.DISABLED,
                    quarantined=quarantine.since if quarantine else None,
                    current=each.key in current,
                    revoked=bool(each.ami.revoked),
                    channels=("stable",) if each.key in held else (),
                    rollbacks=("stable",) if each.key in earlier else (),
                    uses=("instance",) if each.ami.id in self.instances else (),
                    children=each.children,
                    shared_with=("1",) if each.ami.id in self.shared else (),
                    report=self.reports.get(each.ami.id),
                    unknown="denied" if each.ami.id in self.unreadable else "",
                )
            )
        return found

    def prune(self, policy: RetentionPolicy, how: PruneSettings) -> tuple[PruneDecision, ...]:
        """Decides, and carries it out as prune does."""
        decisions = decide_pruning(self.prunable(), dict.fromkeys(IMAGES, policy), how, self.now)
        for one in decisions:
            ami = self.amis[one.ami.key]
            match one.action:
                case PruneAction.DISABLE:
                    tags = {**ami.tags, **quarantine_tags(self.now, ())}
                    self.amis[one.ami.key] = replace(ami, state=AmiState.DISABLED, tags=tags)
                case PruneAction.ENABLE:
                    kept = {k: v for k, v in ami.tags.items() if k not in quarantine_tag_names(ami.tags)}
                    self.amis[one.ami.key] = replace(ami, state=AmiState.AVAILABLE, tags=kept)
                case PruneAction.REPORT:
                    users = () if ami.id not in self.unreadable else ("1",)
                    self.reports[ami.id] = UsageReport(created=self.now, used_by=users)
                case PruneAction.DEREGISTER:
                    del self.amis[one.ami.key]
                case PruneAction.KEEP | PruneAction.WAIT:
                    pass
        return decisions


_EVENTS = st.tuples(
    st.sampled_from(["bake", "bake", "bake", "promote", "launch", "share", "revoke", "unreadable", "days", "prune"]),
    st.sampled_from(IMAGES),
    st.integers(0, 5),
)
_POLICIES = st.sampled_from([RetentionPolicy(), RetentionPolicy(last=2), RetentionPolicy(last=1, within=10 * DAY)])
_SETTINGS = st.sampled_from(
    [
        PruneSettings(quarantine=14 * DAY, percent=100),
        PruneSettings(quarantine=timedelta(), percent=100),
        PruneSettings(quarantine=14 * DAY),
    ]
)


def happen(account: Account, event: str, image: str, number: int) -> None:
    match event:
        case "bake":
            account.bake(image, number)
        case "promote":
            account.promote(image, number)
        case "launch":
            account.instances += [ami.id for ami in account.pick(image, number) if ami.region == HOME]
        case "share":
            account.shared |= {ami.id for ami in account.pick(image, number)}
        case "revoke":
            account.revoke(image, number)
        case "unreadable":
            account.unreadable = {ami.id for ami in account.pick(image, number)}
        case "days":
            account.now += (number * 6 + 1) * DAY


def check(account: Account, before: list[PrunableAmi], decisions: tuple[PruneDecision, ...]) -> None:
    """Checks that nothing was changed that is used, in a channel, current, unknown, or a parent of what stays."""
    touched = {one.ami.key for one in decisions if one.action in (PruneAction.DISABLE, PruneAction.DEREGISTER)}
    for ami in before:
        if ami.key in touched:
            assert not ami.uses and not ami.channels and not ami.unknown
            assert ami.revoked or not (ami.current or ami.rollbacks)
        if ami.key in account.amis:
            assert all(base in account.amis for base in ami.bases), "the parent of an AMI that exists"
        if not ami.disabled and ami.key not in touched:
            assert not touched.intersection(ami.bases), "a parent of what stays"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_EVENTS, max_size=40), _POLICIES, _SETTINGS)
def test_prune_never_touches_what_is_needed_and_twice_is_once(
    events: list[tuple[str, str, int]], policy: RetentionPolicy, how: PruneSettings
) -> None:
    account = Account()
    for event, image, number in [*events, ("days", "app", 5), ("prune", "app", 0)]:
        if event != "prune":
            happen(account, event, image, number)
            continue
        before = account.prunable()
        decisions = account.prune(policy, how)
        check(account, before, decisions)
        if how.percent == 100:
            states = {key: ami.state for key, ami in account.amis.items()}
            account.prune(policy, how)
            after = {key: ami.state for key, ami in account.amis.items()}
            reported = any(one.action is PruneAction.REPORT for one in decisions)
            assert after == states or reported, "prune twice does what prune once does"
