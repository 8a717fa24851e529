"""Counts a run's system calls, files and imports with strace, independently of the machine's speed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"^(\d+) +(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(<[^>]*>)?")
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"^<\.\.\. \w+ resumed>(.*)$")
_STARTS = ("clone", "clone3", "fork", "vfork")
_READS = ("read", "pread64", "readv", "preadv", "preadv2")
_DESCRIPTOR = re.compile(r"^\d+<([^>]*)>")
_BY_CHANCE = frozenset({"futex", "sched_yield", "restart_syscall", "rt_sigreturn", "wait4", "waitid", "poll", "select"})
"""Calls whose number depends on the scheduling of threads."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Counts of the program's own process.

    modules        imported modules
    files_opened   opened files of any kind, including Python's
    bytes_read     bytes read from files
    inputs_opened  opened files below the folder of the case
    input_bytes    bytes read from those
    system_calls   system calls except waiting
    processes      processes that it started
    api_calls      AWS API calls
    """

    modules: int
    files_opened: int
    bytes_read: int
    inputs_opened: int
    input_bytes: int
    system_calls: int
    processes: int
    api_calls: int


IMPORT_TIMES = {"PYTHONPROFILEIMPORTTIME": "1"}
"""With this variable Python prints each imported module on stderr."""


def imported(stderr: str) -> list[str]:
    """Returns the modules that Python printed."""
    names = (line.rpartition("|")[2].strip() for line in stderr.splitlines() if line.startswith("import time:"))
    return [name for name in names if name != "imported package"]


def why_not() -> str:
    """Returns why strace does not work on this machine; empty if it does."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, text=True)
    return "" if done.returncode == 0 else f"strace does not work: {done.stderr.strip()}"


def count(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str], api_calls: int = 0, stdout: str = ""
) -> Counts:
    """Runs a command with strace and counts. `stdout`: text that the run must print."""
    with tempfile.NamedTemporaryFile(suffix=".strace") as log:
        done = subprocess.run(
            ["strace", "-f", "-y", "-qq", "-s", "1", "-o", log.name, *command],
            cwd=folder,
            env={**environment, **IMPORT_TIMES},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        lines = Path(log.name).read_text("utf-8", "surrogateescape").splitlines()
    assert done.returncode == 0, done.stderr
    assert stdout in done.stdout
    return counted(lines, folder=folder, modules=len(imported(done.stderr)), api_calls=api_calls)


def counted(lines: Iterable[str], *, folder: Path, modules: int, api_calls: int) -> Counts:
    """Counts the calls in the lines of `strace -f -y`."""
    calls = list(_whole(lines))
    ours, started = _processes(calls)
    opened, read, system_calls = [], [], 0
    for pid, name, arguments, result, path in calls:
        if pid not in ours:
            continue
        system_calls += name not in _BY_CHANCE
        if name in ("open", "openat") and result >= 0:
            opened.append(path)
        file = _DESCRIPTOR.match(arguments)
        if name in _READS and result > 0 and file and file[1].startswith("/") and not file[1].startswith("/proc"):
            read.append((file[1], result))
    root = f"{os.path.realpath(folder)}/"
    files = [path for path in opened if path.startswith(root) and not os.path.isdir(path)]
    return Counts(
        modules=modules,
        files_opened=len(opened),
        bytes_read=sum(size for _, size in read),
        inputs_opened=len(files),
        input_bytes=sum(size for path, size in read if path.startswith(root)),
        system_calls=system_calls,
        processes=len(started),
        api_calls=api_calls,
    )


_Traced = tuple[int, str, str, int, str]
"""Process or thread id, call, arguments, result, and the path of the returned descriptor."""


def _whole(lines: Iterable[str]) -> Iterator[_Traced]:
    """Joins calls that strace prints in two parts, because another thread's call came in between."""
    unfinished: dict[int, str] = {}
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        pid, text = int(found[1]), found[2]
        if text.endswith(_UNFINISHED):
            unfinished[pid] = text.removesuffix(_UNFINISHED)
            continue
        resumed = _RESUMED.match(text)
        whole = _CALL.match(unfinished.pop(pid, "") + resumed[1] if resumed else text)
        if whole:
            result = -1 if whole[3] == "?" else int(whole[3], 0)
            yield pid, whole[1], whole[2], result, (whole[4] or "<>")[1:-1]


def _processes(calls: Sequence[_Traced]) -> tuple[set[int], set[int]]:
    """Returns the threads of the first process, and its child processes that executed another program."""
    ours, children, started = {calls[0][0]}, set(), set()
    # A thread's calls can appear before the call that created it returns.
    for _, name, arguments, result, _ in calls:
        if name in _STARTS and "CLONE_THREAD" in arguments:
            ours.add(result)
    others = {result for _, name, arguments, result, _ in calls if name in _STARTS} - ours
    ours = {calls[0][0]} | {thread for thread in ours if _parent(calls, thread, others) not in others}
    for pid, name, arguments, result, _ in calls:
        if name in _STARTS and pid in ours and "CLONE_THREAD" not in arguments and result > 0:
            children.add(result)
        if name == "execve" and pid in children and result == 0:
            started.add(pid)
    return ours, started


def _parent(calls: Sequence[_Traced], thread: int, others: set[int]) -> int:
    """Returns the other process that a thread belongs to, if any."""
    created_by = {result: pid for pid, name, _, result, _ in calls if name in _STARTS}
    while thread not in others and thread in created_by:
        thread = created_by[thread]
    return thread
