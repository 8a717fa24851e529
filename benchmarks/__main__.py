"""python -m benchmarks: times ami-bakery against baselines, prints ratios, writes docs/contributing/benchmarks.*."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.baselines import Baseline, Baselines, find_baselines
from benchmarks.cases import SUBJECTS
from benchmarks.comparison import run_case
from benchmarks.harness import PROGRAMS, SMALL, Harness, Scale
from benchmarks.report import RESULTS, lines, redraw, threshold_lines
from benchmarks.results import CaseResult, Results, case_result, from_json, merged, this_machine, to_json


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--original", metavar="PATH", help="path of a clone of the original, mechtron/ami-bakery")
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="run only this subject; repeatable")
    parser.add_argument("--rounds", type=int, metavar="N", help="number of rounds; slow cases run half as many")
    parser.add_argument("--small", action="store_true", help="use small inputs, to test the benchmark itself")
    parser.add_argument("--folder", metavar="FOLDER", help="folder for 3 GB of files (default: the system's TMPDIR)")
    parser.add_argument(
        "--results", metavar="FILE", type=Path, default=RESULTS, help="default: docs/contributing/benchmarks.json"
    )
    parser.add_argument("--draw", action="store_true", help="redraw the document without measuring")
    arguments = parser.parse_args()
    if arguments.draw:
        redraw()
        return 0
    if "AMI_BAKERY_LOCAL_URL" not in os.environ:
        find_baselines(arguments.original)
        again = [sys.executable, "-m", "benchmarks", *sys.argv[1:]]
        return subprocess.call([PROGRAMS / "ami-bakery", "local", "--", *again])
    results = _measure(arguments, find_baselines(arguments.original))
    print("\nThresholds:", *threshold_lines(results), sep="\n")
    if arguments.results == RESULTS:
        redraw()
    return 0


def _measure(arguments: argparse.Namespace, baselines: Baselines) -> Results:
    scale = SMALL if arguments.small else Scale()
    if arguments.rounds:
        scale = replace(scale, rounds=arguments.rounds, slow_rounds=max(arguments.rounds // 2, 1))
    folder = Path(tempfile.mkdtemp(prefix="ami-bakery-benchmarks-", dir=arguments.folder))
    machine = this_machine(_version(baselines.packer.path, "--version"), _aws_version(baselines.aws))
    before = from_json(arguments.results.read_text()) if arguments.only and arguments.results.is_file() else None
    done: list[CaseResult] = []
    try:
        harness = Harness(folder, baselines, scale)
        for subject in arguments.only or SUBJECTS:
            for case in SUBJECTS[subject](harness):
                done.append(case_result(case, run_case(case)))
                print(*lines(done[-1]), sep="\n", flush=True)
                results = merged(before, Results(machine=machine, cases=tuple(done)))
                arguments.results.write_text(to_json(results))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return results


def _aws_version(aws: Baseline) -> str:
    text = _version(f"{aws.path}/aws", "--version") if aws.path else "not run"
    return text.split()[0].removeprefix("aws-cli/")


def _version(program: str, *arguments: str) -> str:
    if not program:
        return "not run"
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout.split("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
