"""Creates the contenders of all cases, in a folder and with the embedded EC2."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ami_bakery.local import Control
from benchmarks.baselines import Baseline, Baselines
from benchmarks.comparison import Contender, Kind

PROGRAMS = Path(sys.executable).parent
CORES = len(os.sched_getaffinity(0))
REGION = "us-east-1"
DIGEST_TAG = "ami_config_checksum"
_READING = "from checksum import calculate_ami_config_checksum as checksum; checksum([sys.argv[1]])"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The sizes of the cases. The thresholds are for the default sizes; `SMALL` tests the benchmark itself."""

    rounds: int = 11
    slow_rounds: int = 5
    small_files: int = 20_000
    large_files: int = 200
    large_size: int = 10_000_000
    vendored_files: int = 3_500
    many_files: int = 100_000
    sparse_size: int = 10_000_000_000
    amis: int = 10_000
    images: tuple[int, ...] = (1, 100, 1_000)
    reported_images: int = 200
    reported_builds: int = 20

    @property
    def large(self) -> str:
        """The total size of the large files."""
        return f"{self.large_files * self.large_size / 1e9:g} GB"


SMALL = Scale(
    rounds=2,
    slow_rounds=2,
    small_files=300,
    large_files=4,
    vendored_files=200,
    many_files=1_000,
    sparse_size=100_000_000,
    amis=300,
    images=(1, 10, 30),
    reported_images=103,
    reported_builds=2,
)


class Harness:
    """Creates contenders that run in `folder`, with the embedded EC2 that this process's environment names."""

    def __init__(self, folder: Path, baselines: Baselines, scale: Scale) -> None:
        self.folder = folder
        self.baselines = baselines
        self.scale = scale
        self.control = Control(os.environ["AMI_BAKERY_LOCAL_URL"])
        self.control.change(pending_seconds=0)
        home = folder / "home"
        home.mkdir()
        # Without this shell's PYTHON* variables, so that Python uses cached bytecode, as after pip install.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self.environment = {
            **kept,
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "HOME": str(home),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_SUBNET_ID": "",
        }

    def drop_in(self, template: Path, folder: Path) -> dict[str, str]:
        """Returns the environment with the original's variables."""
        return {**self.environment, "PACKER_JSON_PATH": str(template), "AMI_DEFINITION_DIRS": f"{folder}/"}

    def ours(self, name: str, *arguments: str, program: str = "ami-bakery", **more: Any) -> Contender:
        command = (str(PROGRAMS / program), *arguments)
        return self._contender(name, Kind.OURS, command, more)

    def original(self, name: str, *, checksum_of: Path | None = None, **more: Any) -> Contender:
        """The original's program, or only its checksum function."""
        source = self.baselines.original.path
        python = f"{self.baselines.boto3.path}/python"
        command: tuple[str, ...] = (python, f"{source}/bakery.py")
        if checksum_of is not None:
            text = f"import sys; sys.path.insert(0, {source!r}); {_READING}"
            command = (python, "-W", "ignore", "-c", text, f"{checksum_of}/")
        return self._of(
            (self.baselines.original, self.baselines.boto3), self._contender(name, Kind.BASELINE, command, more)
        )

    def shell(self, name: str, script: str, *needs: Baseline, kind: Kind = Kind.BASELINE, **more: Any) -> Contender:
        return self._of(needs, self._contender(name, kind, ("sh", "-c", script), more))

    def curl(self, name: str, *bodies: str, region: str = REGION, **more: Any) -> Contender:
        """EC2 queries by curl, signed and sequential on one connection."""
        signed = (
            "--silent",
            "--show-error",
            "--fail",
            *("--aws-sigv4", f"aws:amz:{region}:ec2"),
            *("--user", f"{os.environ['AWS_ACCESS_KEY_ID']}:{os.environ['AWS_SECRET_ACCESS_KEY']}"),
            f"https://ec2.{region}.amazonaws.com/",
        )
        arguments = [part for body in bodies for part in ("--next", *signed, "--data", body)]
        command = (self.baselines.curl.path, *arguments[1:])
        return self._of((self.baselines.curl,), self._contender(name, Kind.LIMIT, command, more))

    def python(self, name: str, code: str, *, kind: Kind = Kind.LIMIT, interpreter: str = "") -> Contender:
        return self._contender(name, kind, (interpreter or sys.executable, "-c", code), {})

    def _contender(self, name: str, kind: Kind, command: Sequence[str], more: Mapping[str, Any]) -> Contender:
        settings = {"environment": self.environment, "folder": self.folder, **more}
        return Contender(name=name, kind=kind, command=tuple(command), **settings)

    def _of(self, needs: Sequence[Baseline], contender: Contender) -> Contender:
        missing = next((baseline.missing for baseline in needs if baseline.missing), "")
        return Contender(name=contender.name, kind=contender.kind, missing=missing) if missing else contender

    def answer(self, contender: Contender) -> str:
        """Runs the contender and returns its stdout."""
        done = subprocess.run(
            contender.command,
            env=dict(contender.environment),
            cwd=contender.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{contender.name} exited with {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    def calls(self, contender: Contender) -> dict[str, int]:
        """Counts the AWS API calls of one run, by action and region."""
        self.control.clear_report()
        self.answer(contender)
        counted = Counter(f"{call.action} {call.region}" for call in self.control.report().calls)
        return dict(sorted(counted.items()))


def template(name: str, **builder: Any) -> dict[str, Any]:
    """Returns an `amazon-ebs` template without provisioners, which Packer builds in about a second."""
    base = {
        "source_ami_filter": {
            "owners": ["099720109477"],
            "filters": {"name": "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"},
            "most_recent": True,
        }
    }
    return {
        "variables": {"aws_region": "", "aws_subnet_id": "", "config_checksum": ""},
        "builders": [
            {
                "type": "amazon-ebs",
                "region": "{{user `aws_region`}}",
                "instance_type": "t3.micro",
                "communicator": "none",
                "ami_name": f"{name}-{{{{uuid}}}}",
                "tags": {DIGEST_TAG: "{{user `config_checksum`}}"},
                **(builder or base),
            }
        ],
        # The original reads the AMI id from this file.
        "post-processors": [{"type": "manifest", "output": ".manifest.json", "strip_path": True}],
    }


def write(path: Path, content: str | Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
    return path


def quoted(path: Path) -> str:
    return shlex.quote(str(path))
