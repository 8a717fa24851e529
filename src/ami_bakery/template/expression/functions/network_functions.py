"""Packer's functions of IP networks."""

from __future__ import annotations

import ipaddress

from ami_bakery.template.expression import cty
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.cty_types import STRING
from ami_bakery.template.expression.functions.text_functions import int_of


def _network(value: Cty) -> ipaddress.IPv4Network:
    if ":" in value.raw:
        raise Unsure("only Packer can evaluate IPv6 networks")
    address, slash, bits = value.raw.partition("/")
    parts = address.split(".")
    if not slash or not bits.isdigit() or len(parts) != 4 or any(len(part) > 1 and part[0] == "0" for part in parts):
        raise Unsure("only Packer can read the network")
    try:
        return ipaddress.IPv4Network(value.raw, strict=False)
    except ValueError:
        raise EvaluationError("the string is not a network") from None


def cidrhost(prefix: Cty, number: Cty) -> Cty:
    network, host = _network(prefix), int_of(number)
    size = network.num_addresses
    if not -size <= host < size:
        raise EvaluationError("the network has no such host")
    return cty.text(str(network[host] if host >= 0 else network.broadcast_address + host + 1))


def cidrnetmask(prefix: Cty) -> Cty:
    return cty.text(str(_network(prefix).netmask))


def cidrsubnet(prefix: Cty, bits: Cty, number: Cty) -> Cty:
    network, more, which = _network(prefix), int_of(bits), int_of(number)
    length = network.prefixlen + more
    if more < 0 or length > 32 or not 0 <= which < 1 << more:
        raise EvaluationError("the network has no such subnet")
    start = int(network.network_address) + (which << (32 - length))
    return cty.text(f"{ipaddress.IPv4Address(start)}/{length}")


def cidrsubnets(prefix: Cty, *bits: Cty) -> Cty:
    network = _network(prefix)
    end = int(network.network_address) + network.num_addresses
    start, result = int(network.network_address), []
    for each in bits:
        more = int_of(each)
        length = network.prefixlen + more
        if more < 1 or length > 32 or more > 32:
            raise EvaluationError("the network has no such subnet")
        size = 1 << (32 - length)
        start = -(-start // size) * size
        if start + size > end:
            raise EvaluationError("the network is too small for the subnets")
        result.append(cty.text(f"{ipaddress.IPv4Address(start)}/{length}"))
        start += size
    return cty.list_value(result, STRING)
