"""Evaluates HCL expressions to values, or to unknown values with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, assert_never

from ami_bakery.errors import TemplateError, TooLargeError
from ami_bakery.template.expression import cty, operators, syntax
from ami_bakery.template.expression.alternatives import alternatives, map_alternatives
from ami_bakery.template.expression.budget import TooCostly, limited, spend
from ami_bakery.template.expression.convert import convert, unify
from ami_bakery.template.expression.cty import Cty, EvaluationError, Missing, Unsure
from ami_bakery.template.expression.cty_types import BOOL, DYNAMIC, NUMBER, STRING, UNKNOWN, Type, friendly, has_unknown
from ami_bakery.template.expression.functions.json_and_csv import json_text
from ami_bakery.template.expression.numbers import Number, NumberTooLarge
from ami_bakery.template.expression.public_values import from_value, to_value
from ami_bakery.values import Frozen, field, replace

if TYPE_CHECKING:
    from ami_bakery.template.expression.known_values import Value
    from ami_bakery.template.expression.syntax import Expression

Names: TypeAlias = "Cty | Mapping[str, Cty]"
IoFunction: TypeAlias = "Callable[[syntax.FunctionCall, Sequence[Cty], Scope], Cty]"
"""A function with I/O, such as `file()`: gets the call, its arguments and its scope."""


class Scope(Frozen):
    """The names and functions that an expression can use.

    names         the root names (`var`, `local`, `path`, ...) and their values; a mapping may be lazy
    io_functions  functions that read files or the environment
    optional      errors are not errors of the template: in a branch that is not evaluated, or inside `try()`
    any_name      the value of every other name if the names are not all known
    """

    names: Mapping[str, Names] = field(default_factory=dict)
    io_functions: Mapping[str, IoFunction] = field(default_factory=dict)
    optional: bool = False
    any_name: Cty | None = None

    def binding(self, **names: Names) -> Scope:
        # Called for every element of every loop: `replace` would be twice as slow.
        return Scope(
            names={**self.names, **names},
            io_functions=self.io_functions,
            optional=self.optional,
            any_name=self.any_name,
        )

    @property
    def maybe(self) -> Scope:
        return self if self.optional else replace(self, optional=True)


def scope_of(names: Mapping[str, Value]) -> Scope:
    """Returns a scope of plain values."""
    return Scope(names={name: from_value(value) for name, value in names.items()})


def evaluate(expression: Expression, scope: Scope) -> Value:
    """Returns the value of the expression. Raises `TemplateError` if it takes too much time or memory."""
    return to_value(resolve(expression, scope), expression.location)


def resolve(expression: Expression, scope: Scope) -> Cty:
    """Evaluates to the evaluator's own values."""
    with limited():
        try:
            return evaluate_node(expression, scope)
        except EvaluationError as fault:
            return cty.unknown(f"Packer fails here: {fault}")
        except TooCostly as error:
            raise too_costly(expression, error) from None
        except RecursionError:
            raise too_costly(expression, "it is nested too deeply") from None


def too_costly(expression: Expression, why: object) -> TemplateError:
    shown = expression.written.strip().splitlines()[0][:120] if expression.written.strip() else ""
    location = expression.location
    return TooLargeError(
        f"evaluating `{shown}` ({location})",
        str(why),
        "Make it smaller, or pass its result to Packer as a variable.",
        marks=(location.mark(str(why)),),
    )


def evaluate_node(expression: Expression, scope: Scope) -> Cty:
    """Evaluates one node. Raises `EvaluationError` if Packer fails. The inner step of `resolve`."""
    spend(steps=1)
    match expression:
        case syntax.Literal(value=value):
            return _literal(value, expression)
        case syntax.Name(name=name):
            return _named(name, scope)
        case syntax.Attribute():
            return _attribute(expression, scope)
        case syntax.TupleOf(items=items):
            return cty.tuple_value(_all((item, scope) for item in items))
        case _:
            try:
                return _compound(expression, scope)
            except (Unsure, NumberTooLarge) as error:
                return cty.unknown(str(error) or "the number is too large to evaluate", tainted=True)


def _literal(value: object, expression: syntax.Literal) -> Cty:
    if isinstance(value, str):
        return cty.text(value, expression.location)
    if isinstance(value, bool):
        return Cty(BOOL, value)
    if value is None:
        return cty.null()
    try:
        parsed = Number.parse(expression.written) or Number.parse(str(value))
    except NumberTooLarge:
        return cty.unknown("the number is too large to evaluate", NUMBER)
    return Cty(NUMBER, parsed)


def _compound(expression: Expression, scope: Scope) -> Cty:
    from ami_bakery.template.expression import loops, text_templates
    from ami_bakery.template.expression.functions.calls import call

    match expression:
        case syntax.Template():
            return text_templates.rendered(expression, scope)
        case syntax.Index():
            return _index(expression, scope)
        case syntax.Splat():
            return loops.splat(expression, scope)
        case syntax.FunctionCall():
            return call(expression, scope)
        case syntax.Conditional():
            return _conditional(expression, scope)
        case syntax.Operation():
            return _operation(expression, scope)
        case syntax.ObjectOf():
            return _object(expression, scope)
        case syntax.For():
            return loops.loop(expression, scope)
        case syntax.Literal() | syntax.Name() | syntax.Attribute() | syntax.TupleOf():
            raise AssertionError("worked out before")
        case _:
            assert_never(expression)


def _all(pairs: Iterable[tuple[Expression, Scope]]) -> list[Cty]:
    """Evaluates all before it raises the first failure. So it finds the files that later expressions read."""
    result: list[Cty] = []
    fault: EvaluationError | None = None
    for expression, scope in pairs:
        try:
            result.append(evaluate_node(expression, scope))
        except EvaluationError as error:
            fault = fault or error
    if fault:
        raise fault
    return result


def attempt(expression: Expression, scope: Scope) -> Cty | EvaluationError:
    try:
        return evaluate_node(expression, scope)
    except EvaluationError as fault:
        return fault


# --- names and accesses


def _named(name: str, scope: Scope) -> Cty:
    if name not in scope.names:
        if scope.any_name is not None:
            return scope.any_name
        raise EvaluationError(f"`{name}` is not defined here")
    found = scope.names[name]
    return found if isinstance(found, Cty) else cty.object_value(dict(found))


def _attribute(expression: syntax.Attribute, scope: Scope) -> Cty:
    of, name = expression.of, expression.name
    if isinstance(of, syntax.Name):
        spend(steps=1)
        holder = scope.names.get(of.name)
        if isinstance(holder, Mapping) and not isinstance(holder, Cty):
            if name not in holder:
                raise EvaluationError(f"there is no `{expression.written}`")
            return holder[name]
    return map_alternatives(lambda values: attribute(values[0], name), [evaluate_node(of, scope)])


def attribute(value: Cty, name: str) -> Cty:
    """`value.name`."""
    if not value.is_known and value.type.kind in ("unknown", "dynamic"):
        return _part_of_unknown(value)
    if value.is_null:
        raise EvaluationError("null has no attributes")
    if value.type.kind == "object":
        if name not in value.type.names:
            raise EvaluationError("an object has no attribute of that name")
        return _child(value, name, value.type.attributes[name])
    if value.type.kind == "map":
        return _child(value, name, value.type.element)
    raise EvaluationError(f"{friendly(value.type)} has no attributes")


def _child(value: Cty, key: str | int, kind: Type) -> Cty:
    if not value.is_known:
        return cty.unknown(value.raw.why, kind, tainted=value.tainted)
    if isinstance(key, str) and key not in value.raw:
        raise EvaluationError("the map has no such key")
    child: Cty = value.raw[key]
    return child.copy_with(tainted=True) if value.tainted and not child.tainted else child


def _part_of_unknown(value: Cty) -> Cty:
    return cty.unknown(value.raw.why, tainted=value.tainted)


def _index(expression: syntax.Index, scope: Scope) -> Cty:
    value, key = _all(((expression.of, scope), (expression.key, scope)))
    return map_alternatives(lambda values: element_at(values[0], values[1]), [value, key]).taint_by(key)


def element_at(value: Cty, key: Cty) -> Cty:
    """`value[key]`."""
    if value.is_null or key.is_null:
        raise EvaluationError("null is indexed, or is used as an index")
    kind = value.type.kind
    if kind in ("unknown", "dynamic") or key.type.kind in ("unknown", "dynamic"):
        return _undecided(value, key)
    if kind in ("list", "tuple"):
        return _item(value, convert(key, NUMBER))
    if kind in ("map", "object"):
        name = convert(key, STRING)
        return attribute(value, name.raw) if name.is_known else _undecided(value, name)
    raise EvaluationError(f"{friendly(value.type)} has no indices")


def _item(value: Cty, key: Cty) -> Cty:
    if not key.is_known:
        return _undecided(value, key)
    length = len(value.type.of) if value.type.kind == "tuple" else len(value.raw) if value.is_known else None
    number: Number = key.raw
    if not number.is_whole or number.negative or (length is not None and number.truncated() >= length):
        if number.is_whole and number.truncated() == 0 and length:
            return _child(value, 0, value.type.of[0])
        raise EvaluationError("the list has no such item")
    at = number.truncated()
    return _child(value, at, value.type.of[at] if value.type.kind == "tuple" else value.type.element)


def _undecided(value: Cty, key: Cty) -> Cty:
    """Returns one of the elements, with all of them as alternatives."""
    why = cty.why_of(value) if not value.is_known else cty.why_of(key) or "the index is unknown"
    result = cty.unknown(why, tainted=value.tainted or key.tainted)
    children = value.raw.values() if isinstance(value.raw, dict) else value.raw if isinstance(value.raw, tuple) else ()
    return result.with_others(children)


# --- conditionals


def _conditional(expression: syntax.Conditional, scope: Scope) -> Cty:
    condition = attempt(expression.condition, scope)
    outcome = truth_of(condition) if isinstance(condition, Cty) else None
    then = attempt(expression.then, scope if outcome is True else scope.maybe)
    otherwise = attempt(expression.otherwise, scope if outcome is False else scope.maybe)
    if isinstance(condition, EvaluationError):
        raise condition
    kinds = (_type_of(then, expression.then), _type_of(otherwise, expression.otherwise))
    return chosen(condition, outcome, (then, otherwise), kinds)


def truth_of(condition: Cty) -> bool | None:
    """Returns the truth of a condition; None if it is unknown or not a bool."""
    try:
        truth = convert(condition, BOOL)
    except (EvaluationError, Unsure):
        return None
    return truth.raw if isinstance(truth.raw, bool) else None


def _type_of(arm: Cty | EvaluationError, expression: Expression) -> Type:
    if isinstance(arm, Cty):
        return arm.type
    if isinstance(expression, syntax.Template) and not (expression.alone and len(expression.parts) == 1):
        return STRING
    if isinstance(expression, syntax.Operation):
        return NUMBER if expression.operator in "+-*/%" else BOOL
    return DYNAMIC if _fails_without_type(expression) else UNKNOWN


def _fails_without_type(expression: Expression) -> bool:
    """Whether a failed value has no type at all in HCL; a list keeps the types of its other items."""
    while isinstance(expression, syntax.Attribute | syntax.Index):
        expression = expression.of
    return isinstance(expression, syntax.Name | syntax.FunctionCall)


def chosen(
    condition: Cty,
    outcome: bool | None,
    arms: tuple[Cty | EvaluationError, Cty | EvaluationError],
    kinds: tuple[Type, Type],
) -> Cty:
    """Returns one of two arms, converted to their common type; the other is an alternative."""
    if condition.is_null:
        raise EvaluationError("the condition is null")
    convert(condition, BOOL)
    if outcome is None:
        return _either(condition, arms, kinds)
    arm, other = arms if outcome else arms[::-1]
    if isinstance(arm, EvaluationError):
        raise arm
    result = _as_common(arm, arms, kinds)
    others = [] if isinstance(other, EvaluationError) else [_converted_or_same(other, arms, kinds)]
    more = [each for other in others for each in alternatives(other)]
    return result.with_others([*result.others, *others, *more]).taint_by(condition)


def _converted_or_same(
    arm: Cty, arms: tuple[Cty | EvaluationError, Cty | EvaluationError], kinds: tuple[Type, Type]
) -> Cty:
    try:
        return _as_common(arm, arms, kinds)
    except (EvaluationError, Unsure):
        return arm


def _either(condition: Cty, arms: tuple[Cty | EvaluationError, Cty | EvaluationError], kinds: tuple[Type, Type]) -> Cty:
    known = [arm for arm in arms if isinstance(arm, Cty)]
    if not known:
        raise next(arm for arm in arms if isinstance(arm, EvaluationError))
    converted = [_converted_or_same(arm, arms, kinds) for arm in known]
    if len(converted) == 2 and cty.same(converted[0], converted[1]):
        return converted[0].taint_by(condition)
    kind = converted[0].type if all(arm.type == converted[0].type for arm in converted) else None
    found = condition.raw if isinstance(condition.raw, Missing) else Missing("the condition is unknown")
    result = cty.unknown(found.why, kind or UNKNOWN).taint_by(condition, *converted)
    return result.with_others([each for arm in converted for each in (arm, *alternatives(arm))])


def _as_common(arm: Cty, arms: tuple[Cty | EvaluationError, Cty | EvaluationError], kinds: tuple[Type, Type]) -> Cty:
    """Converts an arm to the common type of both."""
    for number in (0, 1):
        one = arms[number]
        if isinstance(one, Cty) and one.is_null and one.type.kind == "dynamic":
            return arm if arm.type == kinds[1 - number] else convert(arm, kinds[1 - number])
    if any(kind.kind == "dynamic" for kind in kinds) or kinds[0] == kinds[1]:
        return arm
    if not all(isinstance(each, Cty) and each.is_whole for each in arms):
        return _as_common_if_unknown(arm, arms, kinds)
    common = unify(kinds, unsafe=True)
    if common is None:
        raise EvaluationError(f"a conditional has arms of different types: {friendly(kinds[0])}, {friendly(kinds[1])}")
    return arm if arm.type == common else convert(arm, common)


def _as_common_if_unknown(
    arm: Cty, arms: tuple[Cty | EvaluationError, Cty | EvaluationError], kinds: tuple[Type, Type]
) -> Cty:
    """Converts an arm if the other is unknown: the result must be the same if the other fails and has no type."""
    if arm.type == STRING:
        return arm
    common = None if any(has_unknown(kind) for kind in kinds) else unify(kinds, unsafe=True)
    converted = None if common is None else arm if arm.type == common else convert(arm, common)
    if converted is None or not (arm.is_whole and converted.is_whole and json_text(arm) == json_text(converted)):
        unknown = next((cty.why_of(each) for each in arms if isinstance(each, Cty) and not each.is_whole), "")
        raise Unsure(unknown or "the type of the other arm, which fails, is unknown")
    return converted


# --- operations and objects


def _operation(expression: syntax.Operation, scope: Scope) -> Cty:
    if expression.left is None:
        return map_alternatives(
            lambda values: operators.unary(expression.operator, values[0]), [evaluate_node(expression.right, scope)]
        )
    left, right = attempt(expression.left, scope), attempt(expression.right, scope)
    if isinstance(left, EvaluationError) or isinstance(right, EvaluationError):
        return operators.with_failure(expression.operator, left, right)
    return map_alternatives(lambda values: operators.binary(expression.operator, values[0], values[1]), [left, right])


def _object(expression: syntax.ObjectOf, scope: Scope) -> Cty:
    pairs = _all((each, scope) for item in expression.items for each in item)
    attributes: dict[str, Cty] = {}
    unknown: Cty | None = None
    for number, (key, _) in enumerate(expression.items):
        name, value = pairs[2 * number], pairs[2 * number + 1]
        if name.is_null:
            raise EvaluationError("a key is null")
        name = convert(name, STRING)
        unknown = unknown or (None if name.is_known else name)
        attributes[name.raw if name.is_known else key.written] = value
    tainted = any(name.is_dirty for name in pairs[::2])
    result = cty.object_value(attributes)
    if unknown is not None:
        unsure = cty.unknown(cty.why_of(unknown), tainted=tainted or result.is_dirty)
        return unsure.with_others([result, *alternatives(result)])
    return result.copy_with(tainted=True) if tainted else result
