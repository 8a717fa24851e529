"""Parses JSON with the line of every value, as strictly as Go."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import tree_sitter_json
from tree_sitter import Language, Node, Parser

from ami_bakery.errors import TemplateError
from ami_bakery.template.location import SourceLocation


class JsonScalar(NamedTuple):
    value: str | int | float | bool | None
    location: SourceLocation


class JsonArray(NamedTuple):
    items: tuple[JsonValue, ...]
    location: SourceLocation


class JsonObject(NamedTuple):
    """The members as written: a key may occur more than once."""

    members: tuple[tuple[str, JsonValue], ...]
    location: SourceLocation

    def last(self) -> dict[str, JsonValue]:
        """Returns the members as Go reads them: the last one of a name wins."""
        return dict(self.members)


JsonValue: TypeAlias = JsonScalar | JsonArray | JsonObject


@functools.cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_json.language()))


def parse_json(source: bytes, file: str) -> JsonValue:
    """Parses a document."""
    text = source.decode("utf-8", "replace")
    if text.startswith("\ufeff"):
        raise _refused(
            SourceLocation(file=file, line=1), "it begins with a byte order mark: save it as UTF-8 without one"
        )
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _refused(SourceLocation(file=file, line=error.lineno), error.msg) from None
    except RecursionError:
        raise _refused(SourceLocation(file=file, line=1), "it is nested too deeply") from None
    except ValueError as error:
        long = "Exceeds the limit" in str(error)
        wrong = "a number has more than 4,300 digits: write it as a string" if long else str(error)
        raise _refused(SourceLocation(file=file, line=1), wrong) from None
    encoded = text.encode()
    root = _parser().parse(encoded).root_node
    if root.has_error:
        raise _refused(SourceLocation(file=file, line=1), "it is not valid JSON")
    return _value(encoded, next(_values(root)), file)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refused(location: SourceLocation, wrong: str) -> TemplateError:
    return TemplateError(
        f"reading {location}",
        wrong,
        "Fix the file; `packer validate` gives details.",
        marks=(location.mark(wrong),),
    )


def _values(node: Node) -> Iterator[Node]:
    return (child for child in node.named_children if child.type != "comment")


def _value(source: bytes, node: Node, file: str) -> JsonValue:
    location = SourceLocation(file=file, line=node.start_point[0] + 1)
    if node.type == "object":
        members = []
        for pair in _values(node):
            key, value = _values(pair)
            members.append((str(_scalar(source, key)), _value(source, value, file)))
        return JsonObject(members=tuple(members), location=location)
    if node.type == "array":
        return JsonArray(items=tuple(_value(source, child, file) for child in _values(node)), location=location)
    return JsonScalar(value=_scalar(source, node), location=location)


def _scalar(source: bytes, node: Node) -> str | int | float | bool | None:
    written = source[node.start_byte : node.end_byte]
    if written[:1] == b'"' and b"\\" not in written:
        return written[1:-1].decode()
    value: str | int | float | bool | None = json.loads(written)
    if isinstance(value, str):  # Go replaces a lone surrogate by the replacement character
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value
