"""Which AWS service and region a host name stands for, and whether it is AWS's at all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_METADATA_HOSTS = frozenset({"169.254.169.254", "169.254.170.2", "[fd00:ec2::254]", "instance-data"})

MODELLED = ("ec2", "iam", "ssm", "sts")
"""The services that the embedded EC2 answers for. ssm is there for its public parameters, iam for instance profiles."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """`region` is us-east-1 where the host names none (`sts.amazonaws.com`)."""

    service: str
    region: str


def is_aws(host: str) -> bool:
    """Whether traffic to `host` must never leave the machine: AWS's own names and the instance metadata service."""
    return host.lower().endswith(_SUFFIXES) or host.lower() in _METADATA_HOSTS


def parse(host: str) -> Endpoint:
    """Reads `ec2.eu-west-1.amazonaws.com` and its like; other names (a bucket's) have no service that we know."""
    name = host.lower()
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    service, _, region = name.partition(".")
    return Endpoint(service=service, region=region or "us-east-1")


@cache
def regions() -> frozenset[str]:
    """Every region that botocore knows EC2 in, of every partition."""
    from botocore.session import Session

    session = Session()
    partitions = session.get_available_partitions()
    return frozenset(
        name for partition in partitions for name in session.get_available_regions("ec2", partition_name=partition)
    )
