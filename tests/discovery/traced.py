"""Runs a program under the product's own trace, and returns the project files that it and its children read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ami_bakery.adapters.packer.tracing import Strace, tracing
from ami_bakery.core.audit.trace import AccessKind


@dataclass(frozen=True, kw_only=True)
class Traced:
    """`read`: existing files that were opened or run; paths relative to the root, links resolved."""

    status: int
    read: frozenset[str]
    output: str


def files_below(root: Path) -> set[str]:
    return {os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(root) for name in names}


def trace(
    command: Sequence[str], *, root: Path, workdir: Path, environment: Mapping[str, str], timeout_seconds: float = 600
) -> Traced:
    before = files_below(root)
    with tracing(Strace(environment, str(root)).command(), str(workdir), (str(root),)) as tracer:
        process = subprocess.Popen(
            tracer.wrap(tuple(command)),
            cwd=workdir,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        tracer.attach(process.pid)
        output, _ = process.communicate(timeout=timeout_seconds)
        found = tracer.collect()
    assert found.complete, output.decode("utf-8", "replace")
    opened = {os.path.relpath(each.path, root) for each in found.found if each.kind is not AccessKind.LOOKED_FOR}
    return Traced(status=process.returncode, read=frozenset(opened & before), output=output.decode("utf-8", "replace"))
