"""The results of a benchmark, and their JSON form."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.comparison import Case, Entry, Kind, Run

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """The entries of one case."""

    name: str
    about: str
    entries: tuple[Entry, ...]

    def entry(self, name: str) -> Entry | None:
        """Returns the entry of this name; None if there is none, or it was not run."""
        return next((entry for entry in self.entries if entry.name == name and entry.runs), None)


@dataclass(frozen=True, kw_only=True)
class Results:
    """All results. `machine`: general properties of the machine by name."""

    machine: Mapping[str, str]
    cases: tuple[CaseResult, ...]

    def case(self, start: str) -> CaseResult | None:
        """Returns the first case whose name starts with `start`; None if there is none."""
        return next((case for case in self.cases if case.name.startswith(start)), None)


def case_result(case: Case, entries: Sequence[Entry]) -> CaseResult:
    return CaseResult(name=case.name, about=case.about, entries=tuple(entries))


def this_machine(packer: str, aws: str) -> dict[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory / 1e9:.0f} GB",
        "processor": _processor(),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}, {platform.machine()}",
        "Python": platform.python_version(),
        "boto3": version("boto3"),
        "Packer": packer,
        "AWS CLI": aws,
        "EC2": "embedded EC2, on the same machine",
    }


def _processor() -> str:
    """Returns whether the processor has SHA instructions, which matter more than its clock rate."""
    flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    return "with SHA instructions" if " sha_ni" in flags else "without SHA instructions"


def to_json(results: Results) -> str:
    document = {
        "format": FORMAT,
        "machine": dict(results.machine),
        "cases": [
            {"name": case.name, "about": case.about, "contenders": [_entry_json(entry) for entry in case.entries]}
            for case in results.cases
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def _entry_json(entry: Entry) -> dict[str, Any]:
    if entry.missing:
        return {"name": entry.name, "kind": entry.kind, "not_run": entry.missing}
    return {
        "name": entry.name,
        "kind": entry.kind,
        "seconds": [round(run.seconds, 4) for run in entry.runs],
        "cpu_seconds": [round(run.cpu_seconds, 4) for run in entry.runs],
        "peak_kib": [run.peak_kib for run in entry.runs],
        **({"calls": dict(entry.counted)} if entry.counted else {}),
    }


def from_json(text: str) -> Results:
    document = json.loads(text)
    if document["format"] != FORMAT:
        raise SystemExit(f"results of format {document['format']}: this program reads {FORMAT}")
    return Results(
        machine=document["machine"],
        cases=tuple(
            CaseResult(name=case["name"], about=case["about"], entries=tuple(map(_entry, case["contenders"])))
            for case in document["cases"]
        ),
    )


def _entry(document: Mapping[str, Any]) -> Entry:
    runs = zip(document.get("seconds", ()), document.get("cpu_seconds", ()), document.get("peak_kib", ()), strict=True)
    return Entry(
        name=document["name"],
        kind=Kind(document["kind"]),
        runs=tuple(Run(seconds=seconds, cpu_seconds=cpu, peak_kib=peak) for seconds, cpu, peak in runs),
        counted=document.get("calls", {}),
        missing=document.get("not_run", ""),
    )


def merged(before: Results | None, now: Results) -> Results:
    """Returns the earlier results with newly measured cases replaced."""
    if before is None:
        return now
    fresh = {case.name: case for case in now.cases}
    kept = tuple(fresh.pop(case.name, case) for case in before.cases)
    return Results(machine=now.machine, cases=(*kept, *fresh.values()))
