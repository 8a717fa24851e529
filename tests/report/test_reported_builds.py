"""AMIs of an image are grouped to builds, also if only copies are left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.ec2.ami import DIGEST_TAG, FORMAT_TAG, ORIGIN_TAG, Ami, AmiState
from ami_bakery.core.ec2.lineage import AmiKey, key_of
from ami_bakery.inspect.inventory import ImageAmi
from ami_bakery.inspect.used_amis import find_uses
from ami_bakery.report.report_facts import ReportedAmi
from ami_bakery.report.reported_builds import ImageNow, group_builds

if TYPE_CHECKING:
    from ami_bakery.inspect.inventory import Listing
    from ami_bakery.ports import Ports

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOME, GONE = "us-east-1", "eu-west-1"


class UnusedAmis:
    """A region in which nothing uses an AMI."""

    @property
    def usage(self) -> UnusedAmis:
        return self

    def references(self, _region: str, _amis: object) -> dict[str, tuple[()]]:
        return {}

    def auto_scaling_amis(self, _region: str) -> dict[str, tuple[()]]:
        return {}

    def instance_amis(self, _region: str) -> tuple[()]:
        return ()


def ami_of(origin: str, days: int, *, copied: bool = False) -> ImageAmi:
    tags = {DIGEST_TAG: str(days) * 64, FORMAT_TAG: "1", ORIGIN_TAG: origin}
    ami = Ami(
        id=f"{origin}-copy" if copied else origin,
        region=GONE if copied else HOME,
        name="app",
        state=AmiState.AVAILABLE,
        created=NOW - timedelta(days=days),
        owner="1",
        tags=tags,
    )
    return ImageAmi(image="app", ami=ami, base=None, base_ami=None, copy_of=AmiKey(HOME, origin) if copied else None)


def test_a_copy_in_a_region_without_newer_copies_is_behind_the_newest_build() -> None:
    """The region is no longer configured, so newer builds have no copy there."""
    made = [ami_of("ami-3", 1), ami_of("ami-2", 2), ami_of("ami-1", 9, copied=True)]
    uses = find_uses(cast("Ports", UnusedAmis()), made)
    amis = [ReportedAmi(use=use, shared_with=None, gibibytes=None, decision=None) for use in uses]
    now = ImageNow(regions=(HOME,), digest=Digest(Scheme.SHA256, "1" * 64), test="", channels=())
    builds = group_builds(cast("Listing", None), amis, now)
    assert [(build.id.id, key_of(build.first).region) for build in builds] == [
        ("ami-3", HOME),
        ("ami-2", HOME),
        ("ami-1", GONE),
    ]
    behind = [build.behind for build in builds]
    assert [each and (each.builds, each.time.days) for each in behind] == [(0, 0), (1, 1), (2, 8)]
