"""Links to the AWS console, for each partition."""

from __future__ import annotations

import re

_AMI = re.compile(r"ami-[0-9a-z]+", re.ASCII)
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}", re.ASCII)
_HOSTS = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}
_WITHOUT_CONSOLE_LINK = ("us-iso", "eu-iso", "eusc-")
"""Partitions whose consoles have no public or no known address."""


def console_url(region: str, ami: str | None) -> str | None:
    """Returns the AWS console's page of an AMI; None if the region's partition is unknown.

    Hosts: https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/using-govcloud-endpoints.html and
    https://docs.amazonaws.cn/en_us/aws/latest/userguide/endpoints-Beijing.html
    """
    if not ami or not _AMI.fullmatch(ami) or not _REGION.fullmatch(region):
        return None
    if region.startswith(_WITHOUT_CONSOLE_LINK):
        return None
    host = next((host for prefix, host in _HOSTS.items() if region.startswith(prefix)), "console.aws.amazon.com")
    return f"https://{region}.{host}/ec2/home?region={region}#ImageDetails:imageId={ami}"
