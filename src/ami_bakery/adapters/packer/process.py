"""Packer as a process: started, listened to, and told to stop in the way that works."""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, BinaryIO

from ami_bakery.adapters.packer.log import Log
from ami_bakery.core.packer_output import ArtifactReader, mask, parse_message, spoken
from ami_bakery.errors import PackerError
from ami_bakery.ports import Watcher


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run of Packer: its words, and those who listen. `secrets` is what `maskable` makes of them."""

    image: str
    arguments: tuple[str, ...]
    workdir: str
    environment: Mapping[str, str] = field(repr=False)
    secrets: frozenset[str] = field(repr=False)
    log: Log
    reader: ArtifactReader


class Running:
    """The Packers that run. Once interrupted, each that runs is told to stop, and each that comes later at once."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._interrupted = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def of(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        with self._lock:
            self._processes.add(process)
            if self._interrupted:
                _terminate(process)
        try:
            yield
        finally:
            with self._lock:
                self._processes.discard(process)

    @property
    def interrupted(self) -> bool:
        return self._interrupted

    def interrupt(self) -> None:
        with self._lock:
            self._interrupted = True
            for process in self._processes:
                _terminate(process)


def run_alone(run: Run, watcher: Watcher, running: Running) -> int:
    """Run Packer in a session of its own, so that a terminal's Ctrl-C reaches us alone and we pass it on once.

    Whatever happens to those who listen, its output is read to the end: a full pipe would stop it for ever.
    """
    process = start(run.arguments, run.workdir, run.environment, stdin=subprocess.DEVNULL, new_session=True)
    assert process.stdout is not None
    thread = threading.Thread(target=_read_all, args=(process.stdout, run, watcher), daemon=True)
    thread.start()
    try:
        with running.of(process):
            return _wait(process, run, watcher, running)
    finally:
        # A plugin that outlives Packer holds the pipe open; it gets a moment, and then it is not waited for.
        thread.join(timeout=10)
        if not thread.is_alive():
            process.stdout.close()


def _wait(process: subprocess.Popen[bytes], run: Run, watcher: Watcher, running: Running) -> int:
    """Until Packer ends; once interrupted, until it has cleaned up in EC2, which can take minutes."""
    told = False
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=0.2)
        if running.interrupted and not told:
            told = True
            watcher.step(run.image, "Packer was told to stop: waiting until it has cleaned up")


def _read_all(stream: IO[bytes], run: Run, watcher: Watcher) -> None:
    for raw in stream:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        message = parse_message(line)
        if message is not None:
            run.reader.read_message(message)
        for said in (line,) if message is None else spoken(message):
            shown = mask(said, run.secrets)
            run.log.write(shown)
            watcher.line(run.image, shown)


def run_with_person(run: Run, terminal: BinaryIO, running: Running) -> int:
    """Run Packer in the foreground: it asks on the terminal and reads answers from it, and Ctrl-C reaches it directly.

    `-debug` and `-machine-readable` do not go together, so the artifacts are read from the lines for people.
    """
    process = start(run.arguments, run.workdir, run.environment, stdin=None, new_session=False)
    assert process.stdout is not None
    with running.of(process), process.stdout:
        _show_all(process.stdout, run, terminal)
        return process.wait()


def _show_all(stream: IO[bytes], run: Run, terminal: BinaryIO) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pending = ""
    # read1 gives what there is: a prompt has no newline at its end.
    while chunk := stream.read1(65536):  # type: ignore[attr-defined]
        pending += decoder.decode(chunk)
        *lines, pending = pending.split("\n")
        for line in lines:
            run.reader.read_plain(line)
            shown = mask(line, run.secrets)
            run.log.write(shown.rstrip("\r"))
            terminal.write(f"{shown}\n".encode())
        if pending.endswith((" ", ":", "?")) and not _may_go_on(pending, run.secrets):
            terminal.write(mask(pending, run.secrets).encode())
            pending = ""
        terminal.flush()


def _may_go_on(text: str, secrets: frozenset[str]) -> bool:
    """Whether a secret may have begun at the end of `text`."""
    return any(text.endswith(secret[:length]) for secret in secrets for length in range(1, len(secret)))


def start(
    arguments: tuple[str, ...],
    workdir: str,
    environment: Mapping[str, str],
    *,
    stdin: int | None,
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
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=new_session,
        )
    except (OSError, ValueError) as error:
        todo = "Look at the program, the folder, and the values that Packer is given."
        raise PackerError(doing, str(error), todo) from error


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM cancels a build cleanly; SIGINT to Packer alone is ignored, SIGKILL leaves instances behind."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
