"""Evaluates Jinja expressions to all their possible values."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from jinja2 import nodes

from ami_bakery.template.ansible.jinja.filters import apply_filter
from ami_bakery.template.ansible.jinja.holes import FACT, HOLE, LONGEST, MOST, is_static, join_with_holes, merged_texts
from ami_bakery.template.ansible.jinja.jinja_parsing import parsed_jinja

_DEPTH = 8
_STEPS = 4_000
_LOOKUPS = frozenset({"lookup", "query", "q"})
_AS_GIVEN = frozenset({"items", "list", "flattened", "random_choice", "indexed_items"})


class JinjaScope(Protocol):
    """The values of the names in an expression."""

    def lookup(self, name: str) -> Iterable[Any]:
        """Returns all possible values of a variable, not rendered; none if it is unknown."""

    def glob(self, pattern: str) -> Iterable[str]:
        """Returns the files that the lookup `fileglob` finds."""

    def environment(self, name: str) -> Iterable[str]:
        """Returns an environment variable's value if it is a known folder; otherwise nothing."""


class LookupCall:
    """A call of a lookup plugin, with the values of its arguments."""

    def __init__(self, plugin: str, terms: Sequence[Any], options: Mapping[str, Sequence[Any]]) -> None:
        self.plugin = plugin
        self.terms = terms
        self.options = options


class JinjaEvaluation:
    """Evaluates one text and all that it refers to. The number of steps is limited."""

    def __init__(self, scope: JinjaScope) -> None:
        self._scope = scope
        self._steps = 0
        self._bound: dict[str, list[Any]] = {}

    def text(self, text: str, depth: int) -> list[Any]:
        if is_static(text):
            return [text]
        template = parsed_jinja(text) if depth < _DEPTH else None
        if template is None:
            return [HOLE]
        body = template.body
        if len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1:
            return self.value(body[0].nodes[0], depth)
        return list(self._body(body, depth))

    def _body(self, body: Sequence[nodes.Node], depth: int) -> list[str]:
        rows: list[list[str]] = []
        for node in body:
            if isinstance(node, nodes.Output):
                rows += [self._texts(part, depth) for part in node.nodes]
            elif isinstance(node, nodes.If):
                arms = [node.body, *(other.body for other in node.elif_), node.else_]
                rows.append([text for arm in arms for text in (self._body(arm, depth) or [""])])
            elif isinstance(node, nodes.Assign) and isinstance(node.target, nodes.Name):
                self._bound[node.target.name] = self.value(node.node, depth)
            else:
                rows.append([HOLE])
        return [join_with_holes(row) for row in itertools.islice(itertools.product(*rows), MOST)]

    def _texts(self, node: nodes.Node, depth: int) -> list[str]:
        if isinstance(node, nodes.TemplateData):
            return [node.data]
        return [text_of_value(value) for value in self.value(node, depth)] or [HOLE]

    def value(self, node: nodes.Node, depth: int) -> list[Any]:
        """Returns all possible values of an expression; none if it is undefined."""
        self._steps += 1
        if self._steps > _STEPS:
            return [HOLE]
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        return [_bounded(value) for value in method(node, depth)[:MOST]] if method else [HOLE]

    # --- expressions: one method for each class of Jinja's nodes

    def _templatedata(self, node: nodes.TemplateData, _: int) -> list[Any]:
        return [node.data]

    def _const(self, node: nodes.Const, _: int) -> list[Any]:
        return [node.value]

    def _name(self, node: nodes.Name, depth: int) -> list[Any]:
        if node.name in self._bound:
            return self._bound[node.name]
        return self._settled(self._scope.lookup(node.name), depth)

    def _settled(self, values: Iterable[Any], depth: int) -> list[Any]:
        found: list[Any] = []
        for value in values:
            found += self.text(value, depth + 1) if isinstance(value, str) else [value]
        return found

    def _deep(self, value: Any, depth: int) -> Any:
        """Renders all texts in a value. A text with several alternatives becomes a list of them."""
        if isinstance(value, str) and not is_static(value):
            found = self.text(value, depth + 1)
            return found[0] if len(found) == 1 else found
        if isinstance(value, list | tuple) and depth < _DEPTH:
            return [self._deep(child, depth + 1) for child in value[:LONGEST]]
        if isinstance(value, Mapping) and depth < _DEPTH:
            return {key: self._deep(child, depth + 1) for key, child in value.items()}
        return value

    def _getattr(self, node: nodes.Getattr, depth: int) -> list[Any]:
        if _is_of_hosts(node.node):
            return self._settled(self._scope.lookup(node.attr), depth)
        return self._settled(_members(self.value(node.node, depth), node.attr), depth)

    def _getitem(self, node: nodes.Getitem, depth: int) -> list[Any]:
        keys = [HOLE] if isinstance(node.arg, nodes.Slice) else self.value(node.arg, depth) or [HOLE]
        if _is_of_hosts(node.node) or (isinstance(node.node, nodes.Name) and node.node.name == "vars"):
            return self._settled((value for key in keys for value in self._scope.lookup(str(key))), depth) or [HOLE]
        whole = self.value(node.node, depth)
        if isinstance(node.arg, nodes.Slice):
            return whole
        return self._settled((found for key in keys for found in _members(whole, key)), depth)

    def _list(self, node: nodes.List | nodes.Tuple, depth: int) -> list[Any]:
        """Returns one list with all alternatives of all elements."""
        return [[value for item in node.items for value in (self.value(item, depth) or [HOLE])]]

    _tuple = _list

    def _dict(self, node: nodes.Dict, depth: int) -> list[Any]:
        pairs = [(self.value(pair.key, depth), self.value(pair.value, depth) or [HOLE]) for pair in node.items]
        rows = itertools.product(*(values for _, values in pairs))
        names = [str(keys[0]) if keys else HOLE for keys, _ in pairs]
        return [dict(zip(names, row, strict=True)) for row in itertools.islice(rows, MOST)]

    def _concat(self, node: nodes.Concat, depth: int) -> list[Any]:
        rows = [self._texts(part, depth) for part in node.nodes]
        return [join_with_holes(row) for row in itertools.islice(itertools.product(*rows), MOST)]

    def _add(self, node: nodes.Add, depth: int) -> list[Any]:
        pairs = itertools.product(self.value(node.left, depth) or [HOLE], self.value(node.right, depth) or [HOLE])
        return [_sum(left, right) for left, right in itertools.islice(pairs, MOST)]

    def _condexpr(self, node: nodes.CondExpr, depth: int) -> list[Any]:
        arms = [node.expr1, *([node.expr2] if node.expr2 is not None else [])]
        return [value for arm in arms for value in (self.value(arm, depth) or [HOLE])]

    def _or(self, node: nodes.Or | nodes.And, depth: int) -> list[Any]:
        return [value for side in (node.left, node.right) for value in (self.value(side, depth) or [HOLE])]

    _and = _or

    def _filter(self, node: nodes.Filter, depth: int) -> list[Any]:
        given = self.value(node.node, depth) if node.node is not None else [HOLE]
        arguments = [self.value(each, depth) for each in node.args]
        named = {str(each.key): self.value(each.value, depth) for each in node.kwargs}
        name = node.name.rpartition(".")[2]
        if name == "fileglob":
            return [[path for text in merged_texts(given) for path in self._scope.glob(text)]]
        return self._settled(apply_filter(name, given, arguments, named), depth)

    def _call(self, node: nodes.Call, depth: int) -> list[Any]:
        call = self.lookup_call(node, depth)
        if call is not None:
            return self._lookup_value(call, str(getattr(node.node, "name", "")), depth)
        if isinstance(node.node, nodes.Getattr):
            return self._method(node, node.node, depth)
        return [HOLE]

    def _method(self, node: nodes.Call, method: nodes.Getattr, depth: int) -> list[Any]:
        """Evaluates a method call, such as `name.get('key', default)`; unknown methods give `HOLE`."""
        whole = self.value(method.node, depth)
        arguments = [self.value(each, depth) for each in node.args]
        if method.attr == "get" and arguments:
            found = [value for key in arguments[0] for value in _members(whole, key)]
            return self._settled([*found, *(arguments[1] if len(arguments) > 1 else [])], depth)
        if method.attr in ("lower", "upper", "strip", "replace"):
            name = "trim" if method.attr == "strip" else method.attr
            return apply_filter(name, whole, arguments, {})
        return [HOLE]

    # --- lookups

    def lookup_call(self, node: nodes.Call, depth: int) -> LookupCall | None:
        if not isinstance(node.node, nodes.Name) or node.node.name not in _LOOKUPS or not node.args:
            return None
        names = [name for name in self.value(node.args[0], depth) if isinstance(name, str)]
        given = [*node.args[1:], *([node.dyn_args] if node.dyn_args is not None else [])]
        terms = [self._deep(value, depth) for each in given for value in (self.value(each, depth) or [HOLE])]
        options = {
            each.key: [self._deep(value, depth) for value in self.value(each.value, depth)] for each in node.kwargs
        }
        for named in self.value(node.dyn_kwargs, depth) if node.dyn_kwargs is not None else ():
            options.update({str(key): [self._deep(child, depth)] for key, child in _pairs(named)})
        plugin = names[0].removeprefix("ansible.builtin.").removeprefix("ansible.legacy.") if names else HOLE
        return LookupCall(plugin, terms, options)

    def _lookup_value(self, call: LookupCall, function: str, depth: int) -> list[Any]:
        """Returns the possible results of a lookup; `HOLE` if they depend on contents, not on names."""
        wants_list = function != "lookup" or True in call.options.get("wantlist", ())
        if call.plugin == "vars":
            named = (value for name in merged_texts(call.terms) for value in self._scope.lookup(name))
            return [*self._settled(named, depth), *call.options.get("default", ())]
        if call.plugin == "env":
            known = [value for name in merged_texts(call.terms) for value in self._scope.environment(name)]
            return known or [HOLE, *call.options.get("default", ())]
        if call.plugin == "first_found":
            return [[*first_found_terms(call)]] if wants_list else list(first_found_terms(call))
        if call.plugin == "fileglob":
            found = [path for text in merged_texts(call.terms) for path in self._scope.glob(text)]
            return [found] if wants_list else found
        if call.plugin in _AS_GIVEN:
            return [merged_texts(call.terms, texts_only=False)]
        if call.plugin == "dict":
            return apply_filter("dict2items", call.terms, [], {})
        return [HOLE]


def _is_of_hosts(node: nodes.Node) -> bool:
    """Whether a node is `hostvars[...]`, which may be any host."""
    inner = node.node if isinstance(node, nodes.Getitem | nodes.Getattr) else None
    return isinstance(inner, nodes.Name) and inner.name == "hostvars"


def _members(wholes: Iterable[Any], key: Any) -> Iterator[Any]:
    """Yields the element `key` of each value; all elements if the key is unknown."""
    for whole in wholes:
        if isinstance(whole, str) and HOLE in whole:
            yield HOLE
        elif isinstance(whole, str) and FACT in whole:
            yield FACT
        elif isinstance(whole, Mapping):
            if isinstance(key, str) and (HOLE in key or FACT in key):
                yield from whole.values()
            elif str(key) in whole:
                yield whole[str(key)]
        elif isinstance(whole, list | tuple):
            known = isinstance(key, int | str) and str(key).lstrip("-").isdigit() and HOLE not in map(str, whole)
            if known and -len(whole) <= int(key) < len(whole):
                yield whole[int(key)]
            else:
                yield from whole


def _pairs(value: Any) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, Mapping) else ()


def _sum(left: Any, right: Any) -> Any:
    if isinstance(left, list) or isinstance(right, list):
        return [*(left if isinstance(left, list) else [HOLE]), *(right if isinstance(right, list) else [HOLE])]
    if isinstance(left, str) and isinstance(right, str):
        return join_with_holes((left, right))
    return HOLE


def _bounded(value: Any) -> Any:
    """Truncates a long list, so that lists cannot grow without limit."""
    if isinstance(value, list) and len(value) > LONGEST:
        return [*value[:LONGEST], HOLE]
    return value


def first_found_terms(call: LookupCall) -> Iterator[str]:
    """Yields the names that `first_found` tries.

    Terms may be texts, lists, and dictionaries with `files` and `paths`.
    """
    terms = list(call.terms)
    if call.options.get("files"):
        terms.append({name: _whole(call.options[name]) for name in ("files", "paths") if call.options.get(name)})
    for term in flattened(terms):
        if isinstance(term, Mapping):
            paths = [str(path) for path in flattened([term.get("paths")])] or [""]
            for path, file in itertools.product(paths, flattened([term.get("files", [])])):
                yield f"{path}/{file}" if path else str(file)
        elif isinstance(term, str):
            yield term


def _whole(values: Sequence[Any]) -> Any:
    return [each for value in values for each in (value if isinstance(value, list) else [value])]


def flattened(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from flattened(value)
        elif value is not None:
            yield value


def text_of_value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) else HOLE
