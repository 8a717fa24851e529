"""Times contenders in alternation, so that noise affects all of them."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    OURS = "ours"
    BASELINE = "baseline"
    LIMIT = "limit"
    """A lower bound for every program: the interpreter's start, one request, reading the bytes."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A command to time.

    before   called before each run, not timed
    expects  must be in the output of an untimed run, which proves that the command does the same work
    missing  why the command is not available; empty if it is
    reports  the command measures itself, and prints the seconds and the peak memory in KiB as its last line: for what
             happens inside of another program, such as a browser
    """

    name: str
    kind: Kind
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path("/")
    before: Callable[[], None] | None = None
    expects: str = ""
    missing: str = ""
    reports: bool = False


@dataclass(frozen=True, kw_only=True)
class Case:
    """A comparison. `counted` returns counts of one run of ami-bakery by name, such as EC2 calls."""

    name: str
    about: str
    contenders: tuple[Contender, ...]
    rounds: int
    counted: Callable[[Contender], Mapping[str, int]] | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One timed run.

    peak_kib  peak memory of the process or of a child, whichever is larger; at least that of the benchmark itself,
              whose memory a new process shares for a moment
    """

    seconds: float
    cpu_seconds: float
    peak_kib: int


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A contender's runs, in the order of the rounds; empty if it is not available."""

    name: str
    kind: Kind
    runs: tuple[Run, ...] = ()
    counted: Mapping[str, int] = field(default_factory=dict)
    missing: str = ""


class WrongAnswer(Exception):
    """A contender failed, or did not do the expected work."""


def run_case(case: Case) -> tuple[Entry, ...]:
    """Runs each contender once untimed, then `rounds` times in alternation, each round starting with another one."""
    present = [contender for contender in case.contenders if not contender.missing]
    counted = {contender.name: _checked(contender, case) for contender in present}
    runs: dict[str, list[Run]] = {contender.name: [] for contender in present}
    for contender in _in_turn(present, case.rounds):
        runs[contender.name].append(_timed(contender))
    return tuple(
        Entry(
            name=contender.name,
            kind=contender.kind,
            runs=tuple(runs.get(contender.name, ())),
            counted=counted.get(contender.name, {}),
            missing=contender.missing,
        )
        for contender in case.contenders
    )


def _in_turn(contenders: list[Contender], rounds: int) -> Iterator[Contender]:
    for number in range(rounds):
        first = number % max(len(contenders), 1)
        yield from (*contenders[first:], *contenders[:first])


def _checked(contender: Contender, case: Case) -> Mapping[str, int]:
    if contender.before is not None:
        contender.before()
    with tempfile.TemporaryFile() as log:
        done = subprocess.run(
            contender.command,
            env=dict(contender.environment),
            cwd=contender.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            check=False,
        )
        log.seek(0)
        stderr = log.read().decode(errors="replace")[-2000:]
    if done.returncode != 0 or contender.expects.encode() not in done.stdout:
        answer = done.stdout.decode(errors="replace")[-500:]
        status = f"{case.name}: {contender.name} exited with {done.returncode}"
        raise WrongAnswer(f"{status}; expected {contender.expects!r}, got: {answer}\n{stderr}")
    if case.counted is None or contender.kind is not Kind.OURS:
        return {}
    if contender.before is not None:
        contender.before()
    return case.counted(contender)


def _timed(contender: Contender) -> Run:
    if contender.before is not None:
        contender.before()
    start = time.perf_counter()
    process = subprocess.Popen(
        contender.command,
        env=dict(contender.environment),
        cwd=contender.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if contender.reports else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    answer = ""
    if process.stdout is not None:
        with process.stdout:
            answer = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise WrongAnswer(f"{contender.name} exited with {process.returncode}")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    if contender.reports:
        reported, peak_kib = answer.splitlines()[-1].split()
        return Run(seconds=float(reported), cpu_seconds=cpu_seconds, peak_kib=int(peak_kib))
    return Run(seconds=seconds, cpu_seconds=cpu_seconds, peak_kib=usage.ru_maxrss)
