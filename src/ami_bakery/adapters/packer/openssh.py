"""Asks this machine's OpenSSH, which Ansible starts, which host keys it accepts."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from ami_bakery.adapters.program_search import find_program

_SECONDS = 10


def accepts_rsa(environment: Mapping[str, str], repository: str) -> bool:
    """Whether ssh-rsa is among the host key algorithms that the user's configuration and OpenSSH's defaults come to.

    True where it is not known: there is no ssh, or it does not say. `repository`: a folder of the repository, whose
    programs are not started.
    """
    program = find_program("ssh", environment, repository)
    if program is None:
        return True
    try:
        told = subprocess.run(
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
    lines = told.stdout.decode("utf-8", "replace").splitlines()
    algorithms = next((line.partition(" ")[2] for line in lines if line.startswith("hostkeyalgorithms ")), "")
    return not algorithms or "ssh-rsa" in algorithms.split(",")
