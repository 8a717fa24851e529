"""Finds the names that one HCL2 file declares and uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ami_bakery.template.expression.syntax import Attribute, Block, Body, Literal, Name
from ami_bakery.template.hcl.hcl_parser import parse_body
from ami_bakery.template.hcl.json_body import parse_json_body
from ami_bakery.values import Frozen

_ROOTS = {"var": 1, "local": 1, "data": 2, "source": 2}
"""How many names follow `var`, `local`, `data` and `source`."""


class FileNames(NamedTuple):
    """Names such as `var.region`, `local.tags`, `data.amazon-ami.base` and `source.amazon-ebs.base`.

    declared  in order; a name that is declared twice is there twice
    """

    declared: tuple[str, ...]
    used: frozenset[str]
    builds: bool


def names_in(source: bytes, file: str) -> FileNames:
    """Raises `TemplateError` if the file does not parse."""
    body = _parse(source, file, variables_only=False)
    builds = body.of_type("build")
    return FileNames(
        declared=tuple(_declared(body)),
        used=frozenset((*_used(body), *(name for block in builds for name in _sources(block)))),
        builds=bool(builds),
    )


def variables_in(source: bytes, file: str) -> tuple[str, ...]:
    """Returns the names of the variables that a var-file sets. Raises `TemplateError` if it does not parse."""
    return tuple(setting.name for setting in _parse(source, file, variables_only=True).settings)


def _parse(source: bytes, file: str, *, variables_only: bool) -> Body:
    if file.endswith(".json"):
        return parse_json_body(source, file, variables_only=variables_only)
    return parse_body(source, file)


def _declared(body: Body) -> Iterator[str]:
    for block in body.blocks:
        if block.type == "locals":
            yield from (f"local.{setting.name}" for setting in block.body.settings)
        elif block.type == "variable" and block.labels:
            yield f"var.{block.labels[0]}"
        elif block.type == "local" and block.labels:
            yield f"local.{block.labels[0]}"
        elif block.type in ("source", "data") and len(block.labels) == 2:
            yield f"{block.type}.{'.'.join(block.labels)}"


def _sources(build: Block) -> Iterator[str]:
    """Yields the sources that a build names in strings: `sources = ["source.amazon-ebs.base"]`."""
    listed = build.body.setting("sources")
    texts = [node.value for node in _nodes(listed) if isinstance(node, Literal)]
    texts += [block.labels[0] for block in build.body.of_type("source") if block.labels]
    for text in texts:
        if isinstance(text, str) and "." in text:
            yield f"source.{text.removeprefix('source.')}"


def _used(body: Body) -> Iterator[str]:
    for node in _nodes(body):
        path: list[str] = []
        while isinstance(node, Attribute):
            path.insert(0, node.name)
            node = node.of
        if isinstance(node, Name) and node.name in _ROOTS and len(path) >= _ROOTS[node.name]:
            names = path[: _ROOTS[node.name]]
            if node.name != "source" or names[0] not in ("name", "type"):
                yield ".".join((node.name, *names))


def _nodes(start: object) -> Iterator[object]:
    """Yields all syntax nodes below `start`, without recursion."""
    waiting = [start]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting.extend(node)
        elif isinstance(node, Frozen):
            yield node
            waiting.extend(vars(node).values())
