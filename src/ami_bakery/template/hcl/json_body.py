"""Parses HCL2 in JSON syntax (`*.pkr.json`, `*.pkrvars.json`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ami_bakery.errors import TemplateError
from ami_bakery.template.expression import syntax
from ami_bakery.template.expression.syntax import Block, Body, Expression, Setting
from ami_bakery.template.hcl.hcl_parser import parse_template
from ami_bakery.template.json_parser import JsonArray, JsonObject, JsonScalar, JsonValue, parse_json

if TYPE_CHECKING:
    from ami_bakery.template.location import SourceLocation

# The blocks in a body of a given type, and the number of their labels. Strings are templates.
_BLOCKS: dict[str, dict[str, int]] = {
    "": {
        "packer": 0,
        "variable": 1,
        "variables": 0,
        "local": 1,
        "locals": 0,
        "source": 2,
        "data": 2,
        "build": 0,
        "dynamic": 1,
    },
    "packer": {"required_plugins": 0},
    "build": {
        "source": 1,
        "provisioner": 1,
        "error-cleanup-provisioner": 1,
        "post-processor": 1,
        "post-processors": 0,
        "hcp_packer_registry": 0,
        "dynamic": 1,
    },
    "post-processors": {"post-processor": 1, "dynamic": 1},
    "dynamic": {"content": 0},
    "source": {"dynamic": 1},
    "provisioner": {"dynamic": 1},
    "post-processor": {"dynamic": 1},
    "variable": {"validation": 0},
}


def parse_json_body(source: bytes, file: str, *, variables_only: bool = False) -> Body:
    """Parses a file. `variables_only`: a var-file, which has no blocks."""
    document = parse_json(source, file)
    return _body(document, {} if variables_only else _BLOCKS[""], "")


def _body(value: JsonValue, blocks: dict[str, int], around: str) -> Body:
    settings: list[Setting] = []
    result: list[Block] = []
    for part in value.items if isinstance(value, JsonArray) else (value,):
        if not isinstance(part, JsonObject):
            raise _bad(part.location, "expected an object")
        for name, member in part.members:
            if name == "//":
                continue  # a comment
            if name in blocks:
                result.extend(_blocks(name, (), blocks[name], member, around))
            else:
                settings.append(Setting(name=name, expression=_expression(member), location=member.location))
    return Body(settings=tuple(settings), blocks=tuple(result))


def _blocks(name: str, labels: tuple[str, ...], missing: int, value: JsonValue, around: str) -> list[Block]:
    result: list[Block] = []
    for part in value.items if isinstance(value, JsonArray) else (value,):
        if isinstance(part, JsonScalar) and part.value is None:
            continue
        if not isinstance(part, JsonObject):
            raise _bad(part.location, f"`{name}` must be an object")
        if missing:
            for label, inner in part.members:
                result.extend(_blocks(name, (*labels, label), missing - 1, inner, around))
        else:
            inside = around if name == "content" else name
            known = _BLOCKS.get(labels[0] if name == "dynamic" else inside, {})
            body = _body(part, {"content": 0} if name == "dynamic" else known, labels[0] if name == "dynamic" else name)
            result.append(Block(type=name, labels=labels, body=body, location=part.location))
    return result


def _expression(value: JsonValue) -> Expression:
    location = value.location
    if isinstance(value, JsonArray):
        items = tuple(_expression(item) for item in value.items)
        return syntax.TupleOf(location=location, written="[...]", items=items)
    if isinstance(value, JsonObject):
        pairs = tuple((_text(name, location), _expression(member)) for name, member in value.members if name != "//")
        return syntax.ObjectOf(location=location, written="{...}", items=pairs)
    if isinstance(value.value, str):
        return _text(value.value, location)
    return syntax.Literal(location=location, written=json.dumps(value.value), value=value.value)


def _text(text: str, location: SourceLocation) -> Expression:
    if "${" in text or "%{" in text:
        return parse_template(text, location)
    return syntax.Literal(location=location, written=json.dumps(text, ensure_ascii=False), value=text)


def _bad(location: SourceLocation, wrong: str) -> TemplateError:
    todo = "Fix the file; `packer validate` gives details."
    return TemplateError(f"reading {location}", wrong, todo, marks=(location.mark(wrong),))
