"""Runs HashiCorp Packer, and reads AMIs and problems from its output. Requires Packer 1.6.6 or newer."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

from ami_bakery.adapters.packer.empty_folder import EmptyFolder
from ami_bakery.adapters.packer.log import Log
from ami_bakery.adapters.packer.options import build_options, definition_options, private_variables
from ami_bakery.adapters.packer.plugin_files import PluginFolders, checksums
from ami_bakery.adapters.packer.process import Run, RunningProcesses, run_detached, run_interactive, start
from ami_bakery.adapters.program_search import find_program, safe_path
from ami_bakery.core.ci.annotations import is_automated
from ami_bakery.core.packer.machine_output import (
    ArtifactReader,
    Built,
    ValidationIssue,
    parse_complaints,
)
from ami_bakery.core.packer.plugins import (
    InstalledPlugin,
    PluginChoice,
    PluginFile,
    UsedPlugin,
    choose_plugins,
    how_to_install,
    how_to_pin,
    parse_installed,
)
from ami_bakery.core.text.masking import Masker
from ami_bakery.errors import PackerError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ami_bakery.adapters.packer.tracing import Strace, Tracer
    from ami_bakery.core.packer.build_progress import CreatedResource
    from ami_bakery.ports import BuildRequest, Reporter
    from ami_bakery.template.facts import Plugin, TemplateFacts

OLDEST = (1, 6, 6)
_HAS_INIT = (1, 7, 0)
_LISTS_PLUGINS = (1, 8, 0)
_LISTS_IN_FILTERS = (1, 8, 0)
"""packer-plugin-amazon splits lists from 1.0.7 on; Packer 1.8.0 bundles 1.0.8, and 1.7.10 bundles 1.0.6. Not detected:
an older plugin that a template requires with a newer Packer, and a newer plugin with Packer 1.7."""
_NO_PLUGINS = {"PACKER_PLUGIN_MAGIC_COOKIE": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"}
"""With this variable Packer believes that it is a plugin: it searches and starts no plugins, and does not start itself
again to report crashes, which takes half of its time (`Discover` in packer/plugin.go, and main.go)."""
_LOGGED = re.compile(
    r"\[(?:TRACE|DEBUG|INFO|NOTICE|WARN|ERR|ERROR)\]|machine readable: |ui(?: error)?: |waiting for all plugin|"
    r"(?:Attempting to open|Setting cache directory|Checking 'PACKER_CONFIG'|'PACKER_CONFIG' not set)"
)
"""The start of lines of Packer's log, which goes to stderr with that variable."""
_WITHHELD_AT_MOST = 200_000
"""Maximum number of characters that are searched in Packer's output."""
_INSTALL = "Install Packer 1.6.6 or newer (https://developer.hashicorp.com/packer/install), or use --packer."


class HashicorpPacker:
    """A `Packer` port.

    terminal      receives Packer's output in debug mode
    kill_seconds  see `Run`
    repository    a folder of the repository, whose programs are not started
    may_fetch     whether `packer init` may download missing plugins
    trusted       whether `validate` may start programs of the definition, as a build does
    """

    def __init__(
        self,
        program: str,
        environment: Mapping[str, str],
        terminal: BinaryIO,
        *,
        kill_seconds: float,
        repository: str,
        may_fetch: bool,
        trusted: bool,
    ) -> None:
        self._program = program
        # Without this, Packer asks HashiCorp for updates on every run.
        self._environment = {**environment, "CHECKPOINT_DISABLE": "1"}
        self._terminal = terminal
        self._kill_seconds = kill_seconds
        self._repository = repository
        self._may_fetch = may_fetch
        self._trusted = trusted
        self._path: str | None = None
        self._version: str | None = None
        self._lock = threading.Lock()
        self._listed: tuple[InstalledPlugin, ...] | None = None
        self._listing = threading.Lock()
        self._folder_cache: dict[str, tuple[PluginFile, ...]] = {}
        self._running = RunningProcesses()
        self._folder = EmptyFolder()

    def close(self) -> None:
        self._folder.close()

    def warm_up(self, *, plugins: bool) -> None:
        """Runs Packer in a thread: it needs 0.1 s for its version, and 0.3 s for its plugins."""
        threading.Thread(target=self._prefetch, args=(plugins,), daemon=True).start()

    def _prefetch(self, plugins: bool) -> None:
        # The later call reports failures.
        with contextlib.suppress(PackerError):
            if not plugins or not self._can_list(self._plugin_folders(self._repository, "")):
                return
            with self._listing:
                if self._listed is None:
                    self._listed = self._parse_list(self._run("plugins", "installed"))

    def program(self) -> str:
        return self._executable()

    def version(self) -> str:
        with self._lock:
            if self._version is None:
                self._version = self._ask_version()
            return self._version

    def ssh_accepts_rsa(self) -> bool:
        from ami_bakery.adapters.packer.openssh import accepts_rsa

        return accepts_rsa(self._environment, self._repository)

    def lists_in_filters(self) -> bool:
        return _numbers(self.version()) >= _LISTS_IN_FILTERS

    def build(self, request: BuildRequest, reporter: Reporter, made: Callable[[CreatedResource], None]) -> Built:
        from ami_bakery.core.packer.build_progress import ProgressReader

        environment = {**self._environment, "AWS_DEFAULT_REGION": request.region, "AWS_REGION": request.region}
        masker = Masker(request.secrets)
        with Log(request.image) as log, private_variables(request) as private, self._tracing(request) as tracer:
            doing = f"testing {request.tested_ami}" if request.tested_ami else "building"
            reporter.step(request.image, f"{doing} with Packer {self.version()}")
            command = (self._executable(), "build", *build_options(request, private), request.template)
            run = Run(
                image=request.image,
                arguments=tracer.wrap(command) if tracer else command,
                workdir=request.workdir,
                environment=environment,
                masker=masker,
                private_files=(*((private,) if private else ()), *((tracer.path,) if tracer else ())),
                kill_seconds=self._kill_seconds,
                log=log,
                reader=ArtifactReader(),
                progress=ProgressReader(tell=made),
                started=tracer.attach if tracer else None,
            )
            status = (
                run_interactive(run, self._terminal, reporter, self._running)
                if request.debug
                else run_detached(run, reporter, self._running)
            )
            if tracer and request.traced is not None:
                request.traced(tracer.collect(private))
            if status != 0:
                raise self._build_error(request, status, run)
        tolerated = (
            replace(one, step=masker.mask(one.step), error=masker.mask(one.error)) for one in run.progress.tolerated
        )
        return Built(artifacts=run.reader.found(), tolerated=tuple(tolerated))

    def check_tracing(self) -> None:
        self._strace.command()

    def _tracing(self, request: BuildRequest) -> AbstractContextManager[Tracer | None]:
        if request.traced is None:
            return contextlib.nullcontext()
        from ami_bakery.adapters.packer.tracing import repositories_of, tracing

        repositories = repositories_of((self._repository, request.workdir), self._environment.get("HOME", ""))
        return tracing(self._strace.command(), request.workdir, repositories)

    @functools.cached_property
    def _strace(self) -> Strace:
        from ami_bakery.adapters.packer.tracing import Strace

        return Strace(self._environment, self._repository)

    def interrupt(self) -> None:
        self._running.interrupt()

    def stop(self, image: str) -> None:
        self._running.stop(image)

    def interrupted(self) -> bool:
        return self._running.interrupted

    def running_builds(self) -> Mapping[str, tuple[CreatedResource, ...]]:
        return self._running.created()

    def why_not_validated(self, request: BuildRequest, facts: TemplateFacts) -> str:
        if self._trusted:
            return ""
        for expression, location in facts.started:
            return f"it would start a program that the template names: {expression} ({location})"
        folders = self._plugin_folders(request.workdir, request.template)
        for file in folders.manual():
            is_started = file.kind == "plugin" or file.provides(facts.components)
            if is_started and folders.is_of_repository(file.path):
                return f"it would start {file.path}, a plugin in the repository"
        for plugin in folders.installed(in_repository=True):
            return f"it would start {plugin.path}, a plugin in the repository"
        return ""

    def validate(self, request: BuildRequest, *, syntax_only: bool = False) -> tuple[ValidationIssue, ...]:
        mode, no_plugins = (("-syntax-only",), _NO_PLUGINS) if syntax_only else ((), {})
        with private_variables(request) as private:
            environment = {
                **self._environment,
                "AWS_DEFAULT_REGION": request.region,
                "AWS_REGION": request.region,
                "PATH": safe_path(self._environment, self._repository),
                # Provisioners run `ansible-playbook --version` in a folder that may have another ansible.cfg.
                "ANSIBLE_CONFIG": self._folder.file("ansible.cfg"),
                **no_plugins,
            }
            process = start(
                (self._executable(), "validate", *mode, *definition_options(request, private), request.template),
                request.workdir,
                environment,
                stdin=subprocess.DEVNULL,
                # With _NO_PLUGINS, stderr is Packer's log.
                stderr=subprocess.DEVNULL if syntax_only else subprocess.STDOUT,
                new_session=True,
            )
            output, _ = process.communicate()
        if process.returncode == 0:
            return ()
        withheld = request.secrets | request.withheld
        if sum(map(len, withheld)) > _WITHHELD_AT_MOST:
            message = "packer validate failed; its output may contain files that the template reads, so it is not shown"
            return (ValidationIssue(message=message),)
        return parse_complaints(Masker(withheld, loosely=True).mask(output.decode("utf-8", "replace")))

    def plugins(
        self, image: str, template: str, workdir: str, facts: TemplateFacts, reporter: Reporter
    ) -> tuple[UsedPlugin, ...]:
        folders = self._plugin_folders(workdir, template)
        choice = self._choice(folders, facts)
        if choice.missing and self._may_fetch:
            self._init(image, folders, os.path.join(workdir, template), choice.missing, reporter)
            choice = self._choice(folders, facts)
        if choice.missing:
            raise self._missing_plugins(image, choice.missing)
        return checksums(_used(folders, choice, facts))

    def plugin_programs(self, template: str, workdir: str, facts: TemplateFacts) -> tuple[str, ...]:
        folders = self._plugin_folders(workdir, template)
        return tuple(plugin.path for plugin in _used(folders, self._choice(folders, facts), facts))

    def _choice(self, folders: PluginFolders, facts: TemplateFacts) -> PluginChoice:
        # Packer 1.6 does not support required_plugins.
        required = facts.required_plugins if folders.version >= _HAS_INIT else ()
        return choose_plugins(self._installed(folders, facts), required, facts.components)

    def _missing_plugins(self, image: str, missing: Sequence[Plugin]) -> PackerError:
        names = ", ".join(f"{plugin.source} {plugin.version}".strip() for plugin in missing)
        location = missing[0].location
        doing = f"finding the plugins of image {image} ({location})"
        if self._may_fetch:
            todo = "Correct required_plugins, or install the plugin with `packer plugins install`."
            wrong = f"packer init installed no plugin that matches {names}"
            return PackerError(doing, wrong, todo, marks=(location.mark(wrong),))
        wrong = f"not installed: {names}. Planning downloads no plugins, because a template can name any source"
        return PackerError(
            doing,
            wrong,
            "Run `packer init`, or allow it with --init or AMI_BAKERY_INIT=1."
            + (f" {pin}" if (pin := how_to_pin(self.version(), missing)) else ""),
            marks=(location.mark(wrong),),
        )

    def _plugin_folders(self, workdir: str, template: str) -> PluginFolders:
        return PluginFolders(
            version=_numbers(self.version()),
            program=self._executable(),
            workdir=workdir,
            environment=self._environment,
            repository=(self._repository, workdir, os.path.dirname(os.path.join(workdir, template))),
            cache=self._folder_cache,
        )

    def _can_list(self, folders: PluginFolders) -> bool:
        """Returns whether `packer plugins installed` is safe: it starts the plugins, also those in the repository."""
        return folders.version >= _LISTS_PLUGINS and not folders.is_of_repository(folders.folder())

    def forget_plugins(self) -> None:
        with self._listing:
            self._listed = None
            self._folder_cache.clear()

    def _installed(self, folders: PluginFolders, facts: TemplateFacts) -> tuple[InstalledPlugin, ...]:
        """Returns the installed plugins. Caches Packer's list, because Packer needs 0.3 s to hash all plugins."""
        if not self._can_list(folders):
            return folders.installed()
        with self._listing:
            if self._listed is None:
                self._listed = self._list_plugins(facts)
        return (*(self._listed or ()), *folders.installed(in_repository=True))

    def _list_plugins(self, facts: TemplateFacts) -> tuple[InstalledPlugin, ...] | None:
        result = self._run("plugins", "installed")
        listed = self._parse_list(result)
        if listed is not None:
            return listed
        if not facts.required_plugins:
            # The template requires no plugin. If it needs one, the build reports the problem.
            return None
        wrong = _message(result) or _status(result.returncode)
        raise PackerError("listing Packer's plugins", wrong, "Reinstall the plugins.")

    def _parse_list(self, result: subprocess.CompletedProcess[bytes]) -> tuple[InstalledPlugin, ...] | None:
        return parse_installed(result.stdout.decode("utf-8", "replace")) if result.returncode == 0 else None

    def _init(
        self, image: str, folders: PluginFolders, template: str, missing: Sequence[Plugin], reporter: Reporter
    ) -> None:
        reporter.step(image, "installing plugins (packer init)")
        result = self._run("init", template, environment=folders.absolute_path())
        self.forget_plugins()
        reporter.done(image)
        if result.returncode != 0:
            raise PackerError(
                f"installing the plugins of image {image} (packer init)",
                f"Packer exited with {_status(result.returncode)}:\n{_message(result)[-2000:]}",
                how_to_pin(self.version(), missing) or "Check required_plugins and the network.",
            )

    def _run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
        """Runs Packer without plugins, in an empty folder.

        Before 1.11 Packer starts plugins in its current folder.
        """
        program = self._executable()
        path = safe_path(self._environment, self._repository)
        try:
            return subprocess.run(
                [program, *arguments],
                cwd=self._folder.path(),
                capture_output=True,
                env={**self._environment, **(environment or {}), **_NO_PLUGINS, "PATH": path},
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except OSError as error:
            raise PackerError(f"running {program} {arguments[0]}", error.strerror or str(error), _INSTALL) from error

    def _build_error(self, request: BuildRequest, status: int, run: Run) -> PackerError:
        built = () if request.tested_ami else run.reader.found()
        made = "".join(
            f"\nPacker created {artifact.ami} in {artifact.region} anyway; it is not verified." for artifact in built
        )
        doing = f"testing {request.tested_ami} of" if request.tested_ami else "building"
        end = run.log.end()
        advice = how_to_install("\n".join(run.log.lines))
        return PackerError(
            f"{doing} image {request.image} with Packer {self.version()}",
            f"Packer exited with {_status(status)}; last lines of its output:\n{end}{made}",
            " ".join(part for part in (advice, run.log.keep(), self._log_advice()) if part),
            taken_by=run.progress.taken_by,
            exited=True,
        )

    def _log_advice(self) -> str:
        """Returns how to keep the log after a CI job; empty outside of CI."""
        if not is_automated(self._environment):
            return ""
        return (
            "To keep it in CI, set TMPDIR to a folder that the job saves as an artifact, "
            "or use -v to print Packer's whole output."
        )

    def _executable(self) -> str:
        if self._path is None or not os.path.exists(self._path):
            self._path = find_program(self._program, self._environment, self._repository)
        if self._path is None:
            is_path = os.sep in self._program
            wrong = f"no such program: {self._program}"
            if not is_path:
                wrong = f"no program {self._program!r} on PATH (folders of the repository are not searched)"
            raise PackerError("finding Packer", wrong, _INSTALL)
        return self._path

    def _ask_version(self) -> str:
        program = self._executable()
        doing = f"asking {program} for its version"
        result = self._run("version")
        match = re.search(rb"^Packer v(\d+\.\d+\.\d+\S*)", result.stdout, re.MULTILINE)
        if not match:
            raise PackerError(doing, f"its output is not Packer's: {_message(result)[:200]!r}", _INSTALL)
        version = match[1].decode("ascii", "replace")
        if _numbers(version) < OLDEST:
            raise PackerError(doing, f"it is Packer {version}, which is too old", _INSTALL)
        return version


def _used(
    folders: PluginFolders, choice: PluginChoice, facts: TemplateFacts
) -> tuple[InstalledPlugin | PluginFile, ...]:
    return (*choice.used, *(file for file in folders.manual() if file.provides(facts.components)))


def _message(result: subprocess.CompletedProcess[bytes]) -> str:
    """Returns Packer's output without its log lines."""
    output = (result.stdout + result.stderr).decode("utf-8", "replace")
    return "\n".join(line for line in output.splitlines() if not _LOGGED.match(line)).strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0])[:3])


def _status(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status} ({signal.Signals(-status).name})"
