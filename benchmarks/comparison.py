"""A case: contenders that do the same work, run in turn and again and again, so that a noisy machine is fair to all."""

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
    RIVAL = "rival"
    LIMIT = "limit"
    """What no program can be faster than: the interpreter's start, one request, reading the bytes."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A command to be timed.

    before   is run before each run, and not timed
    expects  must be in its output, on a run that is not timed: else it does not do the same work
    missing  why it cannot be run here; empty where it can
    """

    name: str
    kind: Kind
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path("/")
    before: Callable[[], None] | None = None
    expects: str = ""
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class Case:
    """`counted`: what one run of ours counts, by name (calls of EC2)."""

    name: str
    about: str
    contenders: tuple[Contender, ...]
    rounds: int
    counted: Callable[[Contender], Mapping[str, int]] | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """`peak_kib` is the most memory of the process, or of one that it waited for, whichever was larger; never less than
    what this program has, which a process that is started shares for a moment."""

    seconds: float
    cpu_seconds: float
    peak_kib: int


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A contender's runs, in the order of the rounds; none where it was not run."""

    name: str
    kind: Kind
    runs: tuple[Run, ...] = ()
    counted: Mapping[str, int] = field(default_factory=dict)
    missing: str = ""


class WrongAnswer(Exception):
    """A contender failed, or did other work than it should."""


def hold(case: Case) -> tuple[Entry, ...]:
    """Each contender once untimed, and then `rounds` times, in turn; each round begins with another one."""
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
        told = log.read().decode(errors="replace")[-2000:]
    if done.returncode != 0 or contender.expects.encode() not in done.stdout:
        answer = done.stdout.decode(errors="replace")[-500:]
        ended = f"{case.name}: {contender.name} ended with {done.returncode}"
        raise WrongAnswer(f"{ended}; {contender.expects!r} was expected: {answer}\n{told}")
    if case.counted is None or contender.kind is not Kind.OURS:
        return {}
    if contender.before is not None:
        contender.before()
    return case.counted(contender)


def _timed(contender: Contender) -> Run:
    if contender.before is not None:
        contender.before()
    began = time.perf_counter()
    process = subprocess.Popen(
        contender.command,
        env=dict(contender.environment),
        cwd=contender.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise WrongAnswer(f"{contender.name} ended with {process.returncode}")
    return Run(seconds=seconds, cpu_seconds=usage.ru_utime + usage.ru_stime, peak_kib=usage.ru_maxrss)
