"""Embeds data, scripts and styles in HTML; data never becomes code."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

_IN_JSON = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
_MISLEADING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line breaks, characters that change the text direction, and invalid UTF-8."""


def embedded_json(value: object) -> str:
    """Returns JSON for a `<script type="application/json">` element. It cannot end the element."""
    return json.dumps(value, separators=(",", ":")).translate(_IN_JSON)


def content_hash(text: str) -> str:
    """Returns the source expression of Content Security Policy for an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def content_policy(*, scripts: Iterable[str], styles: Iterable[str]) -> str:
    """Returns a Content Security Policy that allows these inline scripts and styles, `data:` images, no requests.

    The only image is the icon; without it, browsers request `/favicon.ico`.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(content_hash, scripts))}",
            f"style-src {' '.join(map(content_hash, styles))}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def visible_text(text: str) -> str:
    """Escapes control characters and characters that change the text direction, as `\\x1b` or `\\u202e`."""
    if text.isprintable():
        return text
    return _MISLEADING.sub(lambda match: _escaped(ord(match[0])), text)


def _escaped(code: int) -> str:
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def visible_document(value: Any) -> Any:
    """Returns a copy of a JSON document with `visible_text` applied to all keys and texts."""
    if isinstance(value, str):
        return visible_text(value)
    if isinstance(value, dict):
        return {visible_text(key): visible_document(content) for key, content in value.items()}
    if isinstance(value, list):
        return [visible_document(content) for content in value]
    return value


def anchor(*parts: str) -> str:
    """Returns the id of a view, such as `/image/app`. Its URL is `#` and this id."""
    return "/" + "/".join(quote(part, safe="", errors="replace") for part in parts)


def web_url(text: str | None) -> str | None:
    """Returns an `http` or `https` URL unchanged, and None for everything else."""
    if not text or not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and parts.netloc else None
