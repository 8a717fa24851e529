"""Counts what one run of the program does, by strace: no seconds, so that a slow machine counts the same."""

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
"""How often a thread waits for another is a matter of chance."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What the program's own process did, and which it started.

    modules        that were imported
    files_opened   of any kind, Python's own among them
    bytes_read     from files
    inputs_opened  of the files below the folder of the case
    input_bytes    read from those
    system_calls   but for waiting
    processes      that it started itself
    api_calls      of AWS
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
"""With this in the environment Python tells on stderr of each module that it imports."""


def imported(stderr: str) -> list[str]:
    """The modules that Python has told of."""
    told = (line.rpartition("|")[2].strip() for line in stderr.splitlines() if line.startswith("import time:"))
    return [name for name in told if name != "imported package"]


def why_not() -> str:
    """Why nothing can be counted here; empty where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, text=True)
    return "" if done.returncode == 0 else f"strace cannot trace here: {done.stderr.strip()}"


def count(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str], api_calls: int = 0, stdout: str = ""
) -> Counts:
    """`stdout` is what the run must print."""
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
    """`lines` as `strace -f -y` writes them."""
    calls = list(_whole(lines))
    ours, started = _processes(calls)
    opened, read, system_calls = [], [], 0
    for pid, name, arguments, result, path in calls:
        if pid not in ours:
            continue
        system_calls += name not in _BY_CHANCE
        if name in ("open", "openat") and result >= 0:
            opened.append(path)
        place = _DESCRIPTOR.match(arguments)
        if name in _READS and result > 0 and place and place[1].startswith("/") and not place[1].startswith("/proc"):
            read.append((place[1], result))
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
"""Process or thread, call, arguments, result, and the path of a descriptor that came of it."""


def _whole(lines: Iterable[str]) -> Iterator[_Traced]:
    """Puts calls together that strace shows in two parts, because another thread came in between."""
    begun: dict[int, str] = {}
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        pid, text = int(found[1]), found[2]
        if text.endswith(_UNFINISHED):
            begun[pid] = text.removesuffix(_UNFINISHED)
            continue
        resumed = _RESUMED.match(text)
        whole = _CALL.match(begun.pop(pid, "") + resumed[1] if resumed else text)
        if whole:
            result = -1 if whole[3] == "?" else int(whole[3], 0)
            yield pid, whole[1], whole[2], result, (whole[4] or "<>")[1:-1]


def _processes(calls: Sequence[_Traced]) -> tuple[set[int], set[int]]:
    """The threads of the first process, and the processes that it started and that became another program."""
    ours, children, started = {calls[0][0]}, set(), set()
    # A thread may be seen at work before the call that made it is seen to return.
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
    """The process that a thread belongs to, as far as it is one of the others."""
    made_by = {result: pid for pid, name, _, result, _ in calls if name in _STARTS}
    while thread not in others and thread in made_by:
        thread = made_by[thread]
    return thread
