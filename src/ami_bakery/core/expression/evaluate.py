"""Works expressions out: what is known becomes a value, and the rest says why it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, assert_never
from unicodedata import normalize

from ami_bakery.core.expression import operators, syntax
from ami_bakery.core.expression.functions import FUNCTIONS, Function
from ami_bakery.core.expression.values import (
    Text,
    Unknown,
    Value,
    as_bool,
    as_text,
    concatenate,
    first_unknown,
    is_mapping,
    is_sequence,
    is_tainted,
    names_checkout,
    taint,
)
from ami_bakery.values import Frozen, field, replace

if TYPE_CHECKING:
    from ami_bakery.core.expression.syntax import Expression, Part
    from ami_bakery.core.place import Place

Surrounding: TypeAlias = "Callable[[syntax.Call, Sequence[Value], Scope], Value]"
"""A function that asks the surroundings, such as `file()`: it gets the call, its arguments and where it is called."""


class Scope(Frozen):
    """What an expression can see.

    names        the root names (`var`, `local`, `path`, ...) and what they hold
    surroundings functions that ask more than their arguments
    optional     an error here is no error of the template: the branch not taken, or the inside of `try()`
    """

    names: Mapping[str, Value] = field(default_factory=dict)
    surroundings: Mapping[str, Surrounding] = field(default_factory=dict)
    optional: bool = False

    def binding(self, **names: Value) -> Scope:
        return replace(self, names={**self.names, **names})


def evaluate(expression: Expression, scope: Scope) -> Value:
    match expression:
        case syntax.Literal(value=value):
            return Text(normalize("NFC", value), expression.place) if isinstance(value, str) else value
        case syntax.Template():
            return _template(expression, scope)
        case syntax.Name(name=name):
            if name in scope.names:
                return scope.names[name]
            return Unknown(why=f"`{name}` is not known here")
        case syntax.Attribute(of=of, name=name):
            return pick(evaluate(of, scope), name)
        case syntax.Index(of=of, key=key):
            position = evaluate(key, scope)
            return _tainted_by(pick(evaluate(of, scope), position), (position,), expression.place)
        case syntax.TupleOf(items=items):
            return tuple(evaluate(item, scope) for item in items)
        case _:
            return _compound(expression, scope)


def _compound(
    expression: syntax.Splat | syntax.Call | syntax.Conditional | syntax.Operation | syntax.ObjectOf | syntax.For,
    scope: Scope,
) -> Value:
    match expression:
        case syntax.Splat():
            return _splat(expression, scope)
        case syntax.Call():
            return _call(expression, scope)
        case syntax.Conditional():
            return _conditional(expression, scope)
        case syntax.Operation():
            return _operation(expression, scope)
        case syntax.ObjectOf():
            return _object(expression, scope)
        case syntax.For():
            return _for(expression, scope)
        case _:
            assert_never(expression)


def pick(value: Value, key: Value) -> Value:
    """`value[key]` or `value.key`."""
    if isinstance(value, Unknown):
        return value
    if isinstance(key, Unknown):
        return key
    if is_mapping(value):
        name = as_text(key)
        if isinstance(name, Unknown):
            return name
        return value[name] if name in value else Unknown(why="there is no such attribute or key")
    if is_sequence(value):
        index = operators.whole_number(key)
        if isinstance(index, int) and 0 <= index < len(value):
            return value[index]
        return Unknown(why="there is no such item in the list")
    return Unknown(why="a value that has no parts is asked for one")


def items_of(value: Value) -> Unknown | list[tuple[Value, Value]]:
    """What a `for` goes through, as pairs of key and value; maps in the order of their keys, as in HCL."""
    if isinstance(value, Unknown):
        return value
    if is_mapping(value):
        return [(key, value[key]) for key in sorted(value)]
    if is_sequence(value):
        return list(enumerate(value))
    return Unknown(why="a value that is no list and no map is gone through item by item")


def _template(template: syntax.Template, scope: Scope) -> Value:
    if template.alone and len(template.parts) == 1:
        only = template.parts[0]
        if not isinstance(only, str | syntax.If | syntax.ForEach):
            return evaluate(only, scope)
    text = render(template.parts, scope)
    if isinstance(text, Unknown):
        return text
    return Text(normalize("NFC", text), template.place, tainted=is_tainted(text))


def render(parts: Sequence[Part], scope: Scope) -> str | Unknown:
    return concatenate(_pieces(parts, scope))


def _pieces(parts: Sequence[Part], scope: Scope) -> Iterator[tuple[Value, str]]:
    for part in parts:
        if isinstance(part, str):
            yield part, part
        elif isinstance(part, syntax.If):
            condition = as_bool(evaluate(part.condition, scope))
            if isinstance(condition, Unknown):
                yield replace(condition, pattern="", known=""), "%{ if " + part.condition.written + " }...%{ endif }"
                for branch in (part.then, part.otherwise):  # to meet the files that either branch reads
                    render(branch, replace(scope, optional=True))
            else:
                yield from _pieces(part.then if condition else part.otherwise, scope)
        elif isinstance(part, syntax.ForEach):
            yield from _repeated(part, scope)
        else:
            value = evaluate(part, scope)
            yield value, "${" + part.written + "}"


def _repeated(part: syntax.ForEach, scope: Scope) -> Iterator[tuple[Value, str]]:
    items = items_of(evaluate(part.collection, scope))
    if isinstance(items, Unknown):
        yield items, "%{ for " + part.value + " in " + part.collection.written + " }...%{ endfor }"
        return
    for key, value in items:
        names = {part.value: value} | ({part.key: key} if part.key else {})
        yield from _pieces(part.parts, scope.binding(**names))


def _splat(splat: syntax.Splat, scope: Scope) -> Value:
    value = evaluate(splat.of, scope)
    if isinstance(value, Unknown):
        return value
    if value is None:
        return ()
    items = value if is_sequence(value) else (value,)
    return tuple(evaluate(splat.each, scope.binding(**{syntax.EACH: item})) for item in items)


def _conditional(expression: syntax.Conditional, scope: Scope) -> Value:
    # HCL works both branches out, and forgives the errors of the one not taken.
    condition = as_bool(evaluate(expression.condition, scope))
    maybe = replace(scope, optional=True)
    if isinstance(condition, Unknown):
        then, otherwise = evaluate(expression.then, maybe), evaluate(expression.otherwise, maybe)
        if operators.same(then, otherwise):
            return then
        tainted = is_tainted((condition, then, otherwise))
        return Unknown(why=condition.why, candidates=(then, otherwise), tainted=tainted)
    taken, other = (expression.then, expression.otherwise) if condition else (expression.otherwise, expression.then)
    evaluate(other, maybe)
    return _tainted_by(evaluate(taken, scope), (evaluate(expression.condition, maybe),), expression.place)


def _operation(expression: syntax.Operation, scope: Scope) -> Value:
    right = evaluate(expression.right, scope)
    if expression.left is None:
        return _tainted_by(operators.unary(expression.operator, right), (right,), expression.place)
    left = evaluate(expression.left, scope)
    return _tainted_by(operators.binary(expression.operator, left, right), (left, right), expression.place)


def _object(expression: syntax.ObjectOf, scope: Scope) -> Value:
    made: dict[str, Value] = {}
    for key_expression, value_expression in expression.items:
        key = as_text(evaluate(key_expression, scope))
        value = evaluate(value_expression, scope)
        if isinstance(key, Unknown):
            return key
        made[key] = value
    return made


def _for(expression: syntax.For, scope: Scope) -> Value:
    items = items_of(evaluate(expression.collection, scope))
    if isinstance(items, Unknown):
        return items
    scopes = [
        scope.binding(**({expression.value: value} | ({expression.key: key} if expression.key else {})))
        for key, value in items
    ]
    if expression.condition:
        kept = []
        for inner in scopes:
            condition = as_bool(evaluate(expression.condition, inner))
            if isinstance(condition, Unknown):
                return condition
            if condition:
                kept.append(inner)
        scopes = kept
    if expression.key_result is None:
        return tuple(evaluate(expression.result, inner) for inner in scopes)
    return _for_object(expression, expression.key_result, scopes)


def _for_object(expression: syntax.For, key_expression: Expression, scopes: list[Scope]) -> Value:
    made: dict[str, Value] = {}
    for inner in scopes:
        key, value = as_text(evaluate(key_expression, inner)), evaluate(expression.result, inner)
        if isinstance(key, Unknown):
            return key
        if expression.group:
            before = made.get(key, ())
            made[key] = (*before, value) if is_sequence(before) else (value,)
        elif key in made:
            return Unknown(why="a key occurs twice in a `for`")
        else:
            made[key] = value
    return made


def _call(call: syntax.Call, scope: Scope) -> Value:
    if call.name in ("try", "can"):
        return _try(call, scope)
    arguments = [evaluate(argument, scope) for argument in call.arguments]
    if call.expand and arguments:
        last = arguments.pop()
        if not is_sequence(last):
            return last if isinstance(last, Unknown) else Unknown(why=f"`{call.name}()` spreads what is no list")
        arguments.extend(last)
    if call.name in scope.surroundings:
        return scope.surroundings[call.name](call, arguments, scope)
    function = FUNCTIONS.get(call.name)
    if function is None:
        return Unknown(why=f"what `{call.name}()` gives is known only to Packer")
    given = apply(function, call.name, arguments)
    return (
        given
        if function.structural and call.name not in ("length", "lookup")
        else _tainted_by(given, arguments, call.place)
    )


def _tainted_by(value: Value, sources: Sequence[Value], place: Place) -> Value:
    return taint(value, place) if any(is_tainted(source) for source in sources) else value


def apply(function: Function, name: str, arguments: Sequence[Value]) -> Value:
    """Calls a function of values alone, and carries over what is not known in its arguments."""
    unknown = next((argument for argument in arguments if isinstance(argument, Unknown)), None)
    if unknown is None and not function.structural:
        unknown = next((found for argument in arguments if (found := first_unknown(argument))), None)
    if unknown:
        return Unknown(why=unknown.why, tainted=unknown.tainted)
    if not function.sees_checkout and any(names_checkout(argument) for argument in arguments):
        return Unknown(why=f"what `{name}()` makes of it depends on where the checkout lies")
    try:
        return function.call(*arguments)
    except (TypeError, ValueError, LookupError, ArithmeticError):
        return Unknown(why=f"`{name}()` cannot be worked out")


def _try(call: syntax.Call, scope: Scope) -> Value:
    # Whether Packer fails where we do not know is not ours to say, so that an unknown ends the search.
    inner = replace(scope, optional=True)
    values = [evaluate(argument, inner) for argument in call.arguments]
    for value in values:
        unknown = first_unknown(value)
        if unknown is None:
            return True if call.name == "can" else value
        if not unknown.why.startswith(("there is no ", "a value that ")):
            return unknown
    return False if call.name == "can" else Unknown(why="no alternative of `try()` can be worked out")
