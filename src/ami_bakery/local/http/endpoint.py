"""Parses host names: AWS service and region, metadata services."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_METADATA_NAMES = frozenset(
    {"instance-data", "instance-data.ec2.internal", "metadata", "metadata.google.internal", "metadata.azure.internal"}
)
_METADATA_ADDRESSES = frozenset({"168.63.129.16", "100.100.100.200", "192.0.0.192"})
"""Metadata services of Azure, Alibaba and Oracle outside link-local networks."""
_EC2_NETWORK = "fd00:ec2::/32"
"""Link-local services of EC2 over IPv6 (EC2 User Guide, "Access instance metadata")."""

MODELLED = ("autoscaling", "ec2", "iam", "ssm", "sts")
"""The services of the embedded EC2: ssm has parameters, iam has instance profiles."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """An AWS service and region; us-east-1 if the host has no region (`sts.amazonaws.com`)."""

    service: str
    region: str


def is_aws(host: str) -> bool:
    """Whether `host` belongs to AWS. Traffic to such a host must not leave the machine."""
    return host.lower().rstrip(".").endswith(_SUFFIXES)


def is_metadata(host: str) -> bool:
    """Whether `host`, in any spelling, is a metadata service. Such a service gives credentials to its machine."""
    name = host.strip("[]").partition("%")[0].rstrip(".").lower()
    if name in _METADATA_NAMES:
        return True
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(name)
    except ValueError:
        try:
            # Decimal, octal, hexadecimal, or fewer than four numbers: libc accepts them for connect(2).
            address = ipaddress.IPv4Address(socket.inet_aton(name))
        except (OSError, ValueError):
            return False
    return any(_is_metadata_address(one) for one in (address, *_embedded_addresses(address)))


def _is_metadata_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if address.is_link_local or address.is_unspecified or address.is_multicast or str(address) in _METADATA_ADDRESSES:
        return True
    return isinstance(address, ipaddress.IPv6Address) and address in ipaddress.IPv6Network(_EC2_NETWORK)


def _embedded_addresses(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """Yields the IPv4 addresses in an IPv6 address: mapped, compatible, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv6Address):
        teredo = address.teredo or ()
        yield from (one for one in (address.ipv4_mapped, address.sixtofour, *teredo) if one is not None)
        last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if int(address) >> 32 == 0 or address in ipaddress.IPv6Network("64:ff9b::/32"):
            yield last


def parse_host(host: str) -> Endpoint:
    """Parses names such as `ec2.eu-west-1.amazonaws.com`; other names (of a bucket) have an unknown service."""
    name = host.lower().rstrip(".")
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    service, _, region = name.partition(".")
    return Endpoint(service=service, region=region or "us-east-1")


@cache
def regions() -> frozenset[str]:
    """Returns every EC2 region that botocore knows, in all partitions."""
    from botocore.session import Session

    session = Session()
    partitions = session.get_available_partitions()
    return frozenset(
        name for partition in partitions for name in session.get_available_regions("ec2", partition_name=partition)
    )
