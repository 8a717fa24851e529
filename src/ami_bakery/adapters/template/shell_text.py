"""Follows a shell text without running it: its commands, their words, redirections, and the folder each runs in.

What a word comes to is worked out as far as the text says it: variables that it sets, environment variables, `dirname`
and its like, loops over lists. A word that may come to several texts has them all; a part that nobody knows is `HOLE`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ami_bakery.core.expression.values import CHECKOUT, HOLE

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_MOST = 16
"""Texts that one word may come to; what is beyond is not looked at."""
_DEEPEST = 12
"""Functions within functions, and texts within texts."""
_NAME = re.compile(r"[A-Za-z_]\w*\Z")
_EXPANSION = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*|\d+|[@*#?$!-])(?:\[[^\]]*\])?(?P<then>.*)\}\Z", re.DOTALL)
_MAGIC = re.compile(r"[*?\[]")
_TESTS = frozenset({"[", "test", "[[", "grep", "egrep", "command", "which", "type", "cmp", "diff", "hash", "false"})
_WRAPPERS: Mapping[str, frozenset[str]] = {
    "sudo": frozenset({"-u", "-g", "-C", "-p", "-h", "-D", "--user", "--group"}),
    "doas": frozenset({"-u", "-C"}),
    "env": frozenset({"-u", "-C", "--unset", "--chdir"}),
    "nice": frozenset({"-n"}),
    "ionice": frozenset({"-c", "-n"}),
    "timeout": frozenset({"-k", "-s", "--signal", "--kill-after"}),
    "stdbuf": frozenset({"-i", "-o", "-e"}),
    "nohup": frozenset(),
    "time": frozenset({"-o", "-f"}),
    "command": frozenset(),
    "builtin": frozenset(),
    "exec": frozenset({"-a"}),
    "setsid": frozenset(),
    "unbuffer": frozenset(),
    "fakeroot": frozenset(),
    "flock": frozenset({"-w", "-E"}),
}
"""Programs that run the command behind their own options; for each, the options that take the next word."""


class Word(NamedTuple):
    """An argument.

    texts       what it may be
    is_pattern  the shell expands `*`, `?` and `[...]` in it
    is_literal  it stands in the text as it is: no value shows where it is shown
    """

    texts: tuple[str, ...]
    is_pattern: bool = False
    is_literal: bool = False


class Call(NamedTuple):
    """A command. `sure`: it runs whenever the text runs. `shown`: what it prints is not read by anything. `fed`: the
    text that it gets on its standard input."""

    words: tuple[Word, ...]
    line: int
    sure: bool
    shown: bool
    fed: str | None = None


class Listener(Protocol):
    """What is done with what a shell does. Paths are as the shell has them: `shell.folder` is where it is."""

    def goes_on(self) -> bool:
        """Asked before each command: whether there is no end of them."""

    def call(self, shell: Shell, call: Call) -> None: ...

    def redirection(self, shell: Shell, sign: str, word: Word, line: int, *, sure: bool) -> None: ...

    def assigned(self, shell: Shell, text: str, line: int, *, exported: bool) -> None: ...

    def loose(self, shell: Shell, text: str, line: int) -> None:
        """A text that is not understood; its words may be files."""

    def source(self, shell: Shell, words: Sequence[Word], line: int) -> None:
        """`. file`: to be run by the same shell."""

    def environment(self, name: str, line: int) -> str:
        """The value of an environment variable, or `HOLE`."""

    def enter(self, folder: str, path: str) -> str:
        """The folder that `cd path` leads to from `folder`."""

    def matching(self, shell: Shell, pattern: str) -> tuple[str, ...]:
        """What a pattern stands for here."""


@lru_cache(maxsize=1)
def _parser() -> Parser:
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


class Shell:
    """One shell process.

    folder     where it is, as a path relative to the root; with `HOLE` in it where that is not known
    variables  those that it has set, each with all texts that it may have
    script     the path of the script that it runs, as `$0` has it
    """

    def __init__(
        self,
        listener: Listener,
        *,
        folder: str,
        variables: Mapping[str, tuple[str, ...]] | None = None,
        script: str = HOLE,
        arguments: Sequence[Word] = (),
        depth: int = 0,
        sure: bool = True,
    ) -> None:
        self.listener = listener
        self.folder = folder
        self.variables = dict(variables or {})
        self.script = script
        self.arguments = tuple(arguments)
        self.depth = depth
        self.sure = sure
        self._perhaps: dict[str, tuple[str, ...]] = {}
        self._functions: dict[str, Node] = {}
        self._called: set[str] = set()
        self._stack: list[str] = []
        self._shown = True
        self._fed: str | None = None
        self._line = 0

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
            self.listener.loose(self, _text(node), self._line)
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

    @contextmanager
    def _printing(self, *, shown: bool) -> Iterator[None]:
        before, self._shown = self._shown, shown and self._shown
        try:
            yield
        finally:
            self._shown = before

    @contextmanager
    def _own_state(self) -> Iterator[None]:
        """A process of its own: what it changes is its own."""
        before = self.folder, dict(self.variables), dict(self._perhaps), list(self._stack)
        try:
            yield
        finally:
            self.folder, self.variables, self._perhaps, self._stack = before

    def _list(self, node: Node) -> tuple[str, ...] | None:
        left, sign, right = node.children[0], node.children[1].type, node.children[-1]
        self._node(left)
        if sign == "||" or (sign == "&&" and _is_test(left)):
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
            self.variables[_text(name)] = tuple(dict.fromkeys(values))[: 4 * _MOST] or (HOLE,)
        if body is not None:
            self._node(body)

    def _define(self, node: Node) -> None:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is not None and body is not None:
            self._functions[_text(name)] = body
            self._called.discard(_text(name))

    def _function(self, name: str, body: Node, arguments: Sequence[Word]) -> tuple[str, ...] | None:
        self._called.add(name)
        if self.depth >= _DEEPEST:
            return None
        before, self.arguments, self.depth = self.arguments, tuple(arguments), self.depth + 1
        try:
            return self._node(body)
        finally:
            self.arguments, self.depth = before, self.depth - 1

    def _redirected(self, node: Node) -> tuple[str, ...] | None:
        body, redirects = node.child_by_field_name("body"), node.children_by_field_name("redirect")
        last_of_list = body is not None and body.type == "list"
        if not last_of_list:
            self._redirects(redirects, sure=self.sure)
        into_file = any(child.type in _INTO for redirect in redirects for child in redirect.children)
        before, self._fed = self._fed, self._feed(redirects)
        with self._printing(shown=not into_file):
            printed = self._node(body) if body is not None else None
        self._fed = before
        if last_of_list and body is not None:
            # A redirection behind `a && b` is that of `b`.
            self._redirects(redirects, sure=self.sure and not _is_unsure(body))
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
        self._redirects([node], sure=self.sure)

    # --- variables

    def _assignment(self, node: Node, *, exported: bool = False) -> None:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None:
            return
        texts: tuple[str, ...] = ("",)
        if value is not None:
            words = self._words(value)
            texts = tuple(dict.fromkeys(text for word in words for text in word.texts))[:_MOST] or ("",)
        for text in texts:
            self.listener.assigned(self, text, node.start_point[0], exported=exported)
        append = any(child.type == "+=" for child in node.children)
        self._set(_text(name).partition("[")[0], (*self.variables.get(_text(name), ()), *texts) if append else texts)

    def _set(self, name: str, texts: tuple[str, ...]) -> None:
        if self.sure:
            self.variables[name] = texts
            self._perhaps.pop(name, None)
        elif name in self.variables:
            self.variables[name] = tuple(dict.fromkeys((*self.variables[name], *texts)))[:_MOST]
        else:
            self._perhaps[name] = tuple(dict.fromkeys((*self._perhaps.get(name, ()), *texts)))[:_MOST]

    def _declaration(self, node: Node) -> None:
        exported = node.children[0].type == "export"
        for child in node.named_children:
            if child.type == "variable_assignment":
                self._assignment(child, exported=exported)
            elif child.type == "variable_name" and node.children[0].type == "local":
                self._set(_text(child), ("",))
            elif child.type not in ("variable_name", "word"):
                self._expand(child)

    def _value(self, name: str) -> tuple[str, ...]:
        if name in self.variables:
            return self.variables[name]
        if name.isdigit():
            return self._positional(int(name))
        if name in ("@", "*"):
            return tuple(text for word in self.arguments for text in word.texts) or (HOLE,)
        if name == "BASH_SOURCE":
            return (self.script,)
        if name in ("PWD", "OLDPWD"):
            return (absolute(self.folder),) if name == "PWD" else (HOLE,)
        if not _NAME.match(name):
            return (HOLE,)
        return tuple(dict.fromkeys((self.listener.environment(name, self._line), *self._perhaps.get(name, ()))))

    def _positional(self, number: int) -> tuple[str, ...]:
        if number == 0:
            return (self.script,)
        return self.arguments[number - 1].texts if number <= len(self.arguments) else (HOLE,)

    # --- words

    def _words(self, node: Node) -> list[Word]:
        """The words that one node comes to: a variable without quotes may be several."""
        if node.type == "array":
            return [word for child in node.named_children for word in self._words(child)]
        if node.type == "process_substitution":
            with self._own_state(), self._printing(shown=_text(node).startswith(">")):
                self._each(node.children)
            return []
        texts = self._expand(node)
        if node.type in ("simple_expansion", "expansion", "command_substitution") or _is_list_of_arguments(node):
            parts = dict.fromkeys(part for text in texts for part in (text.split() or [""]))
            if any(len(text.split()) > 1 for text in texts):
                return [Word((part,), is_pattern=bool(_MAGIC.search(part))) for part in parts]
        return [
            Word(tuple(dict.fromkeys(braced)), is_pattern=_has_magic(node), is_literal=node.type in _LITERAL)
            for braced in _braced(texts, _has_braces(node))
        ]

    def _expand(self, node: Node) -> tuple[str, ...]:
        match node.type:
            case "word" | "number" | "variable_name" | "test_operator" | "regex" | "extglob_pattern":
                return (re.sub(r"\\(\n|.)", lambda found: found[1].strip("\n"), _text(node)),)
            case "raw_string":
                return (_text(node)[1:-1],)
            case "ansi_c_string":
                return (_text(node)[2:-1].replace("\\n", "\n").replace("\\t", "\t").replace("\\'", "'"),)
            case "string_content" | "heredoc_content":
                return (re.sub(r"\\([\"\\$`]|\n)", lambda found: found[1].strip("\n"), _text(node)),)
            case "simple_expansion":
                return self._value(_text(node)[1:])
            case "expansion":
                return self._expansion(node)
            case "command_substitution":
                return self._substitution(node)
            case "arithmetic_expansion":
                self._each_expanded(node)
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
        """The children's texts and what stands between them, which the grammar has no node for."""
        if not node.child_count:
            return (_text(node),)
        source, start = node.text or b"", node.start_byte
        made, position = [""], start
        for child in node.children:
            between = source[position - start : child.start_byte - start].decode("utf-8", "surrogateescape")
            position = child.end_byte
            if child.type in ('"', "$"):
                texts: tuple[str, ...] = ("",)
            else:
                texts = self._expand(child) if child.is_named else (_text(child),)
            made = [f"{before}{between}{text}" for before in made for text in texts][:_MOST]
        rest = source[position - start :].decode("utf-8", "surrogateescape")
        return tuple(before + rest for before in made)

    def _expansion(self, node: Node) -> tuple[str, ...]:
        found = _EXPANSION.match(_text(node))
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
        if then.startswith((":-", "-", ":=", "=")):
            return tuple(dict.fromkeys((*(text for text in texts if text), *other) if _open(texts) else texts))
        if then.startswith((":+", "+")):
            return tuple(dict.fromkeys(("", *other)))
        if then.startswith((":?", "?")):
            return texts
        if then.startswith(("%", "#")):
            return tuple(_stripped(text, then) for text in texts)
        return (HOLE,)

    def _substitution(self, node: Node) -> tuple[str, ...]:
        with self._own_state(), self._printing(shown=False):
            before, self._shown = self._shown, False
            printed = self._each(node.children)
            self._shown = before
        return printed if printed is not None else (HOLE,)

    # --- commands

    def _command(self, node: Node) -> tuple[str, ...] | None:
        line, words, before = node.start_point[0], list[Word](), (dict(self.variables), dict(self._perhaps))
        for child in node.children:
            if child.type == "variable_assignment":
                self._assignment(child, exported=True)
            elif child.type == "command_name":
                words.extend(word for part in child.children for word in self._words(part))
            elif child.type in ("file_redirect", "herestring_redirect", "heredoc_redirect"):
                self._redirects([child], sure=self.sure)
            elif child.is_named and child.type != "comment":
                words.extend(self._words(child))
        printed = self.command(words, line)
        if node.children and node.children[0].type == "variable_assignment":
            self.variables, self._perhaps = before
        return printed

    def command(self, words: Sequence[Word], line: int) -> tuple[str, ...] | None:
        """Runs one command; what it prints, where that is known."""
        words = _unwrapped(words)
        if not words or not self.listener.goes_on():
            return None
        name, arguments = words[0].texts[0], words[1:]
        if name in self._functions:
            return self._function(name, self._functions[name], arguments)
        builtin = _BUILTINS.get(name)
        if builtin is not None:
            return builtin(self, arguments, line)
        self.listener.call(self, Call(tuple(words), line, self.sure, self._shown, self._fed))
        return _printed(self, name, [word.texts for word in arguments])

    def _cd(self, arguments: Sequence[Word], _line: int) -> tuple[str, ...]:
        paths = [word.texts[0] for word in arguments if not re.fullmatch(r"-[LPe@]+|--", word.texts[0])]
        self._stack = [self.folder]
        self.folder = self.listener.enter(self.folder, paths[0]) if paths else "/" + HOLE
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
            if _NAME.match(word.texts[0]):
                self._set(word.texts[0], (HOLE,))

    def _unset(self, arguments: Sequence[Word], _line: int) -> None:
        for word in arguments:
            self._set(word.texts[0], ("",))

    def _set_arguments(self, arguments: Sequence[Word], _line: int) -> None:
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
_LITERAL = frozenset({"word", "raw_string", "number"})
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
    "set": Shell._set_arguments,
}


def absolute(folder: str) -> str:
    """A folder relative to the root as an absolute path."""
    if folder.startswith("/") or HOLE in folder:
        return folder
    return CHECKOUT if folder == "." else f"{CHECKOUT}/{folder}"


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
            return ("/tmp/" + HOLE,)  # noqa: S108
        case _:
            return None


def _unwrapped(words: Sequence[Word]) -> Sequence[Word]:
    """Without `sudo`, `env A=b` and their like."""
    while words and (options := _WRAPPERS.get(posixpath.basename(words[0].texts[0]))) is not None:
        name, words = posixpath.basename(words[0].texts[0]), words[1:]
        while words:
            text = words[0].texts[0]
            if text.startswith("-") and text != "-":
                words = words[2:] if text in options else words[1:]
            elif re.match(r"[A-Za-z_]\w*=", text):
                words = words[1:]
            else:
                break
        if name in ("timeout", "flock") and len(words) > 1:
            words = words[1:]
    return words


def _is_test(node: Node) -> bool:
    """Whether a command is there to be asked: what follows `&&` depends on the answer."""
    if node.type in ("test_command", "negated_command"):
        return True
    if node.type == "list":
        return _is_unsure(node) or _is_test(node.children[-1])
    if node.type in ("redirected_statement", "pipeline"):
        inner = node.child_by_field_name("body") or (node.named_children[-1] if node.named_children else None)
        return inner is not None and _is_test(inner)
    name = node.child_by_field_name("name") if node.type == "command" else None
    return name is not None and posixpath.basename(_text(name)) in _TESTS


def _is_unsure(node: Node) -> bool:
    """Whether the last command of a list runs only on a condition."""
    if node.type != "list":
        return False
    sign, left = node.children[1].type, node.children[0]
    return sign == "||" or _is_test(left)


def _is_list_of_arguments(node: Node) -> bool:
    return node.type == "string" and _text(node) in ('"$@"', '"${@}"')


def _has_magic(node: Node) -> bool:
    if node.type == "word":
        return bool(_MAGIC.search(_text(node)))
    if node.type in ("simple_expansion", "expansion", "extglob_pattern"):
        return True
    return node.type == "concatenation" and any(_has_magic(child) for child in node.named_children)


def _has_braces(node: Node) -> bool:
    return node.type in ("word", "concatenation", "brace_expression") and "{" in _text(node)


def _braced(texts: Sequence[str], has_braces: bool) -> list[tuple[str, ...]]:
    """`a{b,c}` is two words."""
    if not has_braces:
        return [tuple(texts)]
    made = [part for text in texts for part in _unbraced(text)][: 4 * _MOST]
    return [(part,) for part in made]


def _unbraced(text: str, depth: int = 0) -> list[str]:
    found = re.search(r"\{([^{}]*,[^{}]*)\}", text) if depth < 4 else None
    if found is None:
        return [text]
    return [
        whole
        for part in found[1].split(",")
        for whole in _unbraced(f"{text[: found.start()]}{part}{text[found.end() :]}", depth + 1)
    ]


def _open(texts: Sequence[str]) -> bool:
    """Whether a variable may be empty, so that its default counts."""
    return any(not text or HOLE in text for text in texts)


def _stripped(text: str, then: str) -> str:
    """`${x%pattern}` and its three siblings."""
    sign = then[:2] if then[:2] in ("%%", "##") else then[:1]
    pattern = then[len(sign) :].strip("\"'")
    if "$" in pattern:
        return HOLE
    matcher = re.compile(translate(pattern))
    upwards = sign in ("%%", "#")
    cuts = range(len(text) + 1) if upwards else range(len(text), -1, -1)
    for cut in cuts:
        part = text[cut:] if sign.startswith("%") else text[:cut]
        if matcher.match(part):
            return text[:cut] if sign.startswith("%") else text[cut:]
    return text


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "surrogateescape")
