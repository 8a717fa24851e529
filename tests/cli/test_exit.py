"""The program exits without Python's finalization, as for users; other tests enable warnings, and so finalization."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness import Harness, json_template

AT_ONCE: Any = {"PYTHONWARNINGS": None}


def test_all_output_is_flushed_at_exit(app: Harness) -> None:
    first = app.run("bake", environment=AT_ONCE)
    assert first.answer.startswith("ami-")
    assert f"baked: {first.answer}" in first.stderr
    again = app.run("bake", "--json", environment=AT_ONCE)
    assert (again.status, again.images[0]["outcome"], app.packer_runs) == (0, "reused", 1)
    assert app.run(program="bake", environment=AT_ONCE).answer == first.answer


def test_long_output_is_complete(app: Harness) -> None:
    for number in range(2_000):
        app.write(f"ami/{number:04}.sh", "true\n")
    listed = json.loads(app.run("inputs", "--json", environment=AT_ONCE).stdout)
    assert len(json.dumps(listed)) > 65_536, "larger than a pipe's buffer"


@pytest.mark.parametrize(("arguments", "status"), [(["bake"], 1), (["nonsense"], 2), (["--version"], 0)])
def test_exit_status_is_passed_on(app: Harness, arguments: list[str], status: int) -> None:
    app.write("ami/app.json", json_template(source_ami="ami-0123456789abcdef0"))
    run = app.run(*arguments, environment=AT_ONCE)
    assert run.status == status
    assert bool(run.stderr) == (status != 0)


def test_python_m_runs_the_same_program(app: Harness) -> None:
    run = app.run("-m", "ami_bakery", "digest", program="python", environment=AT_ONCE)
    assert run.answer == app.run("digest").answer
