"""An AMI in EC2, and the tags that ami-bakery writes on AMIs."""

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
"""The digest of a finished, verified AMI. The original bakery uses the same tag."""
OUR_TAGS = "ami-bakery:"
"""The prefix of all other tags of ami-bakery."""
IMAGE_TAG = "ami-bakery:image"
FORMAT_TAG = "ami-bakery:format"
FROM_TAG = "ami-bakery:from"
COMPONENTS_TAG = "ami-bakery:components"
COMMIT_TAG = "ami-bakery:commit"
ORIGIN_TAG = "ami-bakery:origin"
"""The AMI that Packer created in the build region; its copies have the same value."""
REGIONS_TAG = "ami-bakery:regions"
"""On the AMI of the build region: the other regions in which the template itself created it."""
KMS_KEY_TAG = "ami-bakery:kms-key"
"""On a copy: its KMS key, as configured."""
TESTED_TAG = "ami-bakery:tested"
"""The digest of the test that the AMI passed."""
TEST_FAILED_TAG = "ami-bakery:test-failed"
"""The digest of a verified AMI that failed its test, and so has no digest tag. The next run tests it again."""
REVOKED_TAG = "ami-bakery:revoked"
"""Why the AMI is revoked. It does not count, is no source AMI, and is never promoted. Copies have the same value."""
ABANDONED_TAG = "ami-bakery:abandoned"
"""On an AMI that is going to be removed, and that no bake may return."""
SHARED_TAG = "ami-bakery:shared"
"""The shares that ami-bakery granted, so that it can revoke them: `launch 123456789012`."""
QUARANTINED_TAG = "ami-bakery:quarantined"
"""When prune disabled the AMI, in UTC: `2026-06-01T12:00:00Z`. core/ec2/quarantine.py reads and writes it."""
QUARANTINED_SHARES_TAG = "ami-bakery:quarantined-shares"
"""The launch permissions that EC2 removed then. More tags end in `-2`, `-3` and so on."""
ENABLED_TAG = "ami-bakery:enabled"
"""When the AMI was enabled again after a quarantine, in UTC. Prune keeps it for a day: a bake may have returned it."""


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
    """One AMI in one region.

    created          None if EC2 has no date
    source           the source AMI of a build or copy; None if unknown
    source_instance  the instance that it was created from; None for a copy, or if unknown
    last_launched    when an instance was last launched from it, up to a day late; None if never, or before April 2017
    deregistration_protection  EC2's value, such as `enabled-with-cooldown`; empty for AMIs of other accounts
    """

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
    last_launched: datetime | None = None
    deregistration_protection: str = ""

    @property
    def protected(self) -> str:
        """Why EC2 refuses to deregister it, as a clause; empty if it does not.

        EC2 does not show the cool-down period after the protection was disabled: DeregisterImage fails then.
        """
        off = self.deregistration_protection in ("", "disabled")
        return "" if off else f"its deregistration protection is {self.deregistration_protection}"

    @property
    def available(self) -> bool:
        return self.state is AmiState.AVAILABLE

    @property
    def kms_key(self) -> str:
        """The configured KMS key of a copy; empty if none, or if this is no copy."""
        return self.tags.get(KMS_KEY_TAG, "")

    @property
    def verified(self) -> bool:
        """Whether ami-bakery verified it. An empty tag does not count: tags are emptied if DeleteTags is denied."""
        return bool(self.tags.get(FORMAT_TAG))

    @property
    def tested(self) -> str:
        """The digest of the test that it passed, as hex; empty if none."""
        return self.tags.get(TESTED_TAG, "")

    @property
    def test_failed(self) -> str:
        """The AMI's own digest, as hex, if it failed its last test; otherwise empty."""
        return self.tags.get(TEST_FAILED_TAG, "")

    @property
    def revoked(self) -> str:
        """Why it is revoked, as its tag says; empty if it is not."""
        return self.tags.get(REVOKED_TAG, "")

    def carries(self, digest: Digest, base: Collection[str] | None = None) -> bool:
        """Whether this AMI is the finished result of `digest`.

        Packer may write the digest's tag before the AMI is verified, so an AMI of a bakery.toml image only counts with
        the format tag, which ami-bakery writes after verification. The original trusted Packer's tag.

        base  the source AMIs of the digest; an AMI with other source AMIs has copied tags. None: do not compare
        """
        if self.tags.get(DIGEST_TAG) != digest.hex:
            return False
        return digest.scheme is Scheme.SHA1 or (self.verified and self.is_recorded_from(base))

    def is_recorded_from(self, base: Collection[str] | None) -> bool:
        """Whether the source AMIs in the tag, if any, are among these."""
        return base is None or set(self.tags.get(FROM_TAG, "").split()) <= set(base)


def newest(amis: Iterable[Ami]) -> Ami | None:
    """Returns the newest AMI by creation date, then by id. Every runner selects the same one."""
    return max(amis, key=lambda ami: (ami.created is not None, ami.created, ami.id), default=None)


def newest_in_second(amis: Iterable[Ami]) -> tuple[Ami, ...]:
    """Returns all AMIs that Packer may select as the most recent; the last one is `newest`.

    Packer compares whole seconds. Between equals, the order of EC2's response decides (packer-plugin-amazon,
    step_source_ami_info.go).
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
    """Returns the tag with as many regions as fit. A value has at most 256 characters; AWS has some 30 regions."""
    listed = ""
    for region in regions:
        if len(listed) + len(region) < _TAG_LENGTH:
            listed = f"{listed} {region}".strip()
    return {REGIONS_TAG: listed} if listed else {}


def snapshot_tags(tags: Mapping[str, str], configured: Iterable[str]) -> dict[str, str]:
    """Returns the tags for an AMI's snapshots. They identify the AMI after it is deregistered.

    configured  the names of the image's configured tags
    """
    return {name: tags[name] for name in (DIGEST_TAG, IMAGE_TAG, *configured) if name in tags}


def copied_tags(tags: Mapping[str, str], wanted: Mapping[str, str], kms_key: str) -> dict[str, str]:
    """Returns the tags of a copy: the source's, overridden by `wanted`.

    Omits the source's `aws:` tags, and tags that describe only the source AMI itself.
    """
    left_out = (KMS_KEY_TAG, SHARED_TAG, REGIONS_TAG, TEST_FAILED_TAG, ENABLED_TAG)
    prefixes = ("aws:", QUARANTINED_TAG)
    kept = {name: value for name, value in tags.items() if not name.startswith(prefixes) and name not in left_out}
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
    tested: str = "",
) -> dict[str, str]:
    """Returns the tags of a verified AMI, without empty values. `tested`: the digest of the test that it passed."""
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
        TESTED_TAG: tested,
    }
    return {name: value for name, value in tags.items() if value}
