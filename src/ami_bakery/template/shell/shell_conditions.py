"""Decides whether a command of a shell text surely runs."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from ami_bakery.template.shell.words import text_of

if TYPE_CHECKING:
    from tree_sitter import Node

_SURE = frozenset(
    {
        *("cp", "mv", "mkdir", "rm", "ln", "install", "touch", "chmod", "chown", "chgrp", "mktemp", "truncate"),
        *("tar", "gtar", "bsdtar", "zip", "unzip", "gzip", "gunzip", "xz", "unxz", "bzip2", "bunzip2", "zstd", "dd"),
        *("cd", "pushd", "popd", "set", "export", "umask", "true", ":", "echo", "printf", "sleep", "pwd", "unset"),
        *("tee", "date", "curl", "wget", "openssl", "base64", "envsubst"),
    }
)
"""Commands that are run for their effect, and are expected to succeed. Any other may be a condition."""
_NEEDS_OPTION = {"mkdir": "p", "rm": "f", "ln": "f"}
"""Of these, commands that fail if a path exists, or is missing, and the option that prevents this."""
_TESTS = frozenset(
    {"[", "test", "[[", "grep", "egrep", "command", "which", "type", "cmp", "diff", "hash", "false", "stat", "ls", "id"}
)
"""Commands that are conditions."""
_FAILING_EXIT = re.compile(r"(?:exit|return)(?:\s+0*[1-9]\d*)?\Z|\{[^{}]*\bexit\s+0*[1-9]\d*\s*;?\s*\}\Z", re.DOTALL)


def may_be_condition(node: Node) -> bool:
    """Whether a command may be a condition. Then the command after `&&` may not run."""
    if node.type in ("declaration_command", "variable_assignment", "unset_command"):
        return False
    if node.type == "list":
        return is_unsure(node) or may_be_condition(node.children[-1])
    if node.type == "redirected_statement":
        inner = node.child_by_field_name("body")
        return (inner is not None and may_be_condition(inner)) or _expects_failure(node)
    if node.type in ("pipeline", "subshell", "compound_statement"):
        return not node.named_children or any(map(may_be_condition, node.named_children))
    name = _name_of(node)
    return name not in _SURE or (name in _NEEDS_OPTION and not _has_option(node, _NEEDS_OPTION[name]))


def _has_option(node: Node, letter: str) -> bool:
    return any(re.match(rf"-\w*{letter}|--(?:force|parents)\b", text_of(child)) for child in node.named_children)


def _expects_failure(node: Node) -> bool:
    """Whether a command expects a failure: `2>/dev/null`."""
    return any(re.match(r"2>|&>", text_of(redirect)) for redirect in node.children_by_field_name("redirect"))


def is_condition(node: Node) -> bool:
    """Whether a command surely is a condition."""
    if node.type in ("test_command", "negated_command"):
        return True
    if node.type == "list":
        return node.children[1].type == "||" or is_condition(node.children[-1]) or is_condition(node.children[0])
    if node.type in ("redirected_statement", "pipeline"):
        inner = node.child_by_field_name("body") or (node.named_children[-1] if node.named_children else None)
        return inner is not None and is_condition(inner)
    return _name_of(node) in _TESTS


def may_fail_silently(node: Node) -> bool:
    """Whether a command before `|| true` may fail without a visible error."""
    if node.type == "redirected_statement":
        inner = node.child_by_field_name("body")
        return (inner is not None and may_fail_silently(inner)) or _expects_failure(node)
    return may_be_condition(node) or _name_of(node) in ("curl", "wget")


def _name_of(node: Node) -> str:
    name = node.child_by_field_name("name") if node.type == "command" else None
    return posixpath.basename(text_of(name)) if name is not None else ""


def is_unsure(node: Node, *, must_succeed: bool = False) -> bool:
    """Whether the last command of a list may not run.

    must_succeed  whether the build fails if the list does, so that only sure conditions count
    """
    if node.type != "list":
        return False
    sign, left = node.children[1].type, node.children[0]
    return sign == "||" or (is_condition(left) if must_succeed else may_be_condition(left))


def fails(node: Node) -> bool:
    """Whether the command after `||` ends the script with a failure."""
    return _FAILING_EXIT.match(text_of(node)) is not None


def runs_at_least_once(node: Node) -> bool:
    """Whether the body of a `while` or `until` runs at least once."""
    condition = next((child for child in node.named_children if child.type not in ("comment", "do_group")), None)
    until = bool(node.children) and node.children[0].type == "until"
    return condition is not None and text_of(condition) in (("false",) if until else ("true", ":"))


def repeats_until_success(node: Node) -> bool:
    """Whether a loop ends only after its command has succeeded: `until COMMAND` or `while ! COMMAND`."""
    condition = next((child for child in node.named_children if child.type != "comment"), None)
    is_until = bool(node.children) and node.children[0].type == "until"
    may_leave = re.search(r"\b(?:break|return|exit|continue)\b", text_of(node)) is not None
    negated = condition is not None and condition.type == "negated_command"
    return negated != is_until and not may_leave


def depends_on_files(condition: str) -> bool:
    """Whether a condition may depend on more than the script's arguments: on files or variables."""
    words = re.sub(r"\A\s*(?:el)?if\b|[;\n]\s*\Z|(?:&&|\|\|)", " ", condition)
    of_files = r"(?:\[|test|!|-a|-o|&&|\|\||\()\s+-[abcdefghkLNOprsStuwx]\s|\s-(?:nt|ot|ef)\s|\$\(|`|<|\$\{?[A-Za-z_]"
    only_tests = r"(?:\s*!?\s*(?:\[{1,2}|test|\(\()\s.*)?\s*"
    return bool(re.search(of_files, condition) or not re.fullmatch(only_tests, words, re.DOTALL))
