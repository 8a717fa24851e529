"""Evaluates `for` expressions and splats (`[*]`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ami_bakery.template.expression import cty, syntax
from ami_bakery.template.expression.alternatives import alternatives, map_alternatives
from ami_bakery.template.expression.budget import spend
from ami_bakery.template.expression.convert import convert
from ami_bakery.template.expression.cty import Cty, EvaluationError
from ami_bakery.template.expression.cty_types import BOOL, STRING, friendly
from ami_bakery.template.expression.evaluate import evaluate_node, truth_of

if TYPE_CHECKING:
    from ami_bakery.template.expression.evaluate import Scope
    from ami_bakery.template.expression.syntax import Expression


class _Row:
    """The result for one element: whether it is kept (None: unknown), its key in an object, its value."""

    __slots__ = ("condition", "kept", "key", "value")

    def __init__(self, kept: bool | None, condition: Cty | None, key: Cty | None, value: Cty | None) -> None:
        self.kept, self.condition, self.key, self.value = kept, condition, key, value


def loop(expression: syntax.For, scope: Scope) -> Cty:
    collection = evaluate_node(expression.collection, scope)
    return map_alternatives(lambda values: _loop_over(values[0], expression, scope), [collection])


def _loop_over(collection: Cty, expression: syntax.For, scope: Scope) -> Cty:
    unsure = _check(collection)
    inner = scope.maybe if unsure else scope
    rows, fault = _rows(collection, expression, inner)
    if fault and not unsure:
        raise fault
    marks = [collection.copy_with(raw=None, others=())] if collection.tainted else []
    marks += [row.condition for row in rows if row.condition is not None]
    marks += [row.key for row in rows if row.key is not None]
    unknown = unsure or _first_unknown(rows)
    build = _tuple if expression.key_result is None else _object
    if unknown is None:
        return build(rows, expression).taint_by(*marks)
    result = cty.unknown(cty.why_of(unknown), tainted=any(mark.is_dirty for mark in (*marks, unknown)))
    try:
        candidate = build(rows, expression)
    except EvaluationError:
        return result
    return result.with_others([candidate, *alternatives(candidate)] if rows else [])


def _check(collection: Cty) -> Cty | None:
    """Returns the collection if it is unknown. Raises `EvaluationError` if it is not a collection."""
    if collection.is_null:
        raise EvaluationError("a `for` iterates over null")
    if not (
        collection.type.is_sequence or collection.type.is_mapping or collection.type.kind in ("unknown", "dynamic")
    ):
        raise EvaluationError(f"a `for` iterates over {friendly(collection.type)}")
    return None if collection.is_known else collection


def _elements(collection: Cty) -> list[tuple[Cty, Cty]]:
    """Returns keys and values; for an unknown collection, one unknown pair."""
    if collection.is_known:
        return list(collection.items())
    item = cty.unknown(collection.raw.why, tainted=collection.tainted)
    return [(item, item)]


def _bound(scope: Scope, key_name: str | None, value_name: str, key: Cty, value: Cty) -> Scope:
    return scope.binding(**{value_name: value} | ({key_name: key} if key_name else {}))


def _rows(collection: Cty, expression: syntax.For, scope: Scope) -> tuple[list[_Row], EvaluationError | None]:
    rows: list[_Row] = []
    fault: EvaluationError | None = None
    if expression.condition is not None and collection.is_known and not collection.raw:
        item = cty.unknown("there is no element")
        evaluate_node(expression.condition, _bound(scope.maybe, expression.key, expression.value, item, item))
    for key, value in _elements(collection):
        try:
            rows.append(_row(expression, _bound(scope, expression.key, expression.value, key, value)))
        except EvaluationError as error:
            fault = fault or error
    return [row for row in rows if row.kept is not False], fault


def _row(expression: syntax.For, scope: Scope) -> _Row:
    spend(steps=1)
    condition = evaluate_node(expression.condition, scope) if expression.condition else None
    kept: bool | None = True
    if condition is not None:
        if condition.is_null:
            raise EvaluationError("the condition of a `for` is null")
        convert(condition, BOOL)
        kept = truth_of(condition)
        if kept is False:
            return _Row(False, condition, None, None)
        scope = scope.maybe if kept is None else scope
    key = None
    if expression.key_result is not None:
        key = evaluate_node(expression.key_result, scope)
        if key.is_null:
            raise EvaluationError("a key is null")
        key = convert(key, STRING)
    return _Row(kept, condition, key, evaluate_node(expression.result, scope))


def _first_unknown(rows: list[_Row]) -> Cty | None:
    for row in rows:
        if row.kept is None:
            return row.condition
        if row.key is not None and not row.key.is_known:
            return row.key
    return None


def _tuple(rows: list[_Row], _: syntax.For) -> Cty:
    return cty.tuple_value(row.value for row in rows if row.value is not None)


def _object(rows: list[_Row], expression: syntax.For) -> Cty:
    grouped: dict[str, list[Cty]] = {}
    for number, row in enumerate(rows):
        if row.key is None or row.value is None:
            continue
        name = row.key.raw if row.key.is_known else f"{number}"
        grouped.setdefault(name, []).append(row.value)
    if expression.group:
        return cty.object_value({name: cty.tuple_value(values) for name, values in grouped.items()})
    if any(len(values) > 1 for values in grouped.values()):
        raise EvaluationError("two elements of a `for` have the same key")
    return cty.object_value({name: values[0] for name, values in grouped.items()})


def map_elements(
    collection: Expression, key: str | None, value: str, body: Callable[[Scope], Cty], scope: Scope
) -> Cty:
    """Returns the tuple of the results of `body` for each element."""

    def work(given: Cty) -> Cty:
        unsure = _check(given)
        inner = scope.maybe if unsure else scope
        items, fault = [], None
        for name, item in _elements(given):
            spend(steps=1)
            try:
                items.append(body(_bound(inner, key, value, name, item)))
            except EvaluationError as error:
                fault = fault or error
        if fault and not unsure:
            raise fault
        result = cty.tuple_value(items)
        if unsure:
            unknown = cty.unknown(cty.why_of(given), tainted=given.is_dirty or result.is_dirty)
            return unknown.with_others([result, *alternatives(result)])
        return result.copy_with(tainted=True) if given.tainted else result

    return map_alternatives(lambda values: work(values[0]), [evaluate_node(collection, scope)])


# --- splats


def splat(expression: syntax.Splat, scope: Scope) -> Cty:
    source = evaluate_node(expression.of, scope)

    def each(item: Cty) -> Cty:
        return evaluate_node(expression.each, scope.binding(**{syntax.EACH: item}))

    return map_alternatives(lambda values: _splat_over(values[0], each), [source])


def _splat_over(source: Cty, each: Callable[[Cty], Cty]) -> Cty:
    sequence = source.type.is_sequence
    if source.is_null:
        if sequence:
            raise EvaluationError("a splat iterates over null")
        return cty.tuple_value(()).taint_by(source)
    if not source.is_known and (source.type.kind in ("unknown", "dynamic") or not sequence):
        return cty.unknown(source.raw.why, tainted=source.tainted)
    if not source.is_known:
        return cty.unknown(source.raw.why, tainted=source.tainted)
    items = [value for _, value in source.items()] if sequence else [source]
    result = [each(item) for item in items]
    if source.type.kind not in ("list", "set"):
        return cty.tuple_value(result).taint_by(*([source] if source.tainted else []))
    if not result:
        kind = each(cty.unknown("there is no element", source.type.element)).type
        return cty.list_value((), kind).taint_by(source)
    return cty.list_value(result).taint_by(*([source] if source.tainted else []))
