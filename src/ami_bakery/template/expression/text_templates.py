"""Evaluates strings with `${...}` and `%{...}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ami_bakery.template.expression import cty, syntax
from ami_bakery.template.expression.alternatives import map_alternatives
from ami_bakery.template.expression.budget import spend
from ami_bakery.template.expression.convert import convert
from ami_bakery.template.expression.cty import Cty, EvaluationError, Missing
from ami_bakery.template.expression.cty_types import STRING
from ami_bakery.template.expression.evaluate import attempt, chosen, evaluate_node, truth_of
from ami_bakery.template.expression.known_values import HOLE

if TYPE_CHECKING:
    from ami_bakery.template.expression.evaluate import Scope
    from ami_bakery.template.expression.syntax import Part


def rendered(template: syntax.Template, scope: Scope) -> Cty:
    if template.alone and len(template.parts) == 1:
        only = template.parts[0]
        if not isinstance(only, str | syntax.If | syntax.ForEach):
            return evaluate_node(only, scope)
    result = joined(template.parts, scope)
    return result if result.location else result.copy_with(location=template.location)


def joined(parts: Sequence[Part], scope: Scope) -> Cty:
    """Evaluates the parts and joins them."""
    pieces: list[Cty] = []
    written: list[str] = []
    fault: EvaluationError | None = None
    for part in parts:
        try:
            pieces.append(_piece(part, scope))
            written.append(_written(part))
        except EvaluationError as error:
            fault = fault or error
    if fault:
        raise fault
    return map_alternatives(lambda values: _concatenated(values, written), pieces)


def _piece(part: Part, scope: Scope) -> Cty:
    if isinstance(part, str):
        return cty.text(part)
    if isinstance(part, syntax.If):
        return _if(part, scope)
    if isinstance(part, syntax.ForEach):
        return _for_each(part, scope)
    return evaluate_node(part, scope)


def _written(part: Part) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, syntax.If):
        return "%{ if " + part.condition.written + " }...%{ endif }"
    if isinstance(part, syntax.ForEach):
        return "%{ for " + part.value + " in " + part.collection.written + " }...%{ endfor }"
    return "${" + part.written + "}"


def _concatenated(values: Sequence[Cty], written: Sequence[str]) -> Cty:
    texts: list[str] = []
    pattern: list[str] = []
    known: list[str] = []
    missing: Missing | None = None
    for value, as_written in zip(values, written, strict=True):
        piece = _text(value)
        if isinstance(piece.raw, Missing):
            missing = missing or piece.raw
            pattern.append(piece.raw.pattern or as_written)
            known.append(piece.raw.known or HOLE)
            continue
        texts.append(piece.raw)
        known.append(piece.raw)
        pattern.append(as_written if value.is_dirty else piece.raw)
    tainted = any(value.is_dirty for value in values)
    if missing is not None:
        return cty.unknown(missing.why, STRING, pattern="".join(pattern), known="".join(known), tainted=tainted)
    spend(text=sum(map(len, texts)))
    return cty.text("".join(texts), tainted=tainted)


def _text(value: Cty) -> Cty:
    if value.is_null:
        raise EvaluationError("a string contains null")
    return value if value.type == STRING else convert(value, STRING)


def _if(part: syntax.If, scope: Scope) -> Cty:
    condition = attempt(part.condition, scope)
    outcome = truth_of(condition) if isinstance(condition, Cty) else None
    arms = (
        _attempt(part.then, scope if outcome is True else scope.maybe),
        _attempt(part.otherwise, scope if outcome is False else scope.maybe),
    )
    if isinstance(condition, EvaluationError):
        raise condition
    return chosen(condition, outcome, arms, (STRING, STRING))


def _attempt(parts: Sequence[Part], scope: Scope) -> Cty | EvaluationError:
    try:
        return joined(parts, scope)
    except EvaluationError as fault:
        return fault


def _for_each(part: syntax.ForEach, scope: Scope) -> Cty:
    from ami_bakery.template.expression.loops import map_elements

    def body(inner: Scope) -> Cty:
        return joined(part.parts, inner)

    tuple_ = map_elements(part.collection, part.key, part.value, body, scope)
    return map_alternatives(lambda values: _joined_items(values[0], part), [tuple_])


def _known_of_body(items: Cty, part: syntax.ForEach) -> str:
    """Returns the known text of one iteration over an unknown collection."""
    for turn in items.others:
        if isinstance(turn.raw, tuple):
            once = _concatenated(turn.raw, [_written(part)] * len(turn.raw)).raw
            return once.known if isinstance(once, Missing) else str(once)
    return ""


def _joined_items(items: Cty, part: syntax.ForEach) -> Cty:
    if not items.is_known:
        return cty.unknown(items.raw.why, STRING, known=_known_of_body(items, part), tainted=items.is_dirty)
    return _concatenated(items.raw, [_written(part)] * len(items.raw)).taint_by(items)
