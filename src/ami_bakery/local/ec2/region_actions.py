"""DescribeRegions of the embedded EC2: as in EC2, regions that are not enabled only on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
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
"""Regions of the partition aws. Source: AWS Account Management Guide, "Enable or disable AWS Regions"."""


class RegionActions(StrictResponse):
    """The action, named as moto dispatches it."""

    def describe_regions(self) -> ActionResult:
        """Describes the regions of the caller's partition.

        A region that is not enabled is described if it is named, or with AllRegions. An opt-in region is enabled if the
        account has called it.
        """
        self.error_on_dryrun()
        if self._filters_from_querystring():
            raise NotImplementedError("Filter")
        regions = {region["RegionName"]: region for region in self._regions()}
        names = self._get_param("RegionNames", [])
        for name in names:
            if name not in regions:
                raise EC2ClientError("InvalidParameterValue", f"Invalid region provided: {name}")
        if names:
            regions = {name: region for name, region in regions.items() if name in names}
        elif not self._get_bool_param("AllRegions", False):
            regions = {name: region for name, region in regions.items() if region["OptInStatus"] != "not-opted-in"}
        return ActionResult({"Regions": list(regions.values())})

    def _regions(self) -> Iterator[dict[str, str]]:
        backend = self.ec2_backend
        called = self.state.called_regions(backend.account_id)
        for region in backend.describe_regions():
            if get_partition(region.name) != backend.partition:
                continue
            if backend.partition != "aws" or region.name in _ENABLED_BY_DEFAULT:
                status = "opt-in-not-required"
            else:
                status = "opted-in" if region.name in called else "not-opted-in"
            yield {"RegionName": region.name, "Endpoint": region.endpoint, "OptInStatus": status}
