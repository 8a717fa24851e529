"""Parses YAML with the line of every mapping and string; ignores Ansible's tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from ami_bakery.errors import TemplateError
from ami_bakery.template.expression.budget import MOST_PARTS
from ami_bakery.template.location import SourceLocation


class YamlText(str):
    """A string of a YAML document with its line (0 if none)."""

    line: int

    def __new__(cls, text: str, line: int) -> YamlText:
        result = super().__new__(cls, text)
        result.line = line
        return result


class YamlMap(dict[str, Any]):
    """A mapping of a YAML document, with string keys and its line."""

    line: int = 0


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """Keeps the lines of values, and ignores unknown tags (`!vault`, `!unsafe`)."""

    def construct_document(self, node: yaml.Node) -> Any:
        _check_size(node)
        return super().construct_document(node)


def _check_size(root: yaml.Node) -> None:
    """Counts the values of an alias each time it is used: ten lines of aliases can be a billion values."""
    sizes: dict[yaml.Node, int] = {}

    def size(node: yaml.Node) -> int:
        if node not in sizes:
            sizes[node] = 0  # a node that contains itself is an error elsewhere
            sizes[node] = 1 + sum(map(size, _children(node)))
        return sizes[node]

    if size(root) > MOST_PARTS:
        raise _too_large()


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def _check_length(source: bytes) -> None:
    """Checks the source's size before it is parsed to a tree. The tree needs a thousand times the memory."""
    if len(source) > MOST_PARTS:
        for number, _ in enumerate(yaml.parse(source, Loader=_Loader)):
            if number > 2 * MOST_PARTS:
                raise _too_large()


def _too_large() -> ValueError:
    return ValueError(f"it has more than {MOST_PARTS:,} values")


def _text(_loader: Any, node: yaml.ScalarNode) -> YamlText:
    return YamlText(node.value, node.start_mark.line + 1)


def _map(loader: Any, node: yaml.MappingNode) -> YamlMap:
    loader.flatten_mapping(node)
    result = YamlMap()
    result.line = node.start_mark.line + 1
    for key, value in node.value:
        result[str(loader.construct_object(key, deep=True))] = loader.construct_object(value, deep=True)
    return result


def _list(loader: Any, node: yaml.SequenceNode) -> list[Any]:
    return [loader.construct_object(child, deep=True) for child in node.value]


def _tagged(loader: Any, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _map(loader, node)
    if isinstance(node, yaml.SequenceNode):
        return _list(loader, node)
    return _text(loader, node)  # type: ignore[arg-type]


_Loader.add_constructor("tag:yaml.org,2002:str", _text)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)
_Loader.add_constructor("tag:yaml.org,2002:map", _map)
_Loader.add_constructor("tag:yaml.org,2002:seq", _list)
_Loader.add_multi_constructor("", _tagged)


def yaml_documents(source: bytes, file: str) -> list[Any]:
    """Returns the documents of a file. Maps are `YamlMap`, strings are `YamlText`."""
    try:
        _check_length(source)
        return list(yaml.load_all(source, Loader=_Loader))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        location = SourceLocation(file=file, line=mark.line + 1 if mark else 1)
        wrong = str(getattr(error, "problem", None) or error)
        todo = "Fix the file; `ansible-playbook --syntax-check` gives details."
        raise TemplateError(f"reading {location}", wrong, todo, marks=(location.mark(wrong),)) from None
