"""Records what the commands of one shell text read, write and run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from ami_bakery.template.env_inputs import why_command_variable_not_hashed
from ami_bakery.template.expression.known_values import CHECKOUT, HOLE, Unknown, names_checkout
from ami_bakery.template.facts import Certainty
from ami_bakery.template.location import SourceLocation
from ami_bakery.template.shell.embedded_code import runs_more, words_of_code
from ami_bakery.template.shell.local_files import (
    copied_files,
    is_of_other_process,
    matching_files,
    may_be_path,
    of_own_process,
)
from ami_bakery.template.shell.programs.known_programs import effects_of
from ami_bakery.template.shell.script_walk import Shell
from ami_bakery.template.shell.words import ShellCall, ShellWord
from ami_bakery.template.source_tree import FileKind

if TYPE_CHECKING:
    from ami_bakery.template.shell.local_commands import LocalRun
    from ami_bakery.template.shell.programs.program_effects import Effects
    from ami_bakery.template.shell.shell_builtins import ShellCommands

_MOST_COMMANDS = 20_000
SHELL_NAMES = re.compile(r"(?:ba|da|a|k|z|mk)?sh\Z")
_LOG = re.compile(r"(?:\A|[/._-])(?:log|out|err)\Z")
_SEARCHED = re.compile(r"(?:PATH|HOME|PERL5?LIB|RUBYLIB|CONFIG_DIR|GIT_DIR|ZDOTDIR)\Z")
"""Variables that name folders and files that programs search."""
_OPTIONS = re.compile(r"\A(?:(?:TAR|GREP|ZIP|UNZIP|XZ|RSYNC|PERL5|RUBY|NODE)_?OPT(?:S|IONS)?|WGETRC|OPENSSL_CONF)\Z")
"""Variables with options, or with the name of an options file."""
_PROGRAM = re.compile(r"[A-Za-z0-9._+-]{1,40}\Z")


class CommandListener:
    """Records what one shell text does.

    location     returns the location of a line of the text, counted from 0
    shows_names  whether messages may name its programs
    wraps        whether an unknown program is read elsewhere
    """

    def __init__(
        self, run: LocalRun, location: Callable[[int], SourceLocation], *, shows_names: bool = True, wraps: bool = False
    ) -> None:
        self._run = run
        self._location = location
        self._shows_names = shows_names
        self._wraps = wraps

    def may_continue(self) -> bool:
        self._run.commands += 1
        if self._run.commands > _MOST_COMMANDS:
            self._run.opaque[""] = None  # the inputs of the remaining commands are unknown
        return self._run.commands <= _MOST_COMMANDS

    def call(self, shell: ShellCommands, call: ShellCall) -> None:
        words = [expanded for word in call.words for expanded in self._expanded(shell, word)]
        if any(word.is_choice for word in words):
            call = call._replace(sure=False)
        for number in range(max(len(word.texts) for word in words)):
            if number and not self.may_continue():
                break
            self._one_call(shell, call, [word.texts[min(number, len(word.texts) - 1)] for word in words])

    def limit_exceeded(self) -> None:
        self._run.opaque[""] = None

    def _expanded(self, shell: ShellCommands, word: ShellWord) -> list[ShellWord]:
        if not word.is_pattern:
            return [word]
        found = [self.matching(shell, pattern) or (pattern,) for pattern in word.texts]
        if len(found) > 1:
            # It is one of them; which one is unknown.
            return [word._replace(texts=tuple(dict.fromkeys(text for texts in found for text in texts)))]
        return [ShellWord((text,)) for text in found[0]] if found[0] != word.texts else [word]

    def _read(self, shell: ShellCommands, text: str, location: SourceLocation, **how: bool) -> bool:
        """Records a word as an input. It does so in each folder that the shell may be in."""
        found = [self._run.read(text, folder, location, **how) for folder in (shell.folder, *shell.elsewhere)]
        return any(found)

    def _here(self, shell: ShellCommands, text: str) -> list[tuple[str, str]]:
        """Returns the paths that a word may name. Each comes with the working directory that makes it so."""
        folders = (shell.folder, *shell.elsewhere)
        return [(path, folder) for folder in folders if (path := self._run.here(text, folder)) is not None]

    def _one_call(self, shell: ShellCommands, call: ShellCall, words: list[str]) -> None:
        location = self._location(call.line)
        if HOLE in words[0]:
            if words[0].strip(HOLE + " "):
                self._run.unknown[location] = None
            elif not self._wraps:
                self._run.opaque[""] = None
            for text in words[1:]:
                self._read(shell, text, location)
            return
        effects = effects_of(words, shown=call.shown, piped_from=call.piped_from)
        if effects.opaque:
            name = posixpath.basename(words[0])
            shown = self._shows_names and call.words[0].is_literal and _PROGRAM.match(name)
            self._run.opaque[name if shown else ""] = None
        self._reads(
            shell, effects, location, {text for word in call.words if not word.is_pattern for text in word.texts}
        )
        self._writes(shell, effects, location, sure=call.sure and call.checked)
        self._runs(shell, call, effects, location)

    def _reads(self, shell: ShellCommands, effects: Effects, location: SourceLocation, exact: Collection[str]) -> None:
        written = (*effects.likely, *effects.perhaps, *effects.writes)
        in_shell = any(interpreter in ("", "sh") for interpreter, _, _ in effects.scripts)
        for text in effects.reads:
            if not effects.opaque and self._is_lost(shell, effects, text):
                self._run.unknown[location] = None
            # A script is followed separately; an unknown program may write the files of its arguments.
            early = not in_shell and not (effects.opaque and text in written)
            self._read(shell, text, location, dots=effects.dots, early=early, exact=text in exact)

    def _is_lost(self, shell: ShellCommands, effects: Effects, text: str) -> bool:
        """Whether a word surely names a file, but which one is unknown."""
        if is_of_other_process(text) or names_checkout(text.removeprefix(CHECKOUT)):
            return True
        if text.startswith(("/", "~", "-")) or "://" in text:
            return False
        if HOLE in text:
            return may_be_path(text) or text in effects.files
        return HOLE in shell.folder and not shell.folder.startswith("/") and text in effects.files

    def _writes(self, shell: ShellCommands, effects: Effects, location: SourceLocation, *, sure: bool) -> None:
        run, folder, collector = self._run, shell.folder, self._run.reading.collector
        sure = sure and not shell.elsewhere
        surely = Certainty.SURE if sure and not effects.keeps else Certainty.PERHAPS
        likely = Certainty.LIKELY if sure and not effects.keeps else Certainty.PERHAPS
        for text in effects.writes:
            run.write(text, folder, location, surely)
        for text in effects.likely:
            run.write(text, folder, location, likely)
        for text in effects.perhaps:
            run.write(text, folder, location, Certainty.PERHAPS)
        for text in effects.appends:
            self._append(shell, text, location, likely)
        for sources, target in effects.copies:
            for text in copied_files(run, sources, target, folder):
                run.write(text, folder, location, surely)
        for text in effects.touched:
            path = run.here(text, folder)
            if path is None or not run.content(path):
                run.write(text, folder, location, surely)
        for does, text in effects.changed:
            path = run.here(text, folder)
            if path is not None and not path.startswith("/"):
                collector.touch(path, location, does)
        self._folders(shell, effects, location, surely, likely)

    def _folders(
        self, shell: ShellCommands, effects: Effects, location: SourceLocation, surely: Certainty, likely: Certainty
    ) -> None:
        run, folder, collector = self._run, shell.folder, self._run.reading.collector
        for text in effects.made:
            path = run.path_of(text, folder)
            if path is not None and HOLE not in path:
                collector.output(path, location, certainty=surely, is_folder=True, written=run.written)
        for text in effects.removed:
            path = run.path_of(text, folder)
            if path is not None and not run.reading.paths.holds_template(path):
                entry = run.reading.tree.entry(path)
                # `rm` removes a link, never its target.
                below = entry is None or entry.kind not in (FileKind.LINK, FileKind.FILE)
                for each in (path, f"{path}/**") if below else (path,):
                    collector.output(each, location, certainty=likely, written=run.written, is_removed=True)

    def _append(self, shell: ShellCommands, text: str, location: SourceLocation, certainty: Certainty) -> None:
        """Records a file that is appended to: its old content matters to its readers, unless it is a log."""
        if _LOG.search(text):
            self._run.write(
                text, shell.folder, location, Certainty.SURE if certainty is Certainty.LIKELY else certainty
            )
            return
        path = self._run.here(text, shell.folder)
        if path is not None:
            self._run.reading.collector.read_now(path)
        self._run.write(text, shell.folder, location, certainty)

    def _runs(self, shell: ShellCommands, call: ShellCall, effects: Effects, location: SourceLocation) -> None:
        for interpreter, text, arguments in effects.scripts:
            self._script(shell, interpreter, text, arguments, location, effects.settings)
        for text, arguments in effects.texts:
            self._inner(shell, text, call, effects.settings, arguments)
        for text in effects.code:
            self._code(shell, posixpath.basename(call.words[0].texts[0]), text)
        name = posixpath.basename(call.words[0].texts[0])
        if SHELL_NAMES.match(name) and call.fed is None and not effects.scripts and not effects.texts:
            self._run.opaque[name] = None  # it runs its standard input
        if call.fed is not None and not effects.scripts and not effects.texts:
            if SHELL_NAMES.match(name):
                self._inner(shell, call.fed, call, effects.settings)
            elif effects.opaque:
                self.loose(shell, call.fed, call.line)
        for nested in effects.nested:
            with shell.conditionally():
                shell.command([ShellWord((text,)) for text in nested], call.line)

    def _code(self, shell: ShellCommands, program: str, text: str) -> None:
        """Reads a file with a program for `awk`, `sed` or `jq`."""
        for path, folder in self._here(shell, text):
            content = self._run.content(path)
            if content is None or runs_more(program, content):
                self._run.opaque[program if self._shows_names else ""] = None
            for number, line in enumerate((content or "").splitlines()[:5000], 1):
                for word in words_of_code(line):
                    self._run.read(word, folder, SourceLocation(file=path, line=number), folders=False)

    def _inner(
        self, shell: ShellCommands, text: str, call: ShellCall, settings: Sequence[str], arguments: Sequence[str] = ()
    ) -> None:
        """Follows a text that a line runs in a new shell."""
        inner = Shell(
            self.nested(call.line),
            folder=shell.folder,
            variables=shell.child_variables(self._run.environment),
            script=arguments[0] if arguments else shell.script,
            arguments=[ShellWord((argument,)) for argument in arguments[1:]],
            depth=shell.depth + 1,
            sure=shell.is_sure and call.sure,
            must_succeed=call.checked,
            fails_build=call.checked,
        )
        inner.settings(settings)
        inner.elsewhere = shell.elsewhere
        inner.start()
        inner.run(text)

    def _script(
        self,
        shell: ShellCommands,
        interpreter: str,
        text: str,
        arguments: Sequence[str],
        location: SourceLocation,
        settings: Sequence[str],
    ) -> None:
        if HOLE in text:
            self._run.unknown[location] = None
            return
        found = self._here(shell, text)
        if not found:
            # An absolute path is a program of the machine; a relative one may be created before it runs.
            if interpreter in ("", "sh") and not text.startswith("/"):
                self._run.unknown[location] = None
            else:
                self._run.opaque[posixpath.basename(text) if self._shows_names else ""] = None
            return
        self._read(shell, text, location, folders=False, early=True)
        for path, folder in found:
            self._run.script(path, interpreter, arguments, shell, folder=folder, settings=settings)

    def redirection(self, shell: ShellCommands, sign: str, word: ShellWord, line: int, *, sure: bool) -> None:
        location = self._location(line)
        for text in word.texts:
            if re.fullmatch(r"\d+|-", text) and "&" in sign:
                continue
            if sign in ("<", "<>"):
                if (HOLE in text and may_be_path(text)) or is_of_other_process(text):
                    self._run.unknown[location] = None
                self._read(shell, text, location, folders=False, early=True)
            certain = sure and not shell.elsewhere
            if sign in (">>", "&>>"):
                self._append(shell, text, location, Certainty.LIKELY if certain else Certainty.PERHAPS)
            elif sign != "<" and sign != "<&":
                keeps = sign in (">", "&>") and not shell.clobbers
                if keeps:
                    self._read(shell, text, location, folders=False, early=True)
                surely = Certainty.SURE if certain and not word.is_choice and not keeps else Certainty.PERHAPS
                self._run.write(text, shell.folder, location, surely)

    def assigned(self, shell: ShellCommands, text: str, line: int, *, exported: bool, name: str = "") -> None:
        self._read(shell, text, self._location(line), folders=exported and "/" in text)
        if _SEARCHED.search(name) and name not in ("PATH", "CDPATH"):
            for folder in text.split(":"):
                self._read(shell, folder, self._location(line))
        elif _OPTIONS.search(name):
            self.loose(shell, text, line)
            self._run.opaque[""] = None

    def nested(self, line: int) -> CommandListener:
        def location(further: int) -> SourceLocation:
            return self._location(line + further)

        return CommandListener(self._run, location, shows_names=self._shows_names, wraps=self._wraps)

    def is_here(self, shell: ShellCommands, path: str) -> bool:
        return any(self._run.kind(found) is FileKind.FILE for found, _ in self._here(shell, path))

    def loose(self, shell: ShellCommands, text: str, line: int) -> None:
        for word in words_of_code(text):
            self._read(shell, word, self._location(line), folders="/" in word)

    def source(self, shell: ShellCommands, words: Sequence[ShellWord], line: int) -> None:
        location = self._location(line)
        if not words:
            self._run.unknown[location] = None  # `source <(...)`
        before_it = shell.arguments
        shell.arguments = tuple(words[1:]) or before_it
        for text in shell.sourced_by(words[0].texts) if words else ():
            path = next((path for path, _ in self._here(shell, text)), None)
            content = self._run.content(path) if path is not None else None
            if path is None or content is None:
                if re.match(r"(?!/)|/dev/|/proc/", text) or HOLE in text:
                    self._run.unknown[location] = None
                continue
            self._read(shell, text, location, folders=False, early=True)
            if shell.depth > 8:
                continue
            before = shell.listener, shell.sourced
            shell.listener = listener_of_script(self._run, path)
            shell.sourced, shell.depth = f"{CHECKOUT}/{path}", shell.depth + 1
            shell.run(content)
            (shell.listener, shell.sourced), shell.depth = before, shell.depth - 1
        shell.arguments = before_it

    def environment(self, name: str, line: int) -> str:
        reading, location = self._run.reading, self._location(line)
        why = why_command_variable_not_hashed(name)
        if why is None:
            reading.collector.environment(name, location)
            return self._run.environment.get(name, "")
        if why:
            reading.collector.unhashed(name, location, why)
        return f"/{HOLE}" if name in ("HOME", "TMPDIR", "TMP", "TEMP") else HOLE

    def enter(self, folder: str, path: str) -> tuple[str, bool]:
        entered = self._entered(folder, path)
        if HOLE in entered or entered.startswith("/"):
            return entered, True
        return entered, self._run.kind(entered) is FileKind.FOLDER

    def _entered(self, folder: str, path: str) -> str:
        if is_of_other_process(path):
            return HOLE
        path = of_own_process(path)
        if path.startswith("~"):
            return f"/{HOLE}"
        inside = path.startswith(CHECKOUT)
        if HOLE in path:
            return path if path.startswith("/") and not inside else HOLE
        if not inside and (path.startswith("/") or folder.startswith("/")):
            return posixpath.normpath(posixpath.join(folder, path))
        if HOLE in folder and not inside:
            return HOLE
        resolved = self._run.reading.paths.resolve(path, folder)
        return HOLE if isinstance(resolved, Unknown) else resolved

    def matching(self, shell: ShellCommands, pattern: str) -> tuple[str, ...]:
        if HOLE in pattern or len(pattern) > 1024 or "\n" in pattern:
            return ()
        if pattern.startswith("/") and not pattern.startswith(CHECKOUT):
            return ()
        folders, dots = (shell.folder, *shell.elsewhere), shell.dotglob
        found = (text for folder in folders for text in matching_files(self._run, pattern, folder, dots=dots))
        return tuple(dict.fromkeys(found))


def listener_of_script(run: LocalRun, path: str) -> CommandListener:
    return CommandListener(run, lambda line: SourceLocation(file=path, line=line + 1))
