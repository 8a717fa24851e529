"""`jsonencode()`, `jsondecode()` and `csvdecode()`."""

from __future__ import annotations

import json
import re
from typing import Any

from ami_bakery.template.expression import cty, cty_types
from ami_bakery.template.expression.budget import spend
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.cty_types import BOOL, NUMBER, STRING
from ami_bakery.template.expression.numbers import Number

_ESCAPED = {letter: f"\\u{ord(letter):04x}" for letter in (*map(chr, range(0x20)), *"<>&\u2028\u2029")} | {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
_TO_ESCAPE = re.compile("[" + re.escape("".join(_ESCAPED)) + "]")
_NEWER = re.compile("[\b\f]")


def json_string(text: str) -> str:
    if _NEWER.search(text):
        raise Unsure("the JSON form of a control character depends on the version of Packer")
    return '"' + _TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], text) + '"'


def json_text(value: Cty) -> str:
    """Returns the JSON text that Packer writes."""
    spend(steps=1)
    raw = value.raw
    if raw is None:
        return "null"
    if isinstance(raw, str):
        return json_string(raw)
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, Number):
        return raw.text()
    if isinstance(raw, dict):
        return "{" + ",".join(f"{json_string(name)}:{json_text(raw[name])}" for name in sorted(raw)) + "}"
    return "[" + ",".join(json_text(item) for item in raw) + "]"


def jsonencode(value: Cty) -> Cty:
    result = json_text(value)
    spend(text=len(result))
    return cty.text(result)


def _refuse_constant(text: str) -> Any:
    raise ValueError(text)


class _Number(str):
    __slots__ = ()


def jsondecode(value: Cty) -> Cty:
    document = value.raw
    if re.search(r"\\u[dD][89abAB]", document):
        raise Unsure("only Packer can read a surrogate in JSON")
    spend(steps=document.count(",") + document.count("["))
    try:
        decoder = json.JSONDecoder(
            parse_int=_Number, parse_float=_Number, parse_constant=_refuse_constant, object_pairs_hook=_pairs
        )
        start = len(document) - len(document.lstrip(" \t\r\n"))
        result, end = decoder.raw_decode(document, start)
    except Unsure:
        raise
    except (ValueError, RecursionError):
        raise EvaluationError("the string is not JSON") from None
    if document[end:].strip(" \t\r\n"):
        raise Unsure("only Packer can read text after a JSON document")
    return from_document(result)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Unsure("a JSON object has a key twice")
    return result


def _key(name: str) -> str:
    key = cty.text(name)
    if not isinstance(key.raw, str):
        raise Unsure(cty.why_of(key))
    return key.raw


def from_document(value: Any) -> Cty:
    """Converts a document: lists become tuples, maps become objects."""
    if isinstance(value, _Number):
        parsed = Number.parse(str(value))
        if parsed is None:
            raise Unsure("only Packer can read a number")
        return Cty(NUMBER, parsed)
    if isinstance(value, str):
        return cty.text(value)
    if isinstance(value, bool):
        return Cty(BOOL, value)
    if value is None:
        return cty.null()
    if isinstance(value, int):
        return cty.whole(value)
    if isinstance(value, dict):
        return cty.object_value({_key(str(name)): from_document(child) for name, child in value.items()})
    if isinstance(value, list | tuple):
        return cty.tuple_value(from_document(child) for child in value)
    raise Unsure("only Packer can read a value of the document")


# --- CSV


def csvdecode(value: Cty) -> Cty:
    import csv
    import io

    text = value.raw
    if '"' in text or "\r" in text:
        _refuse_odd_quotes(text)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    if not rows:
        raise EvaluationError("the CSV has no header line")
    header = rows[0]
    if len(set(header)) != len(header):
        raise EvaluationError("the CSV has a column twice")
    kind = cty_types.object_of(dict.fromkeys(header, STRING))
    if any(len(row) != len(header) for row in rows):
        raise EvaluationError("a row and the header have different numbers of columns")
    spend(steps=len(rows) * len(header))
    result = [cty.object_value(dict(zip(header, map(cty.text, row), strict=True))) for row in rows[1:]]
    return cty.list_value(result, kind)


def _refuse_odd_quotes(text: str) -> None:
    """Accepts quotes and carriage returns only where Go and Python agree: around whole fields."""
    field = r'(?:"(?:[^"\r]|"")*"|[^",\r\n]*)'
    if not re.fullmatch(rf"(?:{field}(?:,{field})*\r?\n)*{field}(?:,{field})*", text):
        raise Unsure("only Packer can read the CSV")
