"""Measures startup: `--help`, and imports."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.comparison import Case, Kind
from benchmarks.harness import Harness


def cases(harness: Harness) -> Iterator[Case]:
    nothing = harness.python("interpreter's start", "pass")
    yield Case(
        name="help",
        about="`ami-bakery --help`",
        rounds=harness.scale.rounds,
        contenders=(harness.ours("--help", "--help", expects="exit status"), nothing),
    )
    yield Case(
        name="import",
        about="The import of the library in a Python program",
        rounds=harness.scale.rounds,
        contenders=(
            harness.python("import ami_bakery", "from ami_bakery import Bakery", kind=Kind.OURS),
            harness.python("import boto3", "import boto3", kind=Kind.BASELINE),
            nothing,
        ),
    )
