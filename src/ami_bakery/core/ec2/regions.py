"""AWS's region names, to find misspelt ones without a network call.

Source: botocore's endpoints of EC2, all partitions. A test compares the two. A region that is not in this list is
looked up in the installed botocore.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ami_bakery.core.text.suggestions import nearest

REGIONS = frozenset(
    {
        *("af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3"),
        *("ap-south-1", "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4"),
        *("ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "cn-north-1"),
        *("cn-northwest-1", "eu-central-1", "eu-central-2", "eu-isoe-west-1", "eu-north-1", "eu-south-1"),
        *("eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "eusc-de-east-1", "il-central-1"),
        *("me-central-1", "me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-gov-east-1"),
        *("us-gov-west-1", "us-iso-east-1", "us-iso-west-1", "us-isob-east-1", "us-isob-west-1"),
        *("us-isof-east-1", "us-isof-south-1", "us-west-1", "us-west-2"),
    }
)
HOW_TO_CORRECT = "Fix the name of the region. If AWS has just opened it, update botocore: `pip install -U botocore`."


def unknown_region(region: str, known: Iterable[str]) -> str:
    """Describes an unknown region, with the nearest known one."""
    return f"AWS has no region {region!r}{nearest(region, sorted({*REGIONS, *known}))}"


def has_own_endpoint(environment: Mapping[str, str]) -> bool:
    """Whether the user configured an endpoint for EC2. Its regions may have any name."""
    return any(environment.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2"))
