"""EC2's DescribeRegions, stricter than moto: without AllRegions, only the regions that are enabled for the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.core.responses import ActionResult
from moto.utilities.utils import get_partition

from ami_bakery.local.ec2.image_actions import StrictResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENABLED_BY_DEFAULT = frozenset(
    {
        *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
        *("ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1"),
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    }
)
"""Source: AWS Account Management Reference Guide, "Enable or disable AWS Regions in your account"."""


class RegionActions(StrictResponse):
    """The action, named as moto dispatches it."""

    def describe_regions(self) -> ActionResult:
        """Describes regions of the caller's partition. A region that the account has called counts as opted in."""
        self.error_on_dryrun()
        if self._filters_from_querystring():
            raise NotImplementedError("Filter")
        names = self._get_param("RegionNames", [])
        regions = [region for region in self._regions() if not names or region["RegionName"] in names]
        if not self._get_bool_param("AllRegions", False):
            regions = [region for region in regions if region["OptInStatus"] != "not-opted-in"]
        return ActionResult({"Regions": regions})

    def _regions(self) -> Iterator[dict[str, str]]:
        backend = self.ec2_backend
        called = self.state.called_regions(backend.account_id)
        for region in backend.describe_regions():
            if get_partition(region.name) != backend.partition:
                continue
            default = "opted-in" if region.name in called else "not-opted-in"
            status = "opt-in-not-required" if region.name in _ENABLED_BY_DEFAULT else default
            yield {"RegionName": region.name, "Endpoint": region.endpoint, "OptInStatus": status}
