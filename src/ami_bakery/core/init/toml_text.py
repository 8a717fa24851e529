"""Writes TOML strings and lists."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SPECIAL = re.compile(r'[\x00-\x1f\x7f"\\\u2028\u2029]')
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def is_toml_text(text: str) -> bool:
    """Whether TOML can hold the text, which must have no surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def toml_string(text: str) -> str:
    """Returns a basic string on one line. See `is_toml_text`."""
    return f'"{_SPECIAL.sub(_escaped, text)}"'


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[0]}" if match[0] in '"\\' else f"\\u{ord(match[0]):04x}"


def toml_list(items: Iterable[str]) -> str:
    return f"[{', '.join(map(toml_string, items))}]"


def toml_key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else toml_string(name)
