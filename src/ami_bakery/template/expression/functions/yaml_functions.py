"""`yamldecode()` and `yamlencode()`, with libyaml's parser and go-cty-yaml's scalars."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from ami_bakery.template.expression import cty
from ami_bakery.template.expression.budget import spend
from ami_bakery.template.expression.convert import convert
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.cty_types import BOOL, NUMBER, STRING
from ami_bakery.template.expression.numbers import Number

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TRUE = frozenset(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"])
_FALSE = frozenset(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"])
_NULL = frozenset(["", "~", "null", "Null", "NULL"])
_ODD = re.compile(r"(?i)[-+]?\.?(?:inf|nan)(?:inity)?|-?0b.*|\d{4}-.*")
"""Infinities, binary numbers and dates, which only Packer evaluates."""


def yamldecode(value: Cty) -> Cty:
    spend(steps=value.raw.count("\n") + value.raw.count(","))
    try:
        events = iter(list(yaml.parse(value.raw, Loader=_LOADER)))
    except (yaml.YAMLError, RecursionError):
        raise Unsure("only Packer can read YAML that does not parse here") from None
    for _ in range(2):
        started = next(events)
    if not isinstance(started, yaml.DocumentStartEvent):
        raise EvaluationError("the YAML has no document")
    if started.version or started.tags:
        raise Unsure("only Packer can read YAML directives")
    result = _node(next(events), events)
    rest = list(events)
    if len(rest) != 2:
        raise EvaluationError("the YAML has more than one document")
    return result


def _node(event: Any, events: Iterator[Any]) -> Cty:
    if isinstance(event, yaml.AliasEvent) or event.anchor or event.tag not in (None, "!"):
        raise Unsure("only Packer can read YAML anchors and tags")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if isinstance(event, yaml.SequenceStartEvent):
        return cty.tuple_value(_sequence(events))
    return cty.object_value(_mapping(events))


def _sequence(events: Iterator[Any]) -> Iterator[Cty]:
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        yield _node(event, events)


def _mapping(events: Iterator[Any]) -> dict[str, Cty]:
    result: dict[str, Cty] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = convert(_node(event, events), STRING)
        if not isinstance(key.raw, str) or key.raw == "<<":
            raise Unsure("only Packer can read a key of the YAML")
        result[key.raw] = _node(next(events), events)
    return result


def _scalar(event: yaml.ScalarEvent) -> Cty:
    text = event.value
    if event.style is not None:
        return cty.text(text)
    if text in _TRUE or text in _FALSE:
        return Cty(BOOL, text in _TRUE)
    if text in _NULL:
        return cty.null()
    if _ODD.fullmatch(text):
        raise Unsure("only Packer can read a scalar of the YAML")
    if text[0] in "+-.0123456789":
        number = Number.parse(text if text[0] == "." else text.replace("_", ""))
        if number is not None:
            return Cty(NUMBER, number)
    return cty.text(text)


# --- writing

_SIMPLE = re.compile(r"[ !#-\[\]-~]{0,60}")


def yamlencode(value: Cty) -> Cty:
    events = [
        *(yaml.StreamStartEvent(), yaml.DocumentStartEvent(explicit=False)),
        *_events(value),
        *(yaml.DocumentEndEvent(explicit=False), yaml.StreamEndEvent()),
    ]
    result: str = yaml.emit(events, Dumper=yaml.SafeDumper, allow_unicode=True)
    spend(text=len(result))
    return cty.text(result)


def _events(value: Cty) -> Iterator[Any]:
    spend(steps=1)
    raw = value.raw
    if isinstance(raw, dict):
        yield yaml.MappingStartEvent(anchor=None, tag=None, implicit=True, flow_style=False)
        for name in sorted(raw):
            yield from _events(cty.text(name))
            yield from _events(raw[name])
        yield yaml.MappingEndEvent()
    elif isinstance(raw, tuple):
        yield yaml.SequenceStartEvent(anchor=None, tag=None, implicit=True, flow_style=False)
        for item in raw:
            yield from _events(item)
        yield yaml.SequenceEndEvent()
    elif isinstance(raw, str):
        if not _SIMPLE.fullmatch(raw):
            raise Unsure("only Packer can write the YAML")
        yield yaml.ScalarEvent(anchor=None, tag=None, implicit=(True, True), value=raw, style='"')
    else:
        shown = "null" if raw is None else raw.text() if isinstance(raw, Number) else str(raw).lower()
        yield yaml.ScalarEvent(anchor=None, tag=None, implicit=(True, True), value=shown)
