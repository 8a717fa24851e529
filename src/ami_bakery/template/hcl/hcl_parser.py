"""Parses HCL into syntax nodes, with tree-sitter; syntax errors have their line."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import tree_sitter_hcl
from tree_sitter import Language, Node, Parser

from ami_bakery.errors import TemplateError, TemplateSyntaxError
from ami_bakery.template.expression import syntax
from ami_bakery.template.expression.budget import LARGEST_PARSED, TooCostly
from ami_bakery.template.expression.syntax import Block, Body, Expression, Setting
from ami_bakery.template.hcl import string_templates
from ami_bakery.template.location import SourceLocation

_NOT_IN_GRAMMAR = re.compile(rb"(?<![\w.])\d+(?:\.\d+)?[eE][-+]?\d+(?!\w)|%{3,}\{")

_LONGEST_CHAIN = 500


@functools.cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_hcl.language()))


def refuse(location: SourceLocation, wrong: str) -> TemplateSyntaxError:
    return TemplateSyntaxError(
        f"reading {location}",
        wrong,
        "Fix the file; `packer validate` gives details.",
        marks=(location.mark(wrong),),
    )


def parse_body(source: bytes, file: str) -> Body:
    """Parses an HCL file."""
    reader = _HclReader(_decoded(source, file), file)
    root = reader.parse()
    body = next((child for child in root.children if child.type == "body"), None)
    return reader.body(body) if body else Body()


def parse_expression(text: str, location: SourceLocation) -> Expression:
    """Parses one expression, for example a variable's value from the command line."""
    reader = _HclReader(f"value = {text}\n".encode(), location.file, location.line - 1)
    body = reader.parse().children
    settings = reader.body(body[0]).settings if body else ()
    if len(settings) != 1:
        raise refuse(location, f"{text!r} is not an expression")
    return settings[0].expression


def parse_template(text: str, location: SourceLocation) -> syntax.Template:
    """Parses a string with `${...}` and `%{...}`. `templatefile()` and HCL in JSON have such strings."""
    if len(text) > LARGEST_PARSED:
        raise TooCostly(f"it parses a string of more than {LARGEST_PARSED:,} characters")
    mark = "END_OF_TEMPLATE"
    while mark in text:
        mark += "_"
    source = f"value = <<{mark}\n{text}\n{mark}\n"
    reader = _HclReader(source.encode("utf-8", "surrogateescape"), location.file, location.line - 2)
    root = reader.parse(otherwise=location)
    settings = reader.body(root.children[0]).settings
    setting = settings[0]
    if len(settings) != 1 or not isinstance(setting.expression, syntax.Template):
        raise refuse(location, "the string is not a template")
    return string_templates.without_last_newline(setting.expression, location, text)


def _decoded(source: bytes, file: str) -> bytes:
    source = source.removeprefix(b"\xef\xbb\xbf")
    try:
        source.decode()
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise refuse(SourceLocation(file=file, line=line), "the file is not UTF-8") from None
    return source


class _HclReader:
    """Converts the parse tree of one source to syntax nodes. `first_line`: the number of the line before the first."""

    def __init__(self, source: bytes, file: str, first_line: int = 0) -> None:
        self.source = source if source.endswith(b"\n") else source + b"\n"
        self.file = file
        self.first_line = first_line

    def parse(self, *, otherwise: SourceLocation | None = None) -> Node:
        """Parses the source. `otherwise`: the location for errors in the lines added around a string."""
        root = _parser().parse(self.source).root_node
        if root.has_error and _NOT_IN_GRAMMAR.search(self.source):
            # The grammar does not know `1e3` and `%%%{`: parse digits instead, but keep the text as written.
            plain = _NOT_IN_GRAMMAR.sub(lambda found: b"1" * len(found[0]), self.source)
            root = _parser().parse(plain).root_node
        if root.has_error:
            error = _first_error(root)
            at_the_edge = error.start_point[0] == 0 or error.start_point[0] >= self.source.count(b"\n") - 1
            raise (
                refuse(otherwise, "the template has a syntax error") if otherwise and at_the_edge else self.error(error)
            )
        return root

    def error(self, node: Node) -> TemplateError:
        if node.is_missing:
            return refuse(self.location(node), f"`{node.type}` is missing")
        # An error node of many lines begins long before the mistake: the end of its last child is nearer.
        last = node
        while last.children and last.start_point[0] != last.end_point[0]:
            last = last.children[-1]
        near = self.text(last).strip().splitlines()
        return refuse(self.location(last), f"syntax error near `{near[0][:60]}`" if near else "syntax error")

    def location(self, node: Node) -> SourceLocation:
        return SourceLocation(file=self.file, line=max(1, self.first_line + node.start_point[0] + 1))

    def text(self, node: Node) -> str:
        return self.source[node.start_byte : node.end_byte].decode("utf-8", "surrogateescape")

    # --- bodies

    def body(self, node: Node) -> Body:
        settings, blocks = [], []
        for child in node.named_children:
            if child.type == "attribute":
                name, value = (part for part in child.named_children if part.type != "comment")
                setting = Setting(
                    name=self.text(name), expression=self.expression(value), location=self.location(child)
                )
                settings.append(setting)
            elif child.type == "block":
                blocks.append(self._block(child))
        return Body(settings=tuple(settings), blocks=tuple(blocks))

    def _block(self, node: Node) -> Block:
        labels: list[str] = []
        body = Body()
        for child in node.named_children:
            if child.type == "string_lit":
                labels.append(string_templates.unescape_quoted(self.text(child)[1:-1]))
            elif child.type == "identifier":
                labels.append(self.text(child))
            elif child.type == "body":
                body = self.body(child)
        return Block(type=labels[0], labels=tuple(labels[1:]), body=body, location=self.location(node))

    # --- expressions

    def expression(self, node: Node) -> Expression:
        """Converts an `expression` node: a primary with accesses such as `.name`, `[0]` and `[*]`."""
        if node.type != "expression":
            return self._primary(node)
        children = [child for child in node.children if child.type not in ("comment", "(", ")")]
        result = self._primary(children[0])
        for access in self._few(children[1:]):
            result = self._access(result, access)
        return result

    def _few(self, nodes: list[Node]) -> list[Node]:
        """Limits the parts of a chain such as `a.b[0].c`: each part stores the whole text before it."""
        if len(nodes) > _LONGEST_CHAIN:
            raise refuse(self.location(nodes[0]), f"it chains more than {_LONGEST_CHAIN} accesses")
        return nodes

    def _primary(self, node: Node) -> Expression:
        read = _PRIMARY.get(node.type)
        if read is None:
            raise self.error(node)
        return read(self, node)

    def _only_child(self, node: Node) -> Expression:
        return self._primary(next(child for child in node.named_children if child.type != "comment"))

    def _access(self, of: Expression, node: Node) -> Expression:
        location, written = of.location, of.written + self.text(node)
        if node.type == "get_attr":
            name = self.text(node.named_children[-1])
            return syntax.Attribute(location=location, written=written, of=of, name=name)
        if node.type == "splat":
            return self._splat(of, node.children[0])
        if node.type == "index":
            kind = node.children[0]
            if kind.type == "legacy_index":
                digits = self.text(kind).lstrip(".").strip()
                key: Expression = syntax.Literal(location=location, written=digits, value=_number(digits))
            else:
                key = self.expression(next(part for part in kind.named_children if part.type == "expression"))
            return syntax.Index(location=location, written=written, of=of, key=key)
        raise self.error(node)

    def _splat(self, of: Expression, kind: Node) -> Expression:
        """Converts a splat: `[*]` applies all following accesses to each item, `.*` only attributes."""
        accesses = self._few(kind.named_children)
        count = len(accesses)
        if kind.type == "attr_splat":
            count = next((number for number, access in enumerate(accesses) if access.type != "get_attr"), count)
        each: Expression = syntax.Name(location=of.location, written="", name=syntax.EACH)
        for access in accesses[:count]:
            each = self._access(each, access)
        star = "[*]" if kind.type == "full_splat" else ".*"
        written = of.written + star + each.written
        result: Expression = syntax.Splat(location=of.location, written=written, of=of, each=each)
        for access in accesses[count:]:
            result = self._access(result, access)
        return result

    def _literal(self, node: Node) -> Expression:
        child = node.named_children[0] if node.type == "literal_value" else node
        text, location = self.text(child), self.location(node)
        if child.type == "string_lit":
            inner = string_templates.unescape_quoted(text[1:-1])
            return syntax.Literal(location=location, written=text, value=inner)
        if child.type == "numeric_lit":
            return syntax.Literal(location=location, written=text, value=_number(text))
        return syntax.Literal(location=location, written=text, value={"true": True, "false": False}.get(text))

    def _name(self, node: Node) -> Expression:
        name = self.text(node)
        return syntax.Name(location=self.location(node), written=name, name=name)

    def _template(self, node: Node) -> Expression:
        inner = node.named_children[0] if node.type == "template_expr" else node
        return string_templates.read(self, inner)

    def _call(self, node: Node) -> Expression:
        name = self.text(node.named_children[0])
        arguments: list[Expression] = []
        expand = False
        for child in node.named_children[1:]:
            if child.type == "function_arguments":
                arguments = [self.expression(part) for part in child.named_children if part.type == "expression"]
                expand = any(part.type == "ellipsis" for part in child.children)
        location, written = self.location(node), self.text(node)
        return syntax.FunctionCall(
            location=location, written=written, name=name, arguments=tuple(arguments), expand=expand
        )

    def _conditional(self, node: Node) -> Expression:
        condition, then, otherwise = (part for part in node.named_children if part.type != "comment")
        return self._chosen(node, condition, self.expression(then), self.expression(otherwise))

    def _chosen(self, node: Node, condition: Node, then: Expression, otherwise: Expression) -> Expression:
        # The grammar parses `a ? b : c ? d : e` as `(a ? b : c) ? d : e`; HCL means `a ? b : (c ? d : e)`.
        bare = condition.named_children[0] if condition.child_count == 1 else condition
        if bare.type == "conditional":
            first, second, third = (part for part in bare.named_children if part.type != "comment")
            return self._chosen(node, first, self.expression(second), self._chosen(node, third, then, otherwise))
        return syntax.Conditional(
            location=self.location(node),
            written=self.text(node),
            condition=self.expression(condition),
            then=then,
            otherwise=otherwise,
        )

    def _operation(self, node: Node) -> Expression:
        inner = node.named_children[0]
        parts = self._few([child for child in inner.children if child.type != "comment"])
        # The accesses after a primary in an operation are children of the operation.
        sides: list[Expression | None] = [None]
        operator = ""
        for part in parts:
            if part.type in ("(", ")"):
                continue
            if not part.is_named:
                operator = part.type
                if sides[-1] is not None:
                    sides.append(None)
            elif sides[-1] is None:
                sides[-1] = self.expression(part)
            else:
                sides[-1] = self._access(sides[-1], part)
        left, right = (None, sides[0]) if inner.type == "unary_operation" else (sides[0], sides[-1])
        if right is None or len(sides) > 2:
            raise self.error(node)
        return syntax.Operation(
            location=self.location(node), written=self.text(node), operator=operator, left=left, right=right
        )

    def _tuple(self, node: Node) -> Expression:
        items = tuple(self.expression(child) for child in node.named_children if child.type == "expression")
        return syntax.TupleOf(location=self.location(node), written=self.text(node), items=items)

    def _object(self, node: Node) -> Expression:
        items = []
        for child in node.named_children:
            if child.type == "object_elem":
                key, value = (part for part in child.named_children if part.type == "expression")
                items.append((self._key(key), self.expression(value)))
        return syntax.ObjectOf(location=self.location(node), written=self.text(node), items=tuple(items))

    def _key(self, node: Node) -> Expression:
        """A bare word is a literal key; in parentheses it is a reference."""
        key = self.expression(node)
        if isinstance(key, syntax.Name) and not self.text(node).startswith("("):
            return syntax.Literal(location=key.location, written=key.written, value=key.name)
        return key

    def _for(self, node: Node) -> Expression:
        inner = node.named_children[0] if node.type == "for_expr" else node
        intro = next(child for child in inner.named_children if child.type == "for_intro")
        names = [self.text(child) for child in intro.named_children if child.type == "identifier"]
        collection = next(child for child in intro.named_children if child.type == "expression")
        results = [self.expression(child) for child in inner.named_children if child.type == "expression"]
        filters = [child for child in inner.named_children if child.type == "for_cond"]
        condition = next((part for each in filters for part in each.named_children if part.type == "expression"), None)
        return syntax.For(
            location=self.location(node),
            written=self.text(node),
            key=names[0] if len(names) == 2 else None,
            value=names[-1],
            collection=self.expression(collection),
            key_result=results[0] if inner.type == "for_object_expr" else None,
            result=results[-1],
            condition=self.expression(condition) if condition else None,
            group=any(child.type == "ellipsis" for child in inner.children),
        )


def _number(text: str) -> float:
    """Returns an approximate number; the evaluator parses the text itself."""
    if text.isdigit() and len(text) < 1000:
        return int(text)
    return int(text, 16) if text[:2] in ("0x", "0X") else float(text)


_PRIMARY: dict[str, Callable[[_HclReader, Node], Expression]] = {
    "expression": _HclReader.expression,
    "literal_value": _HclReader._literal,
    "string_lit": _HclReader._literal,
    "template_expr": _HclReader._template,
    "quoted_template": _HclReader._template,
    "heredoc_template": _HclReader._template,
    "variable_expr": _HclReader._name,
    "identifier": _HclReader._name,
    "function_call": _HclReader._call,
    "conditional": _HclReader._conditional,
    "operation": _HclReader._operation,
    "collection_value": _HclReader._only_child,
    "tuple": _HclReader._tuple,
    "object": _HclReader._object,
    "for_expr": _HclReader._for,
    "for_tuple_expr": _HclReader._for,
    "for_object_expr": _HclReader._for,
}


def _first_error(node: Node) -> Node:
    for child in node.children:
        if child.is_error or child.is_missing:
            return child
        if child.has_error:
            return _first_error(child)
    return node
