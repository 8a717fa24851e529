"""Tests do not depend on inherited signal settings: `make test &`, `nohup`, a job scheduler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT

_OF_GLIBC = (1 << 31) | (1 << 32)
"""Signals 32 and 33 are glibc's own; no program can set them, and GNU make starts its children with both ignored."""
_SHOW_SIGNALS = "import subprocess; import tests.conftest; subprocess.run(['grep', '^Sig[BI]', '/proc/self/status'])"
_BLOCK_TERM = "import os, signal, sys; signal.pthread_sigmask(0, {15}); os.execv(sys.argv[1], sys.argv[1:])"


@pytest.mark.parametrize(
    "ignored",
    [
        pytest.param(("sh", "-c", "trap '' INT QUIT; \"$@\"", "sh"), id="background job of a script"),
        pytest.param(("sh", "-c", "trap '' HUP; \"$@\"", "sh"), id="nohup"),
        pytest.param(("sh", "-c", "trap '' PIPE TERM USR1 TTOU; \"$@\"", "sh"), id="several"),
        pytest.param((sys.executable, "-c", _BLOCK_TERM), id="blocked"),
    ],
)
def test_programs_started_by_tests_receive_every_signal(ignored: tuple[str, ...]) -> None:
    command = [*ignored, sys.executable, "-c", _SHOW_SIGNALS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    masks = {name: int(mask, 16) & ~_OF_GLIBC for name, mask in (line.split(":") for line in done.stdout.splitlines())}
    assert masks == {"SigBlk": 0, "SigIgn": 0}


def test_every_pytest_worker_resets_signals(tmp_path: Path) -> None:
    """The workers import conftest.py too, not only the process that starts them."""
    probe = "tests/harness_checks/test_signals.py::test_this_process_ignores_no_signal"
    command = ["sh", "-c", "trap '' INT HUP; \"$@\"", "sh", sys.executable, "-m", "pytest", "-n", "1", "-q", probe]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_this_process_ignores_no_signal() -> None:
    status = Path("/proc/self/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    python_ignores = (1 << 12) | (1 << 24)  # SIGPIPE, SIGXFSZ
    assert ignored & ~python_ignores & ~_OF_GLIBC == 0
