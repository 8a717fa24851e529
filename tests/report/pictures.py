"""Creates the pictures of the report in docs/pictures, from a real run with Packer and the embedded EC2."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ssm.models import ssm_backends

from ami_bakery.local import Control, LocalAws
from ami_bakery.local.local_settings import ACCOUNTS
from tests.report.browser import Tab, chromium

SIZE = {"width": 1280, "height": 900}
_REGIONS = ("us-east-1", "eu-west-1")
_TEMPLATE = """\
variable "source_ami" {{ type = string }}

source "amazon-ebs" "{name}" {{
  region        = "us-east-1"
  source_ami    = var.source_ami
  instance_type = "t3.micro"
  ssh_username  = "ubuntu"
  ami_name      = "{name}-${{regex_replace(timestamp(), "[^0-9]", "")}}"
}}

build {{
  sources = ["source.amazon-ebs.{name}"]
  provisioner "shell" {{ script = "setup.sh" }}
}}
"""
_FROM = (
    'from = { owners = ["099720109477"], filters = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-*-amd64-server-*" } }'
)
_IMAGES = {
    "base": f'{_FROM}\ntags = {{ team = "platform" }}\nkeep = {{ last = 2, within = "30d" }}',
    "api": 'from = "base"\nregions = ["us-east-1", "eu-west-1"]\ntags = { team = "shop" }\nkeep = { last = 2 }',
    "worker": 'from = "base"\ntags = { team = "shop" }',
    "vault": f'{_FROM}\ntags = {{ team = "security" }}',
}
_GATEWAY = {"gateway": 'from = "base"\ntags = { team = "edge" }'}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A commit some days ago, and what ran after it. `launch`: an image of whose AMI instances are launched."""

    days: float
    subject: str
    files: Mapping[str, str]
    commands: tuple[str, ...] = ()
    launch: str = ""


def _files(images: Mapping[str, str]) -> dict[str, str]:
    files = {}
    for name in images:
        files[f"images/{name}/{name}.pkr.hcl"] = _TEMPLATE.format(name=name)
        files[f"images/{name}/setup.sh"] = "apt-get update\n"
    return files


def _toml(images: Mapping[str, str]) -> str:
    tables = (f'[images.{name}]\ntemplate = "images/{name}/{name}.pkr.hcl"\n{keys}\n' for name, keys in images.items())
    return 'version = 1\n\n[defaults]\nregions = ["us-east-1"]\n\n' + "\n".join(tables)


_STEPS = (
    Step(
        days=61,
        subject="images: add base, api, worker and vault",
        files={"bakery.toml": _toml(_IMAGES), **_files(_IMAGES)},
        commands=("bake", "promote api worker --to prod"),
        launch="worker",
    ),
    Step(
        days=40,
        subject="api: raise the limit of open files",
        files={"images/api/setup.sh": "apt-get update\nulimit -n 65536\n"},
        commands=("bake api",),
    ),
    Step(
        days=19,
        subject="base: install the newest kernel",
        files={"images/base/setup.sh": "apt-get update\napt-get install -y linux-aws\n"},
        commands=("bake", "promote api --to prod"),
        launch="api",
    ),
    Step(
        days=6,
        subject="api: run as a service",
        files={"images/api/api.service": "[Service]\nExecStart=/usr/bin/api\n"},
        commands=("bake api", "promote api --to staging"),
    ),
    Step(
        days=1,
        subject="worker: install jq; add the gateway",
        files={
            "bakery.toml": _toml({**_IMAGES, **_GATEWAY}),
            **_files(_GATEWAY),
            "images/worker/setup.sh": "apt-get update\napt-get install -y jq\n",
        },
        commands=("revoke vault --reason CVE-2026-0001",),
    ),
)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Runs the steps in a repository, with an embedded EC2 in this process."""

    repository: Path
    environment: Mapping[str, str]
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))

    def step(self, step: Step) -> None:
        for path, text in step.files.items():
            file = self.repository / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        date = (self.begun - timedelta(days=step.days, minutes=20)).isoformat()
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        for words in (("add", "."), ("commit", "--quiet", "--message", step.subject)):
            self.run(*git, *words, environment=dates)
        amis: dict[str, str] = {}
        for command in step.commands:
            answer = self.run("ami-bakery", *command.split())
            rows = (line.split("\t") for line in answer.splitlines() if command.startswith("bake"))
            amis |= {row[0]: row[2] for row in rows if len(row) == 3 and row[1] == _REGIONS[0]}
        if step.launch:
            self._launch(amis[step.launch])
        self._move_back(timedelta(days=step.days))

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> str:
        merged = {**self.environment, **(environment or {})}
        done = subprocess.run(
            command, cwd=self.repository, env=merged, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def _launch(self, ami: str) -> None:
        code = "import boto3, sys; boto3.client('ec2').run_instances(ImageId=sys.argv[1], MinCount=2, MaxCount=2)"
        self.run(sys.executable, "-c", code, ami, environment={"AWS_DEFAULT_REGION": _REGIONS[0]})

    def _move_back(self, age: timedelta) -> None:
        """Moves what was created since the start into the past."""
        account = ACCOUNTS[0].account_id
        for region in _REGIONS:
            for ami in ec2_backends[account][region].amis.values():
                if ami.owner_id == account and _aware(ami.creation_date) > self.begun - timedelta(minutes=1):
                    ami.creation_date = self.begun - age
            for versions in ssm_backends[account][region]._parameters.values():
                for version in versions:
                    self._move_version_back(version, age)

    def _move_version_back(self, version: Any, age: timedelta) -> None:
        if version.last_modified_date > self.begun.timestamp() - 60:
            version.last_modified_date = (self.begun - age).timestamp()


def _aware(moment: Any) -> datetime:
    aware: datetime = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware


def record_report(pictures: Path, folder: Path) -> None:
    """Bakes the steps with Packer, makes the report, and writes its pictures as PNG."""
    repository = folder / "amis"
    repository.mkdir()
    with LocalAws() as local:
        Control(local.url).change(pending_seconds=0)
        environment = local.environment(
            {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder), "TMPDIR": str(folder)}
        )
        run = _Run(repository=repository, environment=environment)
        run.run("git", "init", "--quiet")
        for step in _STEPS:
            run.step(step)
        page = folder / "report.html"
        run.run("ami-bakery", "report", "--output", str(page))
    take_pictures(page, pictures)


def take_pictures(page: Path, pictures: Path) -> None:
    with chromium() as browser:
        for name, route, scheme, start in (
            ("report-overview", "#/", "light", ""),
            ("report-overview-dark", "#/", "dark", ""),
            ("report-image", "#/image/api", "light", "Builds"),
            ("report-lineage", "#/lineage", "light", ""),
        ):
            tab = Tab(browser, page, {"viewport": SIZE, "color_scheme": scheme})
            opened = tab.open(route)
            if start:
                opened.set_viewport_size({"width": SIZE["width"], "height": 760})
                opened.get_by_role("heading", name=start, exact=True).evaluate("each => each.scrollIntoView()")
            opened.screenshot(path=pictures / f"{name}.png")
            tab.context.close()
            print(f"{name}.png written", file=sys.stderr)
