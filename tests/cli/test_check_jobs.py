"""`check` runs `packer validate` concurrently; findings are in the order of the images."""

from __future__ import annotations

import shutil

import pytest

from tests.harness import Harness, json_template

NAMES = ("a", "b", "c")
MEETING = """#!/bin/sh
if [ "$1" = validate ]; then
  touch {folder}/$$
  for i in $(seq 300); do
    [ $(ls {folder} | wc -l) -ge 2 ] && exec {packer} "$@"
    sleep 0.1
  done
  exit 7
fi
exec {packer} "$@"
"""
ALONE = """#!/bin/sh
if [ "$1" = validate ]; then
  mkdir {folder}/busy || exit 7
  {packer} "$@"
  status=$?
  rmdir {folder}/busy
  exit $status
fi
exec {packer} "$@"
"""


@pytest.fixture
def three(harness: Harness) -> Harness:
    """Images with invalid templates; each error has its own word."""
    tables = [f'[images.{name}]\ntemplate = "{name}/app.json"\nregions = ["us-east-1"]\n' for name in NAMES]
    harness.write("bakery.toml", "version = 1\n" + "".join(tables))
    for name in NAMES:
        harness.write(f"{name}/app.json", json_template(**{f"nonsense_{name}": 1}))
    return harness


def packer(harness: Harness, text: str) -> str:
    real = shutil.which("packer", path=harness.environment["PATH"])
    folder = harness.make_folder(harness.folder.parent / "meeting")
    return str(harness.program("other-packer", text.format(folder=folder, packer=real)))


def found(harness: Harness, *options: str) -> list[tuple[str, list[str]]]:
    run = harness.run("check", "--json", *options)
    assert run.status == 1, run.stderr
    return [(image["image"], [finding["message"] for finding in image["findings"]]) for image in run.images]


def test_packer_validate_runs_concurrently_and_findings_keep_the_image_order(three: Harness) -> None:
    """Each `packer validate` waits for another, so a sequential run would fail."""
    results = found(three, "--packer", packer(three, MEETING))
    assert [name for name, _ in results] == list(NAMES)
    for name, messages in results:
        assert any(f"nonsense_{name}" in message for message in messages)
    lines = [line for line in three.run("check").stdout.splitlines() if "nonsense" in line]
    assert [line.rpartition("image ")[2] for line in lines] == ["a]", "b]", "c]"]


def test_one_job_runs_packer_validate_sequentially(three: Harness) -> None:
    results = found(three, "--jobs", "1", "--packer", packer(three, ALONE))
    assert [any(f"nonsense_{name}" in message for message in messages) for name, messages in results] == [True] * 3


def test_zero_jobs_is_wrong_usage(three: Harness) -> None:
    run = three.run("check", "--jobs", "0")
    assert (run.status, run.stdout) == (2, "")
    assert "reading --jobs" in run.stderr
