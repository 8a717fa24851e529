"""Starts a bake, waits for a line of its output, and inspects or kills its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

from tests.harness import Harness, json_template


def bake_until(app: Harness, words: str, *arguments: str, message: str = "") -> subprocess.Popen[str]:
    """Starts a bake in its own process group, and waits until Packer prints `words` and ami-bakery prints `message`."""
    process = app.start("bake", "-v", *arguments, own_group=True)
    assert process.stderr is not None
    awaited = {words, message} - {""}
    while awaited:
        line = process.stderr.readline()
        assert line, "the bake ended early"
        awaited = {part for part in awaited if part not in line}
    return process


def wait_until(true: Callable[[], bool], seconds: float = 300) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.1)
    return true()


def provisioned(app: Harness, command: str) -> None:
    app.write("ami/app.json", json_template() | {"provisioners": [{"type": "shell-local", "inline": [command]}]})


def processes_with(text: str) -> list[int]:
    """Returns processes, except zombies, whose command line contains `text`."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if text.encode() in file.read():
                    found.append(int(name))
        except OSError:
            continue
    return found


def children_of(pid: int) -> list[int]:
    parents = {pid: _parent_of(pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc")))}
    return [child for child, parent in parents.items() if parent == pid]


def kill_everything_of(app: Harness, process: subprocess.Popen[str]) -> None:
    """Kills the bakery, its watchdog, and Packer with its plugins, as the end of a container does."""
    doomed = [process.pid]
    for pid in doomed:
        # Stop all first, so that none reacts to the death of another, or starts a new process.
        os.kill(pid, signal.SIGSTOP)
        doomed += children_of(pid)
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=300)


def _parent_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0
