"""Follows a shell text without running it.

It finds commands, their words, redirections, and the folder that each runs in. Words are expanded as far as their
value is known: variables of the text, environment variables, `dirname` and similar commands, loops over lists. A word
that may have several values has all of them; an unknown part is `HOLE`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING

from ami_bakery.template.expression.known_values import HOLE
from ami_bakery.template.shell.shell_conditions import (
    fails,
    is_unsure,
    may_fail_silently,
    repeats_until_success,
    runs_at_least_once,
)
from ami_bakery.template.shell.simple_commands import EXPANDED, SimpleCommands
from ami_bakery.template.shell.words import ShellWord, has_magic, text_of

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_DEEPEST = 12
"""Nested functions and texts that are followed."""


@lru_cache(maxsize=1)
def _parser() -> Parser:
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


class Shell(SimpleCommands):
    """Follows the texts of one shell process."""

    def run(self, text: str) -> tuple[str, ...] | None:
        """Follows the text; returns the output of its last command if it is known."""
        if self.depth > _DEEPEST:
            self.listener.limit_exceeded()
            return None
        # The grammar loses `$2` in `$1/$2`, but not in `${1}/${2}`.
        text = re.sub(r"\$(\d)", r"${\1}", text)
        root = _parser().parse(text.encode("utf-8", "surrogateescape")).root_node
        if root.has_error:
            self.listener.limit_exceeded()
        printed = self._statements(root)
        for name, body in list(self._functions.items()):
            if name not in self._called:
                with self.conditionally():
                    self._function(name, body, ())
        if self.depth == self._outermost:
            while self._traps:
                self._trapped(*self._traps.pop())
        return printed

    def start(self) -> None:
        """Reads start-up files and options from variables: BASH_ENV, ENV, SHELLOPTS, BASHOPTS."""
        for name in ("BASH_ENV", "ENV"):
            texts = self.variables.get(name, ())
            if any(texts):
                with self.conditionally():
                    self.listener.source(self, [ShellWord(texts)], 0)
        for name in ("SHELLOPTS", "BASHOPTS"):
            options = [option for text in self.variables.get(name, ()) for option in text.split(":")]
            self.settings([option for option in options if option not in ("errexit", "pipefail")])  # `sh` ignores them

    # --- lists, conditions and loops

    def _statements(self, root: Node) -> tuple[str, ...] | None:
        """Follows all statements of a text; the last one has the text's exit status."""
        nodes = [node for node in root.children if node.is_named and node.type != "comment"]
        must_succeed, self.must_succeed = self.must_succeed, False
        self._each(nodes[:-1])
        self.must_succeed = must_succeed
        return self._each(nodes[-1:])

    def _each(self, nodes: Sequence[Node]) -> tuple[str, ...] | None:
        printed: tuple[str, ...] | None = None
        for node in nodes:
            if node.is_named and node.type != "comment":
                in_background = node.next_sibling is not None and node.next_sibling.type == "&"
                with self._concurrent() if in_background else nullcontext():
                    printed = self._node(node)
        return printed

    def _node(self, node: Node) -> tuple[str, ...] | None:
        before = self.must_succeed
        self.must_succeed = before and node.type in ("list", "redirected_statement", "command", "pipeline")
        try:
            return self._by_type(node)
        finally:
            self.must_succeed = before

    def _by_type(self, node: Node) -> tuple[str, ...] | None:
        self._line = node.start_point[0]
        handler = _HANDLERS.get(node.type)
        if handler is not None:
            return handler(self, node)
        if node.type == "ERROR":
            self.listener.loose(self, text_of(node), self._line)
            self.listener.limit_exceeded()
        elif node.type in EXPANDED:
            self._expand(node)
            return None
        return self._each(node.children)

    def _list(self, node: Node) -> tuple[str, ...] | None:
        left, sign, right = node.children[0], node.children[1].type, node.children[-1]
        must_succeed = self.must_succeed
        ignores = sign == "||" and not self._fails_with(right)
        if sign == "||":
            self.must_succeed = not ignores
        may_fail = ignores and may_fail_silently(left)
        with self._unchecked() if ignores else nullcontext():
            if may_fail and left.type == "redirected_statement":
                self._redirected(left, may_fail=True)
            else:
                with self.conditionally() if may_fail else nullcontext():
                    self._node(left)
        self.must_succeed = must_succeed
        if sign == "||" and text_of(right) in ("exit", "return"):
            return None  # with the exit status of the failed command
        if is_unsure(node, must_succeed=must_succeed):
            with self.conditionally(text_of(left)):
                return self._node(right)
        return self._node(right)

    def _fails_with(self, node: Node) -> bool:
        """Whether the build fails if the right side of `... || exit 1` runs."""
        return fails(node) and (self.is_checked if text_of(node).startswith("return") else self.fails_build)

    def _pipeline(self, node: Node) -> None:
        """Follows commands that run at the same time: a file may be read before another command writes it."""
        parts = [child for child in node.children if child.is_named]
        if self.is_sure and len(parts) > 1:
            with self.conditionally(), self._unchecked():
                self._parts(parts)
        self._parts(parts)

    def _parts(self, parts: Sequence[Node]) -> None:
        before = self._piped_from
        for number, part in enumerate(parts):
            is_last = part is parts[-1]
            self._piped_from = _program_of(parts[number - 1]) if number else before
            status = nullcontext() if is_last or self.pipefail else self._unchecked()
            with self._own_state(), self._printing(shown=is_last), status:
                self._node(part)
        self._piped_from = before

    def _negated(self, node: Node) -> None:
        with self._unchecked():
            self._each(node.children)

    def _subshell(self, node: Node) -> tuple[str, ...] | None:
        with self._own_state():
            self.fails_build = self.is_checked
            return self._each(node.children)

    def _conditional(self, node: Node) -> None:
        """Follows `if` and `case`: conditions always run, branches may run."""
        asked = True
        start = node.start_byte
        condition = ""  # `case` mostly tests the script's arguments, which are known
        for child in node.children:
            if child.type in ("then", "in"):
                asked = False
            if child.type == "then":
                condition = (node.text or b"")[: child.start_byte - start].decode("utf-8", "surrogateescape")
            if not child.is_named or child.type == "comment":
                continue
            if asked:
                with self._unchecked():
                    self._node(child)
            else:
                with self.conditionally(condition):
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
        matched = False
        for item in node.children_by_field_name("value"):
            for word in self._words(item):
                for text in word.texts:
                    found = self.listener.matching(self, text) if word.is_pattern else ()
                    matched = matched or bool(found)
                    values.extend(found or (text,))
        for text in values:
            self.listener.assigned(self, text, self._line, exported=False)
        if name is not None:
            self.variables[text_of(name)] = self._most(tuple(dict.fromkeys(values))) or (HOLE,)
            self._choices.discard(text_of(name))
        if body is not None:
            self._loop(body, text_of(name) if name is not None else "", sure=matched or _has_value(node))

    def _loop(self, body: Node, name: str = "", *, sure: bool) -> None:
        """Follows a loop's body. If an iteration changes variables, it follows the body a second time.

        name  the variable that each iteration sets
        sure  whether there is at least one iteration
        """
        ended, before = self._returned, (dict(self.variables), dict(self._perhaps))
        given = self.variables.get(name)
        with nullcontext() if sure else self.conditionally():
            self._node(body)
        if given is not None:
            self.variables[name] = given
        if (self.variables, self._perhaps) != before and self.listener.may_continue():
            with self.conditionally():
                self._node(body)
        self._returned = ended

    def _while(self, node: Node) -> None:
        repeats = repeats_until_success(node)
        for child in node.named_children:
            if child.type == "do_group":
                self._loop(child, sure=runs_at_least_once(node))
            elif child.type != "comment":
                with nullcontext() if repeats else self._unchecked():
                    is_negated = repeats and child.type == "negated_command"
                    self._each(child.children if is_negated else [child])

    def _c_style_for(self, node: Node) -> None:
        """Follows `for ((...))`; its counters are unknown."""
        body = node.child_by_field_name("body")
        for child in node.named_children:
            if child == body:
                continue
            for name in re.findall(r"[A-Za-z_]\w*", text_of(child)):
                self._set(name, (HOLE,))
        if body is not None:
            self._loop(body, sure=False)

    def _compound(self, node: Node) -> tuple[str, ...] | None:
        """Follows `{ ...; }` or `(( ... ))`."""
        if text_of(node).startswith("(("):
            self._count(text_of(node))
        return self._each(node.children)

    def _define(self, node: Node) -> None:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is not None and body is not None:
            self._functions[text_of(name)] = body
            self._redirects(node.children_by_field_name("redirect"), sure=False)
            self._called.discard(text_of(name))

    def _function(self, name: str, body: Node, arguments: Sequence[ShellWord]) -> tuple[str, ...] | None:
        self._called.add(name)
        if self.depth >= _DEEPEST:
            self.listener.limit_exceeded()
            return None
        before, self.arguments, self.depth = (self.arguments, self._returned), tuple(arguments), self.depth + 1
        try:
            return self._node(body)
        finally:
            (self.arguments, self._returned), self.depth = before, self.depth - 1


_Handler = Callable[[Shell, "Node"], tuple[str, ...] | None]
_HANDLERS: Mapping[str, _Handler] = {
    "list": Shell._list,
    "pipeline": Shell._pipeline,
    "negated_command": Shell._negated,
    "subshell": Shell._subshell,
    "if_statement": Shell._conditional,
    "case_statement": Shell._conditional,
    "case_item": Shell._case_item,
    "for_statement": Shell._for,
    "while_statement": Shell._while,
    "c_style_for_statement": Shell._c_style_for,
    "function_definition": Shell._define,
    "compound_statement": Shell._compound,
    "redirected_statement": Shell._redirected,
    "file_redirect": Shell._file_redirect,
    "test_command": Shell._test,
    "variable_assignment": Shell._assignment,
    "declaration_command": Shell._declaration,
    "command": Shell._command,
}
_WRITTEN_OUT = frozenset({"word", "string", "raw_string", "number", "concatenation", "brace_expression"})


def _program_of(node: Node) -> str:
    name = node.child_by_field_name("name") if node.type == "command" else None
    return posixpath.basename(text_of(name)) if name is not None else ""


def _has_value(loop: Node) -> bool:
    """Whether a `for` surely has a value: a literal one."""
    values = [value for value in loop.children_by_field_name("value") if value.type in _WRITTEN_OUT]
    is_select = bool(loop.children) and loop.children[0].type == "select"
    return not is_select and any("@" not in text_of(value) and not has_magic(value) for value in values)
