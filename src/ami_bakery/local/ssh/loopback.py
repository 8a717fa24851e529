"""Loopback addresses for instances: finds one whose SSH port is free, or says why there is none."""

from __future__ import annotations

import errno
import random
import socket

from ami_bakery.errors import UsageError

_ATTEMPTS = 50


def listen(port: int, address: str | None = None) -> socket.socket:
    """A listening socket at `address`, or at a loopback address that nobody has taken on this port.

    Raises `UsageError` where the port is refused: no right to it, or a server that holds it on every address.
    """
    for _ in range(1 if address else _ATTEMPTS):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # 127.0.x.x is left to whatever else the machine runs.
            where = address or f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((where, port))
            listener.listen(64)
        except OSError as refused:
            listener.close()
            error = refused
            if refused.errno != errno.EADDRINUSE:
                break
        else:
            return listener
    raise UsageError(
        "starting the instances' SSH servers",
        f"port {port} of the loopback addresses cannot be bound: {error.strerror}",
        f"Stop the server that holds port {port} on every address, or run as root (sudo), or let every user have the "
        f"port: sudo sysctl net.ipv4.ip_unprivileged_port_start={port}",
    )
