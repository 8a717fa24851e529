"""A Docker Engine for the tests: a running one, or one started as root."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NONE = "AMI_BAKERY_NO_DOCKER"
"""If set, the tests of the Docker image are skipped."""

Command = tuple[str, ...]
_ROOM_BYTES = 4 * 2**30


class NoEngineError(Exception):
    """There is no usable Docker Engine, and none can be started. The message says why."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A Docker Engine. `docker`: the command line of the client, with its options for this engine."""

    docker: Command

    def run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return _run((*self.docker, *arguments), timeout)

    def answer(self, *arguments: str, timeout: float = 60) -> str:
        done = self.run(*arguments, timeout=timeout)
        assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """Yields an engine. Raises `NoEngineError`."""
    client = _client()
    for prefix in ((), _SUDO):
        command = (*prefix, *client)
        if _reaches(command):
            yield Engine(docker=command)
            return
    with _started() as socket:
        yield Engine(docker=(*root_prefix(), *client, "--host", socket))


_BUILDKIT = ("env", "DOCKER_BUILDKIT=1")
_SUDO = ("sudo", "--non-interactive", "--preserve-env")


def root_prefix() -> Command:
    """Returns the prefix of commands that need root. Raises `NoEngineError`."""
    prefix: Command = () if os.geteuid() == 0 else _SUDO
    if _status((*prefix, "true")) != 0:
        raise NoEngineError("root is needed, and sudo is missing or asks for a password")
    return prefix


def _client() -> Command:
    """Returns the first `docker` on PATH with BuildKit: built in before version 23, a plugin from then on."""
    tried = []
    for folder in os.environ["PATH"].split(os.pathsep):
        program = os.path.join(folder, "docker")
        if not os.access(program, os.X_OK):
            continue
        output = _run((program, "--version"), 60).stdout.strip()
        version = re.search(r"version (\d+)", output)
        if (version and int(version[1]) < 23) or _status((program, "buildx", "version")) == 0:
            return (*_BUILDKIT, program)
        tried.append(f"{program} ({output}) has no buildx")
    raise NoEngineError("; ".join(tried) or "no program `docker` on PATH")


def _reaches(docker: Command) -> bool:
    """Returns whether a local engine responds: only that can mount folders and reach loopback addresses."""
    host = os.environ.get("DOCKER_HOST", "unix://")
    return host.startswith("unix://") and _status((*docker, "version", "--format", "{{.Server.Version}}")) == 0


def quick_folder(*, devices: bool = False) -> str:
    """Returns a folder in memory if there is enough, because an image has tens of thousands of small files.

    devices  whether device files must work in it
    """
    unsuitable = os.ST_NOEXEC | (os.ST_NODEV if devices else 0)
    try:
        memory = os.statvfs("/dev/shm")
        free = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return "/var/tmp"
    roomy = memory.f_bavail * memory.f_frsize > _ROOM_BYTES and free and int(free[1]) * 1024 > 2 * _ROOM_BYTES
    return "/dev/shm" if roomy and not memory.f_flag & unsuitable else "/var/tmp"


@contextlib.contextmanager
def _started() -> Iterator[str]:
    """Starts an engine without bridge and firewall rules, with all files in one folder. Yields its address."""
    prefix = root_prefix()
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    program = shutil.which("dockerd", path=path)
    if program is None:
        raise NoEngineError("no Docker Engine is running, and `dockerd` is not installed")
    # The path must be short, because it contains sockets.
    folder = Path(tempfile.mkdtemp(prefix="ami-bakery-docker-", dir=quick_folder()))
    socket = f"unix://{folder}/docker.sock"
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *prefix,
                *("env", f"PATH={path}", program, "--bridge=none", "--iptables=false", "--ip6tables=false"),
                *("--data-root", f"{folder}/root", "--exec-root", f"{folder}/exec"),
                *("--pidfile", f"{folder}/pid", "--host", socket),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        client = (*prefix, *_client(), "--host", socket)
        _wait_for(client, process, log)
        yield socket
    finally:
        # The pid file has the engine's process; our child can be sudo.
        if process.poll() is None:
            _run((*prefix, "kill", (folder / "pid").read_text()), 60)
            process.wait(timeout=120)
        # The engine never unmounts the host's network namespace.
        _run((*prefix, "umount", f"{folder}/exec/netns/default"), 60)
        _run((*prefix, "rm", "-rf", str(folder)), 300)


def _wait_for(client: Command, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while _status((*client, "version", "--format", "{{.Server.Version}}")) != 0:
        if process.poll() is not None or time.monotonic() > end:
            lines = log.read_text(errors="replace").splitlines()[-20:]
            raise NoEngineError("dockerd does not start; last lines of its output:\n" + "\n".join(lines))
        time.sleep(0.2)


def _status(command: Sequence[str]) -> int:
    try:
        return _run(command, 60).returncode
    except FileNotFoundError:
        return 127


def _run(
    command: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
