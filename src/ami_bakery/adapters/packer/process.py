"""Starts and stops Packer processes, and reads their output. Stops them so that they clean up."""

from __future__ import annotations

import codecs
import contextlib
import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, BinaryIO

from ami_bakery.adapters.packer.watchdog import watchdog
from ami_bakery.core.packer.stream import LONGEST, MachineReader, cut
from ami_bakery.core.text.masking import Masker, Stream
from ami_bakery.errors import PackerError
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.adapters.packer.log import Log
    from ami_bakery.core.packer.build_progress import CreatedResource, ProgressReader
    from ami_bakery.core.packer.machine_output import ArtifactReader
    from ami_bakery.ports import Reporter

_CLEANING_UP = "stopping: waiting for Packer's cleanup"
_CHUNK = 1 << 18
_LONGEST_PROMPT = 10_000
"""Maximum number of characters of a prompt; longer text without a line break is not one."""
_POLL_SECONDS = 0.2
_GROUP_SECONDS = 5.0
_OUTPUT_SECONDS = 10.0
"""How long to read on after Packer has exited: a plugin that is still running keeps the pipe open."""


class Run(Frozen):
    """One run of Packer: its command line and the readers of its output.

    private_files  contain sensitive variables or a trace; the watchdog removes them if ami-bakery is killed
    started        called with the process id of Packer
    kill_seconds   how long Packer may clean up after SIGTERM
    """

    image: str
    arguments: tuple[str, ...]
    workdir: str
    environment: Mapping[str, str] = field(repr=False)
    masker: Masker = field(repr=False)
    private_files: tuple[str, ...]
    kill_seconds: float
    log: Log
    reader: ArtifactReader
    progress: ProgressReader
    started: Callable[[int], None] | None = None


class RunningProcesses:
    """The running Packer processes. After `interrupt`, new processes are stopped immediately, too. Thread-safe."""

    def __init__(self) -> None:
        self._runs: dict[subprocess.Popen[bytes], Run] = {}
        self._stopped: set[subprocess.Popen[bytes]] = set()
        self._interrupted = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def of(self, process: subprocess.Popen[bytes], run: Run) -> Iterator[None]:
        with self._lock:
            self._runs[process] = run
            if self._interrupted:
                self._terminate(process)
        try:
            yield
        finally:
            with self._lock:
                del self._runs[process]
                self._stopped.discard(process)

    @property
    def interrupted(self) -> bool:
        return self._interrupted

    def interrupt(self) -> None:
        with self._lock:
            self._interrupted = True
            for process in self._runs:
                self._terminate(process)

    def stop(self, image: str) -> None:
        """Stops the process of this image, if it is running."""
        with self._lock:
            for process, run in self._runs.items():
                if run.image == image:
                    self._terminate(process)

    def is_stopped(self, process: subprocess.Popen[bytes]) -> bool:
        """Returns whether the process was sent SIGTERM."""
        return process in self._stopped

    def _terminate(self, process: subprocess.Popen[bytes]) -> None:
        """Sends SIGTERM once; a second signal has no further effect."""
        if process not in self._stopped:
            self._stopped.add(process)
            _terminate(process)

    def created(self) -> dict[str, tuple[CreatedResource, ...]]:
        """Returns the resources that each process has created so far, by image."""
        with self._lock:
            return {run.image: tuple(run.progress.made) for run in self._runs.values()}


def run_detached(run: Run, reporter: Reporter, running: RunningProcesses) -> int:
    """Runs Packer in its own session. Ctrl-C then reaches only ami-bakery, which sends SIGTERM once."""

    def read(output: IO[bytes]) -> None:
        _read_all(output, run, reporter)

    return _run(run, reporter, running, read, in_foreground=False)


def run_interactive(run: Run, terminal: BinaryIO, reporter: Reporter, running: RunningProcesses) -> int:
    """Runs Packer in the foreground.

    Packer can then prompt on the terminal, and receives Ctrl-C. `-debug` excludes `-machine-readable`, so the artifacts
    are read from the human-readable output.
    """

    def read(output: IO[bytes]) -> None:
        _show_all(output, run, terminal)

    return _run(run, reporter, running, read, in_foreground=True)


def _run(
    run: Run, reporter: Reporter, running: RunningProcesses, read: Callable[[IO[bytes]], None], *, in_foreground: bool
) -> int:
    """Starts Packer and returns its exit status. Reads its output to the end: a full pipe would block Packer."""
    reading, writing = os.pipe()
    output = open(reading, "rb")  # noqa: SIM115
    listener = threading.Thread(target=read, args=(output,), daemon=True)
    try:
        with watchdog(reading, run.kill_seconds, run.private_files) as watching:
            try:
                process = _start_run(run, writing, in_foreground=in_foreground)
            finally:
                os.close(writing)
            watching.watch(process.pid, own_group=not in_foreground)
            listener.start()
            if run.started is not None:
                run.started(process.pid)
            with running.of(process, run):
                status = _wait(process, run, reporter, running, own_group=not in_foreground)
        listener.join(timeout=_OUTPUT_SECONDS)
    finally:
        if not listener.is_alive():
            output.close()
    return status


def _start_run(run: Run, output: int, *, in_foreground: bool) -> subprocess.Popen[bytes]:
    return start(
        run.arguments,
        run.workdir,
        run.environment,
        stdin=None if in_foreground else subprocess.DEVNULL,
        stdout=output,
        new_session=not in_foreground,
    )


def _wait(
    process: subprocess.Popen[bytes], run: Run, reporter: Reporter, running: RunningProcesses, *, own_group: bool
) -> int:
    """Waits until Packer exits. After SIGTERM its cleanup in EC2 can take minutes; after the deadline, kills it."""
    deadline: float | None = None
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = process.wait(timeout=_POLL_SECONDS)
            break
        if running.is_stopped(process) and deadline is None:
            deadline = time.monotonic() + run.kill_seconds
            reporter.step(run.image, _CLEANING_UP)
        elif deadline is not None and time.monotonic() > deadline:
            reporter.warn(f"{run.image}: Packer did not finish its cleanup within {run.kill_seconds:.0f} s; killing it")
            process.kill()
            deadline = math.inf
        elif deadline is not None:
            reporter.update(run.image, _CLEANING_UP)
            if not own_group:
                # In debug mode Packer also pauses during its cleanup; a signal continues it, as a key press does.
                _terminate(process)
    if own_group and (running.is_stopped(process) or status < 0):
        _end_group(process.pid)
    return status


def _end_group(group: int) -> None:
    """Ends child processes: scripts of `shell-local` outlive a cancelled Packer, and plugins a killed one."""
    with contextlib.suppress(OSError):
        deadline = time.monotonic() + _GROUP_SECONDS
        while time.monotonic() < deadline:
            os.killpg(group, signal.SIGTERM)
            time.sleep(_POLL_SECONDS)
            with contextlib.suppress(ChildProcessError):
                # In a container, ami-bakery can be PID 1, which must reap orphaned processes.
                os.waitpid(-group, os.WNOHANG)
        os.killpg(group, signal.SIGKILL)


def _read_all(stream: IO[bytes], run: Run, reporter: Reporter) -> None:
    from ami_bakery.core.packer.build_progress import telling

    masked, reader = Stream(run.masker), MachineReader(run.masker)

    def show(lines: list[str]) -> None:
        if lines:
            run.log.write_all(lines)
            reporter.lines(run.image, lines)

    final = False
    while not final:
        chunk = stream.read1(_CHUNK)  # type: ignore[attr-defined]
        final = not chunk
        block = reader.feed(chunk, final=final)
        for message in block.messages:
            run.reader.read_message(message)
        for line in telling(block.lines):
            run.progress.read(line)
        show(masked.add_all(block.lines))
    show(masked.end())


def _show_all(stream: IO[bytes], run: Run, terminal: BinaryIO) -> None:
    from ami_bakery.core.packer.build_progress import telling

    masked = Stream(run.masker)

    def show(lines: list[str]) -> None:
        if lines:
            run.log.write_all([line.rstrip("\r") for line in lines])
            _show(terminal, "".join(f"{line}\n" for line in lines))

    def process_lines(lines: list[str]) -> None:
        for line in lines:
            run.reader.read_plain(line)
        for line in telling(lines):
            run.progress.read(line)
        show(masked.add_all(lines))

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pending: list[str] = []
    size = 0
    # read1 does not wait for a line break: a prompt does not end with one.
    while chunk := stream.read1(_CHUNK):  # type: ignore[attr-defined]
        text = decoder.decode(chunk)
        if "\n" in text or size > LONGEST:
            *lines, text = "".join((*pending, text)).split("\n")
            if len(text) > LONGEST:
                part, text = cut(text, run.masker)
                lines.append(part)
            pending, size = [], 0
            process_lines(lines)
        pending.append(text)
        size += len(text)
        if size <= _LONGEST_PROMPT and text.endswith((" ", ":", "?")):
            prompt = "".join(pending)
            if not run.masker.may_go_on(prompt):
                show(masked.end())
                _show(terminal, run.masker.mask(prompt))
                pending, size = [], 0
    if size:
        process_lines(["".join(pending)])
    show(masked.end())


def _show(terminal: BinaryIO, text: str) -> None:
    """Writes to the terminal. Ignores errors, because Packer's output must be read to the end."""
    with contextlib.suppress(OSError, ValueError):
        terminal.write(text.encode())
        terminal.flush()


def start(
    arguments: tuple[str, ...],
    workdir: str,
    environment: Mapping[str, str],
    *,
    stdin: int | None,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.STDOUT,
    new_session: bool,
) -> subprocess.Popen[bytes]:
    doing = f"starting {arguments[0]} in {workdir}"
    if not os.path.isdir(workdir):
        raise PackerError(doing, "no such folder", "Correct `workdir`, or create the folder.")
    try:
        return subprocess.Popen(
            arguments,
            cwd=workdir,
            env=environment,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=new_session,
        )
    except (OSError, ValueError) as error:
        todo = "Check the program, the folder, and Packer's variables and arguments."
        raise PackerError(doing, str(error), todo) from error


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """Sends SIGTERM, which cancels a build cleanly. Packer ignores SIGINT; SIGKILL would leave instances behind."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
