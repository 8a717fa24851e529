"""Writes responses as XML, like xmltodict but faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr


def to_xml(document: Mapping[str, Any]) -> str:
    """Returns the XML of a document: elements by name.

    An element is text, a number, None, a mapping of elements (attributes start with `@`), or a list.

    Raises `TypeError` for any other value, which moto's serializer never returns for EC2.
    """
    parts = ['<?xml version="1.0" encoding="utf-8"?>\n']
    for name, value in document.items():
        _write(parts.append, name, value)
    return "".join(parts)


def _write(write: Callable[[str], None], name: str, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _write(write, name, item)
    elif value is None or value in ("", {}):
        write(f"<{name}/>")
    elif isinstance(value, str):
        write(f"<{name}>{escape(value)}</{name}>")
    elif type(value) is int:
        write(f"<{name}>{value}</{name}>")
    elif isinstance(value, Mapping):
        attributes = "".join(f" {key[1:]}={quoteattr(inner)}" for key, inner in value.items() if key[0] == "@")
        write(f"<{name}{attributes}>")
        for key, inner in value.items():
            if key[0] != "@":
                _write(write, key, inner)
        write(f"</{name}>")
    else:
        raise TypeError(f"{name} is neither text, number nor elements: {value!r}")
