"""python -m benchmarks: run ours and its rivals side by side, print ratios, write docs/contributing/benchmarks.*."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.baselines import Rival, Rivals, all_rivals
from benchmarks.cases import SUBJECTS
from benchmarks.comparison import hold
from benchmarks.harness import PROGRAMS, SMALL, Kitchen, Scale
from benchmarks.report import RESULTS, bar_lines, lines, redraw
from benchmarks.results import Measured, Results, from_json, measured, merged, this_machine, to_json


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--original", metavar="PATH", help="a clone of the original bakery, mechtron/ami-bakery")
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="this subject; may be given several times")
    parser.add_argument("--rounds", type=int, metavar="N", help="of the cases; slow ones get half of them")
    parser.add_argument("--small", action="store_true", help="little of everything: to try the benchmark itself")
    parser.add_argument("--folder", metavar="FOLDER", help="where files are made: 3 GB (default: the system's own)")
    parser.add_argument(
        "--results", metavar="FILE", type=Path, default=RESULTS, help="default: docs/contributing/benchmarks.json"
    )
    parser.add_argument("--draw", action="store_true", help="measure nothing: draw the document again")
    arguments = parser.parse_args()
    if arguments.draw:
        redraw()
        return 0
    if "AMI_BAKERY_LOCAL_URL" not in os.environ:
        all_rivals(arguments.original)
        again = [sys.executable, "-m", "benchmarks", *sys.argv[1:]]
        return subprocess.call([PROGRAMS / "ami-bakery", "local", "--", *again])
    results = _measure(arguments, all_rivals(arguments.original))
    print("\nbars:", *bar_lines(results), sep="\n")
    if arguments.results == RESULTS:
        redraw()
    return 0


def _measure(arguments: argparse.Namespace, rivals: Rivals) -> Results:
    scale = SMALL if arguments.small else Scale()
    if arguments.rounds:
        scale = replace(scale, rounds=arguments.rounds, slow_rounds=max(arguments.rounds // 2, 1))
    folder = Path(tempfile.mkdtemp(prefix="ami-bakery-benchmarks-", dir=arguments.folder))
    machine = this_machine(_version(rivals.packer.path, "--version"), _aws_version(rivals.aws))
    before = from_json(arguments.results.read_text()) if arguments.only and arguments.results.is_file() else None
    done: list[Measured] = []
    try:
        kitchen = Kitchen(folder, rivals, scale)
        for subject in arguments.only or SUBJECTS:
            for case in SUBJECTS[subject](kitchen):
                done.append(measured(case, hold(case)))
                print(*lines(done[-1]), sep="\n", flush=True)
                results = merged(before, Results(machine=machine, cases=tuple(done)))
                arguments.results.write_text(to_json(results))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return results


def _aws_version(aws: Rival) -> str:
    told = _version(f"{aws.path}/aws", "--version") if aws.path else "not run"
    return told.split()[0].removeprefix("aws-cli/")


def _version(program: str, *arguments: str) -> str:
    if not program:
        return "not run"
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout.split("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
