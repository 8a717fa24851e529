"""Words of shell texts, and their values."""

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
"""Maximum number of values of one word; if there are more, the listener is notified."""
_MOST_BRACED = 4 * MOST
_DEEPEST_BRACES = 6
_BRACES = re.compile(r"\{([^{},]*,[^{}]*|-?\d{1,18}\.\.-?\d{1,18}(?:\.\.-?\d{1,18})?|\w\.\.\w)\}")
MAGIC = re.compile(r"[*?\[]|[@+!]\(")


class ShellWord(NamedTuple):
    """An argument of a command.

    texts       the values that it may have
    is_pattern  whether the shell expands `*`, `?` and `[...]` in it
    is_literal  whether it is literal text, so that a message that shows it reveals no value
    is_choice   whether it is one of the texts, and which one is unknown
    """

    texts: tuple[str, ...]
    is_pattern: bool = False
    is_literal: bool = False
    is_choice: bool = False


class ShellCall(NamedTuple):
    """A command with its arguments.

    sure     whether it runs whenever the text runs
    shown    whether nothing reads its output
    fed      the text on its standard input, if known
    piped_from   name of the program before it in a pipeline
    checked  whether the build fails if it fails
    """

    words: tuple[ShellWord, ...]
    line: int
    sure: bool
    shown: bool
    fed: str | None = None
    piped_from: str = ""
    checked: bool = True


def absolute_folder(folder: str) -> str:
    """Returns a folder relative to the root as an absolute path."""
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
    """Expands braces: `a{b,c}` is two words."""
    if not has_braces:
        return [tuple(texts)]
    made = list(islice((part for text in texts for part in unbraced(text)), _MOST_BRACED + 1))
    return [(part,) for part in ([*made[:_MOST_BRACED], HOLE] if len(made) > _MOST_BRACED else made)]


def unbraced(text: str, depth: int = 0) -> Iterator[str]:
    """Yields expanded words one by one: four braces of 100 words each are 100 million words."""
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
    """Expands `1..3`, `01..10`, `a..e` and `1..9..2`."""
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
    """Whether a variable may be empty. Then its default may be used."""
    return any(not text or HOLE in text for text in texts)


def stripped(text: str, then: str) -> str:
    """Expands `${x%pattern}`, `${x%%pattern}`, `${x#pattern}` and `${x##pattern}`."""
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
