"""Follows a shell text without running it: its commands, their words, redirections, and the folder each runs in.

What a word comes to is worked out as far as the text says it: variables that it sets, environment variables, `dirname`
and its like, loops over lists. A word that may come to several texts has them all; a part that nobody knows is `HOLE`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from ami_bakery.adapters.template.shell_expansion import ShellState
from ami_bakery.adapters.template.shell_words import (
    MOST,
    Call,
    Word,
    absolute,
    is_test,
    is_unsure,
    text_of,
    unwrapped,
)
from ami_bakery.core.expression.values import HOLE

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_DEEPEST = 12
"""Functions within functions, and texts within texts."""


@lru_cache(maxsize=1)
def _parser() -> Parser:
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


class Shell(ShellState):
    """One shell process that runs a text."""

    def run(self, text: str) -> tuple[str, ...] | None:
        """Follows the text. What its last command prints, where that is known."""
        if self.depth > _DEEPEST:
            return None
        # The grammar loses `$2` in `$1/$2`; it reads `${1}/${2}` well.
        text = re.sub(r"\$(\d)", r"${\1}", text)
        root = _parser().parse(text.encode("utf-8", "surrogateescape")).root_node
        printed = self._each(root.children)
        for name, body in list(self._functions.items()):
            if name not in self._called:
                with self._perhaps_only():
                    self._function(name, body, ())
        return printed

    # --- what runs

    def _each(self, nodes: Sequence[Node]) -> tuple[str, ...] | None:
        printed: tuple[str, ...] | None = None
        for node in nodes:
            if node.is_named and node.type != "comment":
                printed = self._node(node)
        return printed

    def _node(self, node: Node) -> tuple[str, ...] | None:
        self._line = node.start_point[0]
        handler = _HANDLERS.get(node.type)
        if handler is not None:
            return handler(self, node)
        if node.type == "ERROR":
            self.listener.loose(self, text_of(node), self._line)
        elif node.type in _EXPANDED:
            self._expand(node)
            return None
        return self._each(node.children)

    @contextmanager
    def _perhaps_only(self) -> Iterator[None]:
        before, self.sure = self.sure, False
        try:
            yield
        finally:
            self.sure = before

    def _list(self, node: Node) -> tuple[str, ...] | None:
        left, sign, right = node.children[0], node.children[1].type, node.children[-1]
        self._node(left)
        if sign == "||" or (sign == "&&" and is_test(left)):
            with self._perhaps_only():
                return self._node(right)
        return self._node(right)

    def _pipeline(self, node: Node) -> None:
        parts = [child for child in node.children if child.is_named]
        for part in parts:
            with self._own_state(), self._printing(shown=part is parts[-1]):
                self._node(part)

    def _subshell(self, node: Node) -> tuple[str, ...] | None:
        with self._own_state():
            return self._each(node.children)

    def _conditional(self, node: Node) -> None:
        """`if` and `case`: what is asked always runs, and what depends on the answer perhaps."""
        asked = True
        for child in node.children:
            if child.type in ("then", "in"):
                asked = False
            if not child.is_named or child.type == "comment":
                continue
            if asked:
                self._node(child)
            else:
                with self._perhaps_only():
                    self._node(child)

    def _case_item(self, node: Node) -> None:
        passed = False
        for child in node.children:
            if passed and child.is_named:
                self._node(child)
            passed = passed or child.type == ")"

    def _for(self, node: Node) -> None:
        name, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
        values: list[str] = []
        for item in node.children_by_field_name("value"):
            for word in self._words(item):
                for text in word.texts:
                    values.extend((self.listener.matching(self, text) if word.is_pattern else ()) or (text,))
        for text in values:
            self.listener.assigned(self, text, self._line, exported=False)
        if name is not None:
            self.variables[text_of(name)] = tuple(dict.fromkeys(values))[: 4 * MOST] or (HOLE,)
        if body is not None:
            self._node(body)

    def _loop(self, node: Node) -> None:
        before = self._left
        self._each(node.children)
        self._left = before

    def _define(self, node: Node) -> None:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is not None and body is not None:
            self._functions[text_of(name)] = body
            self._called.discard(text_of(name))

    def _function(self, name: str, body: Node, arguments: Sequence[Word]) -> tuple[str, ...] | None:
        self._called.add(name)
        if self.depth >= _DEEPEST:
            return None
        before, self.arguments, self.depth = (self.arguments, self._left), tuple(arguments), self.depth + 1
        try:
            return self._node(body)
        finally:
            (self.arguments, self._left), self.depth = before, self.depth - 1

    def _redirected(self, node: Node) -> tuple[str, ...] | None:
        body, redirects = node.child_by_field_name("body"), node.children_by_field_name("redirect")
        last_of_list = body is not None and body.type == "list"
        if not last_of_list:
            self._redirects(redirects, sure=self.is_sure)
        into_file = any(child.type in _INTO for redirect in redirects for child in redirect.children)
        before, self._fed = self._fed, self._feed(redirects)
        with self._printing(shown=not into_file):
            printed = self._node(body) if body is not None else None
        self._fed = before
        if last_of_list and body is not None:
            # A redirection behind `a && b` is that of `b`.
            self._redirects(redirects, sure=self.is_sure and not is_unsure(body))
        return printed

    def _feed(self, redirects: Sequence[Node]) -> str | None:
        for redirect in redirects:
            body = next((child for child in redirect.children if child.type == "heredoc_body"), None)
            if body is not None:
                return "".join(self._joined(body)[:1])
        return None

    def _redirects(self, redirects: Sequence[Node], *, sure: bool) -> None:
        for redirect in redirects:
            if redirect.type != "file_redirect":
                for child in redirect.named_children:
                    if child.type not in ("heredoc_start", "heredoc_end"):
                        self._expand(child)
                        # The rest of the line that a heredoc begins on.
                        if child.type in ("pipeline", "command", "list", "file_redirect", "redirected_statement"):
                            self._node(child)
                continue
            sign = next((child.type for child in redirect.children if not child.is_named), "")
            for child in redirect.children_by_field_name("destination"):
                for word in self._words(child):
                    self.listener.redirection(self, sign, word, redirect.start_point[0], sure=sure)

    def _test(self, node: Node) -> None:
        for child in node.named_children:
            for part in (child, *child.named_children):
                if part.type in _EXPANDED and part.type not in ("unary_expression", "binary_expression"):
                    for word in self._words(part):
                        for text in word.texts:
                            self.listener.assigned(self, text, self._line, exported=False)
                elif part is not child:
                    self._expand(part)

    def _file_redirect(self, node: Node) -> None:
        self._redirects([node], sure=self.is_sure)

    # --- variables

    def _assignment(self, node: Node, *, exported: bool = False) -> None:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None:
            return
        texts: tuple[str, ...] = ("",)
        if value is not None:
            words = self._words(value)
            texts = tuple(dict.fromkeys(text for word in words for text in word.texts))[:MOST] or ("",)
        for text in texts:
            self.listener.assigned(self, text, node.start_point[0], exported=exported)
        if exported or self._exports_all:
            self.exported.add(text_of(name).partition("[")[0])
        append = any(child.type == "+=" for child in node.children)
        self._set(
            text_of(name).partition("[")[0], (*self.variables.get(text_of(name), ()), *texts) if append else texts
        )

    def _declaration(self, node: Node) -> None:
        words = {text_of(child) for child in node.children}
        exported = "export" in words or "-x" in words
        for child in node.named_children:
            if child.type == "variable_assignment":
                self._assignment(child, exported=exported)
            elif child.type == "variable_name" and exported:
                self.exported.add(text_of(child))
            elif child.type == "variable_name" and node.children[0].type == "local":
                self._set(text_of(child), ("",))
            elif child.type not in ("variable_name", "word"):
                self._expand(child)

    # --- commands

    def _command(self, node: Node) -> tuple[str, ...] | None:
        line, words = node.start_point[0], list[Word]()
        before = dict(self.variables), dict(self._perhaps), set(self.exported)
        for child in node.children:
            if child.type == "variable_assignment":
                self._assignment(child, exported=True)
            elif child.type == "command_name":
                words.extend(word for part in child.children for word in self._words(part))
            elif child.type in ("file_redirect", "herestring_redirect", "heredoc_redirect"):
                self._redirects([child], sure=self.is_sure)
            elif child.is_named and child.type != "comment":
                words.extend(self._words(child))
        printed = self.command(words, line)
        if node.children and node.children[0].type == "variable_assignment":
            self.variables, self._perhaps, self.exported = before
        return printed

    def command(self, words: Sequence[Word], line: int) -> tuple[str, ...] | None:
        """Runs one command; what it prints, where that is known."""
        words = unwrapped(words)
        if not words or not self.listener.goes_on():
            return None
        name, arguments = words[0].texts[0], words[1:]
        if name in self._functions:
            return self._function(name, self._functions[name], arguments)
        builtin = _BUILTINS.get(name)
        if builtin is not None:
            return builtin(self, arguments, line)
        self.listener.call(self, Call(tuple(words), line, self.is_sure, self._shown, self._fed))
        return _printed(self, name, [word.texts for word in arguments])

    def _cd(self, arguments: Sequence[Word], _line: int) -> tuple[str, ...]:
        paths = [word.texts[0] for word in arguments if not re.fullmatch(r"-[LPe@]+|--", word.texts[0])]
        self._stack = [self.folder]
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

    def _unset(self, arguments: Sequence[Word], _line: int) -> None:
        for word in arguments:
            self._set(word.texts[0], ("",))

    def _exit(self, arguments: Sequence[Word], _line: int) -> None:
        """One that fails ends the bake: what follows runs in every bake that succeeds."""
        if not arguments or not re.fullmatch(r"[1-9]\d*", arguments[0].texts[0]):
            self._ended = True

    def _leave(self, _arguments: Sequence[Word], _line: int) -> None:
        self._left = True

    def _set_arguments(self, arguments: Sequence[Word], _line: int) -> None:
        options = {word.texts[0] for word in arguments}
        if "allexport" in options or any(re.match(r"-\w*a", option) for option in options):
            self._exports_all = True
        start = next((number for number, word in enumerate(arguments) if word.texts[0] == "--"), None)
        if start is not None:
            self.arguments = tuple(arguments[start + 1 :])

    def _shift(self, _arguments: Sequence[Word], _line: int) -> None:
        self.arguments = self.arguments[1:]


_Handler = Callable[[Shell, "Node"], tuple[str, ...] | None]
_HANDLERS: Mapping[str, _Handler] = {
    "list": Shell._list,
    "pipeline": Shell._pipeline,
    "subshell": Shell._subshell,
    "if_statement": Shell._conditional,
    "case_statement": Shell._conditional,
    "case_item": Shell._case_item,
    "for_statement": Shell._for,
    "function_definition": Shell._define,
    "redirected_statement": Shell._redirected,
    "file_redirect": Shell._file_redirect,
    "test_command": Shell._test,
    "do_group": Shell._loop,
    "variable_assignment": Shell._assignment,
    "declaration_command": Shell._declaration,
    "command": Shell._command,
}
_EXPANDED = frozenset(
    {
        *("word", "string", "raw_string", "concatenation", "simple_expansion", "expansion", "command_substitution"),
        *("arithmetic_expansion", "heredoc_body", "unary_expression", "binary_expression", "parenthesized_expression"),
    }
)
_INTO = frozenset({">", ">>", ">|", "&>", "&>>", ">&"})
_BUILTINS: Mapping[str, Callable[[Shell, Sequence[Word], int], tuple[str, ...] | None]] = {
    "cd": Shell._cd,
    "chdir": Shell._cd,
    "pushd": Shell._pushd,
    "popd": Shell._popd,
    ".": Shell._source,
    "source": Shell._source,
    "eval": Shell._eval,
    "read": Shell._read,
    "mapfile": Shell._read,
    "readarray": Shell._read,
    "getopts": Shell._read,
    "unset": Shell._unset,
    "shift": Shell._shift,
    "exit": Shell._exit,
    "return": Shell._leave,
    "continue": Shell._leave,
    "break": Shell._leave,
    "set": Shell._set_arguments,
}


def _printed(shell: Shell, name: str, arguments: list[tuple[str, ...]]) -> tuple[str, ...] | None:
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
