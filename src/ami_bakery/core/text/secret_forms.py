"""Encoded forms of secrets, and decoded copies of lines.

Encodings with few spellings (base64, hex) are searched directly; those with many (escapes, entities, percent signs) are
decoded in a copy of the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

_SHORTEST_LINE = 4
"""Characters. A shorter line of a secret, for example `}`, is only masked together with adjacent lines."""
_LONG = 256
_WORD = re.compile(r"[^\W_]{4,}")
_SHORTEST_ENCODED = 6
"""Bytes. The base64 or hex form of a shorter secret would match by chance."""
ENCODED_MARKS = ("\\", "%", "+", "&", "''", '""', "'\"", "$${")
"""Every text that `decoded_views` decodes contains one of these."""


def secret_forms(secrets: Iterable[str]) -> frozenset[str]:
    """Returns all forms that are searched. Omits empty ones, which would match everywhere."""
    whole = {secret.strip("\r\n") for secret in secrets if secret.strip()}
    lines = {line.strip() for secret in whole for line in secret.splitlines()}
    # Line breaks between lines of the output are not searched, so they are removed here, too.
    joined = {joint for secret in whole for joint in ("".join(secret.splitlines()), _stripped(secret))}
    plain = whole | joined | {line for line in lines if len(line) >= _SHORTEST_LINE}
    encoded = {form for secret in whole | {f"{secret}\n" for secret in whole} for form in _encoded(secret)}
    return frozenset(form for form in plain | encoded if form.strip())


def loose_forms(secrets: Iterable[str]) -> Iterator[str]:
    """Yields loose forms: of a long text, only its lines and words."""
    for secret in secrets:
        forms = secret_forms([secret]) if len(secret) <= _LONG else frozenset(map(str.strip, secret.splitlines()))
        for form in forms:
            for part in (form, *_WORD.findall(form)):
                yield from (text.lower() for text in (part, part[::-1]) if len(text) >= _SHORTEST_LINE)


def _stripped(secret: str) -> str:
    return "".join(line.strip() for line in secret.splitlines())


def _encoded(secret: str) -> Iterator[str]:
    """Yields base64 and hex forms. In base64, text before the secret shifts it by 0, 1 or 2 bytes."""
    import base64

    data = secret.encode("utf-8", "surrogatepass")
    if len(data) < _SHORTEST_ENCODED:
        return
    yield from (data.hex(), data.hex().upper())
    for shift, mixed in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(bytes(shift) + data).decode("ascii")
        # The last character before the padding also contains bits of the following text.
        rest = (shift + len(data)) % 3
        own = text.rstrip("=")[mixed : -1 if rest else None]
        yield own
        yield own.replace("+", "-").replace("/", "_")


class DecodedView(NamedTuple):
    """A decoded line. `starts` and `ends`: the original position of each character; None if nothing was decoded."""

    text: str
    starts: list[int] | None = None
    ends: list[int] | None = None

    def original(self, start: int, end: int) -> tuple[int, int]:
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


_Piece = tuple[str, int, int]
"""A character, and the start and end of its encoded form in the match."""
_BACKSLASH = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}"
    r"|(?:\\x[0-9a-fA-F]{2})+|(?:\\[0-3]?[0-7]{1,2})+|\\."
)
_BACKSLASH_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "e": "\x1b"}
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_FORM = re.compile(r"(?:%[0-9a-fA-F]{2})+|\+")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});")
_QUOTE = re.compile(r"""'\\''|'"'"'|''|""|\$\$\{|%%\{""")
_OCTAL = re.compile(r"\\([0-7]{1,3})")


def decoded_views(line: str) -> Iterator[DecodedView]:
    whole = DecodedView(line)
    yield whole
    if "\\" in line:
        once = _undone(whole, _BACKSLASH, _backslash)
        yield once
        if "\\" in once.text:
            yield _undone(once, _BACKSLASH, _backslash)
    if "%" in line:
        yield _undone(whole, _PERCENT, _percent)
    if "+" in line:
        yield _undone(whole, _FORM, _percent)
    if "&" in line:
        yield _undone(whole, _ENTITY, _entity)
    if _QUOTE.search(line):
        yield _undone(whole, _QUOTE, _quote)


def _undone(view: DecodedView, pattern: re.Pattern[str], decoded: Callable[[str], Iterator[_Piece]]) -> DecodedView:
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def add(character: str, start: int, end: int) -> None:
        start, end = view.original(start, end)
        characters.append(character)
        starts.append(start)
        ends.append(end)

    at = 0
    for match in pattern.finditer(view.text):
        for plain in range(at, match.start()):
            add(view.text[plain], plain, plain + 1)
        for character, start, end in decoded(match[0]):
            add(character, match.start() + start, match.start() + end)
        at = match.end()
    for plain in range(at, len(view.text)):
        add(view.text[plain], plain, plain + 1)
    return DecodedView("".join(characters), starts, ends)


def _backslash(text: str) -> Iterator[_Piece]:
    kind = text[1]
    if kind == "u" and len(text) == 12:
        high, low = int(text[2:6], 16), int(text[8:12], 16)
        yield chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 0, 12
    elif kind in "uU" and len(text) > 2:
        code = int(text[2:], 16)
        yield chr(code) if code < 0x110000 else "\ufffd", 0, len(text)
    elif kind == "x" and len(text) > 2:
        yield from _bytes(bytes.fromhex(text.replace("\\x", "")), [4] * (len(text) // 4))
    elif kind in "01234567":
        digits = _OCTAL.findall(text)
        yield from _bytes(bytes(int(octal, 8) & 0xFF for octal in digits), [len(octal) + 1 for octal in digits])
    else:
        yield _BACKSLASH_LETTERS.get(kind, kind), 0, 2


def _percent(text: str) -> Iterator[_Piece]:
    if text == "+":
        yield " ", 0, 1
    else:
        yield from _bytes(bytes.fromhex(text.replace("%", "")), [3] * (len(text) // 3))


def _bytes(data: bytes, lengths: list[int]) -> Iterator[_Piece]:
    """Decodes UTF-8; `lengths`: of the encoded form of each byte."""
    at = byte = 0
    for character in data.decode("utf-8", "surrogateescape"):
        size = len(character.encode("utf-8", "surrogateescape"))
        length = sum(lengths[byte : byte + size])
        yield character, at, at + length
        at, byte = at + length, byte + size


def _entity(text: str) -> Iterator[_Piece]:
    import html

    decoded = html.unescape(text)
    if len(decoded) == 1:
        yield decoded, 0, len(text)
    else:
        yield from ((character, at, at + 1) for at, character in enumerate(text))


def _quote(text: str) -> Iterator[_Piece]:
    """Yields the pieces of an escaped quote or an escaped `${`.

    In quotes, a shell's `'\\''` is one quote, as is `''` in YAML and PowerShell; HCL doubles the `$` of `${`.
    """
    yield text[0], 0, len(text) - 1 if text[-1] == "{" else len(text)
    if text[-1] == "{":
        yield "{", len(text) - 1, len(text)
