"""Texts with `{{...}}` as Ansible writes paths: every text that one may come to, with holes where nobody can say."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from ami_bakery.adapters.template.yaml_syntax import YamlText

HOLE = "\x00"
"""Something that only Ansible knows, and that may be a whole path."""
FACT = "\x01"
"""Something that only the machine knows, such as its distribution: a word, never a path."""

Lookup: TypeAlias = Callable[[str], Iterable[Any]]
"""The values that a name may have, or none where it is not known."""

_MOST = 64
_DEPTH = 8
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_NAME = re.compile(r"([A-Za-z_]\w*(?:\.\w+|\[['\"]\w+['\"]\])*)\s*(\|.*)?\Z", re.DOTALL)
_STRING = re.compile(r"(['\"])([^'\"]*)\1\s*\Z")
_DEFAULT = re.compile(r"\b(?:default|d)\(\s*(['\"])([^'\"]*)\1")


def is_static(text: str) -> bool:
    return "{{" not in text and "{%" not in text


def alternatives(text: str, lookup: Lookup, depth: int = 0) -> tuple[str, ...]:
    """Every text that `text` may render to, as far as values are known; the rest is `HOLE` or `FACT`."""
    if is_static(text):
        return (text,)
    if "{%" in text:
        return (_EXPRESSION.sub(HOLE, text),)
    rows: list[tuple[str, ...]] = []
    position = 0
    for found in _EXPRESSION.finditer(text):
        rows += [(text[position : found.start()],), _values(found[1] or "", lookup, depth)]
        position = found.end()
    rows.append((text[position:],))
    made = ("".join(row) for row in itertools.product(*rows))
    return tuple(dict.fromkeys(itertools.islice(made, _MOST)))


def _values(expression: str, lookup: Lookup, depth: int) -> tuple[str, ...]:
    """The texts of one `{{ expression }}`."""
    expression = expression.strip()
    literal = _STRING.match(expression)
    if literal:
        return (literal[2],)
    if re.search(r"[+~]", expression) and not re.search(r"[|(]", expression):
        parts = [_values(part, lookup, depth) for part in re.split(r"[+~]", expression)]
        return tuple("".join(row) for row in itertools.islice(itertools.product(*parts), _MOST))
    named = _NAME.match(expression)
    if not named:
        return (HOLE,)
    name = re.sub(r"\[['\"](\w+)['\"]\]", r".\1", named[1])
    filters = named[2] or ""
    if name.startswith("ansible_") and not name.startswith(("ansible_env", "ansible_user_dir")):
        return (FACT,)
    found: list[str] = []
    for value in lookup(name) if depth < _DEPTH else ():
        if isinstance(value, str):
            found.extend(alternatives(value, lookup, depth + 1))
        elif isinstance(value, int | float):
            found.append(str(value))
    default = _DEFAULT.search(filters)
    if default:
        found.append(default[2])
    if not found:
        return (HOLE,)
    return tuple(dict.fromkeys(_filtered(value, filters) for value in found[:_MOST]))


def _filtered(value: str, filters: str) -> str:
    for name in (part.strip() for part in filters.split("|")[1:]):
        word = name.split("(")[0]
        if word in ("default", "d", "string", "trim", "mandatory", "quote"):
            continue
        if word in ("lower", "upper"):
            value = value.lower() if word == "lower" else value.upper()
        elif word == "basename":
            value = value.rsplit("/", 1)[-1]
        elif word == "dirname":
            value = value.rpartition("/")[0]
        else:
            return HOLE
    return value


_LOOKUP = re.compile(
    r"""\b(?:lookup|query|q)\(\s*['"](?:ansible\.builtin\.)?(\w+)['"]\s*,\s*(['"])(.*?)\2|
    \b(?:lookup|query|q)\(\s*['"](?:ansible\.builtin\.)?(\w+)['"]\s*,\s*([^'"\[\]{}]+?)\s*(?:,|\))""",
    re.VERBOSE | re.DOTALL,
)


def lookups(text: str) -> list[tuple[str, str]]:
    """`lookup('file', 'motd')` as ("file", "motd"), and `lookup('file', name)` as ("file", "{{ name }}")."""
    found = []
    for match in _LOOKUP.finditer(text):
        if match[1]:
            found.append((match[1], match[3]))
        else:
            found.append((match[4], _joined(match[5])))
    return found


_INCLUDED = re.compile(r"""\{%[-+]?\s*(?:include|import|extends|from)\s+(['"])(.+?)\1""")


def included_templates(text: str) -> list[str]:
    """What a template takes in: `{% include 'x' %}`, `{% extends 'x' %}`, `{% import 'x' as y %}`."""
    return [match[2] for match in _INCLUDED.finditer(text)]


def _joined(expression: str) -> str:
    return "{{ " + expression + " }}"


def flatten(name: str, value: Any, depth: int = 0) -> Iterable[tuple[str, Any]]:
    """The leaves of a variable by dotted name, and its lists whole."""
    yield name, value
    if isinstance(value, Mapping) and depth < _DEPTH:
        for key, child in value.items():
            yield from flatten(f"{name}.{key}", child, depth + 1)


def texts_in(value: Any, seen: set[int] | None = None) -> Iterable[YamlText]:
    """Every text of a document, however deep; what an alias repeats is gone through once."""
    seen = set() if seen is None else seen
    if isinstance(value, YamlText):
        yield value
    elif isinstance(value, Mapping | list) and id(value) not in seen:
        seen.add(id(value))
        for child in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(child, seen)
