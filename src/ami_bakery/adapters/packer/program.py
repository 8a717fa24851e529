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
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

from ami_bakery.adapters.packer.log import Log
from ami_bakery.adapters.packer.process import Run, Running, run_alone, run_with_person, start
from ami_bakery.core.ci import is_automated
from ami_bakery.core.masking import Masker
from ami_bakery.core.packer_output import (
    ArtifactReader,
    Built,
    Complaint,
    parse_complaints,
)
from ami_bakery.core.plugins import InstalledPlugin, choose_plugins, how_to_install, parse_installed
from ami_bakery.errors import PackerError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.packer_progress import Made
    from ami_bakery.core.template import TemplateFacts
    from ami_bakery.ports import BuildRequest, Watcher

OLDEST = (1, 6, 6)
_HAS_INIT = (1, 7, 0)
_LISTS_PLUGINS = (1, 8, 0)
_LISTS_IN_FILTERS = (1, 8, 0)
"""Packer 1.8.0 came with packer-plugin-amazon 1.0.8, and 1.7.10 with 1.0.6; lists came with 1.0.7. An older plugin that
is required with a newer Packer, or a newer one with Packer 1.7, is not told apart."""
_ALONE = {"PACKER_WRAP_COOKIE": "49C22B1A-3A93-4C98-97FA-E07D18C787B5"}
"""Packer starts itself again, to report its crashes, unless this says that it is that second one (its main.go)."""
_LONGEST_ARGUMENT = 30_000
"""Characters of a value. Linux takes an argument of 128 kB, and a character may be four bytes."""
_INSTALL = "Install Packer 1.6.6 or newer (https://developer.hashicorp.com/packer/install), or name it with --packer."


class HashicorpPacker:
    """A `Packer` port. `terminal` is where Packer speaks to a person in debug mode; `kill_seconds`: see `Run`."""

    def __init__(
        self, program: str, environment: Mapping[str, str], terminal: BinaryIO, *, kill_seconds: float
    ) -> None:
        self._program = program
        # Without it Packer asks HashiCorp for updates on every run.
        self._environment = {**environment, "CHECKPOINT_DISABLE": "1"}
        self._terminal = terminal
        self._kill_seconds = kill_seconds
        self._version: str | None = None
        self._lock = threading.Lock()
        self._listed: tuple[InstalledPlugin, ...] | None = None
        self._listing = threading.Lock()
        self._running = Running()

    def expect(self, *, plugins: bool) -> None:
        """Packer takes a tenth of a second to say its version, and its list of plugins takes three."""
        threading.Thread(target=self._find_out, args=(plugins,), daemon=True).start()

    def _find_out(self, plugins: bool) -> None:
        # What goes wrong is told when it is asked for.
        with contextlib.suppress(PackerError):
            if _numbers(self.version()) < _LISTS_PLUGINS or not plugins:
                return
            with self._listing:
                if self._listed is None:
                    self._listed = self._parsed_list(self._ask_alone("plugins", "installed"))

    def version(self) -> str:
        with self._lock:
            if self._version is None:
                self._version = self._ask_version()
            return self._version

    def lists_in_filters(self) -> bool:
        return _numbers(self.version()) >= _LISTS_IN_FILTERS

    def build(self, request: BuildRequest, watcher: Watcher, made: Callable[[Made], None]) -> Built:
        from ami_bakery.core.packer_progress import ProgressReader

        environment = {**self._environment, "AWS_DEFAULT_REGION": request.region, "AWS_REGION": request.region}
        masker = Masker(request.secrets)
        with Log(request.image) as log, _private_variables(request) as private:
            watcher.step(request.image, f"baking with Packer {self.version()}")
            run = Run(
                image=request.image,
                arguments=(self._executable(), "build", *_options(request, private), request.template),
                workdir=request.workdir,
                environment=environment,
                masker=masker,
                private_files=(private,) if private else (),
                kill_seconds=self._kill_seconds,
                log=log,
                reader=ArtifactReader(),
                progress=ProgressReader(tell=made),
            )
            status = (
                run_with_person(run, self._terminal, watcher, self._running)
                if request.debug
                else run_alone(run, watcher, self._running)
            )
            if status != 0:
                raise self._failed(request, status, run)
        tolerated = (replace(one, error=masker.mask(one.error)) for one in run.progress.tolerated)
        return Built(artifacts=run.reader.found(), tolerated=tuple(tolerated))

    def interrupt(self) -> None:
        self._running.interrupt()

    def stop(self, image: str) -> None:
        self._running.stop(image)

    def interrupted(self) -> bool:
        return self._running.interrupted

    def at_work(self) -> Mapping[str, tuple[Made, ...]]:
        return self._running.made()

    def validate(self, request: BuildRequest, *, syntax_only: bool = False) -> tuple[Complaint, ...]:
        mode = ("-syntax-only",) if syntax_only else ()
        with _private_variables(request) as private:
            process = start(
                (self._executable(), "validate", *mode, *_definition_options(request, private), request.template),
                request.workdir,
                {**self._environment, "AWS_DEFAULT_REGION": request.region, "AWS_REGION": request.region},
                stdin=subprocess.DEVNULL,
                new_session=True,
            )
            said, _ = process.communicate()
        if process.returncode == 0:
            return ()
        return parse_complaints(Masker(request.secrets).mask(said.decode("utf-8", "replace")))

    def plugins(
        self, image: str, template: str, workdir: str, facts: TemplateFacts, watcher: Watcher
    ) -> tuple[InstalledPlugin, ...]:
        version = _numbers(self.version())
        if version < _LISTS_PLUGINS:
            # 1.7 has `init`, and no list: what it fetched is not known, what the template requires is in its text.
            if facts.required_plugins and version >= _HAS_INIT:
                self._init(image, template, workdir, watcher)
            return ()
        choice = choose_plugins(self._installed(facts), facts.required_plugins, facts.components)
        if choice.missing:
            self._init(image, template, workdir, watcher)
            choice = choose_plugins(self._installed(facts), facts.required_plugins, facts.components)
        if choice.missing:
            names = ", ".join(f"{plugin.source} {plugin.version}" for plugin in choice.missing)
            raise PackerError(
                f"looking for the plugins of image {image}",
                f"packer init fetched none that fits {names}",
                "Correct required_plugins, or install the plugin with `packer plugins install`.",
            )
        return choice.used

    def forget_plugins(self) -> None:
        with self._listing:
            self._listed = None

    def _installed(self, facts: TemplateFacts) -> tuple[InstalledPlugin, ...]:
        """Packer checks the bytes of every plugin for its list, which takes a third of a second: not for each image."""
        with self._listing:
            if self._listed is None:
                self._listed = self._list_plugins(facts)
            return self._listed or ()

    def _list_plugins(self, facts: TemplateFacts) -> tuple[InstalledPlugin, ...] | None:
        answer = self._ask_alone("plugins", "installed")
        listed = self._parsed_list(answer)
        if listed is not None:
            return listed
        if not facts.required_plugins:
            # Nothing is asked of plugins; where some are needed all the same, the build will say what is wrong.
            return None
        said = answer.stderr.decode("utf-8", "replace").strip()
        raise PackerError("listing Packer's plugins", said or f"status {answer.returncode}", "Mend the plugins.")

    def _parsed_list(self, answer: subprocess.CompletedProcess[bytes]) -> tuple[InstalledPlugin, ...] | None:
        return parse_installed(answer.stdout.decode("utf-8", "replace")) if answer.returncode == 0 else None

    def _init(self, image: str, template: str, workdir: str, watcher: Watcher) -> None:
        watcher.step(image, "fetching the plugins (packer init)")
        answer = self._ask("init", template, cwd=workdir)
        self.forget_plugins()
        watcher.done(image)
        if answer.returncode != 0:
            said = (answer.stdout + answer.stderr).decode("utf-8", "replace").strip()
            raise PackerError(
                f"fetching the plugins of image {image} (packer init)",
                f"Packer ended with {_status(answer.returncode)}:\n{said[-2000:]}",
                "Look at required_plugins and the network.",
            )

    def _ask_alone(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """In one process: half the time. What goes wrong is said with a log around it then, so it is asked again."""
        answer = self._ask(*arguments, environment=_ALONE)
        return answer if answer.returncode == 0 else self._ask(*arguments)

    def _ask(
        self, *arguments: str, cwd: str | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        program = self._executable()
        try:
            return subprocess.run(
                [program, *arguments],
                cwd=cwd,
                capture_output=True,
                env={**self._environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except OSError as error:
            raise PackerError(f"running {program} {arguments[0]}", error.strerror or str(error), _INSTALL) from error

    def _failed(self, request: BuildRequest, status: int, run: Run) -> PackerError:
        made = "".join(
            f"\n{artifact.ami} of {artifact.region} was made all the same, and nobody has verified it."
            for artifact in run.reader.found()
        )
        end = run.log.end()
        advice = how_to_install("\n".join(run.log.lines))
        return PackerError(
            f"baking image {request.image} with Packer {self.version()}",
            f"Packer ended with {_status(status)}; its last lines:\n{end}{made}",
            " ".join(part for part in (advice, run.log.keep(), self._log_advice()) if part),
            taken_by=run.progress.taken_by,
        )

    def _log_advice(self) -> str:
        """In CI, where the log is gone with the job."""
        if not is_automated(self._environment):
            return ""
        return (
            "To keep it in CI, set TMPDIR to a folder of the job that is saved as an artifact; "
            "or use -v to print Packer's whole output."
        )

    def _executable(self) -> str:
        found = shutil.which(self._program, path=self._environment.get("PATH"))
        if found is None:
            raise PackerError("looking for Packer", f"there is no program {self._program!r} here", _INSTALL)
        return os.path.abspath(found)

    def _ask_version(self) -> str:
        program = self._executable()
        doing = f"asking {program} for its version"
        answer = self._ask_alone("version")
        match = re.search(rb"^Packer v(\d+\.\d+\.\d+\S*)", answer.stdout, re.MULTILINE)
        if not match:
            said = (answer.stdout + answer.stderr).decode("utf-8", "replace").strip()[:200]
            raise PackerError(doing, f"it does not answer as Packer does: {said!r}", _INSTALL)
        version = match[1].decode("ascii", "replace")
        if _numbers(version) < OLDEST:
            raise PackerError(doing, f"it is Packer {version}, which is too old", _INSTALL)
        return version


@contextlib.contextmanager
def _private_variables(request: BuildRequest) -> Iterator[str | None]:
    """A var-file for sensitive variables: what stands on a command line can be read by every user of the machine. And
    for those that are too long to stand there.

    HCL2 takes lists and tables there as such, legacy JSON takes text.
    """
    values = {
        name: json.loads(value) if request.hcl2 and name in request.structured else value
        for name, value in request.variables
        if _goes_in_a_file(request, name, value)
    }
    if not values:
        yield None
        return
    suffix = ".pkrvars.json" if request.hcl2 else ".json"
    try:
        file = tempfile.NamedTemporaryFile("w", prefix="ami-bakery-", suffix=suffix, encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise PackerError(
            f"writing variables of image {request.image} to a private file",
            error.strerror or str(error),
            "Make room in the folder for temporary files, or name another one in TMPDIR.",
        ) from error
    with file:
        json.dump(values, file)
        file.flush()
        yield file.name


def _goes_in_a_file(request: BuildRequest, name: str, value: str) -> bool:
    return name in request.sensitive or len(value) > _LONGEST_ARGUMENT


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
        if not _goes_in_a_file(request, name, value):
            yield "-var"
            yield f"{name}={value}"
    if request.only:
        yield f"-only={','.join(request.only)}"
    if request.except_:
        yield f"-except={','.join(request.except_)}"
    yield from request.definition_arguments


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0])[:3])


def _status(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status} ({signal.Signals(-status).name})"
