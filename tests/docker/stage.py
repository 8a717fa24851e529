"""A pipeline stage: a repository and a home folder for unchanged `docker run` command lines."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections import Counter
from pathlib import Path

from ami_bakery.local import Control, LocalAws, LocalSettings
from tests.docker.engine import Engine
from tests.docker.image import build_options
from tests.harness import Run

USER = (1234, 1235)
"""The owner of the repository if the tests run as root; otherwise it is the current user."""

# Replaces the image name `ami-bakery` by the tested image, and AWS by the embedded EC2.
_DOCKER = """#!/bin/sh
command=$1
shift
for word; do
  shift
  if [ "$word" = ami-bakery ] && [ -z "$seen" ]; then word=$TESTED_IMAGE; seen=yes; fi
  set -- "$@" "$word"
done
case $command in
  run) exec {docker} run {run} "$@" ;;
  build) exec {docker} build {build} "$@" ;;
esac
"""


class Stage:
    def __init__(self, folder: Path, docker: Engine, image: str, local: LocalAws) -> None:
        self.docker = docker
        self.control = Control(local.url)
        self.folder = folder / "repository"
        self.folder.mkdir()
        self.user = USER if os.geteuid() == 0 else (os.getuid(), os.getgid())
        home = folder / "home"
        account = LocalSettings().accounts[0]
        (home / ".aws").mkdir(parents=True)
        (home / ".aws/credentials").write_text(
            f"[default]\naws_access_key_id = {account.access_key_id}\n"
            f"aws_secret_access_key = {account.secret_access_key}\n"
        )
        (home / ".aws/credentials").chmod(0o600)
        self._own(home)
        programs = folder / "bin"
        programs.mkdir()
        wrapper = programs / "docker"
        wrapper.write_text(
            _DOCKER.format(
                docker=shlex.join(docker.docker),
                run=shlex.join(_run_options(local)),
                build=shlex.join(build_options(docker, folder)),
            )
        )
        wrapper.chmod(0o755)
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(home),
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_SUBNET_ID": "",
            "TESTED_IMAGE": image,
        }

    def shell(self, line: str, cwd: Path | None = None) -> Run:
        """Runs a line of a pipeline; `docker run ... ami-bakery ...` runs the tested image."""
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=cwd or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return Run(status=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def start(self, line: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", "-c", f"exec {line}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def commit(self) -> None:
        """Commits all files as the repository's owner."""
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        self._git("init", "--quiet")
        self._git("add", "--all")
        self._git(*identity, "commit", "--quiet", "--message", "all of it")
        self._own(self.folder)

    def head(self) -> str:
        """Returns the checked out commit."""
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), "-c", "safe.directory=*", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def copy(self, folder: Path) -> None:
        """Copies the content of `folder` into the repository."""
        shutil.copytree(folder, self.folder, dirs_exist_ok=True)
        self._own(self.folder)

    def write(self, path: str, content: str) -> None:
        full = self.folder / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(content)
        self._own(self.folder)

    def _own(self, folder: Path) -> None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, *self.user, follow_symlinks=False)

    def of_others(self) -> list[str]:
        """Returns the paths in the repository that do not belong to its owner."""
        paths = (self.folder, *self.folder.rglob("*"))
        return [str(path) for path in paths if (path.lstat().st_uid, path.lstat().st_gid) != self.user]

    @property
    def packer_runs(self) -> int:
        """The number of Packer runs: each launches one instance, and nothing else does."""
        return Counter(call.action for call in self.control.report().calls)["RunInstances"]


def _run_options(local: LocalAws) -> list[str]:
    """Returns options with which a container uses the embedded EC2 as AWS."""
    aws = local.environment({})
    return [
        "--network=host",
        *("--env", f"HTTPS_PROXY={aws['HTTPS_PROXY']}", "--env", "AWS_CA_BUNDLE=/ca.crt"),
        *("--mount", f"type=bind,source={aws['AWS_CA_BUNDLE']},target=/ca.crt,readonly"),
        *("--env", "AWS_EC2_METADATA_DISABLED=true", "--env", "AWS_POLL_DELAY_SECONDS=1"),
    ]
