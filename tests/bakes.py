"""A bake that is caught at work: started until Packer says something, and what is looked at meanwhile."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

from tests.kitchen import Kitchen, json_template


def bake_until(app: Kitchen, words: str, *arguments: str) -> subprocess.Popen[str]:
    """A bakery in a process group of its own, at the moment when Packer has said `words`."""
    process = app.start("bake", "-v", *arguments, own_group=True)
    assert process.stderr is not None
    while words not in (line := process.stderr.readline()):
        assert line, "it ended before"
    return process


def wait_until(true: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.1)
    return true()


def provisioned(app: Kitchen, command: str) -> None:
    app.write("ami/app.json", json_template() | {"provisioners": [{"type": "shell-local", "inline": [command]}]})


def processes_with(text: str) -> list[int]:
    """Those whose command line holds `text`, zombies left out."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if text.encode() in file.read():
                    found.append(int(name))
        except OSError:
            continue
    return found
