"""Finds the files that a component's local commands read and write."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.template.env_inputs import why_command_variable_not_hashed, why_not_used
from ami_bakery.template.expression.known_values import CHECKOUT, HOLE
from ami_bakery.template.facts import Certainty
from ami_bakery.template.location import SourceLocation
from ami_bakery.template.shell.command_listener import SHELL_NAMES, CommandListener, listener_of_script
from ami_bakery.template.shell.embedded_code import words_of_code
from ami_bakery.template.shell.local_files import (
    LocalFiles,
)
from ami_bakery.template.shell.script_walk import Shell
from ami_bakery.template.shell.words import ShellWord
from ami_bakery.template.source_tree import FileKind

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.shell.shell_builtins import ShellCommands

_MOST_SCRIPTS = 100


class LocalRun(LocalFiles):
    """Follows all local commands of one component.

    opaque   names of programs that may open files that their arguments do not name; "" if the name must not be shown
    unknown  locations of words whose value is unknown
    """

    def __init__(self, reading: Reading, variables: Mapping[str, tuple[str, ...]] | None = None) -> None:
        super().__init__(reading)
        self.variables = dict(variables or {})
        self.environment = usable(reading.request.environment)
        self.commands = 0
        self._seen: set[tuple[object, ...]] = set()
        self._active: list[str] = []

    # --- commands

    def text(
        self,
        text: str,
        locations: Sequence[SourceLocation],
        *,
        folder: str,
        tainted: bool = False,
        wraps: bool = False,
        settings: Sequence[str] = (),
        fails_build: bool = True,
    ) -> None:
        """Follows a shell text of the template.

        locations    of each line of the text; the last one is for all further lines
        wraps        an unknown program in it (`{{.Command}}`) is read elsewhere
        settings     options of the shell
        fails_build  whether the build fails when the text does
        """
        self._hide(tainted)
        listener = CommandListener(
            self, lambda line: locations[min(line, len(locations) - 1)], shows_names=not tainted, wraps=wraps
        )
        shell = self._shell(listener, folder, fails_build=fails_build)
        shell.settings(settings)
        shell.start()
        shell.run(text)

    def words(self, words: Sequence[str], location: SourceLocation, *, folder: str, tainted: bool = False) -> None:
        """Follows a command that is started without a shell; an unknown program in it is `{{.Script}}`."""
        self._hide(tainted)
        listener = CommandListener(self, lambda _line: location, shows_names=not tainted, wraps=True)
        self._shell(listener, folder).command([ShellWord((text,), is_literal=True) for text in words], 0)

    def _hide(self, tainted: bool) -> None:
        self.written = "a file that a command with a value that is not shown writes" if tainted else ""

    def loose(self, text: str, location: SourceLocation, *, folder: str) -> None:
        listener = CommandListener(self, lambda _line: location, shows_names=False)
        listener.loose(self._shell(listener, folder), text, 0)

    def _shell(self, listener: CommandListener, folder: str, *, fails_build: bool = True) -> Shell:
        return Shell(
            listener, folder=folder, variables=self.variables, must_succeed=fails_build, fails_build=fails_build
        )

    def script(
        self,
        path: str,
        interpreter: str,
        arguments: Sequence[str],
        shell: ShellCommands | None,
        *,
        folder: str,
        settings: Sequence[str] = (),
        fails_build: bool = True,
    ) -> None:
        """Follows a script of the repository.

        interpreter  empty if the script's first line names it
        shell        the shell that starts it, if any
        """
        fails_build = shell.is_checked if shell else fails_build
        key = (path, folder, tuple(arguments), shell.is_sure if shell else True, fails_build, tuple(settings))
        if key in self._seen or path in self._active:
            return
        if len(self._seen) > _MOST_SCRIPTS:
            self.opaque[""] = None
            return
        self._seen.add(key)
        content = self.content(path)
        if content is None:
            self.opaque[posixpath.basename(path)] = None
            return
        if not interpreter:
            interpreter, options = interpreter_of(content)
            settings = (*options, *settings)
        if interpreter and not SHELL_NAMES.match(interpreter):
            self._foreign(path, content, interpreter, folder)
            return
        listener = listener_of_script(self, path)
        inner = Shell(
            listener,
            folder=folder,
            variables=shell.child_variables(self.environment) if shell else self.variables,
            script=path if path.startswith("/") else f"{CHECKOUT}/{path}",
            arguments=[ShellWord((text,)) for text in arguments],
            depth=shell.depth + 1 if shell else 1,
            sure=shell.is_sure if shell else True,
            must_succeed=fails_build,
            fails_build=fails_build,
        )
        inner.settings(settings)
        self._active.append(path)
        inner.start()
        inner.run(content)
        self._active.pop()

    def _foreign(self, path: str, content: str, interpreter: str, folder: str) -> None:
        """Reads a script in another language: its words, and modules in its folder."""
        location = SourceLocation(file=path, line=1)
        self.opaque[interpreter] = None
        if interpreter.startswith("python"):
            cache = posixpath.normpath(posixpath.join(posixpath.dirname(path), "__pycache__/**"))
            self.reading.collector.output(cache, location, certainty=Certainty.LIKELY)
        for number, line in enumerate(content.splitlines()[:5000], 1):
            here = SourceLocation(file=path, line=number)
            for word in words_of_code(line):
                for base in dict.fromkeys((folder, posixpath.dirname(path) or ".")):
                    self.read(word, base, here, folders=word.count("/") > 0)
        for name in re.findall(r"^[ \t]*(?:from|import)[ \t]+\.*([A-Za-z_][\w.]*)", content, re.MULTILINE):
            module = posixpath.join(posixpath.dirname(path) or ".", name.replace(".", "/"))
            if self.read(f"{module}.py", ".", location, folders=False):
                self.script(posixpath.normpath(f"{module}.py"), interpreter, (), None, folder=folder)
            if self.kind(posixpath.normpath(f"{module}/__init__.py")) is FileKind.FILE:
                self.read(module, ".", location)


def usable(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of local commands; values that look like secrets are unknown."""
    return {name: HOLE if _is_withheld(name) else value for name, value in environment.items()}


def _is_withheld(name: str) -> bool:
    return why_command_variable_not_hashed(name) is not None or why_not_used(name) is not None


def interpreter_of(content: str) -> tuple[str, list[str]]:
    """Returns the interpreter's name and its options from a `#!` line; "" if there is none."""
    found = re.match(r"#!\s*(\S+)(?:[ \t]+(.*))?", content)
    if found is None:
        return "", []
    words = [found[1], *(found[2] or "").split()]
    start = 0
    if posixpath.basename(words[0]) == "env":
        start = next(
            (at for at, word in enumerate(words) if at and not word.startswith("-") and "=" not in word), len(words)
        )
    return posixpath.basename("".join(words[start : start + 1])), words[start + 1 :]
