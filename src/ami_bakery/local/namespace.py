"""Runs the embedded EC2 in a new network namespace.

The program does so if the SSH port cannot be bound. `command` returns the command line that starts the program again
(`python -m ami_bakery.local`).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

import msgspec

from ami_bakery.errors import UsageError
from ami_bakery.local.ssh.loopback import listen

if TYPE_CHECKING:
    from ami_bakery.local.local_settings import LocalSettings

MARK = "AMI_BAKERY_LOCAL_NAMESPACE"
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def port_is_free(port: int) -> bool:
    try:
        listen(port).close()
    except UsageError:
        return False
    return True


def entered(environment: Mapping[str, str]) -> bool:
    """Whether `command` started this process."""
    return MARK in environment


def command(child: Sequence[str], settings: LocalSettings, stderr: TextIO) -> list[str] | None:
    """Returns the command line that runs `child` in a new network namespace.

    `child` uses an embedded EC2 there. Reports the namespace on `stderr`. Returns None if the machine does not allow
    network namespaces.
    """
    enter = _unshare_command(settings.ssh_port)
    if enter is None:
        return None
    stderr.write(
        f"embedded EC2: cannot bind port {settings.ssh_port}; running the command in a new network namespace, "
        "with loopback only.\n"
    )
    stderr.flush()
    return [*enter, sys.executable, "-P", "-m", "ami_bakery.local", msgspec.json.encode(settings).decode(), *child]


def _unshare_command(port: int) -> list[str] | None:
    """Returns an `unshare` command that works on this machine, or None. The command frees the port."""
    # Not from the current folder, which may be an untrusted repository.
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    unshare = shutil.which("unshare", path=os.pathsep.join(filter(os.path.isabs, folders)))
    if unshare is None:
        return None
    as_root = [[unshare, "--net", "--"]] if os.geteuid() == 0 else []
    for way in (*as_root, [unshare, "--user", "--map-root-user", "--net", "--"]):
        # Not just "true": root without CAP_NET_BIND_SERVICE cannot bind low ports without a user namespace.
        bind = [sys.executable, "-I", "-S", "-c", f"import socket; socket.socket().bind(('', {port}))"]
        if subprocess.run([*way, *bind], capture_output=True, check=False).returncode == 0:
            return way
    return None


def raise_loopback() -> None:
    """Does what `ip link set lo up` does; loopback is down in a new namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
