"""Parses type constraints: `list(string)`, `object({ a = optional(number, 1) })`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.template.expression import cty, cty_types, syntax
from ami_bakery.template.expression.convert import convert, unified
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.cty_types import BOOL, DYNAMIC, NUMBER, STRING, Type
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ami_bakery.template.expression.syntax import Expression

_WORDS = {"string": STRING, "number": NUMBER, "bool": BOOL, "any": DYNAMIC}


class Defaults(Frozen):
    """Defaults of `optional(type, default)`, at every depth. Elements of a collection have the name ""."""

    type: Type
    values: Mapping[str, Cty] = field(default_factory=dict)
    children: Mapping[str, Defaults] = field(default_factory=dict)


def type_of(expression: Expression) -> Type:
    """Returns the type; raises `EvaluationError` if the expression is not a type."""
    return constraint(expression)[0]


def constraint(expression: Expression) -> tuple[Type, Defaults | None]:
    expression = _unwrapped(expression)
    if isinstance(expression, syntax.Name) and expression.name in _WORDS:
        return _WORDS[expression.name], None
    if not isinstance(expression, syntax.FunctionCall) or len(expression.arguments) != 1:
        raise EvaluationError("it is not a type")
    inner = _unwrapped(expression.arguments[0])
    if expression.name in ("list", "set", "map"):
        kind, defaults = constraint(inner)
        result = Type(expression.name, (kind,))
        return result, Defaults(type=result, children={"": defaults}) if defaults else None
    if expression.name == "tuple" and isinstance(inner, syntax.TupleOf):
        pairs = [constraint(item) for item in inner.items]
        result = cty_types.tuple_of(*(kind for kind, _ in pairs))
        children = {str(number): defaults for number, (_, defaults) in enumerate(pairs) if defaults}
        return result, Defaults(type=result, children=children) if children else None
    if expression.name == "object" and isinstance(inner, syntax.ObjectOf):
        return _object(inner)
    raise EvaluationError("it is not a type")


def _unwrapped(expression: Expression) -> Expression:
    """Unwraps a type in a string, as HCL in JSON has it."""
    if isinstance(expression, syntax.Literal) and isinstance(expression.value, str) and expression.value in _WORDS:
        return syntax.Name(location=expression.location, written=expression.written, name=expression.value)
    return expression


def _object(inner: syntax.ObjectOf) -> tuple[Type, Defaults | None]:
    attributes: dict[str, Type] = {}
    optional: list[str] = []
    values: dict[str, Cty] = {}
    children: dict[str, Defaults] = {}
    for key, of in inner.items:
        if not isinstance(key, syntax.Literal) or not isinstance(key.value, str) or key.value in attributes:
            raise EvaluationError("it is not a type")
        name = key.value
        if isinstance(of, syntax.FunctionCall) and of.name == "optional" and 1 <= len(of.arguments) <= 2:
            optional.append(name)
            kind, defaults = constraint(of.arguments[0])
            if len(of.arguments) == 2:
                values[name] = convert(_constant(of.arguments[1]), kind)
        else:
            kind, defaults = constraint(of)
        attributes[name] = kind
        if defaults:
            children[name] = defaults
    result = cty_types.object_of(attributes, tuple(optional))
    with_defaults = Defaults(type=result, values=values, children=children) if values or children else None
    return result, with_defaults


def _constant(expression: Expression) -> Cty:
    from ami_bakery.template.expression.evaluate import Scope, evaluate_node

    return evaluate_node(expression, Scope())


def with_defaults(value: Cty, defaults: Defaults | None) -> Cty:
    """Sets the defaults of optional attributes, before the conversion to the type."""
    if defaults is None or not value.is_known or value.is_null:
        return value
    if value.type.is_sequence:
        items = [with_defaults(item, _child(defaults, number)) for number, item in enumerate(value.raw)]
        if value.type.kind == "tuple":
            return cty.tuple_value(items).taint_by(value)
        return _rebuilt(value, items)
    if not value.type.is_mapping:
        return value
    result = {name: with_defaults(item, _child(defaults, name)) for name, item in value.raw.items()}
    for name, default in defaults.values.items():
        if name not in result or result[name].is_null:
            result[name] = with_defaults(default, defaults.children.get(name))
    if value.type.kind == "map":
        try:
            return cty.map_value(dict(zip(result, unified(list(result.values()), unsafe=True), strict=True))).taint_by(
                value
            )
        except (EvaluationError, Unsure):
            pass
    return cty.object_value(result).taint_by(value)


def _rebuilt(value: Cty, items: list[Cty]) -> Cty:
    try:
        same = unified(items, unsafe=True)
    except (EvaluationError, Unsure):
        return cty.tuple_value(items).taint_by(value)
    build = cty.set_value if value.type.kind == "set" else cty.list_value
    return build(same, value.type.element).taint_by(value)


def _child(defaults: Defaults, key: str | int) -> Defaults | None:
    if isinstance(key, int) and defaults.type.kind == "tuple":
        return defaults.children.get(str(key))
    if isinstance(key, str) and defaults.type.kind == "object":
        return defaults.children.get(key)
    return defaults.children.get("")
