"""Renders Jinja texts of Ansible: returns all possible results, with marks for unknown parts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jinja2 import nodes

from ami_bakery.template.ansible.jinja.holes import FACT, HOLE, MOST, is_static
from ami_bakery.template.ansible.jinja.jinja_evaluation import (
    JinjaEvaluation,
    JinjaScope,
    LookupCall,
    flattened,
    text_of_value,
)
from ami_bakery.template.ansible.jinja.jinja_parsing import parsed_jinja
from ami_bakery.template.yaml_parser import YamlText

_MAY_LOOK_UP = re.compile(r"\b(?:lookup|query|q)\s*\(|\bfileglob\b")


def text_alternatives(text: str, scope: JinjaScope) -> tuple[str, ...]:
    """Returns all texts that `text` may render to. Unknown parts are `HOLE` or `FACT`."""
    if is_static(text):
        return (text,)
    texts = (text_of_value(value) for value in rendered_values(text, scope))
    return tuple(dict.fromkeys(itertools.islice(texts, MOST))) or (HOLE,)


def rendered_values(text: str, scope: JinjaScope) -> list[Any]:
    """Like `text_alternatives`, but a text that is one expression keeps its type: for example, list."""
    return JinjaEvaluation(scope).text(text, 0) or [HOLE]


def items_of(value: Any, scope: JinjaScope) -> list[Any]:
    """Returns the items of a loop over `value`: all alternatives of all elements."""
    found: list[Any] = []
    for each in rendered_values(value, scope) if isinstance(value, str) else [value]:
        if isinstance(each, list | tuple):
            for inner in each:
                found += rendered_values(inner, scope) if isinstance(inner, str) else [inner]
        else:
            found.append(each)
    return found[: 16 * MOST]


def lookups(text: str, scope: JinjaScope) -> list[LookupCall]:
    """Returns all calls of lookups in a text, including nested ones."""
    template = parsed_jinja(text) if _MAY_LOOK_UP.search(text) and not is_static(text) else None
    if template is None:
        return []
    evaluation = JinjaEvaluation(scope)
    calls = (evaluation.lookup_call(node, 0) for node in template.find_all(nodes.Call))
    globs = (_glob_filter(evaluation, node) for node in template.find_all(nodes.Filter))
    return [call for call in (*calls, *globs) if call is not None]


def _glob_filter(evaluation: JinjaEvaluation, node: nodes.Filter) -> LookupCall | None:
    if node.name.rpartition(".")[2] != "fileglob" or node.node is None:
        return None
    return LookupCall("fileglob", evaluation.value(node.node, 0), {})


def known_words(text: str, scope: JinjaScope) -> list[str]:
    """Returns an expression's texts, and the possible texts of its names. Any of them may name a file."""
    template = None if is_static(text) else parsed_jinja(text)
    if template is None:
        return []
    words = [node.value for node in template.find_all(nodes.Const) if isinstance(node.value, str)]
    words += [word for node in template.find_all(nodes.TemplateData) for word in node.data.split()]
    for node in template.find_all(nodes.Name):
        for value in scope.lookup(node.name):
            words += [str(each) for each in texts_in(value) if is_static(each)]
    return [word for word in dict.fromkeys(words) if HOLE not in word and FACT not in word][: 4 * MOST]


def included_templates(text: str, scope: JinjaScope) -> list[str]:
    """Returns the templates that a template includes, extends or imports: `{% include 'x' %}`; lists, too."""
    template = parsed_jinja(text)
    if template is None:
        return []
    evaluation = JinjaEvaluation(scope)
    kinds = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)
    named: Iterable[nodes.Expr] = (node.template for node in template.find_all(kinds))  # type: ignore[attr-defined]
    found = [value for name in named for value in evaluation.value(name, 0) or [HOLE]]
    return list(dict.fromkeys(str(name) for name in flattened(found)))


def parses(text: str) -> bool:
    return is_static(text) or parsed_jinja(text) is not None


def texts_in(value: Any, seen: set[int] | None = None) -> Iterator[YamlText]:
    """Yields all texts of a document, at any depth. A value that YAML aliases repeat is visited once."""
    seen = set() if seen is None else seen
    if isinstance(value, YamlText):
        yield value
    elif isinstance(value, str):
        yield YamlText(value, 0)
    elif isinstance(value, Mapping | list) and id(value) not in seen:
        seen.add(id(value))
        for child in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(child, seen)
