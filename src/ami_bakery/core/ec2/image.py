"""An AMI as EC2 tells of it, and the tags by which the bakery knows its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.definition.manifest import FORMAT
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from datetime import datetime

DIGEST_TAG = "ami_config_checksum"
"""Finished and verified, with this digest. The original bakery's tag, kept."""
OUR_TAGS = "ami-bakery:"
"""What the names of all our other tags begin with."""
IMAGE_TAG = "ami-bakery:image"
FORMAT_TAG = "ami-bakery:format"
FROM_TAG = "ami-bakery:from"
COMPONENTS_TAG = "ami-bakery:components"
COMMIT_TAG = "ami-bakery:commit"
ORIGIN_TAG = "ami-bakery:origin"
"""The AMI that Packer made in the region of the bake: copies of it in other regions carry the same."""
REGIONS_TAG = "ami-bakery:regions"
"""On the AMI of the home region: where else the template itself made it."""
KMS_KEY_TAG = "ami-bakery:kms-key"
"""On a copy: the KMS key that it was made with, as it is configured."""
SHARED_TAG = "ami-bakery:shared"
"""What the bakery has shared of an AMI, and with whom, so that it can take it back: `launch 123456789012`."""


_TAG_LENGTH = 256


class AmiState(StrEnum):
    """EC2's states of an image (API reference, Image.State)."""

    AVAILABLE = "available"
    PENDING = "pending"
    FAILED = "failed"
    ERROR = "error"
    INVALID = "invalid"
    TRANSIENT = "transient"
    DEREGISTERED = "deregistered"
    DISABLED = "disabled"
    OTHER = "other"


class Ami(Frozen):
    """One AMI in one region. `created` is None where EC2 tells no date; `source` is the AMI that it was made from,
    by a bake or as a copy, `source_instance` the instance, where it is no copy; None where EC2 does not tell."""

    id: str
    region: str
    name: str
    state: AmiState
    created: datetime | None
    owner: str
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    source_region: str | None = None
    source_instance: str | None = None
    state_reason: str = ""
    deprecated_at: datetime | None = None
    snapshots: tuple[str, ...] = ()

    @property
    def available(self) -> bool:
        return self.state is AmiState.AVAILABLE

    @property
    def kms_key(self) -> str:
        """The key that it was copied with, as it was configured; empty for one that was not, or without a key."""
        return self.tags.get(KMS_KEY_TAG, "")

    @property
    def verified(self) -> bool:
        """Whether the bakery finished it. An empty tag is as none: tags are emptied where DeleteTags is not allowed."""
        return bool(self.tags.get(FORMAT_TAG))

    def carries(self, digest: Digest, base: Collection[str] | None = None) -> bool:
        """Whether this AMI is the finished result of `digest`.

        Packer may write the digest's tag before anyone has verified the AMI, so an AMI of a bakery.toml image counts
        only with the format tag, which the bakery writes after verifying. The original trusted Packer's tag.

        base  the source AMIs of the digest: an AMI that records others is something else with copied tags. None: not
              compared
        """
        if self.tags.get(DIGEST_TAG) != digest.hex:
            return False
        return digest.scheme is Scheme.SHA1 or (self.verified and self.is_recorded_from(base))

    def is_recorded_from(self, base: Collection[str] | None) -> bool:
        """Whether the source AMIs on record, if there are any, are among these."""
        return base is None or set(self.tags.get(FROM_TAG, "").split()) <= set(base)


def newest(amis: Iterable[Ami]) -> Ami | None:
    """The newest by creation date; the id decides between equals, so that every runner picks the same one."""
    return max(amis, key=lambda ami: (ami.created is not None, ami.created, ami.id), default=None)


def newest_in_second(amis: Iterable[Ami]) -> tuple[Ami, ...]:
    """All that Packer may take as the most recent; the last one is `newest`.

    Packer compares whole seconds, and of equals takes the one that its sort puts last, which depends on the order of
    EC2's answer (packer-plugin-amazon, step_source_ami_info.go).
    """
    found = tuple(amis)
    last = newest(found)
    if last is None:
        return ()
    return (*sorted((ami for ami in found if ami is not last and _second(ami) == _second(last)), key=_id), last)


def _id(ami: Ami) -> str:
    return ami.id


def _second(ami: Ami) -> datetime | None:
    return ami.created.replace(microsecond=0) if ami.created else None


def regions_tag(regions: Iterable[str]) -> dict[str, str]:
    """As many as there is room for: a tag's value has 256 characters, AWS has some 30 regions."""
    listed = ""
    for region in regions:
        if len(listed) + len(region) < _TAG_LENGTH:
            listed = f"{listed} {region}".strip()
    return {REGIONS_TAG: listed} if listed else {}


def snapshot_tags(tags: Mapping[str, str], configured: Iterable[str]) -> dict[str, str]:
    """Of an AMI's tags, those that its snapshots carry, too: they tell of the AMI when it is gone. `configured`: the
    names of the tags that the configuration has."""
    return {name: tags[name] for name in (DIGEST_TAG, IMAGE_TAG, *configured) if name in tags}


def copied_tags(tags: Mapping[str, str], wanted: Mapping[str, str], kms_key: str) -> dict[str, str]:
    """The tags of a copy of an AMI that has `tags`: those, without what is AWS's or of that one AMI, and `wanted`."""
    left_out = (KMS_KEY_TAG, SHARED_TAG, REGIONS_TAG)
    kept = {name: value for name, value in tags.items() if not name.startswith("aws:") and name not in left_out}
    return {**kept, **wanted, **({KMS_KEY_TAG: kms_key} if kms_key else {})}


def finished_tags(
    *,
    image: str,
    digest: Digest,
    components: str,
    base: str,
    commit: str,
    origin: str,
    run: str,
    template_wrote_digest: bool,
) -> dict[str, str]:
    """What a verified AMI is tagged with. Empty values are left out."""
    if digest.scheme is Scheme.SHA1:
        return {} if template_wrote_digest else {DIGEST_TAG: digest.hex}
    tags = {
        DIGEST_TAG: digest.hex,
        IMAGE_TAG: image,
        FORMAT_TAG: str(FORMAT),
        FROM_TAG: base,
        COMPONENTS_TAG: components,
        COMMIT_TAG: commit,
        ORIGIN_TAG: origin,
        RUN_TAG: run,
    }
    return {name: value for name, value in tags.items() if value}
