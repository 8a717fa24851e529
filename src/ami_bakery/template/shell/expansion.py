"""Expands the words of a shell text: variables, quotes, `$(...)`, `${x:-y}`, braces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from ami_bakery.template.expression.known_values import HOLE
from ami_bakery.template.shell.shell_conditions import depends_on_files
from ami_bakery.template.shell.words import (
    MAGIC,
    MOST,
    ShellWord,
    absolute_folder,
    braced,
    has_braces,
    has_magic,
    is_list_of_arguments,
    may_be_empty,
    stripped,
    text_of,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    from ami_bakery.template.shell.shell_listener import Listener

_NAME = re.compile(r"[A-Za-z_]\w*\Z")
_EXPANSION = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*|\d+|[@*#?$!-])(?:\[[^\]]*\])?(?P<then>.*)\}\Z", re.DOTALL)
_TILDE = re.compile(r"(?P<before>[A-Za-z_]\w*=)?~(?P<which>[+-]|[+-]?\d+|)(?=/|\Z)")
_LONGEST_VALUE = 1 << 16
"""Maximum length of a variable's value in characters; a longer one is unknown."""
_LITERAL = frozenset({"word", "raw_string", "number"})


class ShellState:
    """The state of a shell process, and its expansion of words.

    folder       working directory, relative to the root; contains `HOLE` if it is unknown
    elsewhere    other folders that may be the working directory, after a conditional or failed `cd`
    variables    variables of the shell, each with all values that it may have
    script       path of the running script, as in `$0`
    sourced      path of the file that is read now, which differs from `script` within `. FILE`
    dotglob      whether patterns match names that begin with a dot
    clobbers     whether `> FILE` overwrites an existing file: not after `set -C`
    errexit      whether the shell exits if a command fails (`set -e`); False if this is uncertain
    pipefail     whether a pipeline fails if any of its commands fails
    fails_build  whether the build fails when this process does
    """

    def __init__(
        self,
        listener: Listener,
        *,
        folder: str,
        variables: Mapping[str, tuple[str, ...]] | None = None,
        script: str = HOLE,
        arguments: Sequence[ShellWord] = (),
        depth: int = 0,
        sure: bool = True,
        must_succeed: bool = False,
        fails_build: bool = True,
    ) -> None:
        self.listener = listener
        self.folder = folder
        self.elsewhere: tuple[str, ...] = ()
        self.variables = dict(variables or {})
        self.exported = set(self.variables)
        self.script = script
        self.sourced = script
        self.arguments = tuple(arguments)
        self.depth = self._outermost = depth
        self.sure = sure
        self._exited = False
        self._returned = False
        self._exports_all = False
        self._depends_on_files = True
        self._choices: set[str] = set()
        self._chose = False
        self._before: tuple[str, ...] = (HOLE,)
        self._piped_from = ""
        self.dotglob = False
        self.clobbers = True
        self._aliases: dict[str, tuple[str, ...]] = {}
        self._hashed: dict[str, tuple[str, ...]] = {}
        self._traps: list[tuple[ShellWord, int]] = []
        self._perhaps: dict[str, tuple[str, ...]] = {}
        self._functions: dict[str, Node] = {}
        self._called: set[str] = set()
        self._fed: str | None = None
        self._stack: list[str] = []
        self._shown = True
        self.must_succeed = must_succeed
        self.fails_build = fails_build
        self._hides_failures = False
        self.errexit = False
        self.pipefail = False
        self._line = 0

    def child_variables(self, environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Returns the variables of programs that the shell starts: exported ones and those of the environment."""
        exported = self.exported | environment.keys()
        perhaps = {name: (environment.get(name, ""), *texts) for name, texts in self._perhaps.items()}
        return {name: texts for name, texts in (perhaps | self.variables).items() if name in exported}

    @property
    def is_sure(self) -> bool:
        """Whether the next command runs in every bake: on no condition, not after `exit`, `return` or `continue`."""
        return self.sure and not self._exited and not self._returned

    @property
    def is_checked(self) -> bool:
        """Whether the build fails if the current command fails."""
        return not self._hides_failures and (self.must_succeed or (self.errexit and self.fails_build))

    def _each(self, nodes: Sequence[Node]) -> tuple[str, ...] | None:
        """Follows the nodes; returns the output of the last one if it is known."""
        raise NotImplementedError

    @contextmanager
    def _printing(self, *, shown: bool) -> Iterator[None]:
        before, self._shown = self._shown, shown and self._shown
        try:
            yield
        finally:
            self._shown = before

    @contextmanager
    def _own_state(self) -> Iterator[None]:
        """Follows commands in a subprocess. They do not change the state of this shell."""
        folders, arguments = (self.folder, self.elsewhere, list(self._stack)), self.arguments
        before = dict(self.variables), dict(self._perhaps), set(self.exported), self._exited
        options = self.errexit, self.pipefail, self.clobbers, self.fails_build
        try:
            yield
        finally:
            self.errexit, self.pipefail, self.clobbers, self.fails_build = options
            (self.folder, self.elsewhere, self._stack), self.arguments = folders, arguments
            self.variables, self._perhaps, self.exported, self._exited = before

    @contextmanager
    def _unchecked(self) -> Iterator[None]:
        """Follows commands whose failure is ignored: conditions and command substitutions."""
        before = self.fails_build, self.must_succeed
        self.fails_build = self.must_succeed = False
        try:
            yield
        finally:
            self.fails_build, self.must_succeed = before

    @contextmanager
    def _concurrent(self) -> Iterator[None]:
        """Follows commands in a subprocess that runs concurrently."""
        with self._own_state(), self.conditionally(), self._unchecked():
            yield

    @contextmanager
    def conditionally(self, condition: str | None = None) -> Iterator[None]:
        """Follows commands that may not run. `condition`: the text of the condition; default: the enclosing one."""
        before, self.sure = (self.sure, self._depends_on_files), False
        if condition is not None:
            self._depends_on_files = depends_on_files(condition)
        try:
            yield
        finally:
            self.sure, self._depends_on_files = before

    def settings(self, given: Sequence[str]) -> None:
        """Reads options of `set`, `shopt` and of the shell's command line."""
        for before, text in pairwise(["", *given]):
            self._exit_options(before, text)
            if text in ("dotglob", "globdots"):
                self.dotglob = True
            elif text in ("nocaseglob", "nocasematch"):
                self.listener.limit_exceeded()
            elif text == "noclobber" or re.match(r"-[A-Za-z]*C", text):
                self.clobbers = False
            elif re.match(r"\+[A-Za-z]*C", text) and self.is_sure:
                self.clobbers = True

    def _exit_options(self, before: str, text: str) -> None:
        """Reads `-e`, `-o errexit` and `-o pipefail`; an uncertain option is off."""
        letter = text[:1] if re.fullmatch(r"[-+][A-Za-z]*e[A-Za-z]*", text) else ""
        sign = before[:1] if text in ("errexit", "pipefail") else letter
        is_on = sign != "+" and self.is_sure and HOLE not in text
        if text == "pipefail":
            self.pipefail = is_on
        elif text == "errexit" or letter or HOLE in text:
            self.errexit = is_on

    def _most(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Returns at most `MOST` texts; reports if there are more."""
        if len(texts) > MOST:
            self.listener.limit_exceeded()
        return texts[:MOST]

    # --- variables

    def _set(self, name: str, texts: tuple[str, ...], *, is_choice: bool = False) -> None:
        texts = tuple(text if len(text) <= _LONGEST_VALUE else HOLE for text in texts)
        (self._choices.add if is_choice or not self.is_sure else self._choices.discard)(name)
        if self.is_sure:
            self.variables[name] = texts
            self._perhaps.pop(name, None)
        elif name in self.variables:
            self.variables[name] = self._most(tuple(dict.fromkeys((*self.variables[name], *texts))))
        else:
            self._perhaps[name] = self._most(tuple(dict.fromkeys((*self._perhaps.get(name, ()), *texts))))

    def _value(self, name: str) -> tuple[str, ...]:
        self._chose = self._chose or name in self._choices
        if name in self.variables:
            return self.variables[name]
        if name.isdigit():
            return self._positional(int(name))
        if name in ("@", "*"):
            return tuple(text for word in self.arguments for text in word.texts) or (HOLE,)
        if name == "BASH_SOURCE":
            return (self.sourced,)
        if name in ("PWD", "OLDPWD"):
            return self._folders(before=name == "OLDPWD")
        if not _NAME.match(name) or name == "_":
            return (HOLE,)
        return tuple(dict.fromkeys((self.listener.environment(name, self._line), *self._perhaps.get(name, ()))))

    def _positional(self, number: int) -> tuple[str, ...]:
        if number == 0:
            return (self.script,)
        return self.arguments[number - 1].texts if number <= len(self.arguments) else (HOLE,)

    def _folders(self, *, before: bool) -> tuple[str, ...]:
        folders = self._before if before else (self.folder, *self.elsewhere)
        return tuple(absolute_folder(folder) for folder in folders)

    def _count(self, expression: str) -> None:
        """Marks variables that an arithmetic expression sets as unknown."""
        of_names = (
            r"(?:\+\+|--)\s*([A-Za-z_]\w*)|([A-Za-z_]\w*)(?:\[[^\]]*\])?\s*(?:\+\+|--|(?:[-+*/%&|^]|<<|>>)?=(?!=))"
        )
        for before, after in re.findall(of_names, expression):
            self._set(before or after, (HOLE,))

    # --- words

    def _homes(self, text: str) -> tuple[str, ...]:
        """Expands `~+`, `~-`, `~2`, and `~` if the text sets HOME."""
        found = _TILDE.match(text)
        if found is None:
            return (text,)
        which, rest = found["which"], text[found.end() :]
        if which in ("+", "0", "+0"):
            folders = self._folders(before=False)
        elif which == "-":
            folders = self._folders(before=True)
        else:
            folders = (HOLE,) if which else self.variables.get("HOME", ("~",))
        return tuple(f"{found['before'] or ''}{folder}{rest}" for folder in folders)

    def _split(self, text: str) -> list[str]:
        """Splits an unquoted value into words."""
        separators = "".join(self.variables.get("IFS", ()))
        return text.split() or [""] if not separators.strip() else re.split(f"[{re.escape(separators)}\\s]+", text)

    def _words(self, node: Node) -> list[ShellWord]:
        """Returns the words of one node: an unquoted variable may be several words."""
        if node.type == "array":
            return [word for child in node.named_children for word in self._words(child)]
        if node.type == "process_substitution":
            with self._concurrent(), self._printing(shown=text_of(node).startswith(">")):
                self._each(node.children)
            return []
        self._chose = False
        if text_of(node).strip('"') in ("$@", "${@}", "$*", "${*}"):
            return list(self.arguments) or [ShellWord((HOLE,))]
        texts = self._expand(node)
        if node.type in ("word", "concatenation"):
            texts = tuple(
                each for text in texts for each in (self._homes(text) if _TILDE.match(text_of(node)) else (text,))
            )
        chose = self._chose
        if node.type in ("simple_expansion", "expansion", "command_substitution") or is_list_of_arguments(node):
            parts = dict.fromkeys(part for text in texts for part in self._split(text))
            if any(len(self._split(text)) > 1 for text in texts):
                return [ShellWord((part,), is_pattern=bool(MAGIC.search(part))) for part in parts]
        return [
            ShellWord(
                tuple(dict.fromkeys(braced)),
                is_pattern=has_magic(node),
                is_literal=node.type in _LITERAL,
                is_choice=chose and len(texts) > 1,
            )
            for braced in braced(texts, has_braces(node))
        ]

    def _expand(self, node: Node) -> tuple[str, ...]:
        match node.type:
            case "word" | "number" | "variable_name" | "test_operator" | "regex" | "extglob_pattern":
                return (re.sub(r"\\(\n|.)", lambda found: found[1].strip("\n"), text_of(node)),)
            case "raw_string":
                return (text_of(node)[1:-1],)
            case "ansi_c_string":
                text = text_of(node)[2:-1].replace("\\n", "\n").replace("\\t", "\t").replace("\\'", "'")
                return (HOLE if "\\" in text else text,)
            case "string_content" | "heredoc_content":
                return (re.sub(r"\\([\"\\$`]|\n)", lambda found: found[1].strip("\n"), text_of(node)),)
            case "simple_expansion":
                return self._value(text_of(node)[1:])
            case "expansion":
                return self._expansion(node)
            case "command_substitution":
                return self._substitution(node)
            case "arithmetic_expansion":
                self._each_expanded(node)
                self._count(text_of(node))
                return (HOLE,)
            case "process_substitution":
                self._words(node)
                return (HOLE,)
            case _:
                return self._joined(node)

    def _each_expanded(self, node: Node) -> None:
        for child in node.named_children:
            if child.named_child_count or child.type == "simple_expansion":
                self._expand(child)

    def _joined(self, node: Node) -> tuple[str, ...]:
        """Joins the children's texts, and the text between them. The grammar has no node for the text between them."""
        if not node.child_count:
            return (text_of(node),)
        source, start = node.text or b"", node.start_byte
        made, position = [""], start
        for child in node.children:
            between = source[position - start : child.start_byte - start].decode("utf-8", "surrogateescape")
            position = child.end_byte
            if child.type in ('"', "$"):
                texts: tuple[str, ...] = ("",)
            else:
                texts = self._expand(child) if child.is_named else (text_of(child),)
            made = list(self._most(tuple(f"{before}{between}{text}" for before in made for text in texts)))
        rest = source[position - start :].decode("utf-8", "surrogateescape")
        return tuple(before + rest for before in made)

    def _expansion(self, node: Node) -> tuple[str, ...]:
        found = _EXPANSION.match(text_of(node))
        if found is None:
            for child in node.named_children:
                if child.type != "variable_name":
                    self._expand(child)
            return (HOLE,)
        texts, then = self._value(found["name"]), found["then"]
        if not then:
            return texts
        others = [self._expand(child) for child in node.named_children[1:] if child.type != "regex"]
        other = others[-1] if others else ("",)
        self._chose = self._chose or not then.startswith(("%", "#"))
        if then.startswith((":-", "-", ":=", "=")):
            given = (*(text for text in texts if text), *other) if may_be_empty(texts) else texts
            if "=" in then[:2]:
                self._set(found["name"], tuple(dict.fromkeys(given)), is_choice=len(given) > 1)
            return tuple(dict.fromkeys(given))
        if then.startswith((":+", "+")):
            return tuple(dict.fromkeys(("", *other)))
        if then.startswith((":?", "?")):
            return texts
        if then.startswith(("%", "#")):
            return tuple(stripped(text, then) for text in texts)
        return (HOLE,)

    def _substitution(self, node: Node) -> tuple[str, ...]:
        with self._own_state(), self._printing(shown=False), self._unchecked():
            before, self._shown = self._shown, False
            printed = self._each(node.children)
            self._shown = before
        return printed if printed is not None else (HOLE,)
