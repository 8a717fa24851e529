"""Changes case, finds white space and quotes strings as Go does."""

from __future__ import annotations

SPACES = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""White space in Unicode, and so in Go; Python has four more characters."""


def _upper_letter(letter: str) -> str:
    changed = letter.upper()
    if len(changed) == 1:
        return changed
    changed = letter.title()
    return changed if len(changed) == 1 else letter


def upper_case(text: str) -> str:
    """Converts letter by letter: one that would become two stays unchanged."""
    return text.upper() if text.isascii() else "".join(map(_upper_letter, text))


def lower_case(text: str) -> str:
    if text.isascii():
        return text.lower()
    return "".join("i" if letter == "\u0130" else letter.lower() for letter in text)


def title_case(text: str) -> str:
    result, before = [], " "
    for letter in text:
        changed = letter
        if _separates(before):
            changed = letter.title()
            changed = changed if len(changed) == 1 else letter
        result.append(changed)
        before = letter
    return "".join(result)


def _separates(letter: str) -> bool:
    if letter.isascii():
        return not (letter.isalnum() or letter == "_")
    return letter in SPACES


_SHORT = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}


def quoted(text: str) -> str:
    """Go's `%q`."""
    return '"' + "".join(_SHORT.get(letter) or _escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    code = ord(letter)
    if letter == " " or letter.isprintable():
        return letter
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
