"""The test harness: the real program and the real Packer against an embedded EC2, with counted runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mypy_boto3_ec2 import EC2Client

from ami_bakery.local import Control, LocalAws

PROGRAMS = Path(sys.executable).parent
COUNTING_PACKER = """#!/bin/sh
[ "$1" = build ] && echo build >> {log}
exec {packer} "$@"
"""
_NO_PACKER = "#!/bin/sh\necho 'the tests need Packer: make setup installs it' >&2\nexit 127\n"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the program."""

    status: int
    stdout: str
    stderr: str

    @property
    def answer(self) -> str:
        """Returns what `$(...)` in a shell returns. Asserts that the run succeeded."""
        assert self.status == 0, self.stderr
        return self.stdout.removesuffix("\n")

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)

    @property
    def images(self) -> list[dict[str, Any]]:
        assert self.document["format"] == 1
        images: list[dict[str, Any]] = self.document["images"]
        return images


class Harness:
    """A repository folder, an environment, and a `packer` on PATH that counts builds and runs the real Packer.

    packer  a folder built by scripts/current-packer; the default is the Packer on PATH
    """

    def __init__(self, folder: Path, local: LocalAws, packer: Path | None = None) -> None:
        self.folder = folder / "repository"
        self.folder.mkdir()
        self.control = Control(local.url)
        self._started: list[subprocess.Popen[str]] = []
        self._runs = folder / "packer-runs"
        programs = folder / "bin"
        programs.mkdir()
        real = shutil.which("packer") if packer is None else packer / "packer"
        counting = COUNTING_PACKER.format(log=self._runs, packer=real)
        self.program("packer", counting if real else _NO_PACKER, programs)
        self.environment = local.environment(
            {
                "PATH": f"{programs}:{PROGRAMS}:{os.environ['PATH']}",
                "HOME": str(folder),
                "TMPDIR": str(self.make_folder(folder / "tmp")),
                "AWS_DEFAULT_REGION": "us-east-1",
                "PYTHONWARNINGS": "error",
            }
        )
        if packer is not None:
            self.environment["PACKER_PLUGIN_PATH"] = str(packer / "plugins")

    def close(self) -> None:
        """Kills processes that still run, such as Packer after its bakery was killed, before the next test."""
        while alive := processes_with_home(Path(self.environment["HOME"])):
            for pid in alive:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for process in self._started:
            # A test that failed did not wait for its process; Python would report that in the next test.
            with process:
                process.kill()

    @property
    def packer_runs(self) -> int:
        return len(self._runs.read_text().splitlines()) if self._runs.exists() else 0

    def make_folder(self, path: Path) -> Path:
        path.mkdir()
        return path

    def program(self, name: str, text: str, folder: Path | None = None) -> Path:
        path = (folder or self.folder.parent / "bin") / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def write(self, path: str, content: str | bytes | Mapping[str, Any]) -> Path:
        full = self.folder / path
        full.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            full.write_bytes(content)
        else:
            full.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
        return full

    def run(
        self,
        *arguments: str,
        environment: Mapping[str, str | None] | None = None,
        program: str = "ami-bakery",
        cwd: Path | None = None,
        timeout: float = 120,
        prefix: Sequence[str] = (),
        stdin: str = "",
    ) -> Run:
        """Runs the program. `prefix` is a command that runs it, such as `sh -c`."""
        done = subprocess.run(
            [*prefix, str(PROGRAMS / program), *arguments],
            cwd=cwd or self.folder,
            env=self._environment(environment or {}),
            input=stdin,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Run(status=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def start(
        self, *arguments: str, environment: Mapping[str, str | None] | None = None, own_group: bool = False
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(PROGRAMS / "ami-bakery"), *arguments],
            cwd=self.folder,
            env=self._environment(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0 if own_group else None,
        )
        self._started.append(process)
        return process

    def _environment(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        merged = {**self.environment, **changes}
        return {name: value for name, value in merged.items() if value is not None}

    def calls(self) -> dict[str, int]:
        return dict(Counter(call.action for call in self.control.report().calls))


def processes_with_home(folder: Path) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = Path("/proc", name, "environ").read_bytes()
        except OSError:
            continue
        if f"HOME={folder}".encode() in environment.split(b"\0"):
            found.append(int(name))
    return found


def json_template(**builder: Any) -> dict[str, Any]:
    """Returns an amazon-ebs template without a communicator, which builds in about one second."""
    return {
        "variables": {"aws_region": "", "aws_subnet_id": "", "config_checksum": "", "size": "t3.micro"},
        "builders": [
            {
                "type": "amazon-ebs",
                "region": "{{user `aws_region`}}",
                "instance_type": "{{user `size`}}",
                "source_ami_filter": {
                    "owners": ["099720109477"],
                    "filters": {"name": "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"},
                    "most_recent": True,
                },
                "communicator": "none",
                "ami_name": "test-{{uuid}}",
                "tags": {"ami_config_checksum": "{{user `config_checksum`}}"},
                **builder,
            }
        ],
    }


TOML = """\
version = 1

[images.app]
template = "ami/app.json"
inputs = ["ami"]
regions = ["us-east-1"]
"""


def key_pairs(ec2: EC2Client) -> list[str]:
    return [pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]]


def unlock(ec2: EC2Client) -> None:
    """Removes all locks."""
    for name in key_pairs(ec2):
        if name.startswith("ami-bakery-lock-"):
            ec2.delete_key_pair(KeyName=name)


def leftover_resources(ec2: EC2Client, *, locks: bool = True) -> list[str]:
    """Returns orphaned resources: instances that are not terminated, key pairs, and Packer's security groups.

    Locks are key pairs too; the lock of a killed run expires.
    """
    reservations = ec2.describe_instances()["Reservations"]
    groups = ec2.describe_security_groups()["SecurityGroups"]
    instances = [instance for reservation in reservations for instance in reservation["Instances"]]
    return [
        *(instance["InstanceId"] for instance in instances if instance["State"]["Name"] != "terminated"),
        *(name for name in key_pairs(ec2) if locks or not name.startswith("ami-bakery-lock-")),
        *(group["GroupId"] for group in groups if group["GroupName"] != "default"),
    ]
