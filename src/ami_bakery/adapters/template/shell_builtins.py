"""Commands that change the shell itself: `cd`, `set`, `shift`, `exit`, `trap` and their like."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.adapters.template.shell_expansion import ShellState
from ami_bakery.adapters.template.shell_words import Call, Word, absolute, folder_of_command, unwrapped
from ami_bakery.core.expression.values import HOLE

if TYPE_CHECKING:
    from tree_sitter import Node


class ShellCommands(ShellState):
    """Runs one command of words."""

    def run(self, text: str) -> tuple[str, ...] | None:
        """Follows a text."""
        raise NotImplementedError

    def _function(self, name: str, body: Node, arguments: Sequence[Word]) -> tuple[str, ...] | None:
        raise NotImplementedError

    def command(self, words: Sequence[Word], line: int) -> tuple[str, ...] | None:
        """Runs one command; what it prints, where that is known."""
        folder = folder_of_command(words) if words else None
        if folder is not None:
            with self._own_state():
                self._cd([folder], line)
                return self._command_here(unwrapped(words), line)
        return self._command_here(unwrapped(words), line)

    def _command_here(self, words: Sequence[Word], line: int) -> tuple[str, ...] | None:
        if not words or not self.listener.goes_on():
            return None
        name, arguments = words[0].texts[0], words[1:]
        if name in self._functions:
            return self._function(name, self._functions[name], arguments)
        builtin = _BUILTINS.get(name)
        if builtin is not None:
            return builtin(self, arguments, line)
        self.listener.call(self, Call(tuple(words), line, self.is_sure, self._shown, self._fed, self._fed_by))
        return _printed(self, name, [word.texts for word in arguments])

    def _cd(self, arguments: Sequence[Word], _line: int) -> tuple[str, ...]:
        paths = [word.texts[0] for word in arguments if not re.fullmatch(r"-[LPe@]+|--", word.texts[0])]
        self._stack = [self.folder]
        before, self._before = self._before, self.folder
        if paths and paths[0] == "-":
            self.folder, self.elsewhere = before, ()
            return ("",)
        return self._enter(paths)

    def _enter(self, paths: Sequence[str]) -> tuple[str, ...]:
        before, found = self.folder, True
        self.folder, found = self.listener.enter(self.folder, paths[0]) if paths else ("/" + HOLE, True)
        if found and self.is_sure and not self.elsewhere:
            return ("",)
        others = [self.listener.enter(folder, paths[0]) for folder in self.elsewhere] if paths else []
        known = (before, *self.elsewhere, *(folder for folder, is_there in others if is_there))
        self.elsewhere = tuple(dict.fromkeys(folder for folder in known if folder != self.folder))[:8]
        return ("",)

    def _pushd(self, arguments: Sequence[Word], line: int) -> tuple[str, ...]:
        before = [*self._stack, self.folder]
        self._cd(arguments, line)
        self._stack = before
        return ("",)

    def _popd(self, _arguments: Sequence[Word], _line: int) -> tuple[str, ...]:
        self.folder = self._stack.pop() if self._stack else HOLE
        return ("",)

    def _source(self, arguments: Sequence[Word], line: int) -> None:
        self.listener.source(self, arguments, line)

    def _eval(self, arguments: Sequence[Word], _line: int) -> tuple[str, ...] | None:
        self.depth += 1
        try:
            return self.run(" ".join(word.texts[0] for word in arguments))
        finally:
            self.depth -= 1

    def _read(self, arguments: Sequence[Word], _line: int) -> None:
        for word in arguments:
            if re.fullmatch(r"[A-Za-z_]\w*", word.texts[0]):
                self._set(word.texts[0], (HOLE,))

    def _printf(self, arguments: Sequence[Word], line: int) -> None:
        if len(arguments) > 1 and arguments[0].texts[0] == "-v":
            self._set(arguments[1].texts[0].partition("[")[0], (HOLE,))
        words = (Word(("printf",), is_literal=True), *arguments)
        self.listener.call(self, Call(words, line, self.is_sure, self._shown, self._fed, self._fed_by))

    def _unset(self, arguments: Sequence[Word], _line: int) -> None:
        for word in arguments:
            self._set(word.texts[0], ("",))

    def _set_arguments(self, arguments: Sequence[Word], _line: int) -> None:
        options = {word.texts[0] for word in arguments}
        if "allexport" in options or any(re.match(r"-\w*a", option) for option in options):
            self._exports_all = True
        start = next((number for number, word in enumerate(arguments) if word.texts[0] == "--"), None)
        if start is not None:
            self.arguments = tuple(arguments[start + 1 :])

    def _shift(self, arguments: Sequence[Word], _line: int) -> None:
        count = arguments[0].texts[0] if arguments else "1"
        # On a condition, or in a loop that counts them down, nobody knows what is left.
        self.arguments = self.arguments[int(count) :] if self.is_sure and count.isdigit() else ()

    def _exit(self, arguments: Sequence[Word], _line: int) -> None:
        """What follows may not run, and the bake still succeeds; a status that is not 0 fails it."""
        self._ended = self._ended or self._may_end(arguments)

    def _leave(self, arguments: Sequence[Word], _line: int) -> None:
        """Of a function, or a loop."""
        self._left = self._left or self._may_end(arguments)

    def _next_round(self, _arguments: Sequence[Word], _line: int) -> None:
        self._left = self._left or self._may_end(())

    def _may_end(self, arguments: Sequence[Word]) -> bool:
        """Where it depends on files. What depends on how a script is called is as it is called here."""
        fails = arguments and re.fullmatch(r"0*[1-9]\d*|-\d+", arguments[0].texts[0])
        return not fails and (self.sure or self._asks_files)

    def _trap(self, arguments: Sequence[Word], _line: int) -> None:
        if len(arguments) > 1:
            with self._own_state():
                self._eval(arguments[:1], _line)

    def _shopt(self, arguments: Sequence[Word], _line: int) -> None:
        self.dotglob = self.dotglob or any(word.texts[0] in ("dotglob", "globdots") for word in arguments)


_BUILTINS: Mapping[str, Callable[[ShellCommands, Sequence[Word], int], tuple[str, ...] | None]] = {
    "cd": ShellCommands._cd,
    "chdir": ShellCommands._cd,
    "pushd": ShellCommands._pushd,
    "popd": ShellCommands._popd,
    ".": ShellCommands._source,
    "source": ShellCommands._source,
    "eval": ShellCommands._eval,
    "read": ShellCommands._read,
    "mapfile": ShellCommands._read,
    "readarray": ShellCommands._read,
    "getopts": ShellCommands._read,
    "unset": ShellCommands._unset,
    "shift": ShellCommands._shift,
    "set": ShellCommands._set_arguments,
    "exit": ShellCommands._exit,
    "return": ShellCommands._leave,
    "break": ShellCommands._next_round,
    "continue": ShellCommands._next_round,
    "trap": ShellCommands._trap,
    "printf": ShellCommands._printf,
    "shopt": ShellCommands._shopt,
    "setopt": ShellCommands._shopt,
}


def _printed(shell: ShellCommands, name: str, arguments: list[tuple[str, ...]]) -> tuple[str, ...] | None:
    """What a command prints, for those that tell of paths alone."""
    given = [texts for texts in arguments if not texts[0].startswith("-")]
    match name:
        case "pwd":
            return (absolute(shell.folder),)
        case "dirname" if given:
            return tuple(posixpath.dirname(text) or "." for text in given[0])
        case "basename" if given:
            suffix = given[1][0] if len(given) > 1 else ""
            return tuple(posixpath.basename(text.rstrip("/")).removesuffix(suffix) for text in given[0])
        case "realpath" | "readlink" | "abspath" if given:
            return tuple(
                text if text.startswith(("/", HOLE)) else posixpath.join(absolute(shell.folder), text)
                for text in given[0]
            )
        case "echo" if len(arguments) == len(given):
            return (" ".join(texts[0] for texts in given),)
        case "mktemp":
            own = given[-1][0] if given and "/" in given[-1][0] else "/tmp/" + HOLE  # noqa: S108
            return (re.sub("X{3,}", HOLE, own),)
        case _:
            return None
