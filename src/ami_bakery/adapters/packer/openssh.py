"""Finds out which host keys OpenSSH accepts on this machine. Ansible uses OpenSSH."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from ami_bakery.adapters.program_search import find_program

_SECONDS = 10


def accepts_rsa(environment: Mapping[str, str], repository: str) -> bool:
    """Returns whether OpenSSH, with the user's configuration, accepts ssh-rsa host keys.

    Returns True if that is not known: there is no ssh, or its output has no list. `repository`: a folder of the
    repository, whose programs are not started.
    """
    program = find_program("ssh", environment, repository)
    if program is None:
        return True
    try:
        result = subprocess.run(
            [program, "-G", "127.0.0.1"],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    lines = result.stdout.decode("utf-8", "replace").splitlines()
    algorithms = next((line.partition(" ")[2] for line in lines if line.startswith("hostkeyalgorithms ")), "")
    return not algorithms or "ssh-rsa" in algorithms.split(",")
