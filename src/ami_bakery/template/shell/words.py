"""Words of shell texts: what they may be, and what the grammar's nodes say of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ami_bakery.template.expression.known_values import CHECKOUT, HOLE

if TYPE_CHECKING:
    from tree_sitter import Node

MOST = 128
"""Texts that one word may come to; what is beyond is not looked at, and the listener hears of it."""
_MOST_BRACED = 4 * MOST
_DEEPEST_BRACES = 6
_BRACES = re.compile(r"\{([^{},]*,[^{}]*|-?\d{1,18}\.\.-?\d{1,18}(?:\.\.-?\d{1,18})?|\w\.\.\w)\}")
MAGIC = re.compile(r"[*?\[]|[@+!]\(")


class ShellWord(NamedTuple):
    """An argument.

    texts       what it may be
    is_pattern  the shell expands `*`, `?` and `[...]` in it
    is_literal  it stands in the text as it is: no value shows where it is shown
    is_choice   it is one of the texts, and nobody knows which
    """

    texts: tuple[str, ...]
    is_pattern: bool = False
    is_literal: bool = False
    is_choice: bool = False


class ShellCall(NamedTuple):
    """A command.

    sure    it runs whenever the text runs
    shown   nothing reads what it prints
    fed     the text that it gets on its standard input
    fed_by  the program before it in a pipeline
    checked  the build fails if it fails
    """

    words: tuple[ShellWord, ...]
    line: int
    sure: bool
    shown: bool
    fed: str | None = None
    fed_by: str = ""
    checked: bool = True


def absolute_folder(folder: str) -> str:
    """A folder relative to the root as an absolute path."""
    if folder.startswith("/") or HOLE in folder:
        return folder
    return CHECKOUT if folder == "." else f"{CHECKOUT}/{folder}"


def is_list_of_arguments(node: Node) -> bool:
    return node.type == "string" and text_of(node) in ('"$@"', '"${@}"')


def has_magic(node: Node) -> bool:
    if node.type == "word":
        return bool(MAGIC.search(text_of(node)))
    if node.type in ("simple_expansion", "expansion", "extglob_pattern"):
        return True
    return node.type == "concatenation" and any(has_magic(child) for child in node.named_children)


def has_braces(node: Node) -> bool:
    return node.type in ("word", "concatenation", "brace_expression") and "{" in text_of(node)


def braced(texts: Sequence[str], has_braces: bool) -> list[tuple[str, ...]]:
    """`a{b,c}` is two words."""
    if not has_braces:
        return [tuple(texts)]
    made = list(islice((part for text in texts for part in unbraced(text)), _MOST_BRACED + 1))
    return [(part,) for part in ([*made[:_MOST_BRACED], HOLE] if len(made) > _MOST_BRACED else made)]


def unbraced(text: str, depth: int = 0) -> Iterator[str]:
    """One by one: four braces of a hundred words each make a hundred million."""
    found = _BRACES.search(text)
    if found is not None and depth >= _DEEPEST_BRACES:
        yield HOLE
        return
    if found is None:
        yield text
        return
    for part in found[1].split(",") if "," in found[1] else _range(found[1]):
        yield from unbraced(f"{text[: found.start()]}{part}{text[found.end() :]}", depth + 1)


def _range(text: str) -> list[str]:
    """`1..3`, `01..10`, `a..e`, `1..9..2`."""
    first, last, *by = text.split("..")
    if not (first.lstrip("-").isdigit() and last.lstrip("-").isdigit()):
        low, high = sorted((ord(first), ord(last)))
        return [chr(code) for code in range(low, high + 1)]
    width = max(len(first), len(last)) if re.match(r"-?0\d", first) or re.match(r"-?0\d", last) else 0
    low, high = sorted((int(first), int(last)))
    step = abs(int(by[0])) or 1 if by else 1
    numbers = range(low, high + 1, step) if int(first) <= int(last) else range(high, low - 1, -step)
    return [str(number).zfill(width) for number in numbers[: _MOST_BRACED + 1]]


def may_be_empty(texts: Sequence[str]) -> bool:
    """Whether a variable may be empty, so that its default counts."""
    return any(not text or HOLE in text for text in texts)


def stripped(text: str, then: str) -> str:
    """`${x%pattern}` and its three siblings."""
    sign = then[:2] if then[:2] in ("%%", "##") else then[:1]
    pattern = then[len(sign) :].strip("\"'")
    if "$" in pattern:
        return HOLE
    matcher = re.compile(translate(pattern))
    upwards = sign in ("%%", "#")
    cuts = range(len(text) + 1) if upwards else range(len(text), -1, -1)
    for cut in cuts:
        part = text[cut:] if sign.startswith("%") else text[:cut]
        if matcher.match(part):
            return text[:cut] if sign.startswith("%") else text[cut:]
    return text


def text_of(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "surrogateescape")
