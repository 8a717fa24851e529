"""Packer as a process: started, listened to, and told to stop in the way that works."""

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

from ami_bakery.adapters.packer.watchdog import guard
from ami_bakery.core.packer.stream import LONGEST, MachineReader, cut
from ami_bakery.core.text.masking import Masker, Stream
from ami_bakery.errors import PackerError
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.adapters.packer.log import Log
    from ami_bakery.core.packer.build_progress import CreatedResource, ProgressReader
    from ami_bakery.core.packer.machine_output import ArtifactReader
    from ami_bakery.ports import Reporter

_CLEANING_UP = "Packer was told to stop: waiting until it has cleaned up"
_CHUNK = 1 << 18
_LONGEST_PROMPT = 10_000
"""Characters; what is longer and has no line break is no question."""
_POLL_SECONDS = 0.2
_REST_SECONDS = 5.0
_LAST_WORDS_SECONDS = 10.0
"""A plugin that outlives Packer holds the pipe open; it gets a moment, and then it is not waited for."""


class Run(Frozen):
    """One run of Packer: its words, and those who listen.

    private_files  hold sensitive variables; removed by the guard where the bakery is killed
    kill_seconds   how long it may clean up, once it was told to stop
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


class Running:
    """The Packers that run. Once interrupted, each that runs is told to stop, and each that comes later at once."""

    def __init__(self) -> None:
        self._runs: dict[subprocess.Popen[bytes], Run] = {}
        self._told: set[subprocess.Popen[bytes]] = set()
        self._interrupted = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def of(self, process: subprocess.Popen[bytes], run: Run) -> Iterator[None]:
        with self._lock:
            self._runs[process] = run
            if self._interrupted:
                self._tell(process)
        try:
            yield
        finally:
            with self._lock:
                del self._runs[process]
                self._told.discard(process)

    @property
    def interrupted(self) -> bool:
        return self._interrupted

    def interrupt(self) -> None:
        with self._lock:
            self._interrupted = True
            for process in self._runs:
                self._tell(process)

    def stop(self, image: str) -> None:
        """The one of this image alone, if it runs."""
        with self._lock:
            for process, run in self._runs.items():
                if run.image == image:
                    self._tell(process)

    def is_told(self, process: subprocess.Popen[bytes]) -> bool:
        return process in self._told

    def _tell(self, process: subprocess.Popen[bytes]) -> None:
        """Once: a second signal says nothing new."""
        if process not in self._told:
            self._told.add(process)
            _terminate(process)

    def made(self) -> dict[str, tuple[CreatedResource, ...]]:
        """What each that runs has made so far, by image."""
        with self._lock:
            return {run.image: tuple(run.progress.made) for run in self._runs.values()}


def run_detached(run: Run, reporter: Reporter, running: Running) -> int:
    """Run Packer in a session of its own, so that a terminal's Ctrl-C reaches us alone and we pass it on once."""

    def read(output: IO[bytes]) -> None:
        _read_all(output, run, reporter)

    return _run(run, reporter, running, read, in_foreground=False)


def run_interactive(run: Run, terminal: BinaryIO, reporter: Reporter, running: Running) -> int:
    """Run Packer in the foreground: it asks on the terminal and reads answers from it, and Ctrl-C reaches it directly.

    `-debug` and `-machine-readable` do not go together, so the artifacts are read from the lines for people.
    """

    def read(output: IO[bytes]) -> None:
        _show_all(output, run, terminal)

    return _run(run, reporter, running, read, in_foreground=True)


def _run(
    run: Run, reporter: Reporter, running: Running, read: Callable[[IO[bytes]], None], *, in_foreground: bool
) -> int:
    """Whatever happens to those who listen, its output is read to the end: a full pipe would stop it for ever."""
    reading, writing = os.pipe()
    output = open(reading, "rb")  # noqa: SIM115
    listener = threading.Thread(target=read, args=(output,), daemon=True)
    try:
        with guard(reading, run.kill_seconds, run.private_files) as watching:
            try:
                process = _started(run, writing, in_foreground=in_foreground)
            finally:
                os.close(writing)
            watching.watch(process.pid, own_group=not in_foreground)
            listener.start()
            with running.of(process, run):
                status = _wait(process, run, reporter, running, own_group=not in_foreground)
        listener.join(timeout=_LAST_WORDS_SECONDS)
    finally:
        if not listener.is_alive():
            output.close()
    return status


def _started(run: Run, output: int, *, in_foreground: bool) -> subprocess.Popen[bytes]:
    return start(
        run.arguments,
        run.workdir,
        run.environment,
        stdin=None if in_foreground else subprocess.DEVNULL,
        stdout=output,
        new_session=not in_foreground,
    )


def _wait(process: subprocess.Popen[bytes], run: Run, reporter: Reporter, running: Running, *, own_group: bool) -> int:
    """Until Packer ends; once told to stop, until it has cleaned up in EC2, which can take minutes, or is killed."""
    deadline: float | None = None
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = process.wait(timeout=_POLL_SECONDS)
            break
        if running.is_told(process) and deadline is None:
            deadline = time.monotonic() + run.kill_seconds
            reporter.step(run.image, _CLEANING_UP)
        elif deadline is not None and time.monotonic() > deadline:
            reporter.warn(f"{run.image}: Packer has not cleaned up within {run.kill_seconds:.0f} s, and is killed")
            process.kill()
            deadline = math.inf
        elif deadline is not None:
            reporter.update(run.image, _CLEANING_UP)
            if not own_group:
                # In debug mode it pauses in its clean-up, too; a signal is as good as the key that is waited for.
                _terminate(process)
    if own_group and (running.is_told(process) or status < 0):
        _end_rest(process.pid)
    return status


def _end_rest(group: int) -> None:
    """A cancelled Packer leaves the scripts of a `shell-local` behind, a killed one its plugins."""
    with contextlib.suppress(OSError):
        deadline = time.monotonic() + _REST_SECONDS
        while time.monotonic() < deadline:
            os.killpg(group, signal.SIGTERM)
            time.sleep(_POLL_SECONDS)
            with contextlib.suppress(ChildProcessError):
                # In a container we may be the one that orphans are given to.
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

    def take(lines: list[str]) -> None:
        for line in lines:
            run.reader.read_plain(line)
        for line in telling(lines):
            run.progress.read(line)
        show(masked.add_all(lines))

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pending: list[str] = []
    size = 0
    # read1 gives what there is: a prompt has no newline at its end.
    while chunk := stream.read1(_CHUNK):  # type: ignore[attr-defined]
        text = decoder.decode(chunk)
        if "\n" in text or size > LONGEST:
            *lines, text = "".join((*pending, text)).split("\n")
            if len(text) > LONGEST:
                part, text = cut(text, run.masker)
                lines.append(part)
            pending, size = [], 0
            take(lines)
        pending.append(text)
        size += len(text)
        if size <= _LONGEST_PROMPT and text.endswith((" ", ":", "?")):
            asked = "".join(pending)
            if not run.masker.may_go_on(asked):
                show(masked.end())
                _show(terminal, run.masker.mask(asked))
                pending, size = [], 0
    if size:
        take(["".join(pending)])
    show(masked.end())


def _show(terminal: BinaryIO, text: str) -> None:
    """The terminal may be closed: Packer's words are read all the same."""
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
        raise PackerError(doing, "there is no such folder", "Correct `workdir`, or create the folder.")
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
        todo = "Look at the program, the folder, and the values that Packer is given."
        raise PackerError(doing, str(error), todo) from error


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM cancels a build cleanly; SIGINT to Packer alone is ignored, SIGKILL leaves instances behind."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
