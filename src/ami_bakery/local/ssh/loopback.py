"""Finds loopback addresses with a free SSH port for instances."""

from __future__ import annotations

import errno
import random
import socket

from ami_bakery.errors import UsageError

_ATTEMPTS = 50


def listen(port: int, address: str | None = None) -> socket.socket:
    """Returns a listening socket at `address`, or at a loopback address.

    Without `address`, chooses a loopback address whose port is free. Raises `UsageError` if the port cannot be bound:
    no permission, or a server listens on it on all addresses.
    """
    for _ in range(1 if address else _ATTEMPTS):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # 127.0.x.x stays free for other programs of the machine.
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
        f"cannot bind port {port} on loopback addresses: {error.strerror}",
        f"Stop the server that listens on port {port} on all addresses, or run as root (sudo), or allow all users to "
        f"bind the port: sudo sysctl net.ipv4.ip_unprivileged_port_start={port}",
    )
