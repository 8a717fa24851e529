"""Syntax nodes of expressions, blocks and templates. HCL and HCL in JSON share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.template.expression.known_values import Value
    from ami_bakery.template.location import SourceLocation


class SyntaxNode(Frozen):
    """A node with its location and its source text."""

    location: SourceLocation
    written: str


class Literal(SyntaxNode):
    value: Value


class If(Frozen):
    condition: Expression
    then: tuple[Part, ...]
    otherwise: tuple[Part, ...]


class ForEach(Frozen):
    key: str | None
    value: str
    collection: Expression
    parts: tuple[Part, ...]


class Template(SyntaxNode):
    """A string with `${...}` and `%{...}`. `alone`: a single interpolation keeps its type."""

    parts: tuple[Part, ...]
    alone: bool


class Name(SyntaxNode):
    name: str


class Attribute(SyntaxNode):
    of: Expression
    name: str


class Index(SyntaxNode):
    of: Expression
    key: Expression


class Splat(SyntaxNode):
    """`of[*]` with the accesses after it; in `each`, the name `EACH` is one item."""

    of: Expression
    each: Expression


EACH = "*"


class FunctionCall(SyntaxNode):
    """A function call. `expand`: the last argument is expanded (`f(xs...)`)."""

    name: str
    arguments: tuple[Expression, ...]
    expand: bool


class Conditional(SyntaxNode):
    condition: Expression
    then: Expression
    otherwise: Expression


class Operation(SyntaxNode):
    """A binary operation; a unary one has no `left`."""

    operator: str
    left: Expression | None
    right: Expression


class TupleOf(SyntaxNode):
    items: tuple[Expression, ...]


class ObjectOf(SyntaxNode):
    items: tuple[tuple[Expression, Expression], ...]


class For(SyntaxNode):
    """`[for k, v in xs : value if condition]`; with `key_result`, `{for ... : key_result => value}`."""

    key: str | None
    value: str
    collection: Expression
    key_result: Expression | None
    result: Expression
    condition: Expression | None
    group: bool


Expression: TypeAlias = (
    Literal
    | Template
    | Name
    | Attribute
    | Index
    | Splat
    | FunctionCall
    | Conditional
    | Operation
    | TupleOf
    | ObjectOf
    | For
)
Part: TypeAlias = str | If | ForEach | Expression


class Setting(Frozen):
    """`name = expression` in a body."""

    name: str
    expression: Expression
    location: SourceLocation


class Block(Frozen):
    type: str
    labels: tuple[str, ...]
    body: Body
    location: SourceLocation


class Body(Frozen):
    settings: tuple[Setting, ...] = ()
    blocks: tuple[Block, ...] = ()

    def setting(self, name: str) -> Setting | None:
        return next((setting for setting in self.settings if setting.name == name), None)

    def of_type(self, *types: str) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if block.type in types)
