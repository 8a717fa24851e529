"""Recognizes legacy JSON templates, and var-files for them, by their content."""

from __future__ import annotations

import json
import re
from enum import StrEnum

_BUILDERS = re.compile(rb'"builders"\s*:', re.IGNORECASE)


class JsonKind(StrEnum):
    TEMPLATE = "template"
    BROKEN = "broken"
    """It has builders, but is not valid JSON."""
    VALUES = "values"
    """An object whose values are scalars: it may be a var-file."""
    OTHER = "other"


def kind_of_json(content: bytes) -> JsonKind:
    """A template has a list `builders` of objects with a `type`."""
    has_builders = _BUILDERS.search(content) is not None
    try:
        document = json.loads(content.decode("utf-8", "replace").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return JsonKind.BROKEN if has_builders and b'"type"' in content else JsonKind.OTHER
    if not isinstance(document, dict) or not document:
        return JsonKind.OTHER
    builders = next((value for name, value in document.items() if name.lower() == "builders"), None)
    if isinstance(builders, list):
        is_typed = any(isinstance(each, dict) and isinstance(each.get("type"), str) for each in builders)
        return JsonKind.TEMPLATE if is_typed else JsonKind.OTHER
    return JsonKind.OTHER if any(isinstance(value, dict | list) for value in document.values()) else JsonKind.VALUES
