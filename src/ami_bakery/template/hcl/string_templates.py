"""Parses HCL strings, heredocs and templates: escapes, indentation, `~`, interpolations, directives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from ami_bakery.template.expression import syntax
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from tree_sitter import Node

    from ami_bakery.errors import TemplateError
    from ami_bakery.template.expression.syntax import Expression, Part
    from ami_bakery.template.location import SourceLocation

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class TreeReader(Protocol):
    """The methods of the HCL parser that this module needs."""

    source: bytes

    def expression(self, node: Node) -> Expression: ...
    def error(self, node: Node) -> TemplateError: ...
    def location(self, node: Node) -> SourceLocation: ...
    def text(self, node: Node) -> str: ...


class _TemplateToken(Frozen):
    """One token of a template: a literal line, or a mark (`node`) of the given kind."""

    kind: str
    text: str = ""
    node: Node | None = None
    trim_left: bool = False
    trim_right: bool = False


def unescape_quoted(text: str) -> str:
    """Returns the value of a quoted string."""

    def meant(found: re.Match[str]) -> str:
        if found["unicode"]:
            return chr(int(found["unicode"][1:], 16))
        return _ESCAPES.get(found["short"], found[0]) if found["short"] else found[0][1:]

    return re.sub(r"\\(?P<unicode>u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})|\\(?P<short>.)|\$\$(?=\{)|%%(?=\{)", meant, text)


def _unescape_heredoc(text: str) -> str:
    return re.sub(r"\$\$(?=\{)|%%(?=\{)", lambda found: found[0][1:], text)


def read(reader: TreeReader, node: Node) -> Expression:
    """Converts a `quoted_template` or `heredoc_template` node."""
    heredoc = node.type == "heredoc_template"
    if heredoc:
        start, end, flush = _heredoc_bounds(reader, node)
    else:
        start, end, flush = node.start_byte + 1, node.end_byte - 1, False
    tokens = list(_tokens(reader, node, start, end, unescape_with=_unescape_heredoc if heredoc else unescape_quoted))
    tokens = _trimmed(tokens)
    if flush:
        tokens = _without_indentation(tokens)
    parts = _nest(reader, iter(tokens))[0]
    location, written = reader.location(node), reader.text(node)
    return syntax.Template(location=location, written=written, parts=parts, alone=not heredoc)


def without_last_newline(template: syntax.Template, location: SourceLocation, written: str) -> syntax.Template:
    """Removes the line end that parsing a string as a heredoc adds."""
    parts = template.parts
    if parts and isinstance(parts[-1], str):
        last = parts[-1].removesuffix("\n")
        parts = (*parts[:-1], last) if last else parts[:-1]
    return replace(template, parts=parts, location=location, written=written, alone=True)


def _heredoc_bounds(reader: TreeReader, node: Node) -> tuple[int, int, bool]:
    first = next(child for child in node.children if child.type == "heredoc_identifier")
    start = reader.source.index(b"\n", first.end_byte) + 1
    last = node.children[-1]
    end = reader.source.rfind(b"\n", 0, last.start_byte) + 1
    return start, max(end, start), reader.text(node).startswith("<<-")


def _tokens(
    reader: TreeReader, node: Node, start: int, end: int, *, unescape_with: Callable[[str], str]
) -> Iterator[_TemplateToken]:
    position = start
    for mark in _marks(node):
        if mark.type == "template_interpolation" and reader.source[mark.start_byte - 1 : mark.start_byte] == b"$":
            continue  # `$$${x}`: the last two `$` are an escape, which the grammar does not know
        yield from _lines(reader, position, mark.start_byte, unescape_with)
        position = mark.end_byte
        text = reader.text(mark)
        kind = mark.type
        yield _TemplateToken(kind=kind, node=mark, trim_left=text[2:3] == "~", trim_right=text[-2:-1] == "~")
    yield from _lines(reader, position, end, unescape_with)


def _lines(reader: TreeReader, start: int, end: int, unescape_with: Callable[[str], str]) -> Iterator[_TemplateToken]:
    raw = reader.source[start:end].decode("utf-8", "surrogateescape")
    for line in re.findall(r"[^\n]*\n|[^\n]+", raw):
        yield _TemplateToken(kind="literal", text=unescape_with(line))


_MARKS = (
    "template_interpolation",
    "template_if_intro",
    "template_else_intro",
    "template_if_end",
    "template_for_start",
    "template_for_end",
)


def _marks(node: Node) -> Iterator[Node]:
    for child in node.named_children:
        if child.type in _MARKS:
            yield child
        elif child.type in ("template_directive", "template_if", "template_for"):
            yield from _marks(child)


def _without_indentation(tokens: list[_TemplateToken]) -> list[_TemplateToken]:
    """`<<-` removes the smallest indentation from every line; blank lines do not count."""
    at_start, smallest, indented = True, None, []
    for number, token in enumerate(tokens):
        if at_start:
            spaces = 0
            if token.kind == "literal":
                stripped = token.text.lstrip()
                if not stripped and token.text.endswith("\n"):
                    continue
                spaces = len(token.text) - len(stripped)
                indented.append(number)
            smallest = spaces if smallest is None else min(smallest, spaces)
        at_start = token.kind == "literal" and token.text.endswith("\n")
    for number in indented:
        tokens[number] = replace(tokens[number], text=tokens[number].text[smallest or 0 :])
    return tokens


def _trimmed(tokens: list[_TemplateToken]) -> list[_TemplateToken]:
    """Applies `~` marks: each removes white space on its side, from the next token only.

    A line is a token: after `%{ if x ~}` only the line end is removed, not the next line's indentation.
    """
    result = list(tokens)
    for number, token in enumerate(tokens):
        if token.trim_left and number and result[number - 1].kind == "literal":
            result[number - 1] = replace(result[number - 1], text=result[number - 1].text.rstrip())
        if token.trim_right and number + 1 < len(result) and result[number + 1].kind == "literal":
            result[number + 1] = replace(result[number + 1], text=result[number + 1].text.lstrip())
    return result


def _nest(reader: TreeReader, tokens: Iterator[_TemplateToken]) -> tuple[tuple[Part, ...], str]:
    """Returns this level's parts, and the kind of mark that ends it."""
    parts: list[Part] = []
    lines: list[str] = []
    for token in tokens:
        if token.kind == "literal":
            lines.append(token.text)
            continue
        if token.node is not None:
            _end_literal(parts, lines)
        if token.node is None:
            continue
        if token.kind == "template_interpolation":
            parts.append(reader.expression(_inner(reader, token.node)))
        elif token.kind == "template_if_intro":
            then, ended_by = _nest(reader, tokens)
            otherwise: tuple[Part, ...] = ()
            if ended_by == "template_else_intro":
                otherwise, _ = _nest(reader, tokens)
            condition = reader.expression(_inner(reader, token.node))
            parts.append(syntax.If(condition=condition, then=then, otherwise=otherwise))
        elif token.kind == "template_for_start":
            inner, _ = _nest(reader, tokens)
            names = [reader.text(child) for child in token.node.named_children if child.type == "identifier"]
            collection = reader.expression(_inner(reader, token.node))
            key = names[0] if len(names) == 2 else None
            parts.append(syntax.ForEach(key=key, value=names[-1], collection=collection, parts=inner))
        else:
            return tuple(parts), token.kind
    _end_literal(parts, lines)
    return tuple(parts), ""


def _end_literal(parts: list[Part], lines: list[str]) -> None:
    """Joins the lines before a mark to one part."""
    if text := "".join(lines):
        parts.append(text)
    lines.clear()


def _inner(reader: TreeReader, node: Node) -> Node:
    found = next((child for child in node.named_children if child.type == "expression"), None)
    if found is None:
        raise reader.error(node)
    return found
