"""What it takes to begin: help, and imports."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.comparison import Case, Kind
from benchmarks.harness import Kitchen


def cases(kitchen: Kitchen) -> Iterator[Case]:
    nothing = kitchen.python("interpreter's start", "pass")
    yield Case(
        name="help",
        about="`ami-bakery --help`",
        rounds=kitchen.scale.rounds,
        contenders=(kitchen.ours("--help", "--help", expects="exit status"), nothing),
    )
    yield Case(
        name="import",
        about="What a program that imports the library waits for",
        rounds=kitchen.scale.rounds,
        contenders=(
            kitchen.python("import ami_bakery", "from ami_bakery import Bakery", kind=Kind.OURS),
            kitchen.python("import boto3", "import boto3", kind=Kind.RIVAL),
            nothing,
        ),
    )
