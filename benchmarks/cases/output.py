"""Reads Packer's output: a line of 20 MB, and very many lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.comparison import Case, Contender, Kind
from benchmarks.harness import Harness

_SHORT = "1700000000,,ui,message,    amazon-ebs: line {} of a build with some words in it\n"
_LONG_BYTES = 20_000_000
_LINES = 400_000
_READ = """\
import io
from ami_bakery.adapters.packer.log import Log
from ami_bakery.adapters.packer.process import Run, _read_all
from ami_bakery.adapters.terminal.plain_reporter import PlainReporter
from ami_bakery.core.text.masking import Masker
from ami_bakery.core.packer.machine_output import ArtifactReader
from ami_bakery.core.packer.build_progress import ProgressReader
with Log("benchmark") as log, open({file!r}, "rb") as output:
    run = Run(
        image="app", arguments=(), workdir=".", environment={{}}, masker=Masker({secrets!r}), private_files=(),
        kill_seconds=1, log=log, reader=ArtifactReader(), progress=ProgressReader(),
    )
    _read_all(output, run, PlainReporter(io.StringIO()))
print("read")
"""
_PLAIN = "for line in open({file!r}, 'rb'): line.decode()\nprint('read')"


def cases(harness: Harness) -> Iterator[Case]:
    folder = harness.folder / "output"
    folder.mkdir()
    for name, lines, long in (("many lines", _LINES, 0), ("one line", 0, _LONG_BYTES), ("both", _LINES, _LONG_BYTES)):
        file = _written(folder / f"{name}.log".replace(" ", "-"), lines, long)
        yield Case(
            name=f"output, {name}",
            about=f"{file.stat().st_size / 1e6:.0f} MB of Packer's output",
            rounds=harness.scale.rounds,
            contenders=tuple(_contenders(harness, file)),
        )


def _contenders(harness: Harness, file: Path) -> Iterator[Contender]:
    for name, secrets in (("reader", ()), ("reader, with a secret", ("hunter2-and-more",))):
        yield harness.python(name, _READ.format(file=str(file), secrets=secrets), kind=Kind.OURS)
    yield harness.python("reading and decoding lines", _PLAIN.format(file=str(file)))


def _written(file: Path, lines: int, long: int) -> Path:
    with file.open("w") as output:
        if long:
            output.write(f"1700000000,,ui,say,{'x' * long}\n")
        output.writelines(_SHORT.format(number) for number in range(lines))
    return file
