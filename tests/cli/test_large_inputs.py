"""Very large inputs, and an unresponsive EC2: progress messages, memory, and interruption."""

from __future__ import annotations

import signal
import sys

import pytest

from ami_bakery.local import FaultKind, InjectedFault
from tests.harness import TOML, Harness

TERABYTE = 1 << 40
"""A sparse file: it uses no disk space, but hashing it takes ten minutes."""
PEAK = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status)
"""


@pytest.fixture(params=["bakery.toml", "drop-in"])
def baker(request: pytest.FixtureRequest) -> Harness:
    harness: Harness = request.getfixturevalue("app" if request.param == "bakery.toml" else "drop_in")
    if request.param == "bakery.toml":
        # Packer's memory would be included in the measurement.
        harness.write("bakery.toml", TOML + 'digest_exclude = ["packer-version", "plugin-versions"]\n')
    return harness


def test_long_hashing_shows_progress_and_can_be_interrupted(baker: Harness) -> None:
    with (baker.folder / "ami/disk.img").open("wb") as file:
        file.truncate(TERABYTE)
    process = baker.start("digest")
    assert process.stderr is not None
    for line in process.stderr:
        if "hashing: " in line and " GB so far" in line:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Interrupted by SIGINT" in rest


def test_memory_does_not_grow_with_the_inputs(baker: Harness) -> None:
    few = peak(baker)
    for folder in range(100):
        for name in range(100):
            baker.write(f"ami/files/{folder}/{name}-with-a-name-that-is-not-short", f"{folder} {name}\n")
    with (baker.folder / "ami/large").open("wb") as file:
        file.truncate(100 << 20)
    # Of at most 20,000 files, the paths and hashes are in memory (tests/adapters/test_file_hashes.py).
    assert peak(baker) < few + 12 * 1024


def peak(harness: Harness) -> int:
    """Returns the peak memory of a `digest` run, in KiB."""
    peak_file = harness.folder.parent / "peak"
    assert harness.run("digest", prefix=(sys.executable, "-c", PEAK, str(peak_file))).status == 0
    return int(peak_file.read_text())


def test_unresponsive_ec2_is_reported_and_can_be_interrupted(baker: Harness) -> None:
    silent = InjectedFault(action="DescribeImages", kind=FaultKind.HANG, seconds=30, times=0)
    baker.control.plan(silent)
    process = baker.start("bake")
    assert process.stderr is not None
    for line in process.stderr:
        if "in us-east-1: waiting for EC2's response" in line:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Interrupted by SIGINT" in rest
    assert baker.packer_runs == 0
