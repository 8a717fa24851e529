"""Shell builtins that change the state of the shell."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.template.expression.known_values import HOLE
from ami_bakery.template.shell.expansion import ShellState
from ami_bakery.template.shell.shell_wrappers import unwrap
from ami_bakery.template.shell.words import ShellCall, ShellWord, absolute_folder, text_of

if TYPE_CHECKING:
    from tree_sitter import Node


class ShellCommands(ShellState):
    """Follows commands given as words."""

    def run(self, text: str) -> tuple[str, ...] | None:
        """Follows a text."""
        raise NotImplementedError

    def _function(self, name: str, body: Node, arguments: Sequence[ShellWord]) -> tuple[str, ...] | None:
        raise NotImplementedError

    def command(self, words: Sequence[ShellWord], line: int) -> tuple[str, ...] | None:
        """Follows one command; returns its output if it is known."""
        found = unwrap(words)
        if found.may_not_run:
            with self._concurrent():
                return self.command(found.words, line)
        if not found.folders and not found.given:
            return self._command_here(found.words, line)
        with self._own_state():
            for name, value in found.given:
                for text in value.texts:
                    self.listener.assigned(self, text, line, exported=True, name=name)
                self._set(name, value.texts)
                self.exported.add(name)
            for folder in found.folders:
                self._cd([folder], line)
            return self._command_here(found.words, line)

    def _command_here(self, words: Sequence[ShellWord], line: int) -> tuple[str, ...] | None:
        if not words or not self.listener.may_continue():
            return None
        if len(words[0].texts) > 1 and not _BUILTINS.keys().isdisjoint(words[0].texts):
            with self.conditionally():
                for text in words[0].texts:
                    self._command_here([words[0]._replace(texts=(text,)), *words[1:]], line)
            return None
        name, arguments = words[0].texts[0], words[1:]
        if name in self._functions:
            return self._function(name, self._functions[name], arguments)
        builtin = _BUILTINS.get(name)
        if builtin is not None:
            return builtin(self, arguments, line)
        for text in self._alias_texts(name, arguments):
            with self.conditionally():
                self._eval([ShellWord((text,))], line)
        call = ShellCall(
            tuple(words), line, self.is_sure, self._shown, self._fed, self._piped_from, checked=self.is_checked
        )
        for path in self._programs_here(name):
            self.listener.call(self, call._replace(words=(words[0]._replace(texts=(path,)), *arguments), sure=False))
            call = call._replace(sure=False)
        self.listener.call(self, call)
        return _printed(self, name, [word.texts for word in arguments])

    def _alias_texts(self, name: str, arguments: Sequence[ShellWord]) -> list[str]:
        """Returns the commands of an alias. An alias within itself is not expanded."""
        if name not in self._aliases:
            return []
        quoted = " ".join(shlex.quote(word.texts[0]) for word in arguments)
        meanings, self._aliases = self._aliases[name], {**self._aliases, name: ()}
        try:
            return [f"{meaning} {quoted}" for meaning in meanings]
        finally:
            self._aliases = {**self._aliases, name: meanings}

    def _programs_here(self, name: str) -> list[str]:
        """Returns files of the repository that a program's name may mean: from `hash -p`, or in PATH's folders."""
        found = list(self._hashed.get(name, ()))
        if "/" not in name and HOLE not in name:
            found += [path for path in self._on_path("PATH", name) if self.listener.is_here(self, path)]
        return found

    def _on_path(self, variable: str, name: str) -> list[str]:
        """Returns `name` in each folder of a variable that the text sets."""
        folders = [folder for text in self.variables.get(variable, ()) for folder in text.split(":")]
        return [posixpath.join(folder or ".", name) for folder in dict.fromkeys(folders) if folder != HOLE]

    def sourced_by(self, texts: Sequence[str]) -> list[str]:
        """Returns the files that `. NAME` may read; a name without a slash is searched in PATH first."""
        found = list[str]()
        for text in texts:
            on_path = self._on_path("PATH", text) if "/" not in text and HOLE not in text else []
            here = [path for path in on_path if self.listener.is_here(self, path)]
            found += [*here, *([text] if not here or self.listener.is_here(self, text) else [])]
        return found

    def _cd(self, arguments: Sequence[ShellWord], _line: int) -> tuple[str, ...]:
        paths = [word.texts for word in arguments if not re.fullmatch(r"-[LPe@]+|--", word.texts[0])]
        self._stack = [self.folder]
        before, self._before = self._before, (self.folder, *self.elsewhere)
        if paths and paths[0] == ("-",):
            self.folder, self.elsewhere = before[0], before[1:]
        elif paths:
            self._enter([text for path in paths[0] for text in (*self._by_cdpath(path), path)])
        else:
            self._enter(self.variables.get("HOME") or ("/" + HOLE,))
        return ("",)

    def _by_cdpath(self, path: str) -> list[str]:
        if re.match(r"\.{0,2}/|\.{1,2}\Z", path):
            return []
        if any(HOLE in text for text in self.variables.get("CDPATH", ())):
            self.listener.limit_exceeded()
        return self._on_path("CDPATH", path)

    def _enter(self, paths: Sequence[str]) -> None:
        """Changes to one of the paths; which one is unknown if there are several."""
        before = (self.folder, *self.elsewhere)
        entered = [self.listener.enter(folder, path) for folder in before for path in paths]
        there = [folder for folder, exists in entered if exists]
        self.folder = there[0] if there and len(paths) > 1 else entered[0][0]
        known = there if self.is_sure and len(there) == len(entered) else [*before, *there]
        self.elsewhere = self._most(tuple(dict.fromkeys(folder for folder in known if folder != self.folder)))

    def _pushd(self, arguments: Sequence[ShellWord], line: int) -> tuple[str, ...]:
        before = [*self._stack, self.folder]
        if not arguments and self._stack:
            self.folder, before = self._stack[-1], [*self._stack[:-1], self.folder]
        elif not arguments or re.match(r"[-+]", arguments[0].texts[0]):
            self.folder, before = HOLE, [HOLE]
        else:
            self._cd(arguments, line)
        self._stack = before
        return ("",)

    def _popd(self, arguments: Sequence[ShellWord], _line: int) -> tuple[str, ...]:
        if arguments:
            self._stack = []
        self.folder, self.elsewhere = self._stack.pop() if self._stack else HOLE, ()
        return ("",)

    def _source(self, arguments: Sequence[ShellWord], line: int) -> None:
        self.listener.source(self, arguments, line)

    def _eval(self, arguments: Sequence[ShellWord], line: int) -> tuple[str, ...] | None:
        before, self.listener = self.listener, self.listener.nested(line)
        self.depth += 1
        try:
            printed = None
            for number in range(max((len(word.texts) for word in arguments), default=0)):
                printed = self.run(" ".join(word.texts[min(number, len(word.texts) - 1)] for word in arguments))
            return printed
        finally:
            self.depth -= 1
            self.listener = before

    def _read(self, arguments: Sequence[ShellWord], _line: int) -> None:
        for word in (*arguments, ShellWord(("REPLY",)), ShellWord(("MAPFILE",))):
            if re.fullmatch(r"[A-Za-z_]\w*", word.texts[0]):
                self._set(word.texts[0], (HOLE,))
            elif HOLE in word.texts[0]:
                self.listener.limit_exceeded()

    def _let(self, arguments: Sequence[ShellWord], _line: int) -> None:
        for text in (text for word in arguments for text in word.texts):
            self._count(text)

    def _alias(self, arguments: Sequence[ShellWord], _line: int) -> None:
        for text in (text for word in arguments for text in word.texts if "=" in text):
            name, _, meaning = text.partition("=")
            self._aliases[name] = (*self._aliases.get(name, ()), meaning)

    def _hash(self, arguments: Sequence[ShellWord], _line: int) -> None:
        """Follows `hash -p PATH NAME`."""
        given = [word.texts[0] for word in arguments]
        if "-p" in given[:-2]:
            path, *names = given[given.index("-p") + 1 :]
            self._hashed |= dict.fromkeys(names, (path if "/" in path else f"./{path}",))

    def _printf(self, arguments: Sequence[ShellWord], line: int) -> None:
        if len(arguments) > 1 and arguments[0].texts[0] == "-v":
            self._set(arguments[1].texts[0].partition("[")[0], (HOLE,))
        words = (ShellWord(("printf",), is_literal=True), *arguments)
        self.listener.call(self, ShellCall(words, line, self.is_sure, self._shown, self._fed, self._piped_from))

    def _unset(self, arguments: Sequence[ShellWord], _line: int) -> None:
        for word in arguments:
            self._set(word.texts[0], ("",))

    def _set_arguments(self, arguments: Sequence[ShellWord], _line: int) -> None:
        options = {word.texts[0] for word in arguments}
        if "allexport" in options or any(re.match(r"-\w*a", option) for option in options):
            self._exports_all = True
        self.settings(_options_of_set([word.texts[0] for word in arguments]))
        if any(len(word.texts) > 1 for word in arguments):
            self.errexit = False
        start = next((number for number, word in enumerate(arguments) if word.texts[0] == "--"), None)
        if start is not None:
            self.arguments = tuple(arguments[start + 1 :])

    def _shift(self, arguments: Sequence[ShellWord], _line: int) -> None:
        count = arguments[0].texts[0] if arguments else "1"
        # The remaining arguments are unknown after a conditional `shift`, and after one in a loop.
        self.arguments = self.arguments[int(count) :] if self.is_sure and count.isdigit() else ()

    def _exit(self, arguments: Sequence[ShellWord], _line: int) -> None:
        """Follows `exit`: later commands may not run in a successful bake. A non-zero status fails the bake."""
        self._exited = self._exited or self._may_end(arguments)

    def _leave(self, arguments: Sequence[ShellWord], _line: int) -> None:
        """Follows `return`."""
        self._returned = self._returned or self._may_end(arguments)

    def _next_round(self, _arguments: Sequence[ShellWord], _line: int) -> None:
        self._returned = self._returned or self._may_end(())

    def _may_end(self, arguments: Sequence[ShellWord]) -> bool:
        """Whether `exit` may end a bake with success: not if it depends on the script's arguments alone."""
        fails = arguments and re.fullmatch(r"0*[1-9]\d*|-\d+", arguments[0].texts[0])
        return not fails and (self.sure or self._depends_on_files)

    def _trap(self, arguments: Sequence[ShellWord], line: int) -> None:
        """Follows a trap's command now, and again at the text's end: the signal may come at any time."""
        given = [word for word in arguments if word.texts[0] != "--"]
        if len(given) > 1:
            self._traps.append((given[0], line))
            if not {"EXIT", "0", "ERR"}.isdisjoint(text for word in given[1:] for text in word.texts):
                self._hides_failures = self._hides_failures or any(map(self._may_exit, given[0].texts))
            self._trapped(given[0], line)

    def _may_exit(self, text: str) -> bool:
        """Whether a trap's command may end the shell with another exit status."""
        body = self._functions.get(text)
        is_unknown = re.fullmatch(r"\w+", text) is not None and body is None
        return is_unknown or HOLE in text or re.search(r"\bexit\b", text if body is None else text_of(body)) is not None

    def _trapped(self, command: ShellWord, line: int) -> None:
        with self._own_state(), self.conditionally():
            self._eval([command], line)

    def _shopt(self, arguments: Sequence[ShellWord], _line: int) -> None:
        given = [text for word in arguments for text in word.texts]
        sets = any(re.match(r"-[a-z]*s", text) for text in given)
        names = [text for text in given if not text.startswith("-")]
        self.settings([text for name in names for text in ("-o" if sets else "+o", name)])


_BUILTINS: Mapping[str, Callable[[ShellCommands, Sequence[ShellWord], int], tuple[str, ...] | None]] = {
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
    "let": ShellCommands._let,
    "alias": ShellCommands._alias,
    "hash": ShellCommands._hash,
    "shopt": ShellCommands._shopt,
    "setopt": ShellCommands._shopt,
}


def _options_of_set(words: Sequence[str]) -> list[str]:
    """Returns the words of `set` that are options; the words after them are arguments."""
    found = list[str]()
    for word in words:
        is_name = bool(found) and _takes_name(found[-1])
        if word in ("-", "--") or not (word.startswith(("-", "+", HOLE)) or is_name):
            break
        found.append(word)
    return found


def _takes_name(option: str) -> bool:
    return re.fullmatch(r"[-+][A-Za-z]*o", option) is not None


def _printed(shell: ShellCommands, name: str, arguments: list[tuple[str, ...]]) -> tuple[str, ...] | None:
    """Returns the output of commands that print only paths."""
    given = [texts for texts in arguments if not texts[0].startswith("-")]
    match name:
        case "pwd":
            return tuple(absolute_folder(folder) for folder in (shell.folder, *shell.elsewhere))
        case "dirname" if given:
            return tuple(posixpath.dirname(text) or "." for text in given[0])
        case "basename" if given:
            suffix = given[1][0] if len(given) > 1 else ""
            return tuple(posixpath.basename(text.rstrip("/")).removesuffix(suffix) for text in given[0])
        case "realpath" | "readlink" | "abspath" if given:
            return tuple(
                text if text.startswith(("/", HOLE)) else posixpath.join(absolute_folder(shell.folder), text)
                for text in given[0]
            )
        case "echo" if len(arguments) == len(given):
            return (" ".join(texts[0] for texts in given),)
        case "mktemp":
            own = given[-1][0] if given and "/" in given[-1][0] else "/tmp/" + HOLE  # noqa: S108
            return (re.sub("X{3,}", HOLE, own),)
        case _:
            return None
