"""Runs HashiCorp Packer, 1.6.6 or newer, and reads what it made from what it says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, BinaryIO

from ami_bakery.core.packer_output import (
    Artifact,
    ArtifactReader,
    Complaint,
    mask,
    maskable,
    parse_complaints,
    parse_message,
    spoken,
)
from ami_bakery.core.plugins import InstalledPlugin, choose_plugins, parse_installed
from ami_bakery.core.template import TemplateFacts
from ami_bakery.errors import PackerError
from ami_bakery.ports import BuildRequest, Watcher

OLDEST = (1, 6, 6)
_HAS_INIT = (1, 7, 0)
_LISTS_PLUGINS = (1, 8, 0)
_SHOWN_LINES = 20
_INSTALL = "Install Packer 1.6.6 or newer (https://developer.hashicorp.com/packer/install), or name it with --packer."


class HashicorpPacker:
    """A `Packer` port. `terminal` is where Packer speaks to a person in debug mode."""

    def __init__(self, program: str, environment: Mapping[str, str], terminal: BinaryIO) -> None:
        self._program = program
        # Without it Packer asks HashiCorp for updates on every run.
        self._environment = {**environment, "CHECKPOINT_DISABLE": "1"}
        self._terminal = terminal
        self._version: str | None = None
        self._lock = threading.Lock()

    def version(self) -> str:
        with self._lock:
            if self._version is None:
                self._version = self._ask_version()
            return self._version

    def build(self, request: BuildRequest, watcher: Watcher) -> tuple[Artifact, ...]:
        environment = {**self._environment, "AWS_DEFAULT_REGION": request.region, "AWS_REGION": request.region}
        with _Log(request) as log, _private_variables(request) as private:
            watcher.step(request.image, f"baking with Packer {self.version()}")
            arguments = [self._executable(), "build", *_options(request, private), request.template]
            run = _run_with_person if request.debug else _run
            reader = ArtifactReader()
            status = run(arguments, request, environment, log, watcher, reader, self._terminal)
            if status != 0:
                raise self._failed(request, status, log, reader)
        return reader.found()

    def validate(self, request: BuildRequest) -> tuple[Complaint, ...]:
        secrets = maskable(request.secrets)
        with _private_variables(request) as private:
            process = _start(
                [self._executable(), "validate", *_definition_options(request, private), request.template],
                request,
                {**self._environment, "AWS_DEFAULT_REGION": request.region, "AWS_REGION": request.region},
                stdin=subprocess.DEVNULL,
                new_session=True,
            )
            said, _ = process.communicate()
        if process.returncode == 0:
            return ()
        return parse_complaints(mask(said.decode("utf-8", "replace"), secrets))

    def plugins(
        self, image: str, template: str, workdir: str, facts: TemplateFacts, watcher: Watcher
    ) -> tuple[InstalledPlugin, ...]:
        version = _numbers(self.version())
        if version < _LISTS_PLUGINS:
            # 1.7 has `init`, and no list: what it fetched is not known, what the template requires is in its text.
            if facts.required_plugins and version >= _HAS_INIT:
                self._init(image, template, workdir, watcher)
            return ()
        choice = choose_plugins(self._installed(), facts.required_plugins, facts.components)
        if choice.missing:
            self._init(image, template, workdir, watcher)
            choice = choose_plugins(self._installed(), facts.required_plugins, facts.components)
        if choice.missing:
            names = ", ".join(f"{plugin.source} {plugin.version}" for plugin in choice.missing)
            raise PackerError(
                f"looking for the plugins of image {image}",
                f"packer init fetched none that fits {names}",
                "Correct required_plugins, or install the plugin with `packer plugins install`.",
            )
        return choice.used

    def _installed(self) -> tuple[InstalledPlugin, ...]:
        answer = self._ask("plugins", "installed")
        if answer.returncode != 0:
            said = answer.stderr.decode("utf-8", "replace").strip()
            raise PackerError("listing Packer's plugins", said or f"status {answer.returncode}", "Mend the plugins.")
        return parse_installed(answer.stdout.decode("utf-8", "replace"))

    def _init(self, image: str, template: str, workdir: str, watcher: Watcher) -> None:
        watcher.step(image, "fetching the plugins (packer init)")
        answer = self._ask("init", template, cwd=workdir)
        watcher.done(image)
        if answer.returncode != 0:
            said = (answer.stdout + answer.stderr).decode("utf-8", "replace").strip()
            raise PackerError(
                f"fetching the plugins of image {image} (packer init)",
                f"Packer ended with {_status(answer.returncode)}:\n{said[-2000:]}",
                "Look at required_plugins and the network.",
            )

    def _ask(self, *arguments: str, cwd: str | None = None) -> subprocess.CompletedProcess[bytes]:
        program = self._executable()
        try:
            return subprocess.run(
                [program, *arguments],
                cwd=cwd,
                capture_output=True,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except OSError as error:
            raise PackerError(f"running {program} {arguments[0]}", error.strerror or str(error), _INSTALL) from error

    def _failed(self, request: BuildRequest, status: int, log: _Log, reader: ArtifactReader) -> PackerError:
        made = "".join(
            f"\n{artifact.ami} of {artifact.region} was made all the same, and has no digest."
            for artifact in reader.found()
        )
        return PackerError(
            f"baking image {request.image} with Packer {self.version()}",
            f"Packer ended with {_status(status)}; its last lines:\n{log.end()}{made}",
            f"The whole log is in {log.keep()}",
        )

    def _executable(self) -> str:
        found = shutil.which(self._program, path=self._environment.get("PATH"))
        if found is None:
            raise PackerError("looking for Packer", f"there is no program {self._program!r} here", _INSTALL)
        return os.path.abspath(found)

    def _ask_version(self) -> str:
        program = self._executable()
        doing = f"asking {program} for its version"
        answer = self._ask("version")
        match = re.search(rb"^Packer v(\d+\.\d+\.\d+\S*)", answer.stdout, re.MULTILINE)
        if not match:
            said = (answer.stdout + answer.stderr).decode("utf-8", "replace").strip()[:200]
            raise PackerError(doing, f"it does not answer as Packer does: {said!r}", _INSTALL)
        version = match[1].decode("ascii", "replace")
        if _numbers(version) < OLDEST:
            raise PackerError(doing, f"it is Packer {version}, which is too old", _INSTALL)
        return version


class _Log:
    """Packer's whole log, without secrets, in a file that only this user reads; kept where something failed."""

    def __init__(self, request: BuildRequest) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", request.image)
        descriptor, self.path = tempfile.mkstemp(prefix=f"ami-bakery-{name}-", suffix=".log")
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")
        self._end: deque[str] = deque(maxlen=_SHOWN_LINES)
        self._kept = False

    def write(self, line: str) -> None:
        self._file.write(line + "\n")
        if line.strip():
            self._end.append(line)

    def end(self) -> str:
        return "\n".join(f"  | {line}" for line in self._end)

    def keep(self) -> str:
        self._kept = True
        return self.path

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.close()
        if not self._kept:
            Path(self.path).unlink(missing_ok=True)


@contextlib.contextmanager
def _private_variables(request: BuildRequest) -> Iterator[str | None]:
    """A var-file for sensitive variables: what stands on a command line can be read by every user of the machine."""
    values = {name: value for name, value in request.variables if name in request.sensitive}
    if not values:
        yield None
        return
    suffix = ".pkrvars.json" if request.hcl2 else ".json"
    with tempfile.NamedTemporaryFile("w", prefix="ami-bakery-", suffix=suffix, encoding="utf-8") as file:
        json.dump(values, file)
        file.flush()
        yield file.name


def _options(request: BuildRequest, private: str | None) -> Iterator[str]:
    if not request.debug:
        yield "-machine-readable"
    yield "-color=false"
    yield from _definition_options(request, private)
    yield from request.arguments


def _definition_options(request: BuildRequest, private: str | None) -> Iterator[str]:
    """What `packer build` and `packer validate` both take."""
    for path in request.var_files:
        yield f"-var-file={path}"
    if private:
        yield f"-var-file={private}"
    for name, value in request.variables:
        if name not in request.sensitive:
            yield "-var"
            yield f"{name}={value}"
    if request.only:
        yield f"-only={','.join(request.only)}"
    if request.except_:
        yield f"-except={','.join(request.except_)}"
    yield from request.definition_arguments


def _run(
    arguments: list[str],
    request: BuildRequest,
    environment: Mapping[str, str],
    log: _Log,
    watcher: Watcher,
    reader: ArtifactReader,
    _terminal: BinaryIO,
) -> int:
    """Run Packer in a session of its own, so that a terminal's Ctrl-C reaches us alone and we pass it on once."""
    secrets = maskable(request.secrets)
    process = _start(arguments, request, environment, stdin=subprocess.DEVNULL, new_session=True)

    def read(stream: IO[bytes]) -> None:
        for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            message = parse_message(line)
            if message is not None:
                reader.read_message(message)
            for said in (line,) if message is None else spoken(message):
                shown = mask(said, secrets)
                log.write(shown)
                watcher.line(request.image, shown)

    assert process.stdout is not None
    thread = threading.Thread(target=read, args=(process.stdout,), daemon=True)
    thread.start()
    try:
        status = process.wait()
    except BaseException:
        watcher.step(request.image, "telling Packer to stop, and waiting until it has cleaned up")
        _terminate(process)
        raise
    finally:
        # A plugin that outlives Packer holds the pipe open; it gets a moment, and then it is not waited for.
        thread.join(timeout=10)
        if not thread.is_alive():
            process.stdout.close()
    return status


def _run_with_person(
    arguments: list[str],
    request: BuildRequest,
    environment: Mapping[str, str],
    log: _Log,
    _watcher: Watcher,
    reader: ArtifactReader,
    terminal: BinaryIO,
) -> int:
    """Run Packer in the foreground: it asks on the terminal and reads answers from it, and Ctrl-C reaches it directly.

    `-debug` and `-machine-readable` do not go together, so the artifacts are read from the lines for people.
    """
    secrets = maskable(request.secrets)
    process = _start(arguments, request, environment, stdin=None, new_session=False)
    assert process.stdout is not None
    pending = ""
    try:
        # read1 gives what there is: a prompt has no newline at its end.
        while chunk := process.stdout.read1(65536):  # type: ignore[attr-defined]
            pending += chunk.decode("utf-8", "replace")
            *lines, pending = pending.split("\n")
            shown = [mask(line, secrets) for line in lines]
            for line in shown:
                log.write(line.rstrip("\r"))
                reader.read_plain(line)
            terminal.write("".join(f"{line}\n" for line in shown).encode())
            if pending.endswith((" ", ":", "?")):
                terminal.write(mask(pending, secrets).encode())
                pending = ""
            terminal.flush()
        return process.wait()
    except BaseException:
        _terminate(process)
        raise
    finally:
        process.stdout.close()


def _start(
    arguments: list[str],
    request: BuildRequest,
    environment: Mapping[str, str],
    *,
    stdin: int | None,
    new_session: bool,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            arguments,
            cwd=request.workdir,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=new_session,
        )
    except OSError as error:
        raise PackerError(
            f"starting {arguments[0]} in {request.workdir}", error.strerror or str(error), _INSTALL
        ) from error


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM cancels a build cleanly (SIGINT to Packer alone is ignored); its clean-up in EC2 can take minutes."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    while process.poll() is None:
        with contextlib.suppress(KeyboardInterrupt):
            process.wait()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0])[:3])


def _status(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status} ({signal.Signals(-status).name})"
