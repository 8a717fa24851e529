"""Runs Packer under strace, and reads the trace.

strace runs in a session of its own, as a grandchild (-DDD): Packer stays our child, with its own process id, so that
signals, process groups, the terminal and the watchdog work as without strace. strace cuts off all texts except paths
(-s 0): the trace has no arguments of programs, no environment and no content.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ami_bakery.adapters.program_search import find_program, is_within, work_tree_of
from ami_bakery.core.audit.replay import TRACED_CALLS, existed_in, replay
from ami_bakery.core.audit.strace_lines import parse_lines
from ami_bakery.errors import PackerError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.audit.trace import Trace

_DOING = "tracing what Packer opens (audit)"
_INSTALL = "Install strace (Debian and Ubuntu: `apt-get install strace`), or bake without --audit."
_ALLOW = (
    "Allow this process to trace its children (in Docker: `--cap-add SYS_PTRACE`; on Linux, see "
    "/proc/sys/kernel/yama/ptrace_scope), or bake without --audit."
)
_OPTIONS = (
    *("-f", "-q", "-y", "-s", "0", "-e", "signal=none", "-e"),
    "trace=" + ",".join(f"?{name}" for name in TRACED_CALLS),
)
_ATTACH_SECONDS = 2.0
_PLUGIN_SECONDS = 0.2
_END_SECONDS = 5.0
"""How long to wait for processes that outlive Packer."""
_POLL_SECONDS = 0.005
_SYSTEM_FOLDERS = ("/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev")


class Strace:
    """The installed strace."""

    def __init__(self, environment: Mapping[str, str], repository: str) -> None:
        """`repository`: a folder of the repository, whose programs are not started."""
        self._environment = environment
        self._repository = repository
        self._command: tuple[str, ...] | None = None

    def command(self) -> tuple[str, ...]:
        """Returns the program and its options. Raises `PackerError` if it is missing, or cannot trace."""
        if self._command is None:
            self._command = self._working_command()
        return self._command

    def _working_command(self) -> tuple[str, ...]:
        program = find_program("strace", self._environment, self._repository)
        if program is None:
            raise PackerError(
                _DOING, "no program 'strace' on PATH (folders of the repository are not searched)", _INSTALL
            )
        failure = ""
        # strace before 5.3 has no --seccomp-bpf, and is slower.
        for fast in (("--seccomp-bpf",), ()):
            command = (program, *fast, *_OPTIONS)
            failure = self._why_not(command)
            if not failure:
                return command
        raise PackerError(_DOING, failure, _ALLOW)

    def _why_not(self, command: tuple[str, ...]) -> str:
        try:
            done = subprocess.run(
                [*command, "-o", os.devnull, "true"],
                cwd="/",
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except OSError as error:
            return error.strerror or str(error)
        output = done.stderr.decode("utf-8", "replace").strip()
        return "" if done.returncode == 0 else output or f"strace exited with status {done.returncode}"


class Tracer:
    """The trace of one Packer."""

    def __init__(self, command: tuple[str, ...], file: IO[bytes], workdir: str, repositories: tuple[str, ...]) -> None:
        """`file`: the private file of the trace. It stays open: the build may remove all temporary files."""
        self.path = file.name
        self._file = file
        self._command = command
        self._workdir = os.path.realpath(workdir)
        self._repositories = repositories
        self._before = frozenset(_files_below(repositories))
        self._tracer = -1

    def wrap(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the command line that runs a program under strace."""
        return (*self._command, *_output_options(self.path), *arguments)

    def attach(self, pid: int) -> None:
        """Waits until strace traces the process."""
        deadline = time.monotonic() + _ATTACH_SECONDS
        while self._tracer < 0 and time.monotonic() < deadline:
            tracer = _tracer_of(pid)
            if tracer is None:
                return  # The process has ended.
            if tracer:
                with contextlib.suppress(OSError, AttributeError):
                    self._tracer = os.pidfd_open(tracer)
            time.sleep(_POLL_SECONDS)

    def collect(self, private: str | None = None) -> Trace:
        """Returns what was traced, after Packer has ended.

        Waits for child processes that outlive it, but not for its plugins, which end later.

        private  our own var-file, which Packer reads
        """
        has_ended = self._wait(_PLUGIN_SECONDS)
        trace = self._read()
        if trace.running and not has_ended:
            self._wait(_END_SECONDS)
            trace = self._read()
        own = {os.path.realpath(path) for path in (self.path, private) if path is not None}
        if self._tracer >= 0:
            os.close(self._tracer)
            self._tracer = -1
        return replace(trace, found=tuple(access for access in trace.found if access.path not in own))

    def _wait(self, seconds: float) -> bool:
        """Waits until strace has ended, which it does after all traced processes. Returns False after a time-out."""
        return self._tracer >= 0 and bool(select.select([self._tracer], [], [], seconds)[0])

    def _read(self) -> Trace:
        with_system = any(is_within(root, folder) for root in self._repositories for folder in _SYSTEM_FOLDERS)
        with open(os.dup(self._file.fileno()), encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            lines.seek(0)
            return replay(
                parse_lines(lines, with_system=with_system),
                workdir=self._workdir,
                repositories=self._repositories,
                read_link=read_link,
                existed=existed_in(self._before, self._repositories),
            )


def _output_options(path: str) -> tuple[str, ...]:
    return ("-DDD", "-o", path)


def strace_options(path: str) -> tuple[str, ...]:
    """Returns the options of strace, for the documents."""
    return (*_OPTIONS, *_output_options(path))


@contextlib.contextmanager
def tracing(command: tuple[str, ...], workdir: str, repositories: tuple[str, ...]) -> Iterator[Tracer]:
    """Creates the private file of the trace, and removes it. Raises `PackerError`."""
    try:
        file = tempfile.NamedTemporaryFile(prefix="ami-bakery-", suffix=".strace", delete=False)  # noqa: SIM115
    except OSError as error:
        raise PackerError(
            _DOING,
            error.strerror or str(error),
            "Free disk space in the folder for temporary files, or set TMPDIR to another folder.",
        ) from error
    with file:
        try:
            yield Tracer(command, file, workdir, repositories)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file.name)


def repositories_of(folders: tuple[str, ...], home: str) -> tuple[str, ...]:
    """Returns the real folders of the repositories that contain these folders.

    The home folder is no repository, even if git manages it.
    """
    found = (work_tree_of(folder) for folder in folders)
    real_home = os.path.realpath(home) if home else ""
    return tuple(
        dict.fromkeys(
            os.path.realpath(folder) if tree in (real_home, "/") else tree
            for folder, tree in zip(folders, found, strict=True)
        )
    )


def read_link(path: str) -> str | None:
    """Returns the text of a link; None for other paths."""
    try:
        return os.readlink(path)
    except (OSError, ValueError):
        return None


def _files_below(folders: tuple[str, ...]) -> Iterator[str]:
    for root in folders:
        for folder, subfolders, names in os.walk(root):
            if ".git" in subfolders:
                subfolders.remove(".git")
            yield from (f"{folder}/{name}" for name in names)


def _tracer_of(pid: int) -> int | None:
    """Returns the tracer of `pid`; 0 for none, None if it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            if line.startswith("TracerPid:"):
                return int(line.partition(":")[2])
            if line.startswith("State:") and line.split()[1] == "Z":
                return None
    except (OSError, ValueError):
        return None
    return 0
