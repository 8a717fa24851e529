"""Calls functions: converts, checks and counts arguments as cty does, and passes taint on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ami_bakery.template.expression import cty, cty_types, syntax
from ami_bakery.template.expression.alternatives import alternatives, map_alternatives, without_unknown
from ami_bakery.template.expression.convert import convert
from ami_bakery.template.expression.cty import Cty, EvaluationError, Missing, Unsure
from ami_bakery.template.expression.cty_types import BOOL, friendly
from ami_bakery.template.expression.evaluate import attempt, evaluate_node
from ami_bakery.template.expression.functions.catalogue import FUNCTIONS, NEWER, Function, Parameter
from ami_bakery.template.expression.functions.known_texts import known_of
from ami_bakery.template.expression.known_values import HOLE
from ami_bakery.template.expression.numbers import NumberTooLarge

if TYPE_CHECKING:
    from ami_bakery.template.expression.evaluate import Scope

_READING = frozenset({"file", "filebase64", "templatefile"})


def call(expression: syntax.FunctionCall, scope: Scope) -> Cty:
    name = expression.name
    if name == "try":
        return _try(expression, scope)
    if name == "can":
        return _can(expression, scope)
    if name == "convert":
        return _convert(expression, scope)
    arguments = _arguments(expression, scope)
    if arguments is None:
        return cty.unknown(f"the arguments of `{name}()` are unknown")
    if name in scope.io_functions:
        return _io_call(expression, arguments, scope)
    function = FUNCTIONS.get(name)
    if function is None:
        raise EvaluationError(f"Packer has no function `{name}()`")
    result = map_alternatives(lambda values: apply(function, name, values), arguments)
    return _with_location(result, arguments, expression)


def _arguments(expression: syntax.FunctionCall, scope: Scope) -> list[Cty] | None:
    """Returns the evaluated arguments; None if an expanded one is unknown."""
    result: list[Cty] = []
    fault: EvaluationError | None = None
    for argument in expression.arguments:
        found = attempt(argument, scope)
        if isinstance(found, EvaluationError):
            fault = fault or found
        else:
            result.append(found)
    if fault:
        raise fault
    if not expression.expand or not result:
        return result
    last = result.pop()
    if last.is_null or not (last.type.is_sequence or last.type.kind in ("unknown", "dynamic")):
        raise EvaluationError(f"`{expression.name}()` expands {friendly(last.type)}")
    if not last.is_known:
        return None
    return [*result, *(value for _, value in last.items())]


def _io_call(expression: syntax.FunctionCall, arguments: Sequence[Cty], scope: Scope) -> Cty:
    io_function = scope.io_functions[expression.name]
    first = True

    def work(values: Sequence[Cty]) -> Cty:
        nonlocal first
        here, first = (scope if first else scope.maybe), False
        return io_function(expression, values, here)

    if expression.name in _READING and all(argument.is_whole for argument in arguments[:1]):
        return work(arguments)  # the path is known: no alternative path is read
    return map_alternatives(work, arguments)


def _with_location(result: Cty, arguments: Sequence[Cty], expression: syntax.FunctionCall) -> Cty:
    """Gives strings of the result the location of the arguments."""
    if result.location is None and (isinstance(result.raw, str) or result.type.kind == "list"):
        texts = (argument for argument in arguments if argument.location is not None)
        found = next(texts, None)
        location = found.location if found is not None and found.location is not None else expression.location
        if isinstance(result.raw, str):
            return result.copy_with(location=location)
        if isinstance(result.raw, tuple):
            items = tuple(
                item.copy_with(location=location) if isinstance(item.raw, str) and item.location is None else item
                for item in result.raw
            )
            return result.copy_with(raw=items)
    return result


def apply(function: Function, name: str, arguments: Sequence[Cty]) -> Cty:
    """Calls a pure function. Raises `EvaluationError` if Packer's fails."""
    tainted = any(argument.tainted or (argument.is_dirty and not function.structural) for argument in arguments)
    try:
        given = _converted(function, name, arguments)
    except Unsure as error:
        known_as = next((argument for argument in arguments if not argument.is_whole), cty.unknown(str(error)))
        return _of_unknown(function, name, arguments, known_as, tainted)
    unknown = _unusable(function, given)
    if unknown is not None:
        return _of_unknown(function, name, given, unknown, tainted)
    if not function.any_checkout and any(argument.has_checkout_path for argument in given):
        return cty.unknown(f"the result of `{name}()` depends on the path of the checkout", tainted=tainted)
    try:
        result = function.call(*given)
    except EvaluationError as fault:
        raise EvaluationError(f"`{name}()`: {fault}") from None
    except (Unsure, NumberTooLarge) as error:
        return cty.unknown(f"`{name}()`: {str(error) or 'a number is too large'}", tainted=tainted)
    return result.copy_with(tainted=True) if tainted else result


def _converted(function: Function, name: str, arguments: Sequence[Cty]) -> list[Cty]:
    fixed, rest = function.parameters, function.rest
    if len(arguments) < len(fixed) or (rest is None and len(arguments) > len(fixed)):
        raise EvaluationError(f"`{name}()` is called with {len(arguments)} arguments")
    result: list[Cty] = []
    for number, argument in enumerate(arguments):
        parameter = fixed[number] if number < len(fixed) else rest
        assert parameter is not None
        result.append(_argument(parameter, name, argument))
    return result


def _argument(parameter: Parameter, name: str, argument: Cty) -> Cty:
    try:
        value = convert(argument, parameter.type)
    except EvaluationError as fault:
        raise EvaluationError(f"`{name}()`: {fault}") from None
    if value.is_null and not parameter.null:
        raise EvaluationError(f"`{name}()` is called with null")
    return value


def _unusable(function: Function, arguments: Sequence[Cty]) -> Cty | None:
    """Returns the first argument whose unknown part the function cannot handle."""
    for argument in arguments:
        if not argument.is_known and not function.unknown:
            return argument
        if not function.structural and not argument.is_whole:
            return argument
    return None


def _of_unknown(function: Function, name: str, arguments: Sequence[Cty], unknown: Cty, tainted: bool) -> Cty:
    result = cty.unknown(cty.why_of(unknown), function.returns, known=known_of(name, arguments), tainted=tainted)
    if name == "split":
        return result.with_others(_known_pieces(arguments[0], arguments[1]))
    if not function.keeps_elements:
        return result
    kept = [rest for argument in arguments if (rest := without_unknown(argument)) is not None]
    try:
        return result.with_others([apply(function, name, kept)] if kept else [])
    except (EvaluationError, Unsure):
        return result


def _known_pieces(separator: Cty, text: Cty) -> list[Cty]:
    """Returns the known pieces of `split()` of a partly known string."""
    known = text.raw.known if isinstance(text.raw, Missing) else ""
    if not known or not isinstance(separator.raw, str) or not separator.raw:
        return []
    pieces = [piece for piece in known.split(separator.raw) if piece and HOLE not in piece]
    return (
        [cty.list_value([cty.text(piece, text.location, tainted=text.is_dirty) for piece in pieces])] if pieces else []
    )


# --- functions that handle failures


def _try(expression: syntax.FunctionCall, scope: Scope) -> Cty:
    found = [attempt(argument, scope.maybe) for argument in expression.arguments]
    values = [value for value in found if isinstance(value, Cty)]
    if not values:
        raise EvaluationError("no argument of `try()` can be evaluated")
    # For an unknown value, Packer may fail: any later argument may be the result.
    first, others = values[0], [each for value in values for each in (value, *alternatives(value))]
    if first.is_whole:
        return first.with_others([*first.others, *others])
    unknown = cty.unknown(cty.why_of(first), tainted=any(value.is_dirty for value in values))
    if isinstance(first.raw, Missing):
        unknown = cty.unknown(first.raw.why, pattern=first.raw.pattern, known=first.raw.known, tainted=unknown.tainted)
    return unknown.with_others(others)


def _can(expression: syntax.FunctionCall, scope: Scope) -> Cty:
    if len(expression.arguments) != 1:
        raise EvaluationError("`can()` takes one argument")
    found = attempt(expression.arguments[0], scope.maybe)
    if isinstance(found, EvaluationError):
        return Cty(BOOL, False)
    if not found.is_whole:
        return cty.unknown(cty.why_of(found), BOOL, tainted=found.is_dirty)
    result = Cty(BOOL, True, tainted=found.is_dirty)
    return result.with_others([Cty(BOOL, False)]) if _uses_newer(expression.arguments[0]) else result


def _uses_newer(part: object) -> bool:
    """Whether it calls a function that older Packer versions lack. The call fails there."""
    if isinstance(part, syntax.FunctionCall) and part.name in NEWER:
        return True
    if isinstance(part, tuple):
        return any(map(_uses_newer, part))
    if isinstance(part, syntax.SyntaxNode | syntax.If | syntax.ForEach):
        return any(map(_uses_newer, vars(part).values()))
    return False


def _convert(expression: syntax.FunctionCall, scope: Scope) -> Cty:
    from ami_bakery.template.expression.type_constraints import type_of

    if len(expression.arguments) != 2:
        raise EvaluationError("`convert()` takes two arguments")
    value = evaluate_node(expression.arguments[0], scope)
    wanted = type_of(expression.arguments[1])
    if cty_types.without_optional(wanted) != wanted:
        raise EvaluationError("`convert()` takes no type with optional attributes")
    return map_alternatives(lambda values: convert(values[0], wanted), [value])
