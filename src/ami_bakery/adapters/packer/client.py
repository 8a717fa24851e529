"""Runs HashiCorp Packer, 1.6.6 or newer, and reads what it made from what it says."""

from __future__ import annotations

import contextlib
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
from ami_bakery.adapters.packer.plugin_files import PluginPlaces, checksums
from ami_bakery.adapters.packer.process import Run, Running, run_detached, run_interactive, start
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
    from ami_bakery.core.packer.build_progress import CreatedResource
    from ami_bakery.ports import BuildRequest, Reporter
    from ami_bakery.template.facts import Plugin, TemplateFacts

OLDEST = (1, 6, 6)
_HAS_INIT = (1, 7, 0)
_LISTS_PLUGINS = (1, 8, 0)
_LISTS_IN_FILTERS = (1, 8, 0)
"""Packer 1.8.0 came with packer-plugin-amazon 1.0.8, and 1.7.10 with 1.0.6; lists came with 1.0.7. An older plugin that
is required with a newer Packer, or a newer one with Packer 1.7, is not told apart."""
_NO_PLUGINS = {"PACKER_PLUGIN_MAGIC_COOKIE": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"}
"""With this a Packer takes itself for a plugin: it looks for none and starts none, nor itself again to report its
crashes, which takes half of its time (`Discover` in its packer/plugin.go, and its main.go)."""
_LOGGED = re.compile(
    r"\[(?:TRACE|DEBUG|INFO|NOTICE|WARN|ERR|ERROR)\]|machine readable: |ui(?: error)?: |waiting for all plugin|"
    r"(?:Attempting to open|Setting cache directory|Checking 'PACKER_CONFIG'|'PACKER_CONFIG' not set)"
)
"""How lines of its log begin, which then goes to stderr."""
_WITHHELD_AT_MOST = 200_000
"""Characters that are looked for in Packer's words."""
_INSTALL = "Install Packer 1.6.6 or newer (https://developer.hashicorp.com/packer/install), or name it with --packer."


class HashicorpPacker:
    """A `Packer` port.

    terminal      where Packer speaks to a person in debug mode
    kill_seconds  see `Run`
    repository    a folder of the repository, whose programs are not started
    may_fetch     whether `packer init` may fetch missing plugins
    trusted       whether `validate` may start what the definition brings, as a build does
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
        # Without it Packer asks HashiCorp for updates on every run.
        self._environment = {**environment, "CHECKPOINT_DISABLE": "1"}
        self._terminal = terminal
        self._kill_seconds = kill_seconds
        self._repository = repository
        self._may_fetch = may_fetch
        self._trusted = trusted
        self._found: str | None = None
        self._version: str | None = None
        self._lock = threading.Lock()
        self._listed: tuple[InstalledPlugin, ...] | None = None
        self._listing = threading.Lock()
        self._seen: dict[str, tuple[PluginFile, ...]] = {}
        self._running = Running()
        self._folder = EmptyFolder()

    def close(self) -> None:
        self._folder.close()

    def warm_up(self, *, plugins: bool) -> None:
        """Packer takes a tenth of a second to say its version, and its list of plugins takes three."""
        threading.Thread(target=self._find_out, args=(plugins,), daemon=True).start()

    def _find_out(self, plugins: bool) -> None:
        # What goes wrong is told when it is asked for.
        with contextlib.suppress(PackerError):
            if not plugins or not self._can_list(self._places(self._repository, "")):
                return
            with self._listing:
                if self._listed is None:
                    self._listed = self._parsed_list(self._ask("plugins", "installed"))

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
        with Log(request.image) as log, private_variables(request) as private:
            reporter.step(request.image, f"baking with Packer {self.version()}")
            run = Run(
                image=request.image,
                arguments=(self._executable(), "build", *build_options(request, private), request.template),
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
                run_interactive(run, self._terminal, reporter, self._running)
                if request.debug
                else run_detached(run, reporter, self._running)
            )
            if status != 0:
                raise self._failed(request, status, run)
        tolerated = (
            replace(one, step=masker.mask(one.step), error=masker.mask(one.error)) for one in run.progress.tolerated
        )
        return Built(artifacts=run.reader.found(), tolerated=tuple(tolerated))

    def interrupt(self) -> None:
        self._running.interrupt()

    def stop(self, image: str) -> None:
        self._running.stop(image)

    def interrupted(self) -> bool:
        return self._running.interrupted

    def running_builds(self) -> Mapping[str, tuple[CreatedResource, ...]]:
        return self._running.made()

    def why_not_validated(self, request: BuildRequest, facts: TemplateFacts) -> str:
        if self._trusted:
            return ""
        for expression, location in facts.started:
            return f"it would start what the template names: {expression} ({location})"
        places = self._places(request.workdir, request.template)
        for file in places.manual():
            is_started = file.kind == "plugin" or file.provides(facts.components)
            if is_started and places.is_of_repository(file.path):
                return f"it would start {file.path}, a plugin that lies in the repository"
        for plugin in places.installed(in_repository=True):
            return f"it would start {plugin.path}, a plugin that lies in the repository"
        return ""

    def validate(self, request: BuildRequest, *, syntax_only: bool = False) -> tuple[ValidationIssue, ...]:
        mode, alone = (("-syntax-only",), _NO_PLUGINS) if syntax_only else ((), {})
        with private_variables(request) as private:
            environment = {
                **self._environment,
                "AWS_DEFAULT_REGION": request.region,
                "AWS_REGION": request.region,
                "PATH": safe_path(self._environment, self._repository),
                # Provisioners ask `ansible-playbook` for its version, in a folder with another configuration.
                "ANSIBLE_CONFIG": self._folder.file("ansible.cfg"),
                **alone,
            }
            process = start(
                (self._executable(), "validate", *mode, *definition_options(request, private), request.template),
                request.workdir,
                environment,
                stdin=subprocess.DEVNULL,
                # Its log, where it takes itself for a plugin.
                stderr=subprocess.DEVNULL if syntax_only else subprocess.STDOUT,
                new_session=True,
            )
            said, _ = process.communicate()
        if process.returncode == 0:
            return ()
        withheld = request.secrets | request.withheld
        if sum(map(len, withheld)) > _WITHHELD_AT_MOST:
            message = "Packer refuses it, and its words may hold what the template reads: run `packer validate`"
            return (ValidationIssue(message=message),)
        return parse_complaints(Masker(withheld, loosely=True).mask(said.decode("utf-8", "replace")))

    def plugins(
        self, image: str, template: str, workdir: str, facts: TemplateFacts, reporter: Reporter
    ) -> tuple[UsedPlugin, ...]:
        places = self._places(workdir, template)
        choice = self._choice(places, facts)
        if choice.missing and self._may_fetch:
            self._init(image, places, os.path.join(workdir, template), choice.missing, reporter)
            choice = self._choice(places, facts)
        if choice.missing:
            raise self._missing(image, choice.missing)
        return checksums(_used(places, choice, facts))

    def plugin_programs(self, template: str, workdir: str, facts: TemplateFacts) -> tuple[str, ...]:
        places = self._places(workdir, template)
        return tuple(plugin.path for plugin in _used(places, self._choice(places, facts), facts))

    def _choice(self, places: PluginPlaces, facts: TemplateFacts) -> PluginChoice:
        # 1.6.6 knows no required_plugins.
        required = facts.required_plugins if places.version >= _HAS_INIT else ()
        return choose_plugins(self._installed(places, facts), required, facts.components)

    def _missing(self, image: str, missing: Sequence[Plugin]) -> PackerError:
        names = ", ".join(f"{plugin.source} {plugin.version}".strip() for plugin in missing)
        location = missing[0].location
        doing = f"looking for the plugins of image {image} ({location})"
        if self._may_fetch:
            todo = "Correct required_plugins, or install the plugin with `packer plugins install`."
            wrong = f"packer init fetched none that fits {names}"
            return PackerError(doing, wrong, todo, marks=(location.mark(wrong),))
        wrong = f"not installed: {names}. Planning fetches no plugin, because a template can name any source"
        return PackerError(
            doing,
            wrong,
            "Run `packer init` yourself, or let it be run: --init, or AMI_BAKERY_INIT=1."
            + (f" {pin}" if (pin := how_to_pin(self.version(), missing)) else ""),
            marks=(location.mark(wrong),),
        )

    def _places(self, workdir: str, template: str) -> PluginPlaces:
        return PluginPlaces(
            version=_numbers(self.version()),
            program=self._executable(),
            workdir=workdir,
            environment=self._environment,
            repository=(self._repository, workdir, os.path.dirname(os.path.join(workdir, template))),
            seen=self._seen,
        )

    def _can_list(self, places: PluginPlaces) -> bool:
        """Packer asks the plugins that it lists for their versions: not those that lie in the repository."""
        return places.version >= _LISTS_PLUGINS and not places.is_of_repository(places.folder())

    def forget_plugins(self) -> None:
        with self._listing:
            self._listed = None
            self._seen.clear()

    def _installed(self, places: PluginPlaces, facts: TemplateFacts) -> tuple[InstalledPlugin, ...]:
        """Packer checks the bytes of every plugin for its list, which takes a third of a second: not for each image."""
        if not self._can_list(places):
            return places.installed()
        with self._listing:
            if self._listed is None:
                self._listed = self._list_plugins(facts)
        return (*(self._listed or ()), *places.installed(in_repository=True))

    def _list_plugins(self, facts: TemplateFacts) -> tuple[InstalledPlugin, ...] | None:
        answer = self._ask("plugins", "installed")
        listed = self._parsed_list(answer)
        if listed is not None:
            return listed
        if not facts.required_plugins:
            # Nothing is asked of plugins; where some are needed all the same, the build will say what is wrong.
            return None
        said = _words(answer) or _status(answer.returncode)
        raise PackerError("listing Packer's plugins", said, "Repair the plugins, or install them again.")

    def _parsed_list(self, answer: subprocess.CompletedProcess[bytes]) -> tuple[InstalledPlugin, ...] | None:
        return parse_installed(answer.stdout.decode("utf-8", "replace")) if answer.returncode == 0 else None

    def _init(
        self, image: str, places: PluginPlaces, template: str, missing: Sequence[Plugin], reporter: Reporter
    ) -> None:
        reporter.step(image, "fetching the plugins (packer init)")
        answer = self._ask("init", template, environment=places.absolute_path())
        self.forget_plugins()
        reporter.done(image)
        if answer.returncode != 0:
            raise PackerError(
                f"fetching the plugins of image {image} (packer init)",
                f"Packer ended with {_status(answer.returncode)}:\n{_words(answer)[-2000:]}",
                how_to_pin(self.version(), missing) or "Look at required_plugins and the network.",
            )

    def _ask(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
        """Ask Packer something in an empty folder, and without plugins: before 1.11 it starts those that lie in its
        current folder."""
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
        if self._found is None or not os.path.exists(self._found):
            self._found = find_program(self._program, self._environment, self._repository)
        if self._found is None:
            where = "here" if os.sep in self._program else "on PATH, outside of the repository"
            raise PackerError("looking for Packer", f"there is no program {self._program!r} {where}", _INSTALL)
        return self._found

    def _ask_version(self) -> str:
        program = self._executable()
        doing = f"asking {program} for its version"
        answer = self._ask("version")
        match = re.search(rb"^Packer v(\d+\.\d+\.\d+\S*)", answer.stdout, re.MULTILINE)
        if not match:
            said = _words(answer)[:200]
            raise PackerError(doing, f"it does not answer as Packer does: {said!r}", _INSTALL)
        version = match[1].decode("ascii", "replace")
        if _numbers(version) < OLDEST:
            raise PackerError(doing, f"it is Packer {version}, which is too old", _INSTALL)
        return version


def _used(places: PluginPlaces, choice: PluginChoice, facts: TemplateFacts) -> tuple[InstalledPlugin | PluginFile, ...]:
    return (*choice.used, *(file for file in places.manual() if file.provides(facts.components)))


def _words(answer: subprocess.CompletedProcess[bytes]) -> str:
    """What Packer says, without its log."""
    said = (answer.stdout + answer.stderr).decode("utf-8", "replace")
    return "\n".join(line for line in said.splitlines() if not _LOGGED.match(line)).strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0])[:3])


def _status(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status} ({signal.Signals(-status).name})"
