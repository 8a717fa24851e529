"""Follows simple commands: redirections, assignments and words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from ami_bakery.template.expression.known_values import HOLE
from ami_bakery.template.shell.shell_builtins import ShellCommands
from ami_bakery.template.shell.shell_conditions import is_unsure
from ami_bakery.template.shell.words import ShellWord, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

EXPANDED = frozenset(
    {
        *("word", "string", "raw_string", "concatenation", "simple_expansion", "expansion", "command_substitution"),
        *("arithmetic_expansion", "heredoc_body", "unary_expression", "binary_expression", "parenthesized_expression"),
    }
)
_INTO = frozenset({">", ">>", ">|", "&>", "&>>", ">&"})


class SimpleCommands(ShellCommands):
    """Follows the nodes of simple commands, redirections and assignments."""

    def _node(self, node: Node) -> tuple[str, ...] | None:
        raise NotImplementedError

    def _redirected(self, node: Node, *, may_fail: bool = False) -> tuple[str, ...] | None:
        """Follows a command and its redirections. Redirections happen even if the command fails (`may_fail`)."""
        body, redirects = node.child_by_field_name("body"), node.children_by_field_name("redirect")
        if body is not None and body.type == "command":
            self._substituted_first(body)
        last_of_list = body is not None and body.type == "list"
        if not last_of_list:
            self._redirects(redirects, sure=self.is_sure)
        into_file = any(child.type in _INTO for redirect in redirects for child in redirect.children)
        before, self._fed = self._fed, self._feed(redirects)
        with self._printing(shown=not into_file), self.conditionally() if may_fail else nullcontext():
            printed = self._node(body) if body is not None else None
        self._fed = before
        if last_of_list and body is not None:
            # A redirection after `a && b` belongs to `b`.
            unsure = is_unsure(body, must_succeed=self.must_succeed)
            self._redirects(redirects, sure=self.is_sure and not unsure)
        return printed

    def _substituted_first(self, node: Node) -> None:
        """Follows substitutions first: `echo $(cat file) > file` reads the file before it writes it."""
        for child in node.named_children:
            if child.type == "command_substitution":
                self._substitution(child)
            else:
                self._substituted_first(child)

    def _feed(self, redirects: Sequence[Node]) -> str | None:
        for redirect in redirects:
            body = next((child for child in redirect.children if child.type == "heredoc_body"), None)
            if body is not None:
                return "".join(self._joined(body)[:1])
        return None

    def _redirects(self, redirects: Sequence[Node], *, sure: bool) -> None:
        """Follows redirections in order; after one that fails there are no more: `< missing > file`."""
        for redirect in redirects:
            if redirect.type != "file_redirect":
                self._backquoted(redirect)
                for child in redirect.named_children:
                    if child.type not in ("heredoc_start", "heredoc_end"):
                        self._expand(child)
                        # The rest of the line on which a heredoc begins.
                        if child.type in ("pipeline", "command", "list", "file_redirect", "redirected_statement"):
                            self._node(child)
                continue
            sign = next((child.type for child in redirect.children if not child.is_named), "")
            for child in redirect.children_by_field_name("destination"):
                for word in self._words(child):
                    self.listener.redirection(self, sign, word, redirect.start_point[0], sure=sure)
            sure = sure and (sign != "<" or self.is_checked)

    def _backquoted(self, heredoc: Node) -> None:
        """Follows commands in backquotes within a heredoc. The grammar has no node for them."""
        parts = {child.type: child for child in heredoc.named_children}
        start, body = parts.get("heredoc_start"), parts.get("heredoc_body")
        if start is None or body is None or re.search(r"[\"'\\]", text_of(start)):
            return
        for command in re.findall(r"(?<!\\)`([^`]*)`", text_of(body)):
            with self._own_state(), self.conditionally(), self._printing(shown=False):
                self._eval([ShellWord((command,))], body.start_point[0])

    def _test(self, node: Node) -> None:
        for child in node.named_children:
            for part in (child, *child.named_children):
                if part.type in EXPANDED and part.type not in ("unary_expression", "binary_expression"):
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
        is_choice = False
        if value is not None:
            words = self._words(value)
            texts = self._most(tuple(dict.fromkeys(text for word in words for text in word.texts))) or ("",)
            is_choice = any(word.is_choice for word in words)
        key = text_of(name).partition("[")[0]
        for text in texts:
            self.listener.assigned(self, text, node.start_point[0], exported=exported, name=key)
        if exported or self._exports_all:
            self.exported.add(key)
        if key == "GLOBIGNORE":
            self.dotglob = True
        append = any(child.type == "+=" for child in node.children)
        self._set(
            text_of(name).partition("[")[0],
            (*self.variables.get(text_of(name), ()), *texts) if append else texts,
            is_choice=is_choice,
        )

    def _declaration(self, node: Node) -> None:
        words = {text_of(child) for child in node.children}
        exported = "export" in words or "-x" in words
        changes = any(re.match(r"-\w*[nluci]", word) for word in words)  # `declare -n`, `-l`, `-i` change the value
        for child in node.named_children:
            if child.type == "variable_assignment":
                self._assignment(child, exported=exported)
                if changes:
                    self._set(text_of(child).partition("=")[0].partition("[")[0].rstrip("+"), (HOLE,))
            elif child.type == "variable_name" and exported:
                self.exported.add(text_of(child))
            elif child.type == "variable_name" and node.children[0].type == "local":
                self._set(text_of(child), ("",))
            elif child.type not in ("variable_name", "word"):
                self._declared(child, exported=exported)

    def _declared(self, node: Node, *, exported: bool) -> None:
        """Follows `export "$name=$value"`; the variables of `export $(cat file)` are unknown."""
        for text in (text for word in self._words(node) for text in word.texts):
            name, equals, value = text.partition("=")
            if HOLE in name:
                self.listener.limit_exceeded()
            elif equals:
                self.listener.assigned(self, value, self._line, exported=exported, name=name)
                self._set(name, (value,))
            if exported:
                self.exported.add(name)

    # --- commands

    def _command(self, node: Node) -> tuple[str, ...] | None:
        line, words = node.start_point[0], list[ShellWord]()
        before = dict(self.variables), dict(self._perhaps), set(self.exported)
        given = list[str]()
        for child in node.children:
            if child.type == "variable_assignment":
                self._assignment(child, exported=True)
                given.append(text_of(child).partition("=")[0].partition("[")[0].rstrip("+"))
            elif child.type == "command_name":
                words.extend(word for part in child.children for word in self._words(part))
            elif child.type in ("file_redirect", "herestring_redirect", "heredoc_redirect"):
                self._redirects([child], sure=self.is_sure)
            elif child.is_named and child.type != "comment":
                words.extend(self._words(child))
        printed = self.command(words, line)
        for name in given:
            _put_back(name, self.variables, before[0])
            _put_back(name, self._perhaps, before[1])
        if given:
            self.exported = before[2]
        return printed


def _put_back(name: str, variables: dict[str, tuple[str, ...]], before: Mapping[str, tuple[str, ...]]) -> None:
    if name in before:
        variables[name] = before[name]
    else:
        variables.pop(name, None)
